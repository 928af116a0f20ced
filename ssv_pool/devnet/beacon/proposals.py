"""Blocks for proposers outside: made on request, taken back signed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ssv_pool.devnet.beacon.chain import BlockRefusedError
from ssv_pool.devnet.beacon.containers import unblinded
from ssv_pool.devnet.beacon.intake import ACCEPTED, DUPLICATE, Intake, Verdict, hex_root
from ssv_pool.devnet.beacon.memo import BoundedMemo
from ssv_pool.devnet.beacon.payloads import Payload, PayloadMaker
from ssv_pool.devnet.beacon.production import BlockBuilder
from ssv_pool.devnet.beacon.record import ObjectKind
from ssv_pool.devnet.beacon.relay import ALWAYS_BUILDER, Offer, Relay

WEI_PER_GWEI = 10**9


class ProposalError(Exception):
    """No block can be made for a request; the text says why."""


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """What a proposer asks for."""

    slot: int
    randao_reveal: bytes
    """The proposer's signature over the epoch, 96 bytes."""
    graffiti: bytes
    """32 bytes."""
    builder_boost: int | None = None
    """Percent by which a builder's value counts; None leaves builders out."""
    blinded_only: bool = False
    """Whether only a blinded block will do (of a builder if there is one)."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An unsigned block for a proposer outside."""

    block: Any
    """The full BeaconBlock."""
    offer: Offer
    """Where its payload comes from."""
    consensus_value: int
    """What the block earns its proposer on the beacon chain, in Wei."""


