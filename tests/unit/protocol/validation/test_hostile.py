"""Whatever bytes come, on whatever topic and of whatever role: an answer, and a memory that does not grow."""

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssv_pool.protocol import types as t
from ssv_pool.protocol.types import QBFTMessageType
from ssv_pool.protocol.validation import Accepted, Refused, Rule, SeenState, Validator


def _load():
    """The messages and the registry of test_roles.py; tests are no package."""
    spec = importlib.util.spec_from_file_location("role_rules", Path(__file__).with_name("test_roles.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["role_rules"] = module
    spec.loader.exec_module(module)
    return module


r = _load()
NOW = r.CHAIN.start_of(r.BOOLE_SLOT) + 5
TOPICS = [r.ALAN.topic(r.OPERATORS), r.BOOLE.topic(r.OPERATORS)]
SLOT = r.FORK_SLOT - 1
SEEDS = [
    *(r.qbft(role, height=SLOT) for role in r.ROLES),
    *(r.partials(role, r.FIRST_TYPE[role], slot=SLOT) for role in r.ROLES),
    *(r.boole_qbft(role) for role in r.BOOLE.roles),
    *(r.boole_partials(r.FIRST_TYPE[role], role=role) for role in r.BOOLE.roles),
    r.boole_qbft(r.AGGREGATOR_COMMITTEE, 1, 2, 3, msg_type=QBFTMessageType.COMMIT, full_data=r.VALUE),
]


def answer(gossip, raw, topic, peer=b"peer", now=NOW):
    return gossip.validator.validate(peer, topic, raw, now)


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(min_size=1, max_size=9)), max_size=4),
    st.sampled_from([*TOPICS, "", "\0" * 300]),
)
def test_changed_messages_of_every_role_get_an_answer(message, changes, topic):
    gossip = r.Gossip(r.SCHEDULE)
    raw = bytearray(message.encode())
    for place, kind, data in changes:
        start = int(place * len(raw))
        match kind:
            case 0:
                raw[start : start + len(data)] = data
            case 1:
                del raw[start : start + len(data)]
            case 2:
                raw[start:start] = data
            case _:
                del raw[start:]
    result = answer(gossip, bytes(raw), topic)
    assert isinstance(result, Accepted | Refused)
    if isinstance(result, Accepted):
        assert result.message.encode() == bytes(raw)
    elif result.rule not in r.SIGNATURE_RULES:
        assert gossip.keys.looked_at == 0


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(TOPICS))
def test_bytes_that_are_no_message_get_an_answer(raw, topic):
    assert isinstance(answer(r.Gossip(r.SCHEDULE), raw, topic), Refused)


@pytest.mark.parametrize("number", [0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1])
def test_numbers_at_their_ends_get_an_answer(number):
    gossip = r.Gossip(r.SCHEDULE)
    for role in r.ROLES:
        for domain in (r.DOMAIN, r.BOOLE_DOMAIN):
            messages = [
                r.qbft(role, domain=domain, height=number, round=number, msg_type=number, data_round=number),
                r.partials(role, number, slot=number, indices=(number,), domain=domain),
            ]
            for message in messages:
                for topic in TOPICS:
                    assert isinstance(answer(gossip, message.encode(), topic), Refused)
    assert gossip.keys.looked_at == 0
    assert gossip.validator.state.size == 0


def test_what_is_refused_is_not_remembered_however_much_of_it_comes():
    gossip = r.Gossip(r.SCHEDULE)
    gossip.keys.verify = lambda *_: False
    for number in range(2000):
        message = r.partials(r.PROPOSER, r.RANDAO, slot=SLOT, signer=1 + number % 4)
        assert isinstance(answer(gossip, message.encode(), TOPICS[0], peer=b"%d" % number), Refused)
    assert gossip.validator.state.size == 0


@pytest.mark.parametrize("fork", ["alan", "boole"])
def test_signed_messages_for_many_validators_fill_a_bounded_memory(fork):
    """Four operators that turned bad sign whatever they like for every validator that they run."""
    gossip = r.Gossip(r.SCHEDULE)
    view = gossip.view.validator(r.KEY)
    gossip.view.validator = lambda _key: view
    state = SeenState(max_records=500, max_records_per_peer=200)
    gossip.validator = Validator(gossip.view, r.SCHEDULE, r.CHAIN, gossip.keys, state=state)
    gossip.validator._shared = SeenState(max_records=500, max_records_per_peer=500)
    domain, slot = (r.DOMAIN, SLOT) if fork == "alan" else (r.BOOLE_DOMAIN, r.BOOLE_SLOT)
    topic, now = TOPICS[fork == "boole"], r.CHAIN.start_of(slot) + 5
    for number in range(1500):
        key = t.PublicKey(number.to_bytes(48, "little"))
        message = r.partials(r.PROPOSER, r.POST, slot=slot, domain=domain, key=key)
        assert isinstance(answer(gossip, message.encode(), topic, peer=b"%d" % (number % 7), now=now), Accepted)
    assert state.size <= 500
    assert gossip.validator._shared.size <= 500


def test_in_boole_one_peer_cannot_make_another_one_pay():
    """A peer that passes on what others did is ignored, not rejected; who says the same twice is rejected."""
    gossip = r.Gossip(r.SCHEDULE)
    message = r.boole_qbft(r.RunnerRole.COMMITTEE).encode()
    assert isinstance(answer(gossip, message, TOPICS[1], peer=b"first"), Accepted)
    for _ in range(3):
        assert answer(gossip, message, TOPICS[1], peer=b"second").rule is Rule.REPEATED_BY_OTHER
    assert answer(gossip, message, TOPICS[1], peer=b"first").rule is Rule.REPEATED_TYPE
