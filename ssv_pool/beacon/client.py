"""The Beacon API client of the workers: blocking, thread-safe, one for all their talk with the beacon nodes.

What is read comes from the best node, or from the next one when that is slow or fails; what is posted goes to all
healthy nodes. How nodes are ranked is in ``nodes``, what is sent to a node in the ``…_api`` modules, the habits of
nodes in use that it survives in ``node``.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial

import httpx

from ssv_pool.beacon import block_api, chain_api, duty_api, history_api, pool_api, state_api
from ssv_pool.beacon.answers import AttesterDuties, BeaconValidator, ProposerDuties, Refusal, SyncStatus
from ssv_pool.beacon.block_api import BlockOrder, ProducedBlock, SignedBlock
from ssv_pool.beacon.duty_api import CommitteeSubscription, SyncSubscription
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.events import BeaconEvent, EventStream
from ssv_pool.beacon.history_api import ChainBlock
from ssv_pool.beacon.node import Attempt, BeaconNode, Request, Result
from ssv_pool.beacon.nodes import BeaconNodes, NodeStatus
from ssv_pool.beacon.state_api import ValidatorState
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import SignedAttestation, SignedSyncCommitteeMessage
from ssv_pool.protocol.types.beacon import AttestationData
from ssv_pool.protocol.types.contributions import SyncCommitteeContribution
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Root, Signature, Slot, ValidatorIndex
from ssv_pool.store.duties import SyncMembership

HEDGE_SECONDS = 0.5
"""So long an answer is waited for before the next node is asked too, unless the settings say otherwise."""

BLOCK_HEDGE = 4
"""A block takes longer than other answers, and a builder a second: so many times the usual wait."""

SYNC_DUTY_INDICES = 5000
"""Most validators asked for in one request for sync committee duties."""


class BeaconClient:
    """Talks with the own beacon nodes. Every method raises BeaconError when no node gives a good answer."""

    def __init__(
        self,
        urls: Sequence[str],
        timeout: float = 4.0,
        *,
        hedge_seconds: float = HEDGE_SECONDS,
        transport: Callable[[str], httpx.BaseTransport] | None = None,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            urls: base URLs, best first.
            timeout: time limit of one question or submission in seconds, all nodes together.
            hedge_seconds: so long an answer is waited for before the next node is asked too.
            transport: makes the transport for a base URL, for tests.
        """
        if not urls:
            raise ValueError("no beacon node URL")
        self._timeout = timeout
        self._hedge = hedge_seconds
        nodes = [BeaconNode(url, position, transport(url) if transport else None) for position, url in enumerate(urls)]
        self._nodes = BeaconNodes(nodes, hedge_seconds)
        self._constants: BeaconChain | None = None

    def close(self) -> None:
        """Close all connections."""
        self._nodes.close()

    # About the nodes and the chain.

    def syncing(self) -> SyncStatus:
        """Where the best node stands."""
        statuses = {status.name: status for status in self._nodes.check(self._timeout)}
        best = statuses[self._nodes.ranked()[0].name]
        if best.status is None:
            raise best.error or BeaconError("GET /eth/v1/node/syncing", None, "no answer", best.name)
        return best.status

    def syncing_all(self) -> list[NodeStatus]:
        """Where each node stands, in the order of the settings. Raises nothing."""
        return self._nodes.check(self._timeout)

    def chain(self) -> BeaconChain:
        """The chain's constants."""
        self._constants = self._first(chain_api.chain)
        return self._constants

    def validators(self, public_keys: Sequence[PublicKey]) -> list[BeaconValidator]:
        """What the head state says of these validators; those it does not know are left out."""
        return self._first(chain_api.validators(public_keys))

    def block_root(self, block: str) -> Root:
        """The root of a block: ``head``, ``finalized``, a slot's number or a root's 0x hex. Status 404: none there."""
        return self._first(chain_api.block_root(block))

    def block(self, slot: Slot) -> ChainBlock | None:
        """What counts of the canonical block of a slot; None where there is none."""
        return self._first(history_api.block_at(slot))

    def committees(self, epoch: Epoch, slot: Slot) -> dict[tuple[Slot, int], tuple[ValidatorIndex, ...]]:
        """The beacon committees of a slot in ``epoch``, the head's one or one beside it: members by slot and index."""
        return self._first(history_api.committees_at(epoch, slot))

    def validator_states(self, state: str, public_keys: Sequence[PublicKey]) -> dict[PublicKey, ValidatorState]:
        """Those of these validators that a state (``head`` or a slot's number) has, with their balances."""
        return self._first(state_api.validator_states(state, public_keys)) if public_keys else {}

    def pending_deposits(self, state: str = "head") -> frozenset[PublicKey] | None:
        """Keys of the deposits that wait in a state; None where the node does not tell."""
        return self._first(state_api.pending_deposits(state))

    def finalized_epoch(self) -> Epoch:
        """The epoch of the finalized checkpoint."""
        return self._first(state_api.finalized_epoch())

    def execution_block(self, slot: Slot) -> int | None:
        """Number of the execution block in the canonical block of a slot; None where the slot has no block."""
        return self._first(state_api.execution_block(slot))

    def shard_committee_period(self) -> int:
        """Epochs that a validator must have been active before it may exit."""
        return self._first(state_api.shard_committee_period())

    def liveness(self, epoch: Epoch, indices: Sequence[ValidatorIndex]) -> dict[ValidatorIndex, bool] | None:
        """Which of these validators were seen at work in ``epoch``; None where the node keeps no account of that."""
        return self._first(chain_api.liveness(epoch, indices))

    def events(self, topics: Sequence[str], *, silence: float | None = None) -> Iterator[BeaconEvent]:
        """Server-sent events of all nodes, each event once, for ever: a broken stream is opened again.

        Args:
            topics: the events wanted.
            silence: seconds without a sign of life after which a stream counts as broken; None for ever.
        """
        with closing(self.event_stream(topics, silence=silence)) as stream:
            yield from stream

    def event_stream(self, topics: Sequence[str], *, silence: float | None = None) -> EventStream:
        """As ``events``, and another thread can end it."""
        return EventStream(self._nodes, topics, silence, believed=self._nodes.is_ours)

    # Duties, and what nodes are told ahead of them.

    def attester_duties(self, epoch: Epoch, indices: Sequence[ValidatorIndex]) -> AttesterDuties:
        """The attestation duties of these validators in ``epoch`` (at most the next one)."""
        return self._first(duty_api.attester_duties(epoch, indices))

    def proposer_duties(self, epoch: Epoch) -> ProposerDuties:
        """All proposers of ``epoch`` (at most the next one; older nodes know only the present one's)."""
        return self._first(duty_api.proposer_duties(epoch))

    def sync_duties(self, epoch: Epoch, indices: Sequence[ValidatorIndex]) -> list[SyncMembership]:
        """Those of these validators that are in the sync committee of ``epoch`` (of this period or the next)."""
        found: list[SyncMembership] = []
        for start in range(0, len(indices), SYNC_DUTY_INDICES):
            found += self._first(duty_api.sync_duties(epoch, indices[start : start + SYNC_DUTY_INDICES]))
        return found

    def prepare_proposers(self, fee_recipients: Sequence[tuple[ValidatorIndex, bytes]]) -> None:
        """Tell all nodes who gets the fees of blocks: validator index and address of 20 bytes."""
        self._tell(duty_api.prepare_proposers(fee_recipients))

    def subscribe_committees(self, subscriptions: Sequence[CommitteeSubscription]) -> None:
        """Tell all nodes which beacon committees to listen to."""
        self._tell(duty_api.subscribe_committees(subscriptions))

    def subscribe_sync_committees(self, subscriptions: Sequence[SyncSubscription]) -> None:
        """Tell all nodes which parts of the sync committee to listen to."""
        self._tell(duty_api.subscribe_sync_committees(subscriptions))

    # What is signed, from the nodes.

    def attestation_data(
        self, slot: Slot, committee_index: int = 0, *, timeout: float | None = None
    ) -> AttestationData:
        """What an attestation of ``slot`` should say now."""
        return self._first(duty_api.attestation_data(slot, committee_index), timeout)

    def aggregate(
        self, slot: Slot, committee_index: int, data_root: Root, fork: str, *, timeout: float | None = None
    ) -> tuple[int, bytes]:
        """The aggregate of a beacon committee's attestations: data version, and SSZ in the fork's and preset's form.

        Args:
            slot: the slot attested.
            committee_index: the beacon committee.
            data_root: root of the attestation data, 32 bytes.
            fork: name of the fork at the slot.
            timeout: time limit in seconds.
        """
        preset = self._chain().preset
        return self._first(duty_api.aggregate(slot, committee_index, data_root, fork, preset), timeout)

    def sync_contribution(
        self, slot: Slot, subcommittee: int, block_root: Root, *, timeout: float | None = None
    ) -> SyncCommitteeContribution:
        """What the members of a part of the sync committee voted in ``slot`` for ``block_root``."""
        preset = self._chain().preset
        return self._first(duty_api.sync_contribution(slot, subcommittee, block_root, preset), timeout)

    def produce_block(
        self,
        slot: Slot,
        randao_reveal: Signature,
        graffiti: bytes,
        *,
        builder_boost: int | None = None,
        timeout: float | None = None,
    ) -> ProducedBlock:
        """A block to sign.

        Args:
            slot: its slot.
            randao_reveal: the proposer's signature of the epoch, 96 bytes.
            graffiti: at most 32 bytes.
            builder_boost: percentage of a builder's payment that counts against a block of the node's own; 0 never
                takes a builder's block, None leaves it to the node.
            timeout: time limit in seconds.

        Raises:
            BeaconError: no node gave a good block.
            ValueError: the graffiti is longer than 32 bytes.
        """
        chain = self._chain()
        fork = chain.fork_at(chain.epoch_of(slot)).name
        order = BlockOrder(slot, randao_reveal, graffiti, builder_boost, fork, chain.preset)
        return self._first(partial(block_api.produce, order), timeout, BLOCK_HEDGE * self._hedge)

    # What was signed, to the nodes.

    def submit_block(
        self, fork: str, version: int, blinded: bool, signed_ssz: bytes, *, timeout: float | None = None
    ) -> None:
        """Hand a signed block to all healthy nodes; good when one takes it.

        Args:
            fork: name of the block's fork.
            version: its data version.
            blinded: whether it has the payload's header only.
            signed_ssz: SSZ of the SignedBlindedBeaconBlock, SignedBlockContents, or before Deneb SignedBeaconBlock.
            timeout: time limit in seconds.

        Raises:
            BeaconError: no node took it.
            ValueError: a node wants JSON, and ``signed_ssz`` is not what version and ``blinded`` say.
        """
        block = SignedBlock(fork, version, blinded, signed_ssz, self._chain().preset)
        self._everywhere(partial(block_api.publish, block), timeout)

    def submit_attestations(
        self, fork: str, attestations: Sequence[SignedAttestation], *, timeout: float | None = None
    ) -> list[Refusal]:
        """Post attestations of one fork.

        Args:
            fork: name of the fork at their slot.
            attestations: in the order that a refusal's position counts.
            timeout: time limit in seconds.

        Returns:
            Those that every node refused; empty when all are accepted.

        Raises:
            BeaconError: no node took the batch; nothing is known of the single attestations.
        """
        return self._post(pool_api.attestations(fork, attestations), timeout)

    def submit_sync_messages(
        self, slot: Slot, messages: Sequence[SignedSyncCommitteeMessage], *, timeout: float | None = None
    ) -> list[Refusal]:
        """Post sync committee messages of one slot; returns and raises as ``submit_attestations``."""
        return self._post(pool_api.sync_messages(slot, messages), timeout)

    def submit_aggregates(
        self, fork: str, version: int, aggregates: Sequence[bytes], *, timeout: float | None = None
    ) -> list[Refusal]:
        """Post SSZ of SignedAggregateAndProof of one fork; returns and raises as ``submit_attestations``.

        Raises:
            ValueError: one is not of the version's form.
        """
        return self._post(pool_api.aggregates(fork, version, aggregates, self._chain().preset), timeout)

    def submit_contributions(self, contributions: Sequence[bytes], *, timeout: float | None = None) -> list[Refusal]:
        """Post SSZ of SignedContributionAndProof (16 bytes of bits); returns and raises as ``submit_attestations``.

        Raises:
            ValueError: one is not of that form.
        """
        return self._post(pool_api.contributions(contributions, self._chain().preset), timeout)

    def submit_registrations(self, registrations: Sequence[bytes], *, timeout: float | None = None) -> list[Refusal]:
        """Post SSZ of SignedValidatorRegistration (180 bytes); returns and raises as ``submit_attestations``.

        Raises:
            ValueError: one is not of that form.
        """
        return self._post(pool_api.registrations(registrations), timeout)

    def submit_exit(self, signed_exit: bytes, *, timeout: float | None = None) -> None:
        """Post SSZ of a SignedVoluntaryExit (112 bytes); good when one node takes it.

        Raises:
            BeaconError: no node took it.
            ValueError: it is not of that form.
        """
        self._everywhere(pool_api.voluntary_exit(signed_exit), timeout)

    def _chain(self) -> BeaconChain:
        """The chain's constants, asked for once."""
        return self._constants or self.chain()

    def _first(self, attempt: Attempt[Result], timeout: float | None = None, hedge: float | None = None) -> Result:
        return self._nodes.first(attempt, self._timeout if timeout is None else timeout, hedge)

    def _everywhere(self, attempt: Attempt[Result], timeout: float | None) -> None:
        self._nodes.everywhere(attempt, self._timeout if timeout is None else timeout)

    def _post(self, attempt: Attempt[list[Refusal]], timeout: float | None) -> list[Refusal]:
        results = self._nodes.everywhere(
            attempt,
            self._timeout if timeout is None else timeout,
            lambda found: all(refusal.already_known for refusal in found),
        )
        return pool_api.merged(results)

    def _tell(self, request: Request) -> None:
        self._nodes.everywhere(lambda node, until: node.send(request, until).check(), self._timeout, only_healthy=False)
