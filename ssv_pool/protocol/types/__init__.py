"""Containers, identifiers and error codes of the SSV protocol."""
