"""``python -m ssv_pool`` is the ``ssv-pool`` command."""

from ssv_pool.cli import main

main()
