from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.settings import OperatorSettings, Settings
from workers import schedule

CHAIN = BeaconChain(1_000_000.0, bytes(32), 4000, 8, (ForkVersion(0, bytes(4), "fulu"),))
SETTINGS = Settings(
    network="devnet", data_dir=".", operator=OperatorSettings(private_key_file="a", password_file="b")
)  # fmt: skip


def keys(pieces):
    return [piece.key for piece in pieces]


def test_a_slot_is_published_early_and_may_begin_for_one_slot():
    [piece] = schedule.slot_pieces(CHAIN, CHAIN.start_of(5), CHAIN.start_of(6))
    due = CHAIN.attestation_due(5)
    assert piece == schedule.Piece("attest:5", schedule.ATTEST_SLOT, (5, due), due - 0.5, due, due + 4, 1.1)


def test_short_slots_get_a_shorter_lead_and_lease():
    chain = BeaconChain(0.0, bytes(32), 1000, 8, CHAIN.forks)
    [piece] = schedule.slot_pieces(chain, chain.start_of(5), chain.start_of(6))
    assert (round(piece.begin - piece.publish, 6), schedule.slot_lease(chain)) == (0.25, 0.5)


@given(st.lists(st.floats(0.01, 9), min_size=1, max_size=40), st.floats(-50, 500))
def test_cut_anyhow_every_slot_is_listed_once(steps, start):
    now = CHAIN.genesis_time + start
    found = []
    for step in steps:
        found += keys(schedule.slot_pieces(CHAIN, now, now + step))
        now += step
    assert found == keys(schedule.slot_pieces(CHAIN, CHAIN.genesis_time + start, now))
    numbers = [int(key.split(":")[1]) for key in found]
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
    assert keys(pieces) == ["validators:4", "prune:4", "plan:4", "plan:5"]
    plan = pieces[2]
    assert (round(plan.publish - start, 6), plan.until - start) == (0.4, epoch / 2)


def test_a_worker_that_starts_looks_at_the_slots_that_may_still_begin():
    now = CHAIN.attestation_due(9) + 1
    pieces = keys(schedule.chain_start_pieces(CHAIN, now))
    assert pieces == ["validators:first:2", "plan:first:2", "attest:9"]
    pieces = keys(schedule.chain_start_pieces(CHAIN, CHAIN.attestation_due(9) - 0.2))
    assert pieces == ["validators:first:2", "plan:first:2", "attest:8", "attest:9"]


def test_before_genesis_only_plans_are_made():
    assert keys(schedule.chain_start_pieces(CHAIN, CHAIN.genesis_time - 100)) == ["validators:first:0", "plan:first:0"]


def test_without_a_chain_beacon_node_and_registry_are_looked_at_at_once():
    first = list(schedule.first_pieces(SETTINGS, 1000.0))
    assert keys(first) == ["ssv.refresh_beacon:250", "ssv.sync_registry:83"]
    assert {piece.publish for piece in first} == {1000.0}
