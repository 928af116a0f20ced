"""One operator's share of a duty, to be done again and again: a committee in one process is recorded, then replayed.

The recording runs all operators of a committee with their real parts and notes everything that reaches the first one:
commands as they stand on the broker, gossip as it comes from the network, timers. A replay gives the same input to a
fresh operator, which answers with the same bytes, for RSA and BLS signatures here are deterministic. So its work can be
timed alone, and what it asked of the cryptography is known call by call.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from duty_operator import FailedError, Input, OneOperator, Output, Ports, Setting

from ssv_pool.crypto import bls
from ssv_pool.crypto import operator_keys as rsa
from ssv_pool.crypto.shamir import weights_at_zero
from ssv_pool.messaging.bus import INLINE_BYTES
from ssv_pool.messaging.commands import (
    COMMANDS,
    BeaconAnswer,
    StartCommand,
    request_key,
)
from ssv_pool.protocol.events import (
    AskBeacon,
    TimerKind,
)
from ssv_pool.protocol.ports import OperatorKeys, Reconstruction, ShareSigner, ThresholdScheme
from ssv_pool.protocol.types.primitives import (
    Epoch,
    OperatorId,
    PublicKey,
    Root,
    Signature,
    Slot,
)

Answer = Callable[[AskBeacon], tuple[bytes, int]]
"""What the beacon node gives for a request: object and data version."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What reached the first operator in each of several duties."""

    duties: tuple[tuple[Input, ...], ...]


def record(setting: Setting, commands: Sequence[StartCommand], answer: Answer, folder: Path) -> Recording:
    """Have all operators do duties one after the other, and note what reaches the first. Raises FailedError."""
    operators = {own: OneOperator(setting, own, folder) for own in setting.cluster.ids}
    first = setting.cluster.ids[0]
    duties = []
    try:
        for command in commands:
            noted: list[Input] = []
            waiting = deque((own, Input(command.begun, COMMANDS.encode(command))) for own in operators)
            ended = 0
            while waiting:
                own, given = waiting.popleft()
                if own == first:
                    noted.append(given)
                output = operators[own].take(given)
                ended += output.ended
                waiting.extend(_consequences(setting, own, given.now, output, answer))
            if ended != len(operators):
                raise FailedError(f"{command.key}: {ended} of {len(operators)} operators ended it")
            duties.append(tuple(noted))
    finally:
        for operator in operators.values():
            operator.protection.close()
    return Recording(tuple(duties))


def _consequences(
    setting: Setting, own: OperatorId, now: float, output: Output, answer: Answer
) -> list[tuple[OperatorId, Input]]:
    """What an operator's output brings about: gossip for the others, answers and timers for itself."""
    peer = b"peer %d" % own
    found = [
        (other, Input(now, sender=peer, topic=topic, gossip=raw))
        for topic, raw in output.published
        for other in setting.cluster.ids
        if other != own
    ]
    found += [(own, Input(now, timer=timer)) for timer in output.timers if timer[1].kind is TimerKind.CONTINUE]
    for owner, asked in output.asked:
        payload, version = answer(asked)
        inline = payload if len(payload) <= INLINE_BYTES else b""
        command = BeaconAnswer(
            request_key(asked.request_id),
            setting.cluster.committee_id,
            owner or b"",
            asked.request_id,
            inline,
            version,
            "",
            now + 12,
        )
        beside = b"" if inline else payload
        at = max(now, setting.chain.aggregate_due(asked.slot)) if asked.kind.value != "block" else now
        found.append((own, Input(at, COMMANDS.encode(command), beside)))
    return found


def replay(recording: Recording, operator: OneOperator) -> list[float]:
    """CPU seconds of each duty, done by a fresh operator."""
    seconds = []
    for duty in recording.duties:
        bls.forget_recent()  # what the others hashed and signed
        begun = time.process_time()
        for given in duty:
            operator.take(given)
        seconds.append(time.process_time() - begun)
    return seconds


@dataclass(slots=True)
class Calls:
    """What was asked of the cryptography for one duty."""

    signed: list[tuple[OperatorKeys, bytes]] = field(default_factory=list)
    verified: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)
    shares: list[tuple[PublicKey, Root]] = field(default_factory=list)
    rebuilt: list[tuple[Reconstruction, ...]] = field(default_factory=list)
    checked: list[tuple[tuple[PublicKey, Root, Signature], ...]] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {
            "rsa_signatures": len(self.signed),
            "rsa_checks": len(set(self.verified)),
            "share_signatures": len(self.shares),
            "rebuilt": sum(map(len, self.rebuilt)),
            "bls_checks": sum(map(len, self.checked)),
        }


class _Recorder:
    """Stands before the ports and notes what goes through."""

    def __init__(self, inner: Any, calls: Callable[[], Calls]) -> None:
        self._inner = inner
        self._calls = calls


