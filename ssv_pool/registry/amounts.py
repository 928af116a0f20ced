"""Amounts as people read them."""

from typing import Final

WEI: Final = 10**18
"""Wei in one ETH."""

GWEI: Final = 10**9
"""Wei in one gwei."""


def ether(wei: int) -> str:
    """Wei as ETH in decimals, exact and without zeros at the end."""
    sign, wei = ("-", -wei) if wei < 0 else ("", wei)
    whole, part = divmod(wei, WEI)
    return f"{sign}{whole}" + (f".{part:018d}".rstrip("0") if part else "")
