"""The SSV protocol core: containers, consensus, runners and gossip rules. No I/O, no clock, no randomness."""
