"""What a duty under way asks of the beacon node: a block, an aggregate, contributions (PROTOCOL 3.4 to 3.8).

The client checks that an answer is of what was asked; what is checked here is that it is of the fork that the schedule
says and not empty. Many validators aggregate at one instant: what several ask for is fetched once.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ssv_pool.beacon.answers import fork_is_at_least
from ssv_pool.beacon.attested import Attested
from ssv_pool.beacon.client import BeaconClient
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.errors import SsvPoolError
from ssv_pool.messaging.commands import MAX_PAYLOAD_BYTES, BeaconRequest
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import AskKind
from ssv_pool.protocol.types.aggregator_committee import MAX_SUBCOMMITTEES
from ssv_pool.protocol.types.attestations import AggregateAndProof, ElectraAttestation, decode_attestation
from ssv_pool.protocol.types.contributions import (
    MAX_CONTRIBUTIONS,
    Contribution,
    Contributions,
    SyncCommitteeContribution,
)
from ssv_pool.protocol.types.presets import Preset
from ssv_pool.protocol.types.primitives import Root, Signature, Slot, ValidatorIndex
from ssv_pool.protocol.types.versions import DataVersion

KEPT_ANSWERS = 512
"""Aggregates and contributions kept for others that ask for the same: those of a few slots."""

FAILURE_SECONDS = 0.1
"""How long a failure is the answer to all who ask for the same: 40 validators do not ask 40 times what is not there."""

_Found = TypeVar("_Found")


class BadRequestError(SsvPoolError):
    """A request that cannot be answered however often it is tried."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the beacon node gave."""

    payload: bytes
    """The object in SSZ, as ``AskKind`` says."""
    version: int
    """Its data version on the wire."""


