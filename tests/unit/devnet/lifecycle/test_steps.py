import pytest

from ssv_pool.devnet.lifecycle.steps import ACTORS, STEPS, StepLog

GENESIS = 1_700_000_000.0


class Clock:
    time = GENESIS - 5

    def __call__(self) -> float:
        return self.time


def test_steps_are_told_with_slot_epoch_and_time():
    clock = Clock()
    log = StepLog(GENESIS, 3, clock)
    log.note("stake", "36 ETH")
    clock.time = GENESIS + 3 * 17
    log.note("fund", "one validator")
    clock.time += 1000
    log.note("fund", "seen again")
    assert [step.as_json() for step in log.steps] == [
        {
            "name": "stake",
            "by": "stakers",
            "meaning": "stakers deposit",
            "slot": 0,
            "epoch": 0,
            "seconds": 0.0,
            "detail": "36 ETH",
        },
        {
            "name": "fund",
            "by": "keepers",
            "meaning": "32 ETH go into the deposit contract",
            "slot": 17,
            "epoch": 2,
            "seconds": 56.0,
            "detail": "one validator",
        },
    ]
    assert str(log.steps[1]) == "  56.0 s  slot  17, epoch  2  fund          one validator"


def test_steps_stand_in_the_order_in_which_they_are_seen():
    log = StepLog(GENESIS, 3, Clock())
    for name in ("exit", "register", "stake"):
        log.note(name, "")
    assert [step.name for step in log.steps] == ["exit", "register", "stake"]
    assert log.done("exit")
    assert not log.done("payout")
    assert log.missing == tuple(name for name in STEPS if name not in ("stake", "register", "exit"))


def test_a_step_that_is_none_is_refused():
    with pytest.raises(ValueError, match="step 'stroll': expected one of stake, register"):
        StepLog(GENESIS, 3, Clock()).note("stroll", "")


def test_everybody_has_something_to_do():
    assert ACTORS.keys() == STEPS.keys()
