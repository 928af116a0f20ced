"""Logs, metrics and health: how an operator sees what the programs do."""
