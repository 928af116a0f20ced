"""The proposer runner: RANDAO together, then one block decided and signed.

Operators propose the block in its blinded form, and keep the full one: the operator that led the decided round hands
over its full block, the others the blinded one, which their beacon nodes complete through the builder that made it.
"""

from collections.abc import Sequence

from ssv_pool.protocol.events import AskBeacon, AskKind, BeaconReply, SubmitBlock
from ssv_pool.protocol.runners.validator import ConsensusRunner
from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.beacon import DOMAIN_BEACON_PROPOSER, DOMAIN_RANDAO, signing_root
from ssv_pool.protocol.types.blocks import DecodedBlock, blinded_of, decode_block
from ssv_pool.protocol.types.consensus_data import ProposerConsensusData, block_of
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.primitives import Root, Round, Signature, Slot
from ssv_pool.protocol.types.roles import BeaconRole, PartialSignatureType, RunnerRole


class ProposerRunner(ConsensusRunner):
    """Proposes a validator's block."""

    role = RunnerRole.PROPOSER
    beacon_role = BeaconRole.PROPOSER
    pre_consensus_type = PartialSignatureType.RANDAO
    _full_block: DecodedBlock | None = None
    """The own beacon node's block before it was blinded."""
    _decoded: DecodedBlock | None = None
    """The block that was decoded last: each value is looked at many times."""

    def pre_consensus_roots(self) -> Sequence[Root]:
        """The epoch, in the RANDAO domain."""
        slot = self.duty.slot
        epoch = self.services.chain.epoch_of(slot)
        return [signing_root(ssz.u64_root(epoch), self.domain(DOMAIN_RANDAO, slot))]

    def on_pre_consensus_quorum(self, roots: Sequence[Root]) -> None:
        """Ask for a block with the RANDAO reveal."""
        (reveal,) = self.rebuild_all(self._running_state().pre_consensus, roots)
        self.ask(AskKind.BLOCK, [("randao_reveal", reveal.hex()), ("graffiti", self.share.graffiti.hex())])

    def on_reply(self, request: AskBeacon, reply: BeaconReply) -> None:  # noqa: ARG002
        """Let the committee decide on the block."""
        if not self.accept_reply(reply):
            raise ProtocolError("the beacon node gave an empty block")
        payload = reply.payload
        if self.services.blinds_blocks:
            block = decode_block(reply.version, payload, self.services.chain.preset)
            if not block.blinded:
                self._full_block = block
                self._decoded = blinded_of(block)
                payload = self._decoded.raw
        self.propose(reply.version, payload)

    def decode_checked(self, value: bytes) -> ProposerConsensusData:
        """Boole has a code for a value that does not decode."""
        try:
            return super().decode_checked(value)
        except ProtocolError as error:
            if not self.services.fork.strict_types:
                raise
            raise ProtocolError(str(error), ErrorCode.PROPOSER_CONSENSUS_DATA_DECODE) from error

    def check_data(self, data: ProposerConsensusData) -> None:
        """It must hold a block."""
        if data.duty.type == BeaconRole.PROPOSER:
            self._block_of(data)
        elif self.services.fork.strict_types:
            data.validate_boole(self.services.chain.preset)
        else:
            data.validate_alan(self.services.chain.preset)

    def check_value(self, value: bytes) -> None:
        """Besides what is checked of every value: the block must not be slashable."""
        super().check_value(value)
        block = self._block_of(self.decode_value(value))
        if self.services.signer.slashable_block(self.share.share_pubkey, block.slot):
            raise ProtocolError(
                f"a block of slot {block.slot} is slashable for share 0x{self.share.share_pubkey.hex()}"
            )

    def post_consensus_roots(self) -> Sequence[Root]:
        """The block, in the proposer's domain of the decided duty's slot."""
        data = self.decided
        return [signing_root(self._block_of(data).root, self.domain(DOMAIN_BEACON_PROPOSER, data.duty.slot))]

    def sign_decided(self, roots: Sequence[Root], slot: Slot) -> list[Signature]:  # noqa: ARG002
        """Record and sign the block."""
        block = self._block_of(self.decided)
        return [self.services.signer.sign_block(self.share.share_pubkey, root, block.slot) for root in roots]

    def on_post_consensus_quorum(self, roots: Sequence[Root]) -> None:
        """Rebuild the signature, hand the block over, finish."""
        state = self._running_state()
        (signature,) = self.rebuild_all(state.post_consensus, roots)
        self.submitted()
        self.outbox.emit(
            SubmitBlock(state.duty.slot, self._block_to_submit(), signature, self.deadline, self.story.key)
        )
        self.finish()

    def round_deadline(self, slot: Slot, round_: Round) -> float:  # noqa: ARG002
        """Counted from when the round begins."""
        return self.services.clock() + self.services.timings.length_of(round_)

    def _block_of(self, data: ProposerConsensusData) -> DecodedBlock:
        last = self._decoded
        if last is None or (last.version, last.raw) != (data.version, data.data_ssz):
            last = self._decoded = block_of(data, self.services.chain.preset)
        return last

    def _block_to_submit(self) -> DecodedBlock:
        decided = self._block_of(self.decided)
        instance = self._running_state().instance
        full = self._full_block
        if full is None or instance is None or full.root != decided.root or not decided.blinded:
            return decided
        leader = self.controller.context.leader(instance.state.height, instance.state.round)
        return full if leader == self.member.operator_id else decided
