"""Partial signatures as they are collected: by validator, by what was signed, by operator."""

from collections import Counter
from collections.abc import Mapping

from ssv_pool.protocol.types.primitives import OperatorId, Root, Signature, ValidatorIndex


class PartialSignatureContainer:
    """The partial signatures of one phase of one duty. Adding never overwrites."""

    __slots__ = ("_counts", "_limit", "quorum", "signatures")

    def __init__(self, quorum: int, limit_per_operator: int) -> None:
        """Make an empty container.

        Args:
            quorum: how many operators' signatures rebuild a whole one.
            limit_per_operator: how many signatures of one operator to hold; what comes beyond is not kept.
        """
        self.quorum = quorum
        self.signatures: dict[ValidatorIndex, dict[Root, dict[OperatorId, Signature]]] = {}
        self._limit = limit_per_operator
        self._counts: Counter[OperatorId] = Counter()

    def add(self, index: ValidatorIndex, root: Root, operator_id: OperatorId, signature: Signature) -> bool:
        """Store a signature; False where the operator has one there already, or has too many."""
        partials = self.signatures.setdefault(index, {}).setdefault(root, {})
        if operator_id in partials or self._counts[operator_id] >= self._limit:
            return False
        partials[operator_id] = signature
        self._counts[operator_id] += 1
        return True

    def remove(self, index: ValidatorIndex, root: Root, operator_id: OperatorId) -> None:
        """Drop a signature that is there."""
        del self.signatures[index][root][operator_id]
        self._counts[operator_id] -= 1

    def partials(self, index: ValidatorIndex, root: Root) -> Mapping[OperatorId, Signature]:
        """Operator → signature of one validator over one root."""
        return self.signatures.get(index, {}).get(root, {})

    def signers(self) -> set[OperatorId]:
        """Everyone of whom there is a signature."""
        return {signer for roots in self.signatures.values() for partials in roots.values() for signer in partials}

    def has_quorum(self, index: ValidatorIndex, root: Root) -> bool:
        """Whether enough operators signed; they need not all be valid."""
        return len(self.partials(index, root)) >= self.quorum
