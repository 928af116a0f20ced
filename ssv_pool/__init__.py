"""Operator client for Ethereum's secret shared validators (SSV)."""

__version__ = "0.1.0"
