"""Collecting partial signatures and rebuilding whole ones, with bad parts found and dropped.

Partial signatures are not verified when they come: the rebuilt signature is, all of a slot in one batch. Only where
that fails the parts are looked at one by one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ssv_pool.protocol.ports import Reconstruction, ThresholdScheme
from ssv_pool.protocol.runners.partials import PartialSignatureContainer
from ssv_pool.protocol.types.partial import PartialSignatureMessage
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey, Root, Signature, ValidatorIndex
from ssv_pool.protocol.types.share import Share


@dataclass(frozen=True, slots=True)
class Pair:
    """One signature to be: a validator and what is signed."""

    index: ValidatorIndex
    """The validator."""
    root: Root
    """The signing root, 32 bytes."""


@dataclass(slots=True)
class Rebuilt:
    """What came of rebuilding signatures."""

    signatures: dict[Pair, Signature] = field(default_factory=dict)
    """The ones that verified."""
    failed: list[Pair] = field(default_factory=list)
    """The others."""


class SignatureCollector:
    """Collects and rebuilds for the validators of one duty."""

    def __init__(self, threshold: ThresholdScheme, shares: Mapping[ValidatorIndex, Share]) -> None:
        """Make a collector; ``shares`` is read anew at each call, it may shrink."""
        self._threshold = threshold
        self._shares = shares
        self.dropped: Counter[OperatorId] = Counter()
        """How many partial signatures of whom were found invalid."""

    def add(self, container: PartialSignatureContainer, messages: Sequence[PartialSignatureMessage]) -> list[Root]:
        """Store partial signatures.

        They are not verified: the rebuilt signature is. Only where an operator sends a second, different signature for
        the same thing, the two are checked, and a valid one stays.

        Returns:
            The roots that thereby got a quorum for some validator, each once, in order.
        """
        settled = self._settle_conflicts(container, messages)
        newly_quorate: dict[Root, None] = {}
        for message in messages:
            if settled and message in settled:
                continue
            signature, root, signer, index = message
            had_quorum = container.has_quorum(index, root)
            container.add(index, root, signer, signature)
            if not had_quorum and container.has_quorum(index, root):
                newly_quorate[root] = None
        return list(newly_quorate)

    def rebuild(
        self, container: PartialSignatureContainer, pairs: Sequence[Pair], newly_quorate: Sequence[Root]
    ) -> Rebuilt:
        """Rebuild the signatures of many pairs in one batch; where one fails, find and drop its bad parts.

        Args:
            container: where the partial signatures are; each pair has a quorum there.
            pairs: what to rebuild; each validator has a share.
            newly_quorate: the roots that just got a quorum: a failing validator's parts are checked for all of them.
        """
        rebuilt = Rebuilt()
        items = [
            Reconstruction(
                self._shares[pair.index].validator_pubkey, pair.root, dict(container.partials(pair.index, pair.root))
            )
            for pair in pairs
        ]
        for pair, signature in zip(pairs, self._threshold.reconstruct(items), strict=True):
            if signature is None:
                rebuilt.failed.append(pair)
            else:
                rebuilt.signatures[pair] = signature
        if rebuilt.failed:
            suspects = {Pair(pair.index, root): None for pair in rebuilt.failed for root in newly_quorate}
            self._drop_invalid(container, list(suspects))
        return rebuilt

    def _settle_conflicts(
        self, container: PartialSignatureContainer, messages: Sequence[PartialSignatureMessage]
    ) -> set[PartialSignatureMessage]:
        """Deal with messages that differ from what their signer sent before; returns them."""
        conflicts = []
        for message in messages:
            stored = container.partials(message.validator_index, message.signing_root).get(message.signer)
            if stored is None or stored == message.partial_signature:
                continue
            share_key = self._share_key(message)
            if share_key is not None:
                conflicts.append((message, share_key, stored))
        if not conflicts:
            return set()
        verify = self._threshold.verify_many
        stored_valid = verify([(key, message.signing_root, stored) for message, key, stored in conflicts])
        new_valid = verify([(key, message.signing_root, message.partial_signature) for message, key, _ in conflicts])
        for (message, _, _), keep, take in zip(conflicts, stored_valid, new_valid, strict=True):
            index, root, signer = message.validator_index, message.signing_root, message.signer
            if keep or signer not in container.partials(index, root):
                continue
            container.remove(index, root, signer)
            if take:
                container.add(index, root, signer, message.partial_signature)
        return {message for message, _, _ in conflicts}

    def _share_key(self, message: PartialSignatureMessage) -> PublicKey | None:
        share = self._shares.get(message.validator_index)
        member = None if share is None else share.member(message.signer)
        return None if member is None else member.share_pubkey

    def _drop_invalid(self, container: PartialSignatureContainer, pairs: Sequence[Pair]) -> None:
        """Verify every stored partial signature of these pairs, in one batch, and drop the ones that fail."""
        stored = []
        for pair in pairs:
            share_keys = {member.signer: member.share_pubkey for member in self._shares[pair.index].committee}
            for signer, signature in container.partials(pair.index, pair.root).items():
                if signer in share_keys:
                    stored.append((pair, signer, (share_keys[signer], pair.root, signature)))
        verdicts = self._threshold.verify_many([item for _, _, item in stored])
        for (pair, signer, _), valid in zip(stored, verdicts, strict=True):
            if not valid:
                container.remove(pair.index, pair.root, signer)
                self.dropped[signer] += 1
