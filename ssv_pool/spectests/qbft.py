"""The suite's module ``qbft``."""
