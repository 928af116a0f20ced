"""A process that signs attestations until it is killed: from outside, or by itself at a chosen point of its way.

Arguments: slashing protection file, run number, first target epoch, point at which to die (0: never). Points are
counted before each statement of the database, before and after each signature, and before each release.
A line ``<share> <target> <root>`` on standard output is a signature that left the process.
"""

import os
import signal
import sys
from pathlib import Path

from ssv_pool.crypto import bls
from ssv_pool.protocol.ports import SlashableError
from ssv_pool.protocol.types.primitives import Epoch, Root, Signature, Slot
from ssv_pool.signer.local import LocalSigner
from ssv_pool.signer.slashing import SlashingProtection

SECRETS = (11, 12, 13)


def main(path: Path, run: int, first: int, die_at: int) -> None:
    points = 0

    def point() -> None:
        nonlocal points
        points += 1
        if points == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sign = bls.sign

    def sign_between_points(secret: int, message: bytes) -> Signature:
        point()
        signature = sign(secret, message)
        point()
        return signature

    bls.sign = sign_between_points
    protection = SlashingProtection(path)
    signer = LocalSigner(protection)
    shares = [bls.secret_to_public(secret) for secret in SECRETS]
    for share, secret in zip(shares, SECRETS, strict=True):
        signer.add(share, secret)
    signer.raise_protection(shares, Epoch(0), Epoch(0), Slot(0))
    protection._database.set_trace_callback(lambda _: point())
    for target in range(first, 2**31):
        # Another run decides something else for the same target: signing both would be slashed.
        root = Root(bls.secret_to_bytes(target << 32 | run))
        try:
            signatures = signer.sign_attestations(shares, [root] * len(shares), Epoch(target - 1), Epoch(target))
        except SlashableError:
            continue
        point()
        lines = [f"{i} {target} {root.hex()} {signature.hex()}\n" for i, signature in enumerate(signatures)]
        os.write(1, "".join(lines).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(argument) for argument in sys.argv[2:]))
