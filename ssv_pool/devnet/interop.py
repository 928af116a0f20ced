"""The well-known test keys that validators of a development chain have (the "interop" keys of the beacon clients).

Anybody can compute them: they protect nothing. This module imports neither the executable specification nor a BLS
library, so that everything that only needs a key can have one cheaply.
"""

import hashlib

CURVE_ORDER = 52435875175126190479447740508185965837690552500527637822603658699938581184513
"""Order of the BLS12-381 groups, the modulus of secret keys."""


def interop_secret_key(index: int) -> int:
    """The secret key of validator ``index``: sha256 of the index as 32 bytes little-endian, read little-endian.

    Source: the interop metrics repository's "mocked start", ``keygen``; every beacon client has the same keys.

    Raises:
        ValueError: a negative index.
    """
    if index < 0:
        raise ValueError(f"validator index {index}: expected 0 or more")
    digest = hashlib.sha256(index.to_bytes(32, "little")).digest()
    return int.from_bytes(digest, "little") % CURVE_ORDER
