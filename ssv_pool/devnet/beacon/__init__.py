"""A beacon node for development: the official executable specification behind the standard Beacon API.

One process, one chain, no peers: it runs all validators that nobody else claims, takes attestations over HTTP, and
accepts exactly what the specification's gossip rules and state transition accept.

Modules: ``overlay`` makes the specification fast without changing a result; ``chain`` keeps the fork choice store and
its head; ``pool`` and ``gossip`` take attestations; ``production`` and ``simulated`` make blocks and votes; ``api``
answers HTTP, one module per area of the Beacon API; ``node`` wires them to the clock.
"""
