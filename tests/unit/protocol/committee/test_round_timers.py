"""When an operator's rounds end: at the same instant for all, however late one of them began."""

import pytest
from committee_network import CommitteeNetwork, make_duty, vote

from ssv_pool.protocol.events import ArmTimer, StartDuty, TimerKind

SLOT = 33


@pytest.mark.parametrize("late", [0.0, 1.25])
def test_rounds_count_from_the_instant_the_duty_is_due(late: float) -> None:
    network = CommitteeNetwork()
    due = network.chain.attestation_due(SLOT)
    start = StartDuty(make_duty(SLOT, 2), vote(), due, due + late, due + 300)
    effects = network.nodes[2].committee.handle(start, due + late)
    armed = [effect.at for effect in effects if isinstance(effect, ArmTimer) and effect.timer.kind is TimerKind.ROUND]
    assert armed == [due + 2.0]
