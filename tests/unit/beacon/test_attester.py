from dataclasses import replace

import pytest
import redis

from ssv_pool.beacon.attester import Attester, start_commands
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.planner import CommitteeSlot
from ssv_pool.beacon.window import Clock, SlotWindow
from ssv_pool.messaging.commands import StartCommitteeDuty
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.types import AttestationData, BeaconVote, Checkpoint, ValidatorDuty

CHAIN = BeaconChain(1000.0, bytes(32), 1000, 8, (ForkVersion(0, bytes(4), "fulu"),))
DATA = AttestationData(9, 0, bytes([1]) * 32, Checkpoint(0, bytes(32)), Checkpoint(1, bytes([2]) * 32))
WINDOW = SlotWindow(9, 1009.25, 1009.26, 1010.25)
COMMITTEES = [
    CommitteeSlot(bytes([number]) * 32, (ValidatorDuty(0, bytes([number]) * 48, 9, number, 0, 9, 1, 0),))
    for number in (1, 2)
]
NO_ANSWER = BeaconError("GET /x", None, "refused")


class Steps:
    """Answers in turn; an exception is raised. Records the calls."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.calls = []

    def __call__(self, *arguments, **named):
        self.calls.append((arguments, named))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class World:
    def __init__(self, data, publish):
        self.attestation_data = Steps(*data)
        self.publish = Steps(*publish)
        self.time = WINDOW.begun

    def sleep(self, seconds):
        self.time += seconds

    def start(self):
        self.kept, self.missed = [], []
        attester = Attester(
            self,
            self,
            4.0,
            Clock(lambda: self.time, self.sleep),
            keep=self.kept.append,
            missed=lambda *what: self.missed.append(what),
        )
        return attester.start(CHAIN, WINDOW, COMMITTEES)


def commands():
    return tuple(
        StartCommitteeDuty(
            key=f"committee:9:{committee.committee_id.hex()}",
            committee_id=committee.committee_id,
            slot=9,
            validator_duties=committee.duties,
            beacon_vote=BeaconVote(DATA.beacon_block_root, DATA.source, DATA.target),
            due=1009.25,
            begun=1009.26,
            deadline=1017.0,
        )
        for committee in COMMITTEES
    )


class TestStart:
    def test_the_data_are_fetched_once_for_all_committees(self):
        world = World([DATA], [None])
        assert world.start()
        assert [arguments for arguments, _ in world.attestation_data.calls] == [(9,)]
        assert world.publish.calls == [(commands(), {})]
        assert world.kept == [DATA]

    def test_a_beacon_node_in_trouble_is_asked_again(self):
        world = World([NO_ANSWER, NO_ANSWER, DATA], [None])
        assert world.start()
        assert round(world.time - WINDOW.begun, 6) == 0.3

    def test_an_answer_for_another_epoch_does_not_count(self):
        wrong = replace(DATA, target=Checkpoint(2, bytes(32)))
        world = World([wrong, DATA], [None])
        assert world.start()
        assert world.publish.calls == [(commands(), {})]

    def test_a_broker_in_trouble_is_tried_again(self):
        world = World([DATA], [redis.ConnectionError("gone"), None])
        assert world.start()
        assert len(world.publish.calls) == 2

    @pytest.mark.parametrize(("data", "publish"), [([NO_ANSWER], [None]), ([DATA], [redis.ConnectionError("gone")])])
    def test_when_the_time_is_over_the_slot_is_missed(self, data, publish):
        world = World(data, publish)
        assert not world.start()
        assert world.kept == []
        assert WINDOW.until - 1 < world.time < WINDOW.until

    def test_who_missed_its_duty_for_want_of_data_is_told_why(self):
        world = World([NO_ANSWER], [None])
        world.start()
        assert world.missed == [(WINDOW, COMMITTEES, str(NO_ANSWER))]
        world = World([DATA], [redis.ConnectionError("gone")])
        world.start()
        assert world.missed == []

    def test_no_answer_is_waited_for_beyond_the_end(self):
        world = World([NO_ANSWER], [None])
        world.start()
        timeouts = [named["timeout"] for _, named in world.attestation_data.calls]
        assert timeouts[0] == pytest.approx(0.99)
        assert min(timeouts) >= 0.2


def test_what_only_the_sync_committee_votes_for_is_worth_nothing_after_the_slot():
    sync = ValidatorDuty(3, bytes([5]) * 48, 9, 5, validator_sync_committee_indices=(7, 9))
    [both, alone] = start_commands(
        CHAIN,
        WINDOW,
        [CommitteeSlot(bytes(32), (*COMMITTEES[0].duties, sync)), CommitteeSlot(bytes([9]) * 32, (sync,))],
        DATA,
    )
    assert (both.validator_duties, both.deadline) == ((*COMMITTEES[0].duties, sync), 1017.0)
    assert (alone.validator_duties, alone.deadline) == ((sync,), 1010.5)