class Asker:
    """Answers requests. Thread-safe."""

    def __init__(
        self,
        client: BeaconClient,
        attested: Attested,
        timeout: float,
        *,
        builder_boost: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make one.

        Args:
            client: the own beacon nodes.
            attested: what was signed in past slots.
            timeout: longest wait for one answer, in seconds.
            builder_boost: weight of a builder's bid in percent of the local payload's; None: the beacon node's own.
            clock: time that runs on, in seconds.
        """
        self._client = client
        self._attested = attested
        self._builder_boost = builder_boost
        self._timeout = timeout
        self._shared = _Shared(clock)

    def answer(self, chain: BeaconChain, request: BeaconRequest) -> Found:
        """Fetch what is asked for, once.

        Raises:
            BeaconError: no beacon node gave it, or what it gave is not it; another attempt may help.
            BadRequestError: the request itself makes no sense.
        """
        arguments = dict(request.arguments)
        match request.kind:
            case AskKind.BLOCK:
                return self._block(chain, request, arguments)
            case AskKind.AGGREGATE:
                return self._aggregate(chain, request, arguments)
            case AskKind.CONTRIBUTIONS:
                return self._contributions(chain, request, arguments)

    def _block(self, chain: BeaconChain, request: BeaconRequest, arguments: dict[str, str]) -> Found:
        reveal = Signature(_octets(arguments, "randao_reveal", 96))
        graffiti = _octets(arguments, "graffiti", 32) if "graffiti" in arguments else bytes(32)
        produced = self._client.produce_block(
            request.slot,
            reveal,
            graffiti,
            builder_boost=self._builder_boost,
            timeout=self._timeout,
        )
        fork = chain.fork_at(chain.epoch_of(request.slot)).name
        _expect("GET /eth/v3/validator/blocks", "fork", produced.fork, fork)
        _bounded("GET /eth/v3/validator/blocks", produced.ssz)
        return Found(produced.ssz, produced.version)

    def _aggregate(self, chain: BeaconChain, request: BeaconRequest, arguments: dict[str, str]) -> Found:
        committee_index = _number(arguments, "committee_index")
        fork = chain.fork_at(chain.epoch_of(request.slot)).name
        version, raw = self._attempts(
            self._data_roots(request.slot, committee_index, fork),
            lambda root: self._shared.get(
                ("aggregate", request.slot, committee_index, root),
                lambda: self._fetch_aggregate(request.slot, committee_index, root, fork, chain.preset),
            ),
        )
        # A committee takes the attestation for all its aggregators; a validator's runner signs it with its proof.
        if not request.public_key:
            return Found(raw, version)
        proof = Signature(_octets(arguments, "selection_proof", 96))
        index = ValidatorIndex(_number(arguments, "validator_index"))
        return Found(AggregateAndProof(index, decode_attestation(version, raw, chain.preset), proof).encode(), version)

    def _contributions(self, chain: BeaconChain, request: BeaconRequest, arguments: dict[str, str]) -> Found:
        subcommittees = [_decimal("subcommittees", text) for text in _text(arguments, "subcommittees").split(",")]
        proofs = [_hex("selection_proofs", text, 96) for text in _text(arguments, "selection_proofs").split(",")]
        if len(subcommittees) != len(proofs) or len(proofs) > MAX_CONTRIBUTIONS:
            what = f"found {len(subcommittees)} subcommittees and {len(proofs)} selection proofs"
            raise BadRequestError(f"request {request.key}: {what}, expected as many, at most {MAX_CONTRIBUTIONS}")
        heads = self._heads(request.slot)
        items = [
            Contribution(Signature(proof), self._contribution(request.slot, subcommittee, heads))
            for subcommittee, proof in zip(subcommittees, proofs, strict=True)
        ]
        fork = chain.fork_at(chain.epoch_of(request.slot)).name
        return Found(Contributions(tuple(items)).encode(), _version(fork))

    def _contribution(self, slot: Slot, subcommittee: int, heads: Sequence[Root]) -> SyncCommitteeContribution:
        if subcommittee >= MAX_SUBCOMMITTEES:
            raise BadRequestError(f"subcommittee {subcommittee}, expected at most {MAX_SUBCOMMITTEES - 1}")
        return self._attempts(
            heads,
            lambda head: self._shared.get(
                ("contribution", slot, subcommittee, head), lambda: self._fetch_contribution(slot, subcommittee, head)
            ),
        )

    def _fetch_aggregate(
        self, slot: Slot, committee_index: int, root: Root, fork: str, preset: Preset
    ) -> tuple[int, bytes]:
        version, raw = self._client.aggregate(slot, committee_index, root, fork)
        where = "GET /eth/v2/validator/aggregate_attestation"
        _expect(where, "version", version, _version(fork))
        _bounded(where, raw)
        attestation = decode_attestation(version, raw, preset)
        if isinstance(attestation, ElectraAttestation):
            # The data's root, which the client compares, does not say of which committee it is.
            bits = int.from_bytes(attestation.committee_bits, "little")
            _expect(where, "committee bits", hex(bits), hex(1 << committee_index))
        # The highest bit only marks the end of the list.
        if int.from_bytes(attestation.aggregation_bits, "little").bit_count() < 2:
            raise BeaconError(where, 200, f"bad answer: nobody attests in the aggregate of slot {slot}")
        return version, raw

    def _fetch_contribution(self, slot: Slot, subcommittee: int, head: Root) -> SyncCommitteeContribution:
        contribution = self._client.sync_contribution(slot, subcommittee, head)
        if not any(contribution.aggregation_bits):
            where = "GET /eth/v1/validator/sync_committee_contribution"
            raise BeaconError(
                where, 200, f"bad answer: nobody of subcommittee {subcommittee} takes part in slot {slot}"
            )
        return contribution

    def _data_roots(self, slot: Slot, committee_index: int, fork: str) -> list[Root]:
        index = 0 if fork_is_at_least(fork, "electra") else committee_index
        known = self._attested.data_of(slot, committee_index)
        if not known:
            known = [self._client.attestation_data(slot, index, timeout=self._timeout)]
        return [replace(data, index=index).hash_tree_root() for data in known]

    def _heads(self, slot: Slot) -> list[Root]:
        return self._attested.heads_of(slot) or [self._client.block_root("head")]

    def _attempts(self, candidates: Sequence[Root], fetch: Callable[[Root], _Found]) -> _Found:
        """What there is for the first candidate for which there is anything."""
        problem: BeaconError | None = None
        for candidate in candidates:
            try:
                return fetch(candidate)
            except BeaconError as error:
                if error.status is None:
                    # No node answers: another candidate changes nothing.
                    raise
                problem = problem or error
        raise problem or BadRequestError("nothing to aggregate is known")


class _Shared:
    """Answers by what was asked for; while one thread fetches, others that want the same wait for it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    def get(self, key: Hashable, fetch: Callable[[], _Found]) -> _Found:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry.stale_at is not None and entry.stale_at <= self._clock():
                del self._entries[key]
                entry = None
            first = entry is None
            if entry is None:
                entry = self._entries[key] = _Entry()
                if len(self._entries) > KEPT_ANSWERS:
                    self._entries.popitem(last=False)
        if not first:
            entry.done.wait()
            if entry.problem is not None:
                raise entry.problem
            return entry.value  # type: ignore[no-any-return]
        try:
            entry.value = fetch()
        except BaseException as error:
            # Those who wait share the failure; who comes a moment later tries anew.
            entry.problem = error
            with self._lock:
                entry.stale_at = self._clock() + FAILURE_SECONDS
            raise
        finally:
            entry.done.set()
        return entry.value  # type: ignore[no-any-return]


class _Entry:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.value: Any = None
        self.problem: BaseException | None = None
        self.stale_at: float | None = None
        """From when on a failure does not count any more."""


def _expect(where: str, what: str, found: object, expected: object) -> None:
    if found != expected:
        raise BeaconError(where, 200, f"bad answer: {what}: found {found}, expected {expected}")


def _bounded(where: str, raw: bytes) -> None:
    if not 0 < len(raw) <= MAX_PAYLOAD_BYTES:
        raise BeaconError(where, 200, f"bad answer: found {len(raw)} bytes, expected 1 to {MAX_PAYLOAD_BYTES}")


def _version(fork: str) -> int:
    try:
        return int(DataVersion[fork.upper()])
    except KeyError:
        raise BadRequestError(
            f"fork {fork!r} is not known, expected one up to {DataVersion.FULU.name.lower()}"
        ) from None


def _text(arguments: dict[str, str], name: str) -> str:
    if name not in arguments:
        raise BadRequestError(f"request argument {name}: missing")
    return arguments[name]


def _number(arguments: dict[str, str], name: str) -> int:
    return _decimal(name, _text(arguments, name))


def _octets(arguments: dict[str, str], name: str, length: int) -> bytes:
    return _hex(name, _text(arguments, name), length)


def _decimal(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 20:
        raise BadRequestError(f"request argument {name}: found {text[:60]!r}, expected a number")
    return int(text)


def _hex(name: str, text: str, length: int) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != length or len(text) != 2 * length:
        raise BadRequestError(f"request argument {name}: found {text[:60]!r}, expected {length} bytes in hex")
    return raw
