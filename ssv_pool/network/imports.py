"""Importing libp2p without what it never uses here."""

import sys
from types import ModuleType

AUTOTLS = {
    "libp2p.security.tls.autotls.acme": ("ACMEClient", "compute_b36_peer_id"),
    "libp2p.security.tls.autotls.broker": ("BrokerClient",),
}
"""Modules that fetch TLS certificates for browsers, and the names the host module imports from them."""


def skip_autotls() -> None:
    """Put empty stand-ins where libp2p's host module looks for its certificate clients.

    They bring httpx and requests: about 0.3 s of 1.8 s of CPU time and ten megabytes in each node, for a method
    that is not called. Does nothing for a module that is there already.
    """
    for name, attributes in AUTOTLS.items():
        module = ModuleType(name)
        module.__dict__.update(dict.fromkeys(attributes))
        sys.modules.setdefault(name, module)
