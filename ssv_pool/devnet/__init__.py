"""A whole network on one machine: chain, beacon node, operators, faults."""
