"""The vote's value check, the container of partial signatures, and conflicting partial signatures."""

from dataclasses import replace

import pytest
from committee_network import (
    DOMAIN,
    FORKS,
    FakeKeys,
    FakeSigner,
    FakeThreshold,
    chain,
    fake_signature,
    make_duty,
    make_member,
    make_shares,
    root,
    share_key,
    validator_key,
    vote,
)
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.protocol.events import Effect
from ssv_pool.protocol.qbft import RoundTimings
from ssv_pool.protocol.runners import CommitteeRunner, DutyStory, PartialSignatureContainer, Services
from ssv_pool.protocol.runners.committee import check_beacon_vote
from ssv_pool.protocol.types.beacon import Checkpoint
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.ids import committee_message_id
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessage, PartialSignatureMessages
from ssv_pool.protocol.types.primitives import Epoch, OperatorId, Root, Signature, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import PartialSignatureType, RunnerRole

SLOT = Slot(40)
IDS = (1, 2, 3, 4)


class Sink:
    """Takes what a runner puts out."""

    def __init__(self) -> None:
        self.sent: list[SignedSSVMessage] = []
        self.effects: list[Effect] = []

    def broadcast(self, message: SignedSSVMessage) -> None:
        self.sent.append(message)

    def emit(self, effect: Effect) -> None:
        self.effects.append(effect)


def make_runner(validators: int = 2) -> CommitteeRunner:
    member = make_member(IDS, 2)
    services = Services(FORKS.alan, chain(), FakeKeys(2), FakeSigner(), FakeThreshold(), RoundTimings(), lambda: 0.0)
    identifier = committee_message_id(DOMAIN, RunnerRole.COMMITTEE, member.committee_id)
    runner = CommitteeRunner(services, member, make_shares(IDS, 2, validators), identifier, Sink(), vote())
    runner.start(make_duty(SLOT, validators), DutyStory("key", runner.role, SLOT, member), 1e12)
    return runner


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", ErrorCode.DECODE_BEACON_VOTE),
        (vote().encode()[:-1], ErrorCode.DECODE_BEACON_VOTE),
        (vote(source=1, target=1).encode(), ErrorCode.ATTESTATION_SOURCE_NOT_LESS_THAN_TARGET),
        (vote(source=0, target=2).encode(), ErrorCode.CHECKPOINT_MISMATCH),
        (replace(vote(), source=Checkpoint(Epoch(0), root("x"))).encode(), ErrorCode.CHECKPOINT_MISMATCH),
        (replace(vote(), target=Checkpoint(Epoch(1), root("x"))).encode(), ErrorCode.CHECKPOINT_MISMATCH),
        (vote("another head").encode(), None),
        (vote().encode(), None),
    ],
)
def test_value_check(value: bytes, code: ErrorCode | None) -> None:
    if code is None:
        make_runner().check_value(value)
        return
    with pytest.raises(ProtocolError) as caught:
        make_runner().check_value(value)
    assert caught.value.outermost_code == code


def test_later_specifications_compare_epochs_only() -> None:
    other = replace(vote(), target=Checkpoint(Epoch(1), root("x")))
    assert check_beacon_vote(other.encode(), vote(), whole_checkpoints=False) == other


def test_slashable_votes_are_refused() -> None:
    runner = make_runner()
    signer = runner.services.signer
    assert isinstance(signer, FakeSigner)
    signer.marked.add(share_key(validator_key(2), 2))
    with pytest.raises(ProtocolError) as caught:
        runner.check_value(vote().encode())
    assert caught.value.code == ErrorCode.SLASHABLE_ATTESTATION


def test_a_runner_needs_shares_and_does_one_duty_a_slot() -> None:
    runner = make_runner()
    with pytest.raises(ProtocolError, match=r"^no shares$"):
        CommitteeRunner(runner.services, runner.member, {}, runner.identifier, Sink(), vote())
    with pytest.raises(ProtocolError) as caught:
        runner.start(make_duty(SLOT, 2), runner.story, 1e12)
    assert caught.value.code == ErrorCode.DUTY_ALREADY_PASSED


def test_pre_consensus_and_wrong_slots_are_refused() -> None:
    runner = make_runner()
    item = PartialSignatureMessage(Signature(bytes(96)), Root(bytes(32)), OperatorId(1), ValidatorIndex(1))
    for slot, signer, code in (
        (SLOT - 1, 1, ErrorCode.PARTIAL_SIG_MESSAGE_INVALID_SLOT),
        (SLOT + 1, 1, ErrorCode.PARTIAL_SIG_MESSAGE_FUTURE_SLOT),
        (SLOT, 9, None),
    ):
        content = PartialSignatureMessages(
            PartialSignatureType.POST_CONSENSUS, Slot(slot), (item._replace(signer=OperatorId(signer)),)
        )
        with pytest.raises(ProtocolError) as caught:
            runner.check_post_consensus(content)
        assert caught.value.code == code
    content = PartialSignatureMessages(PartialSignatureType.POST_CONSENSUS, SLOT, (item,))
    with pytest.raises(ProtocolError) as caught:
        runner.process_post_consensus(content)
    assert caught.value.code == ErrorCode.NO_DECIDED_VALUE


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [("good", "bad", "good"), ("bad", "good", "good"), ("bad", "worse", None), ("bad", "bad", "bad")],
)
def test_of_two_different_partial_signatures_a_valid_one_stays(first: str, second: str, kept: str | None) -> None:
    runner = make_runner()
    signed_root = root("signed")
    good = fake_signature(share_key(validator_key(1), 3), signed_root)
    signatures = {"good": good, "bad": Signature(b"b" * 96), "worse": Signature(b"w" * 96)}
    container = PartialSignatureContainer(3, 10)
    for name in (first, second):
        message = PartialSignatureMessage(signatures[name], signed_root, OperatorId(3), ValidatorIndex(1))
        assert runner.collector.add(container, [message]) == []
    assert container.partials(ValidatorIndex(1), signed_root) == ({} if kept is None else {3: signatures[kept]})


def test_two_partial_signatures_for_a_validator_without_share_cannot_be_settled() -> None:
    runner = make_runner()
    container = PartialSignatureContainer(3, 10)
    for signature in (b"a" * 96, b"b" * 96):
        message = PartialSignatureMessage(Signature(signature), root("r"), OperatorId(3), ValidatorIndex(99))
        runner.collector.add(container, [message])
    assert container.partials(ValidatorIndex(99), root("r")) == {3: b"a" * 96}


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 4), st.binary(max_size=2)), max_size=60))
def test_container_never_overwrites_and_stays_within_its_limit(items: list[tuple[int, int, int, bytes]]) -> None:
    container = PartialSignatureContainer(3, 3)
    first: dict[tuple[int, int, int], bytes] = {}
    counts = dict.fromkeys(range(1, 5), 0)
    for index, root_number, operator_id, signature in items:
        key = (index, root_number, operator_id)
        room = key not in first and counts[operator_id] < 3
        signed_root = root(str(root_number))
        added = container.add(ValidatorIndex(index), signed_root, OperatorId(operator_id), Signature(signature))
        assert added == room
        if added:
            first[key] = signature
            counts[operator_id] += 1
        assert container.has_quorum(ValidatorIndex(index), signed_root) == (
            sum(k[:2] == (index, root_number) for k in first) >= 3
        )
    for (index, root_number, operator_id), signature in first.items():
        assert container.partials(ValidatorIndex(index), root(str(root_number)))[OperatorId(operator_id)] == signature
