"""Shamir's secret sharing of a BLS secret key among operators.

The polynomial is over the field of BLS secret keys; the x coordinate of an operator is its id, as the SSV protocol
has it. A validator's key is split with the threshold 2f+1 of its committee of 3f+1.
"""

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ssv_pool.crypto.bls import GROUP_ORDER, check_secret
from ssv_pool.errors import SsvPoolError
from ssv_pool.protocol.types.primitives import OperatorId

COMMITTEE_SIZES = (4, 7, 10, 13)
"""Allowed numbers of operators, 3f+1 each."""

MAX_OPERATOR_ID = 2**64 - 1
"""Operator ids are u64."""


class SharingError(SsvPoolError, ValueError):
    """Operator ids or a threshold with which a key cannot be split or recovered."""


def threshold_of(committee_size: int) -> int:
    """The quorum 2f+1 of a committee of 3f+1 operators. Raises SharingError for other sizes than 4, 7, 10, 13."""
    if committee_size not in COMMITTEE_SIZES:
        raise SharingError(f"committee: {committee_size} operators, expected 4, 7, 10 or 13")
    return 2 * ((committee_size - 1) // 3) + 1


def split(secret: int, operator_ids: Sequence[OperatorId], threshold: int) -> dict[OperatorId, int]:
    """Split a secret key so that any ``threshold`` of the shares recover it and fewer say nothing about it.

    Args:
        secret: the BLS secret key.
        operator_ids: distinct ids from 1.
        threshold: from 1 to the number of operators.

    Returns:
        Operator id → share, a BLS secret key itself.

    Raises:
        SharingError: repeated or impossible ids, impossible threshold.
        BlsError: the secret is not a BLS secret key.
    """
    check_secret(secret)
    _check_ids(operator_ids)
    if not 1 <= threshold <= len(operator_ids):
        raise SharingError(f"threshold: {threshold}, expected from 1 to the number of operators, {len(operator_ids)}")
    while True:
        coefficients = [secret, *(secrets.randbelow(GROUP_ORDER) for _ in range(threshold - 1))]
        shares = {operator_id: _evaluate(coefficients, operator_id) for operator_id in operator_ids}
        # Zero is no secret key; it comes up with a probability of about 2^-255.
        if all(shares.values()):
            return shares


def recover(shares: Mapping[OperatorId, int]) -> int:
    """The secret key from shares (operator id → share): as many as the threshold, or more."""
    weights = weights_at_zero(tuple(shares))
    combined = sum(numerator * share for numerator, share in zip(weights.numerators, shares.values(), strict=True))
    return combined * weights.inverse_denominator % GROUP_ORDER


@dataclass(frozen=True, slots=True)
class Weights:
    """Lagrange coefficients at 0 over a common denominator: weight i is numerators[i] / denominator.

    Operator ids are small numbers, so the numerators are short integers, and short integers multiply points cheaply.
    """

    numerators: tuple[int, ...]
    """Signed numerators, in the order of the ids."""
    denominator: int
    """Common denominator, positive."""
    inverse_denominator: int
    """The denominator's inverse modulo the group order."""

    def modular(self) -> tuple[int, ...]:
        """The weights as numbers modulo the group order."""
        return tuple(numerator * self.inverse_denominator % GROUP_ORDER for numerator in self.numerators)


@lru_cache(maxsize=4096)
def weights_at_zero(operator_ids: tuple[OperatorId, ...]) -> Weights:
    """The Lagrange coefficients at 0 for these x coordinates. Raises SharingError for repeated or impossible ids."""
    _check_ids(operator_ids)
    fractions: list[tuple[int, int]] = []
    for own in operator_ids:
        top = bottom = 1
        for other in operator_ids:
            if other != own:
                top *= other
                bottom *= other - own
        divisor = math.gcd(top, bottom)
        sign = -1 if bottom < 0 else 1
        fractions.append((sign * top // divisor, sign * bottom // divisor))
    denominator = math.lcm(*(bottom for _, bottom in fractions))
    return Weights(
        numerators=tuple(top * (denominator // bottom) for top, bottom in fractions),
        denominator=denominator,
        inverse_denominator=pow(denominator, -1, GROUP_ORDER),
    )


def _check_ids(operator_ids: Sequence[OperatorId]) -> None:
    if not operator_ids:
        raise SharingError("operator ids: none, expected at least one")
    for operator_id in operator_ids:
        if not 1 <= operator_id <= MAX_OPERATOR_ID:
            raise SharingError(f"operator id: {operator_id}, expected from 1 to {MAX_OPERATOR_ID}")
    if len(set(operator_ids)) != len(operator_ids):
        raise SharingError(f"operator ids: {', '.join(map(str, operator_ids))}, expected no id twice")


def _evaluate(coefficients: Sequence[int], x: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % GROUP_ORDER
    return value
