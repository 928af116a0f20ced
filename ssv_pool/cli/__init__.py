"""The ``ssv-pool`` command. One file a noun; heavy libraries are imported by the command that needs them."""

from ssv_pool.cli.main import main

__all__ = ["main"]