class RecordingKeys(_Recorder):
    """OperatorKeys."""

    def sign(self, message: bytes) -> bytes:
        """Sign and note."""
        self._calls().signed.append((self._inner, message))
        return bytes(self._inner.sign(message))

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Check and note."""
        self._calls().verified.append((public_key, message, signature))
        return bool(self._inner.verify(public_key, message, signature))


class RecordingSigner(_Recorder):
    """ShareSigner."""

    def slashable_attestations(self, shares: Sequence[PublicKey], source: Epoch, target: Epoch) -> list[PublicKey]:
        """No cryptography."""
        return list(self._inner.slashable_attestations(shares, source, target))

    def slashable_block(self, share: PublicKey, slot: Slot) -> bool:
        """No cryptography."""
        return bool(self._inner.slashable_block(share, slot))

    def sign_attestations(
        self, shares: Sequence[PublicKey], roots: Sequence[Root], source: Epoch, target: Epoch
    ) -> list[Signature]:
        """Sign and note."""
        self._calls().shares.extend(zip(shares, roots, strict=True))
        return list(self._inner.sign_attestations(shares, roots, source, target))

    def sign_block(self, share: PublicKey, root: Root, slot: Slot) -> Signature:
        """Sign and note."""
        self._calls().shares.append((share, root))
        return Signature(self._inner.sign_block(share, root, slot))

    def sign_roots(self, shares: Sequence[PublicKey], roots: Sequence[Root]) -> list[Signature]:
        """Sign and note."""
        self._calls().shares.extend(zip(shares, roots, strict=True))
        return list(self._inner.sign_roots(shares, roots))


class RecordingThreshold(_Recorder):
    """ThresholdScheme."""

    def reconstruct(self, items: Sequence[Reconstruction]) -> list[Signature | None]:
        """Rebuild and note."""
        self._calls().rebuilt.append(tuple(items))
        return list(self._inner.reconstruct(items))

    def verify(self, public_key: PublicKey, root: Root, signature: Signature) -> bool:
        """Check and note."""
        self._calls().checked.append(((public_key, root, signature),))
        return bool(self._inner.verify(public_key, root, signature))

    def verify_many(self, items: Sequence[tuple[PublicKey, Root, Signature]]) -> list[bool]:
        """Check and note."""
        self._calls().checked.append(tuple(items))
        return list(self._inner.verify_many(items))


def calls_of(setting: Setting, recording: Recording, folder: Path) -> list[Calls]:
    """What the first operator asks of the cryptography, duty by duty."""
    calls: list[Calls] = []

    def ports(keys: OperatorKeys, signer: ShareSigner, threshold: ThresholdScheme) -> Ports:
        return Ports(
            RecordingKeys(keys, lambda: calls[-1]),
            RecordingSigner(signer, lambda: calls[-1]),
            RecordingThreshold(threshold, lambda: calls[-1]),
        )

    operator = OneOperator(setting, setting.cluster.ids[0], folder, ports)
    for duty in recording.duties:
        calls.append(Calls())
        for given in duty:
            operator.take(given)
    operator.protection.close()
    return calls


def bare(calls: Calls, secrets: Mapping[PublicKey, int]) -> float:
    """CPU seconds of the same cryptography with nothing around it: straight calls of the primitives.

    Nothing is done twice: a message is hashed to the curve once, the same RSA signature is checked once (those of a
    decision are its commits'), an own one not at all. Keys are parsed already, and rebuilt signatures are checked in
    one batch, as in the operator itself.
    """
    bls.forget_recent()
    work = [(secrets[share], root) for share, root in calls.shares]
    batches = [
        [
            (bls.public_key_point(item.public_key), item.root, tuple(item.partials.values()), weights)
            for item in items
            if (weights := weights_at_zero(tuple(item.partials)))
        ]
        for items in calls.rebuilt
    ]
    checks = [[(bls.public_key_point(key), root, raw) for key, root, raw in items] for items in calls.checked]
    own = {keyring.sign(message) for keyring, message in calls.signed}
    verified = [each for each in dict.fromkeys(calls.verified) if each[2] not in own]
    begun = time.process_time()
    for keyring, message in calls.signed:
        keyring.sign(message)
    good = [rsa.verify(key, message, signature) for key, message, signature in verified]
    points = {}
    for secret, root in work:
        point = bls.hash_point(root).scalar_mul(secret)
        points[point.compress()] = point
    for batch in batches:
        whole = []
        for key, root, partials, weights in batch:
            parts = [points.get(partial) or bls.signature_point(partial) for partial in partials]
            total = bls.combine(parts, weights.numerators)
            if weights.denominator != 1:
                total = bls.multiply(total, weights.inverse_denominator)
            total.compress()
            whole.append((key, root, total))
        good.append(bls.batch_check(whole))
    good += [bls.batch_check([(key, root, bls.signature_point(raw)) for key, root, raw in items]) for items in checks]
    spent = time.process_time() - begun
    if not all(good):
        raise FailedError("the bare cryptography does not verify what the operator verified")
    return spent
