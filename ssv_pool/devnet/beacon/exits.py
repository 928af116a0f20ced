"""Voluntary exits: the gate they pass, and those that wait for a block."""

from typing import Any

from ssv_pool.devnet.beacon.codec import to_json
from ssv_pool.devnet.beacon.intake import DUPLICATE, Intake, Verdict
from ssv_pool.devnet.beacon.record import ObjectKind


class ExitPool:
    """Checks voluntary exits from outside and keeps the good ones until the chain has them."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._spec = intake.spec
        self._exits: dict[int, Any] = {}
        self.changes = 0
        """Grows when the pool changes."""

    def submit(self, signed: Any) -> Verdict:
        """Check one SignedVoluntaryExit and keep it if it is good."""
        chain = self._intake.chain
        chain.tick()
        validator = int(signed.message.validator_index)
        if not self._signed(signed):
            return Verdict("rejected: invalid voluntary exit signature")
        verdict = self._judge(signed, validator)
        details = {"epoch": int(signed.message.epoch)}
        return self._intake.note(ObjectKind.VOLUNTARY_EXIT, verdict, signed, validator, chain.clock.slot(), details)

    def _signed(self, signed: Any) -> bool:
        spec, state = self._spec, self._intake.chain.current_state()
        # Since Deneb exits are signed for the fork before it, for ever (EIP-7044).
        version = spec.config.CAPELLA_FORK_VERSION
        domain = spec.compute_domain(spec.DOMAIN_VOLUNTARY_EXIT, version, state.genesis_validators_root)
        root = bytes(spec.compute_signing_root(signed.message, domain))
        return self._intake.signed_by(int(signed.message.validator_index), root, signed.signature)

    def _judge(self, signed: Any, validator: int) -> Verdict:
        spec, chain = self._spec, self._intake.chain
        if self._exits.get(validator) == signed:
            return Verdict(DUPLICATE)
        state = chain.current_state()

        def check() -> None:
            spec.validate_voluntary_exit_gossip(chain.seen, state, signed)
            # Not among the gossip rules, but a block with such an exit would be invalid.
            if spec.get_pending_balance_to_withdraw(state, signed.message.validator_index) != 0:
                chain.seen.voluntary_exit_indices.discard(signed.message.validator_index)
                raise spec.GossipReject("validator has pending withdrawals")

        verdict = self._intake.judge(check)
        if not verdict.failed:
            self._exits[validator] = signed
            self.changes += 1
            chain.events.emit("voluntary_exit", to_json(signed))
        return verdict

    def all(self) -> list[Any]:
        """The SignedVoluntaryExits that are in no final block yet, by validator index."""
        return [signed for _, signed in sorted(self._exits.items())]

    def for_block(self, state: Any) -> list[Any]:
        """The exits for a block on ``state``: those that its transition takes, as many as fit."""
        chosen: list[Any] = []
        trial = state.copy() if self._exits else state
        for signed in self.all():
            if len(chosen) == int(self._spec.MAX_VOLUNTARY_EXITS):
                break
            attempt = trial.copy()
            try:
                self._spec.process_voluntary_exit(attempt, signed)
            except AssertionError:
                continue  # in a block of this branch already
            chosen.append(signed)
            trial = attempt
        return chosen

    def prune(self) -> None:
        """Forget exits that the finalized state knows."""
        store = self._intake.chain.store
        state = store.block_states.get(store.finalized_checkpoint.root)
        if state is None or not self._exits:
            return
        columns = self._intake.chain.fast.columns.of(state)
        never = int(self._spec.FAR_FUTURE_EPOCH)
        known = [index for index in self._exits if index < len(columns) and columns.exit_epochs[index] != never]
        for index in known:
            del self._exits[index]
            self.changes += 1
