"""The staking pool under long random sequences of calls by everybody, beside a model in plain Python."""

from collections.abc import Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from pool_vm import Limits
from pool_world import PoolWorld

pytestmark = [pytest.mark.contracts, pytest.mark.slow]

T = TypeVar("T")


class Drawn:
    """Chance from Hypothesis."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def number(self, low: int, high: int) -> int:
        return int(self.data.draw(st.integers(low, high)))

    def choice(self, values: Sequence[T]) -> T:
        return values[self.number(0, len(values) - 1)]


actions = st.sampled_from([name for name, weight in PoolWorld.ACTIONS for _ in range(weight)])


class PoolModel(RuleBasedStateMachine):
    """Predicts every balance to the wei and every refusal; in the end everybody leaves."""

    world: PoolWorld | None = None

    @initialize(operator_fee=st.integers(0, 1_000), treasury_fee=st.integers(0, 1_000), data=st.data())
    def deploy(self, operator_fee: int, treasury_fee: int, data: Any) -> None:
        self.world = PoolWorld(Limits(operator_fee, treasury_fee))
        for name in ("stake", "stake", "allow", "allow"):
            self.world.step(getattr(self.world, name), Drawn(data))

    @rule(action=actions, data=st.data())
    def act(self, action: str, data: Any) -> None:
        assert self.world
        self.world.step(getattr(self.world, action), Drawn(data))

    def teardown(self) -> None:
        if self.world:
            self.world.check_all()
            self.world.leave_all()


TestPoolModel = PoolModel.TestCase
TestPoolModel.settings = settings(
    max_examples=5,
    stateful_step_count=60,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],  # to shrink a run of so many calls takes longer than to read it
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
