"""Lodestar 1.5.1, a complete beacon client of the Capella fork, as the devnet's beacon node.

It comes from npm alone (``install``), is given a stand-in for an execution client (``engine``) and runs as a child
process that looks like the embedded beacon node from outside (``process``).
"""
