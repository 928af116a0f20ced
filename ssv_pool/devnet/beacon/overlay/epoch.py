"""Overlay: the epoch transition in one pass over plain integers where the specification is quadratic."""

from typing import Any

from ssv_pool.devnet.beacon.overlay.columns import ColumnCache, read_list, write_list
from ssv_pool.devnet.beacon.overlay.patching import replaces


class EpochOverlay:
    """Replaces the parts of ``process_epoch`` whose cost grows with the number of validators."""

    def __init__(self, spec: Any, columns: ColumnCache) -> None:
        self._spec = spec
        self._columns = columns
        self._increment = int(spec.EFFECTIVE_BALANCE_INCREMENT)
        self._far_future = int(spec.FAR_FUTURE_EPOCH)
        self._process_registry_updates = spec.process_registry_updates
        self._process_slashings = spec.process_slashings

    def _eligible(self, state: Any) -> list[int]:
        columns = self._columns.of(state)
        previous = int(self._spec.get_previous_epoch(state))
        return [
            index
            for index in range(len(columns))
            if columns.is_active(index, previous)
            or (columns.slashed[index] and previous + 1 < columns.withdrawable_epochs[index])
        ]

    def _participants(self, state: Any, flag_index: int, epoch: Any) -> set[int]:
        current = self._spec.get_current_epoch(state)
        if epoch not in (self._spec.get_previous_epoch(state), current):
            raise AssertionError(f"epoch {epoch}: expected the current or the previous epoch")
        columns = self._columns.of(state)
        flags = read_list(state.current_epoch_participation if epoch == current else state.previous_epoch_participation)
        mask = 1 << int(flag_index)
        return {index for index in columns.active(int(epoch)) if flags[index] & mask and not columns.slashed[index]}

    @replaces
    def get_eligible_validator_indices(self, state: Any) -> list[Any]:
        """Same result as the specification's ``get_eligible_validator_indices``."""
        return [self._spec.ValidatorIndex(index) for index in self._eligible(state)]

    @replaces
    def get_unslashed_participating_indices(self, state: Any, flag_index: int, epoch: Any) -> set[Any]:
        """Same result as the specification's ``get_unslashed_participating_indices``."""
        return {self._spec.ValidatorIndex(index) for index in self._participants(state, flag_index, epoch)}

    @replaces
    def process_inactivity_updates(self, state: Any) -> None:
        """Same result as the specification's ``process_inactivity_updates``."""
        spec = self._spec
        if spec.get_current_epoch(state) == spec.GENESIS_EPOCH:
            return
        present = self._participants(state, spec.TIMELY_TARGET_FLAG_INDEX, spec.get_previous_epoch(state))
        leaking = bool(spec.is_in_inactivity_leak(state))
        bias = int(spec.config.INACTIVITY_SCORE_BIAS)
        recovery = 0 if leaking else int(spec.config.INACTIVITY_SCORE_RECOVERY_RATE)
        scores = read_list(state.inactivity_scores)
        for index in self._eligible(state):
            score = max(0, scores[index] - 1) if index in present else scores[index] + bias
            scores[index] = max(0, score - recovery)
        state.inactivity_scores = write_list(type(state.inactivity_scores), scores)

    @replaces
    def process_rewards_and_penalties(self, state: Any) -> None:
        """Same result as the specification's ``process_rewards_and_penalties``."""
        spec = self._spec
        if spec.get_current_epoch(state) == spec.GENESIS_EPOCH:
            return
        columns = self._columns.of(state)
        eligible = self._eligible(state)
        previous = spec.get_previous_epoch(state)
        balances = read_list(state.balances)
        participants = [
            self._participants(state, flag, previous) for flag in range(len(spec.PARTICIPATION_FLAG_WEIGHTS))
        ]
        for flag, present in enumerate(participants):
            self._apply_flag(state, flag, present, eligible, balances)
        scores = read_list(state.inactivity_scores)
        quotient = int(spec.config.INACTIVITY_SCORE_BIAS * spec.INACTIVITY_PENALTY_QUOTIENT_BELLATRIX)
        on_target = participants[int(spec.TIMELY_TARGET_FLAG_INDEX)]
        for index in eligible:
            if index not in on_target:
                penalty = columns.effective_balances[index] * scores[index] // quotient
                balances[index] -= min(balances[index], penalty)
        state.balances = write_list(type(state.balances), balances)

    def _apply_flag(self, state: Any, flag: int, present: set[int], eligible: list[int], balances: list[int]) -> None:
        """Reward and penalise one participation flag; changes ``balances``."""
        spec = self._spec
        effective = self._columns.of(state).effective_balances
        weight, denominator = int(spec.PARTICIPATION_FLAG_WEIGHTS[flag]), int(spec.WEIGHT_DENOMINATOR)
        per_increment = int(spec.get_base_reward_per_increment(state))
        leaking = bool(spec.is_in_inactivity_leak(state))
        active_increments = int(spec.get_total_active_balance(state)) // self._increment
        present_balance = max(self._increment, sum(effective[index] for index in present))
        present_increments = present_balance // self._increment
        for index in eligible:
            base_reward = effective[index] // self._increment * per_increment
            if index in present:
                if not leaking:
                    numerator = base_reward * weight * present_increments
                    balances[index] += numerator // (active_increments * denominator)
            elif flag != int(spec.TIMELY_HEAD_FLAG_INDEX):
                balances[index] -= min(balances[index], base_reward * weight // denominator)

    @replaces
    def process_registry_updates(self, state: Any) -> None:
        """Same result as the specification's ``process_registry_updates``."""
        columns = self._columns.of(state)
        epoch = int(self._spec.get_current_epoch(state))
        floor = int(self._spec.config.EJECTION_BALANCE)
        if any(
            columns.eligibility_epochs[index] == self._far_future
            or columns.activation_epochs[index] == self._far_future
            or (columns.is_active(index, epoch) and columns.effective_balances[index] <= floor)
            for index in range(len(columns))
        ):
            self._process_registry_updates(state)

    @replaces
    def process_slashings(self, state: Any) -> None:
        """Same result as the specification's ``process_slashings``."""
        if any(self._columns.of(state).slashed):
            self._process_slashings(state)

    @replaces
    def process_effective_balance_updates(self, state: Any) -> None:
        """Same result as the specification's ``process_effective_balance_updates``."""
        spec = self._spec
        effective = list(self._columns.of(state).effective_balances)
        hysteresis = self._increment // int(spec.HYSTERESIS_QUOTIENT)
        downward = hysteresis * int(spec.HYSTERESIS_DOWNWARD_MULTIPLIER)
        upward = hysteresis * int(spec.HYSTERESIS_UPWARD_MULTIPLIER)
        for index, balance in enumerate(read_list(state.balances)):
            if balance + downward < effective[index] or effective[index] + upward < balance:
                validator = state.validators[index]
                ceiling = int(spec.get_max_effective_balance(validator))
                validator.effective_balance = min(balance - balance % self._increment, ceiling)

    @replaces
    def process_participation_flag_updates(self, state: Any) -> None:
        """Same result as the specification's ``process_participation_flag_updates``."""
        list_type = type(state.current_epoch_participation)
        # Assigning the view itself would build the list again, element by element.
        state.previous_epoch_participation = list_type(backing=state.current_epoch_participation.get_backing())
        state.current_epoch_participation = write_list(list_type, [0] * len(state.validators))
