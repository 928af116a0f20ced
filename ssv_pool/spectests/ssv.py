"""The suite's module ``ssv``."""
