from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.messaging.tasks import VISIBILITY_SECONDS
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.settings import OperatorSettings, Settings
from workers import schedule

CHAIN = BeaconChain(1_000_000.0, bytes(32), 4000, 8, (ForkVersion(0, bytes(4), "fulu"),))
SETTINGS = Settings(
    network="devnet", data_dir=".", operator=OperatorSettings(private_key_file="a", password_file="b")
)  # fmt: skip


def keys(pieces):
    return [piece.key for piece in pieces]


def test_a_slots_work_is_published_early_proposals_first_and_may_begin_for_one_slot():
    start, due = CHAIN.start_of(5), CHAIN.attestation_due(5)
    assert list(schedule.slot_pieces(CHAIN, start - 1, start + 1)) == [
        schedule.Piece("propose:5", schedule.PROPOSE_SLOT, (5, start), start - 0.5, start, start + 4, 1.1),
        schedule.Piece("begin:5", schedule.BEGIN_SLOT, (5, start), start - 0.5, start, start + 4, 1.1),
        # From the slot's start on, as a head event may start it.
        schedule.Piece("attest:5", schedule.ATTEST_SLOT, (5, due), start, due, due + 4, 1.1),
    ]


def test_short_slots_get_a_shorter_lead_and_lease():
    chain = BeaconChain(0.0, bytes(32), 1000, 8, CHAIN.forks)
    pieces = schedule.slot_pieces(chain, chain.start_of(5) - 0.4, chain.start_of(5))
    assert [round(piece.begin - piece.publish, 6) for piece in pieces] == [0.25, 0.25, 0.333333]
    assert schedule.slot_lease(chain) == 0.5


def test_nobody_waits_for_longer_than_the_broker_has_patience():
    chain = BeaconChain(0.0, bytes(32), 60_000, 8, CHAIN.forks)
    [attest] = schedule.slot_pieces(chain, chain.start_of(5), chain.start_of(6) - 1)
    assert (attest.task, attest.begin - attest.publish) == (schedule.ATTEST_SLOT, 5.0)
    assert attest.begin - attest.publish < VISIBILITY_SECONDS


def test_a_proposal_has_a_twelfth_of_its_slot_for_itself_a_second_at_most():
    assert [schedule.head_start(BeaconChain(0.0, bytes(32), ms, 8, CHAIN.forks)) for ms in (3000, 12_000, 24_000)] == [
        0.25,
        1.0,
        1.0,
    ]


def test_nobody_proposes_the_genesis_block():
    pieces = schedule.slot_pieces(CHAIN, CHAIN.genesis_time - 10, CHAIN.genesis_time + 4)
    assert keys(pieces) == ["begin:0", "attest:0", "propose:1", "begin:1", "attest:1"]


@given(st.lists(st.floats(0.01, 9), min_size=1, max_size=40), st.floats(-50, 500))
def test_cut_anyhow_every_slot_is_listed_once(steps, start):
    now = CHAIN.genesis_time + start
    found = []
    for step in steps:
        found += keys(schedule.slot_pieces(CHAIN, now, now + step))
        now += step
    assert found == keys(schedule.slot_pieces(CHAIN, CHAIN.genesis_time + start, now))
    for name in ("propose", "begin", "attest"):
        numbers = [int(key.split(":")[1]) for key in found if key.startswith(name)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True


@given(st.lists(st.floats(0.01, 9), min_size=1, max_size=40), st.floats(-50, 500))
def test_cut_anyhow_every_half_epoch_and_period_is_listed_once(steps, start):
    now = CHAIN.genesis_time + start
    found, steady = [], []
    for step in steps:
        found += keys(schedule.epoch_pieces(CHAIN, now, now + step))
        steady += keys(schedule.steady_pieces(SETTINGS, now, now + step))
        now += step
    assert len(found) == len(set(found))
    assert len(steady) == len(set(steady))
    assert found == keys(schedule.epoch_pieces(CHAIN, CHAIN.genesis_time + start, now))


def test_an_epoch_is_planned_at_its_start_and_in_its_middle():
    epoch = 8 * 4.0
    start = CHAIN.start_of(16)
    pieces = list(schedule.epoch_pieces(CHAIN, start - 0.01, start + epoch - 0.01))
    assert keys(pieces) == ["validators:4", "prune:4", "plan:4", "prepare:4", "plan:5", "prepare:5", "inclusion:1"]
    plan, prepare = pieces[2:4]
    # What became of the epoch before is looked up in the last slot.
    assert CHAIN.start_of(23) < pieces[-1].publish < CHAIN.start_of(24) < pieces[-1].until
    assert (round(plan.publish - start, 6), plan.until - start) == (0.3, epoch / 2)
    # While nothing else is due.
    assert CHAIN.attestation_due(16) < prepare.publish < CHAIN.aggregate_due(16)


def test_a_worker_that_starts_looks_at_the_slots_that_may_still_begin():
    now = CHAIN.attestation_due(9) + 1
    pieces = keys(schedule.chain_start_pieces(CHAIN, now))
    assert pieces == ["validators:first:2", "plan:first:2", "propose:9", "begin:9", "attest:9"]
    pieces = keys(schedule.chain_start_pieces(CHAIN, CHAIN.attestation_due(9) - 0.2))
    assert pieces == ["validators:first:2", "plan:first:2", "attest:8", "propose:9", "begin:9", "attest:9"]


def test_before_genesis_only_plans_are_made():
    assert keys(schedule.chain_start_pieces(CHAIN, CHAIN.genesis_time - 100)) == ["validators:first:0", "plan:first:0"]


def test_without_a_chain_beacon_node_and_registry_are_looked_at_at_once():
    first = list(schedule.first_pieces(SETTINGS, 1000.0))
    assert keys(first) == ["ssv.refresh_beacon:250", "ssv.sync_registry:83"]
    assert {piece.publish for piece in first} == {1000.0}