class ProposalDesk:
    """Makes blocks for outside proposers and imports what they signed."""

    def __init__(self, intake: Intake, builder: BlockBuilder, relay: Relay, payloads: PayloadMaker) -> None:
        self._intake = intake
        self._chain = intake.chain
        self._spec = intake.spec
        self._builder = builder
        self._relay = relay
        self._payloads = payloads
        self._made: BoundedMemo[BlockRequest, tuple[Any, Proposal]] = BoundedMemo(32)

    def produce(self, request: BlockRequest) -> Proposal:
        """A block on the head; the same request gets the same block as long as nothing changed that it could hold.

        Raises:
            ProposalError: the slot is not one to propose in now, or the RANDAO reveal is not its proposer's.
        """
        chain, slot = self._chain, request.slot
        chain.tick()
        current = chain.clock.slot()
        if slot == 0:
            raise ProposalError("slot 0: it has the genesis block, nobody proposes in it")
        if slot > current + 1:
            raise ProposalError(f"slot {slot}: the current slot is {current}")
        made = self._made.get(request)
        chain.head()
        if made is not None and chain.history.head.slot >= slot:
            return made[1]  # the block is on the chain, or another one: either way this is what was offered
        try:
            state = self._builder.state_for(slot)
        except ValueError as error:
            raise ProposalError(str(error)) from error
        proposer = int(self._spec.get_beacon_proposer_index(state))
        self._check_randao(state, proposer, request)
        revision = (self._builder.revision(slot), self._relay.terms(proposer, state))
        if made is not None and made[0] == revision:
            return made[1]
        proposal = self._make(request, state, proposer)
        self._made.put(request, (revision, proposal))
        return proposal

    def _check_randao(self, state: Any, proposer: int, request: BlockRequest) -> None:
        spec = self._spec
        epoch = spec.compute_epoch_at_slot(spec.Slot(request.slot))
        domain = spec.get_domain(state, spec.DOMAIN_RANDAO, epoch)
        root = bytes(spec.compute_signing_root(epoch, domain))
        if not self._intake.signed_by(proposer, root, request.randao_reveal):
            raise ProposalError(
                f"randao_reveal: not the signature of validator {proposer}, who proposes in slot {request.slot},"
                f" over epoch {int(epoch)}"
            )

    def _make(self, request: BlockRequest, state: Any, proposer: int) -> Proposal:
        offer = self._relay.offer(state, proposer, request.builder_boost, request.blinded_only)
        try:
            built = self._builder.build(request.slot, request.randao_reveal, offer.payload, request.graffiti)
        except AssertionError as error:
            raise ProposalError(f"slot {request.slot}: no valid block can be made on the head ({error})") from error
        return Proposal(built.block, offer, built.earned * WEI_PER_GWEI)

    # ---- taking blocks in

    def publish(self, signed: Any, proofs: Sequence[bytes], blobs: Sequence[bytes]) -> Verdict:
        """Check a SignedBeaconBlock with its proofs and blobs and import it if it is good."""
        self._chain.tick()
        if not self._signed(signed):
            return Verdict("rejected: invalid proposer signature")
        try:
            self._payloads.check_blobs(signed.message, list(proofs), list(blobs))
        except ValueError as error:
            return self._note(signed, Verdict(f"rejected: {error}"), blinded=False)
        return self._import(signed, blinded=False)

    def publish_blinded(self, signed: Any) -> Verdict:
        """Complete a SignedBlindedBeaconBlock with the payload that was offered for it and import it if it is good."""
        self._chain.tick()
        if not self._signed(signed):
            return Verdict("rejected: invalid proposer signature")
        payload = self._payload_of(signed.message)
        if payload is None:
            header = signed.message.body.execution_payload_header.hash_tree_root()
            verdict = Verdict(f"rejected: nobody here made a payload with the header {hex_root(header)}")
            return self._note(signed, verdict, blinded=True)
        block = unblinded(self._spec, signed.message, payload.execution)
        if tuple(map(bytes, block.body.blob_kzg_commitments)) != payload.bundle.commitments:
            verdict = Verdict("rejected: the payload has other blobs than the block's commitments")
            return self._note(signed, verdict, blinded=True)
        return self._import(self._spec.SignedBeaconBlock(message=block, signature=signed.signature), blinded=True)

    def _payload_of(self, blinded: Any) -> Payload | None:
        """The payload that a blinded block's header describes, None if it is none of this node's and its builder's.

        The builder deals with all nodes of the network: what it offered through another one it makes again.
        """
        root = bytes(blinded.body.execution_payload_header.hash_tree_root())
        found = self._payloads.find(root)
        parent, chain = blinded.parent_root, self._chain
        if found is not None or parent not in chain.store.block_states or chain.far_ahead(blinded.slot):
            return found
        state = chain.state_at(int(blinded.slot), bytes(parent))
        if state.slot != blinded.slot:
            return None
        self._relay.offer(state, int(blinded.proposer_index), ALWAYS_BUILDER)
        return self._payloads.find(root)

    def _import(self, signed: Any, blinded: bool) -> Verdict:
        """Import a block whose proposer signed it."""
        known = self._chain.history.get(bytes(signed.message.hash_tree_root())) is not None
        try:
            self._chain.import_block(signed)
            verdict = Verdict(DUPLICATE if known else ACCEPTED)
        except BlockRefusedError as error:
            verdict = Verdict(str(error))
        return self._note(signed, verdict, blinded)

    def _note(self, signed: Any, verdict: Verdict, blinded: bool) -> Verdict:
        """Record a block that its proposer signed, whatever became of it."""
        block = signed.message
        details = {"root": hex_root(block.hash_tree_root()), "blinded": blinded}
        return self._intake.note(ObjectKind.BLOCK, verdict, signed, int(block.proposer_index), int(block.slot), details)

    def _signed(self, signed: Any) -> bool:
        spec, block = self._spec, signed.message
        epoch = spec.compute_epoch_at_slot(block.slot)
        domain = spec.get_domain(self._chain.current_state(), spec.DOMAIN_BEACON_PROPOSER, epoch)
        root = bytes(spec.compute_signing_root(block, domain))
        return self._intake.signed_by(int(block.proposer_index), root, signed.signature)
