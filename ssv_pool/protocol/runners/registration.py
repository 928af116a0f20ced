"""Validator registration and voluntary exit: signed together, without consensus."""

from collections.abc import Sequence

from ssv_pool.protocol.events import SubmitExit, SubmitRegistration
from ssv_pool.protocol.runners.validator import NoConsensusRunner
from ssv_pool.protocol.types.beacon import (
    DOMAIN_APPLICATION_BUILDER,
    DOMAIN_VOLUNTARY_EXIT,
    compute_domain,
    signing_root,
)
from ssv_pool.protocol.types.errors import ErrorCode
from ssv_pool.protocol.types.operations import (
    SignedValidatorRegistration,
    SignedVoluntaryExit,
    ValidatorRegistration,
    VoluntaryExit,
)
from ssv_pool.protocol.types.primitives import Domain, Root, Signature
from ssv_pool.protocol.types.roles import PartialSignatureType, RunnerRole

CAPELLA = "capella"
"""Exits are signed with this fork's version for ever from Deneb on (EIP-7044)."""


class RegistrationRunner(NoConsensusRunner):
    """Registers a validator with block builders."""

    role = RunnerRole.VALIDATOR_REGISTRATION
    pre_consensus_type = PartialSignatureType.VALIDATOR_REGISTRATION
    consensus_code = ErrorCode.VALIDATOR_REGISTRATION_NO_CONSENSUS_PHASE
    post_consensus_code = ErrorCode.VALIDATOR_REGISTRATION_NO_POST_CONSENSUS_PHASE

    def registration(self) -> ValidatorRegistration:
        """What is signed."""
        chain = self.services.chain
        epoch = chain.epoch_of(self.duty.slot)
        return ValidatorRegistration(
            self.share.fee_recipient,
            self.services.gas_limit,
            int(chain.start_of(chain.first_slot(epoch))),
            self.share.validator_pubkey,
        )

    def pre_consensus_roots(self) -> Sequence[Root]:
        """The registration, in the builders' domain: of the genesis fork, without the validators' root."""
        domain = compute_domain(DOMAIN_APPLICATION_BUILDER, self.services.chain.forks[0].version, Root(bytes(32)))
        return [signing_root(self.registration().hash_tree_root(), domain)]

    def submit(self, signature: Signature) -> None:
        """Hand the signed registration over."""
        signed = SignedValidatorRegistration(self.registration(), signature)
        self.outbox.emit(SubmitRegistration(self.duty.slot, signed, self.deadline, self.story.key))


class VoluntaryExitRunner(NoConsensusRunner):
    """Ends a validator's service."""

    role = RunnerRole.VOLUNTARY_EXIT
    pre_consensus_type = PartialSignatureType.VOLUNTARY_EXIT
    consensus_code = ErrorCode.VALIDATOR_EXIT_NO_CONSENSUS_PHASE
    post_consensus_code = ErrorCode.VALIDATOR_EXIT_NO_POST_CONSENSUS_PHASE

    def voluntary_exit(self) -> VoluntaryExit:
        """What is signed."""
        return VoluntaryExit(self.services.chain.epoch_of(self.duty.slot), self.share.validator_index)

    def pre_consensus_roots(self) -> Sequence[Root]:
        """The exit, in its domain."""
        return [signing_root(self.voluntary_exit().hash_tree_root(), self._domain())]

    def submit(self, signature: Signature) -> None:
        """Hand the signed exit over."""
        signed = SignedVoluntaryExit(self.voluntary_exit(), signature)
        self.outbox.emit(SubmitExit(self.duty.slot, signed, self.deadline, self.story.key))

    def _domain(self) -> Domain:
        chain = self.services.chain
        capella = next((fork for fork in chain.forks if fork.name == CAPELLA), None)
        at_slot = chain.fork_at(chain.epoch_of(self.duty.slot))
        if capella is None or at_slot.epoch < capella.epoch:
            return self.domain(DOMAIN_VOLUNTARY_EXIT, self.duty.slot)
        return compute_domain(DOMAIN_VOLUNTARY_EXIT, capella.version, chain.genesis_validators_root)
