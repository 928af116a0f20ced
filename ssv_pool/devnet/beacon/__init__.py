"""A beacon node for development: the official executable specification behind the standard Beacon API.

It runs all validators that nobody else claims, takes every duty of the others over HTTP, and accepts exactly what the
specification's gossip rules and state transition accept. docs/beacon-node.md is for its users.

Modules: ``overlay`` makes the specification fast without changing a result; ``chain`` keeps the fork choice store and
its head; the gates ``gossip`` (attestations), ``aggregates``, ``sync``, ``exits``, ``relay`` (registrations) and
``proposals`` (blocks) check what comes from outside and share ``intake``, which records it and tells listeners;
``production`` fills blocks from the pools, ``payloads`` and ``blobs`` make what execution clients would; ``simulated``
signs for the validators run here; ``follow``, ``exchange`` and ``frames`` connect nodes; ``attacks`` makes one wrong on
purpose; ``api`` answers HTTP, one module per area of the Beacon API; ``node`` wires them to the clock.
"""
