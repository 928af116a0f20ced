"""The node: the one process that holds secrets and talks to the other operators."""
