"""The committee object: what it does with duties and messages that are repeated, late, early, wrong or too many."""

from dataclasses import replace

import pytest
from committee_network import (
    DOMAIN,
    FORKS,
    CommitteeNetwork,
    FakeKeys,
    FakeSigner,
    FakeThreshold,
    Node,
    chain,
    fake_signature,
    make_duty,
    make_member,
    make_shares,
    share_key,
    validator_key,
    vote,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from ssv_pool.protocol import early
from ssv_pool.protocol.committee import MAX_RUNNERS, Committee
from ssv_pool.protocol.events import (
    ArmTimer,
    BeaconReply,
    Broadcast,
    DutyEnded,
    DutyRecord,
    Effect,
    MessageReceived,
    Outcome,
    Reason,
    Rejected,
    StartDuty,
    StepTime,
    SubmitAttestations,
    TimerFired,
    TimerKey,
    TimerKind,
)
from ssv_pool.protocol.types.duties import CommitteeDuty
from ssv_pool.protocol.types.ids import committee_id, committee_message_id, validator_message_id
from ssv_pool.protocol.types.messages import QBFTMessage, SignedSSVMessage, SSVMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessage, PartialSignatureMessages
from ssv_pool.protocol.types.primitives import OperatorId, Root, Round, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import MsgType, PartialSignatureType, QBFTMessageType, RunnerRole

SLOT = Slot(40)
IDS = (1, 2, 3, 4)
CHAIN = chain()
DUE = CHAIN.attestation_due(SLOT)
DEADLINE = CHAIN.start_of(SLOT + 32)
COMMITTEE_ID = committee_id(map(OperatorId, IDS))
IDENTIFIER = committee_message_id(DOMAIN, RunnerRole.COMMITTEE, COMMITTEE_ID)
KEY = f"committee:{SLOT}:{COMMITTEE_ID.hex()}"


def make_committee(own: int = 2, validators: int = 2, signer: FakeSigner | None = None) -> Committee:
    """A committee seen by an operator that does not lead round 1 of the slot (operator 1 does)."""
    return Committee(
        make_member(IDS, own),
        make_shares(IDS, own, validators),
        FORKS,
        CHAIN,
        FakeKeys(own),
        signer or FakeSigner(),
        FakeThreshold(),
    )


def start(slot: int = SLOT, validators: int = 2, deadline: float = DEADLINE, **changes: object) -> StartDuty:
    due = CHAIN.attestation_due(slot)
    return replace(StartDuty(make_duty(slot, validators), vote(), due, due + 0.002, deadline), **changes)


def signed(operator_id: int, message: SSVMessage, full_data: bytes = b"") -> SignedSSVMessage:
    return SignedSSVMessage(
        (FakeKeys(operator_id).sign(message.encode()),), (OperatorId(operator_id),), message, full_data
    )


def received(message: SignedSSVMessage) -> MessageReceived:
    return MessageReceived(message, verified=False)


def story(slot: int = SLOT) -> tuple[StepTime, ...]:
    due = CHAIN.attestation_due(slot)
    return StepTime("due", due), StepTime("begun", due + 0.002)


def run_until_decided(network: CommitteeNetwork) -> None:
    network.start(SLOT)
    network.run()


def transcript() -> list[SignedSSVMessage]:
    """All messages of a happy duty, in the order they were sent."""
    network = CommitteeNetwork(4)
    sent: list[SignedSSVMessage] = []
    deliver = network.publish

    def publish(sender: Node, message: SignedSSVMessage) -> None:
        sent.append(message)
        deliver(sender, message)

    network.publish = publish  # type: ignore[method-assign]
    run_until_decided(network)
    return sent


def of_others(own: int) -> list[SignedSSVMessage]:
    return [message for message in transcript() if own not in message.operator_ids]


def record_of(effects: list[Effect]) -> DutyRecord:
    [record] = [effect.record for effect in effects if isinstance(effect, DutyEnded)]
    return record


def drain(committee: Committee, effects: list[Effect], now: float) -> list[Effect]:
    """Let the committee continue what it put off."""
    done = list(effects)
    while any(isinstance(e, ArmTimer) and e.timer.kind is TimerKind.CONTINUE for e in effects):
        [timer] = [e.timer for e in effects if isinstance(e, ArmTimer) and e.timer.kind is TimerKind.CONTINUE]
        effects = committee.handle(TimerFired(timer), now)
        done += effects
    return done


def test_start_arms_the_timers() -> None:
    effects = make_committee().handle(start(), DUE)
    assert effects == [
        ArmTimer(TimerKey(IDENTIFIER, SLOT, TimerKind.DEADLINE), DEADLINE),
        ArmTimer(TimerKey(IDENTIFIER, SLOT, TimerKind.ROUND, Round(1)), DUE + 2.0),
    ]


def test_the_leader_proposes_and_prepares_its_own_proposal() -> None:
    effects = make_committee(own=1).handle(start(), DUE)
    kinds = [
        QBFTMessage.decode(effect.message.ssv_message.data).msg_type
        for effect in effects
        if isinstance(effect, Broadcast)
    ]
    assert kinds == [QBFTMessageType.PROPOSAL, QBFTMessageType.PREPARE]


def test_a_repeated_duty_is_a_no_op() -> None:
    committee = make_committee()
    committee.handle(start(), DUE)
    assert committee.handle(start(), DUE + 1) == [
        Rejected("duplicate_duty", "the duty of slot 40 was begun already", SLOT)
    ]


def test_a_repeat_after_the_end_is_a_no_op() -> None:
    network = CommitteeNetwork(4)
    run_until_decided(network)
    again = network.nodes[0].committee.handle(start(), network.now)
    assert again == [Rejected("duplicate_duty", "the duty of slot 40 was begun already", SLOT)]


def test_a_duty_past_its_deadline_expires_once() -> None:
    committee = make_committee()
    assert committee.handle(start(key="the key"), DEADLINE + 1.5) == [
        DutyEnded(
            DutyRecord(
                key="the key",
                role=RunnerRole.COMMITTEE,
                slot=SLOT,
                committee_id=COMMITTEE_ID,
                outcome=Outcome.EXPIRED,
                reason=Reason.EXPIRED,
                detail="it came 1.500 s after its deadline",
                round=Round(0),
                silent_operators=(1, 3, 4),
                validators=2,
                completed=0,
                steps=story(),
            )
        )
    ]
    assert committee.handle(start(), DEADLINE + 2) == [
        Rejected("duplicate_duty", "the duty of slot 40 was begun already", SLOT)
    ]


def test_a_duty_without_own_shares_fails() -> None:
    duty = CommitteeDuty(SLOT, (replace(make_duty(SLOT, 1).validator_duties[0], validator_index=ValidatorIndex(9)),))
    record = record_of(make_committee().handle(start(duty=duty), DUE))
    assert (record.key, record.outcome, record.reason) == (KEY, Outcome.FAILED, Reason.NO_SHARES)
    assert record.detail == "no share of any of the 1 validators in the duty of slot 40"


def test_too_many_duties_at_once_are_refused() -> None:
    committee = make_committee()
    for slot in range(MAX_RUNNERS):
        committee.handle(start(slot, deadline=DEADLINE * 2, beacon_vote=vote(target=slot + 1)), DUE)
    record = record_of(committee.handle(start(200, deadline=DEADLINE * 2), DUE))
    assert (record.outcome, record.reason, record.detail) == (
        Outcome.FAILED,
        Reason.OVERLOADED,
        "64 duties run already",
    )
    assert len(committee.runners) == MAX_RUNNERS


def test_an_own_vote_that_is_slashable_ends_the_duty() -> None:
    signer = FakeSigner()
    signer.marked.add(share_key(validator_key(1), 2))
    committee = make_committee(signer=signer)
    record = record_of(committee.handle(start(), DUE))
    assert (record.outcome, record.reason) == (Outcome.FAILED, Reason.OWN_VALUE_REFUSED)
    assert record.detail == (
        "an attestation from epoch 0 to 1 is slashable for 1 shares, "
        f"the first is 0x{share_key(validator_key(1), 2).hex()}"
    )
    assert committee.runners == {}


@pytest.mark.parametrize("order", [1, -1])
def test_messages_from_before_the_duty_are_kept_and_used(order: int) -> None:
    """This operator's worker is late: by the time it starts, the others have done everything."""
    committee = make_committee()
    for message in of_others(2)[::order]:
        assert committee.handle(received(message), DUE) == []
    effects = drain(committee, committee.handle(start(), DUE + 1), DUE + 1.5)
    record = record_of(effects)
    assert (record.outcome, record.round, record.silent_operators) == (Outcome.COMPLETED, 1, ())
    assert [len(e.attestations) for e in effects if isinstance(e, SubmitAttestations)] == [2]
    assert len(committee._early) == 0


TRANSCRIPT = of_others(2)


@given(st.permutations([*TRANSCRIPT, *TRANSCRIPT[::3]]), st.integers(0, len(TRANSCRIPT)))
@settings(max_examples=100, deadline=None)
def test_the_order_of_messages_does_not_matter(messages: list[SignedSSVMessage], position: int) -> None:
    """All of a duty's messages in any order, some of them twice, the own start anywhere among them: it completes."""
    committee = make_committee()
    events = [*map(received, messages[:position]), start(), *map(received, messages[position:])]
    effects = [effect for event in events for effect in drain(committee, committee.handle(event, DUE), DUE)]
    assert record_of(effects).outcome == Outcome.COMPLETED
    assert [len(effect.attestations) for effect in effects if isinstance(effect, SubmitAttestations)] == [2]


def test_own_partial_signatures_leave_before_signatures_are_rebuilt() -> None:
    committee = make_committee()
    for message in of_others(2):
        committee.handle(received(message), DUE)
    first = committee.handle(start(), DUE + 1)
    assert isinstance(first[-1], ArmTimer)
    assert first[-1] == ArmTimer(TimerKey(IDENTIFIER, SLOT, TimerKind.CONTINUE), DUE + 1)
    sent = [effect.message.ssv_message.msg_type for effect in first if isinstance(effect, Broadcast)]
    assert sent == [MsgType.PARTIAL_SIGNATURE]
    assert not any(isinstance(effect, SubmitAttestations) for effect in first)
    # The timer may get lost: any other event does the rest just as well.
    second = committee.handle(BeaconReply("unknown"), DUE + 1)
    assert [type(effect) for effect in second] == [SubmitAttestations, DutyEnded, Rejected]


def test_a_late_decided_message_decides_in_any_round() -> None:
    messages = of_others(2)
    [decided] = [message for message in messages if len(message.operator_ids) > 1][:1]
    committee = make_committee()
    committee.handle(start(), DUE)
    for round_ in range(1, 12):  # up to the cut-off
        committee.handle(TimerFired(TimerKey(IDENTIFIER, SLOT, TimerKind.ROUND, Round(round_))), DUE + 2 * round_)
    effects = committee.handle(received(decided), DUE + 40)
    partials = [e.message for e in effects if isinstance(e, Broadcast)]
    assert [message.ssv_message.msg_type for message in partials] == [MsgType.PARTIAL_SIGNATURE]


def test_a_timer_of_an_earlier_round_does_nothing() -> None:
    committee = make_committee()
    committee.handle(start(), DUE)
    timer = TimerKey(IDENTIFIER, SLOT, TimerKind.ROUND, Round(1))
    assert [type(e) for e in committee.handle(TimerFired(timer), DUE + 2)] == [Broadcast, ArmTimer]
    assert committee.handle(TimerFired(timer), DUE + 2) == []


@pytest.mark.parametrize(
    ("kinds", "reason", "detail"),
    [
        ((), Reason.NO_PROPOSAL, "no proposal accepted by round 1"),
        ((0,), Reason.NO_PREPARE_QUORUM, "not prepared by round 1"),
        ((0, 1), Reason.NO_COMMIT_QUORUM, "prepared in round 1, not decided by round 1"),
        ((0, 1, 2), Reason.NO_SIGNATURE_QUORUM, "0 of 2 signatures completed, none from operators 1, 3, 4"),
    ],
)
def test_the_deadline_says_what_was_missing(kinds: tuple[int, ...], reason: Reason, detail: str) -> None:
    committee = make_committee()
    committee.handle(start(), DUE)
    for message in of_others(2):
        if message.ssv_message.msg_type == MsgType.CONSENSUS and len(message.operator_ids) == 1:
            content = QBFTMessage.decode(message.ssv_message.data)
            if content.msg_type in kinds:
                committee.handle(received(message), DUE + 0.1)
    record = record_of(committee.handle(TimerFired(TimerKey(IDENTIFIER, SLOT, TimerKind.DEADLINE)), DEADLINE))
    assert (record.outcome, record.reason, record.detail) == (Outcome.FAILED, reason, detail)
    assert committee.runners == {}
    assert committee.handle(TimerFired(TimerKey(IDENTIFIER, SLOT, TimerKind.DEADLINE)), DEADLINE) == []


def test_a_lost_deadline_timer_is_made_good_by_the_next_event() -> None:
    committee = make_committee()
    committee.handle(start(), DUE)
    record = record_of(committee.handle(BeaconReply("unknown"), DEADLINE + 12))
    assert (record.outcome, record.reason) == (Outcome.FAILED, Reason.NO_PROPOSAL)


def test_another_view_of_the_chain_is_named_as_the_reason() -> None:
    committee = make_committee()
    committee.handle(start(beacon_vote=vote(target=2)), DUE)
    for message in of_others(2):
        committee.handle(received(message), DUE + 0.1)
    # The others decided without this operator, which must not sign what it does not see.
    assert committee.runners == {}
    committee = make_committee()
    committee.handle(start(beacon_vote=vote(target=2)), DUE)
    [proposal] = [m for m in of_others(2) if m.full_data and len(m.operator_ids) == 1]
    [rejected] = committee.handle(received(proposal), DUE + 0.1)
    assert isinstance(rejected, Rejected)
    assert (rejected.rule, rejected.slot, rejected.operators) == ("checkpoint_mismatch", SLOT, (1,))
    record = record_of(committee.handle(TimerFired(TimerKey(IDENTIFIER, SLOT, TimerKind.DEADLINE)), DEADLINE))
    assert (record.reason, record.detail) == (Reason.PROPOSAL_REFUSED, f"operator 1: {rejected.detail}")


def test_a_decided_value_that_is_refused_ends_the_duty_unsigned() -> None:
    signer = FakeSigner()
    committee = make_committee(signer=signer)
    committee.handle(start(beacon_vote=vote(target=2)), DUE)
    decided = next(message for message in of_others(2) if len(message.operator_ids) > 1)
    effects = committee.handle(received(decided), DUE + 0.1)
    record = record_of(effects)
    assert (record.outcome, record.reason, record.round) == (Outcome.FAILED, Reason.DECIDED_VALUE_REFUSED, 1)
    assert signer.batches == []
    assert not any(isinstance(effect, Broadcast) for effect in effects)


def test_a_refusal_of_the_slashing_protection_ends_the_duty_unsigned() -> None:
    class Refusing(FakeSigner):
        def slashable_attestations(self, shares, source, target):  # type: ignore[no-untyped-def]
            return []

    signer = Refusing()
    signer.marked.add(share_key(validator_key(1), 2))
    committee = make_committee(signer=signer)
    committee.handle(start(), DUE)
    decided = next(message for message in of_others(2) if len(message.operator_ids) > 1)
    effects = committee.handle(received(decided), DUE + 0.1)
    record = record_of(effects)
    assert (record.outcome, record.reason) == (Outcome.FAILED, Reason.SIGNING_REFUSED)
    assert not any(isinstance(effect, Broadcast) for effect in effects)


def test_messages_that_are_wrong_are_refused_by_name() -> None:
    committee = make_committee()
    committee.handle(start(), DUE)
    proposal = next(m for m in of_others(2) if m.full_data)
    inner = proposal.ssv_message
    other = committee_message_id(DOMAIN, RunnerRole.COMMITTEE, committee_id([OperatorId(9)]))
    role = validator_message_id(DOMAIN, RunnerRole.PROPOSER, validator_key(1))[:24] + COMMITTEE_ID
    wrong = {
        "ssv_message_has_invalid_signature": replace(proposal, signatures=(bytes(256),)),
        "no_signers": replace(proposal, operator_ids=()),
        "message_id_committee_id_mismatch": signed(1, replace(inner, msg_id=other)),
        "plain": signed(1, replace(inner, data=b"\x01")),
        "message_round_invalid": signed(
            1, replace(inner, data=replace(QBFTMessage.decode(inner.data), round=Round(0)).encode())
        ),
    }
    for rule, message in wrong.items():
        [effect] = committee.handle(received(message), DUE)
        assert isinstance(effect, Rejected)
        assert effect.rule == rule
    for bad in (replace(inner, msg_id=role), replace(inner, data=b""), replace(inner, msg_type=MsgType.DKG)):
        [effect] = committee.handle(received(signed(1, bad)), DUE)
        assert isinstance(effect, Rejected)
        assert effect.rule == "plain"


def test_what_members_can_make_this_operator_store_is_limited() -> None:
    committee = make_committee()
    committee.handle(start(), DUE)
    change = QBFTMessage(QBFTMessageType.ROUND_CHANGE, SLOT, Round(2), IDENTIFIER, Root(bytes(32)))
    cases = [
        (replace(change, round=Round(13)), b"", "round 13 is over the committee role's last"),
        (change, bytes(4097), "a value of 4097 bytes, expected at most 4096"),
        (
            replace(change, round_change_justification=(partials(1, Root(bytes(32)), *range(300)).encode(),) * 2),
            b"",
            "content of 87284 bytes, expected at most 52000",
        ),
    ]
    for content, full_data, detail in cases:
        message = signed(3, SSVMessage(MsgType.CONSENSUS, IDENTIFIER, content.encode()), full_data)
        assert committee.handle(received(message), DUE) == [Rejected("limit", detail, SLOT, (OperatorId(3),))]


def partials(operator_id: int, root: Root, *indices: int, slot: int = SLOT, good: bool = True) -> SignedSSVMessage:
    messages = tuple(
        PartialSignatureMessage(
            fake_signature(share_key(validator_key(index), operator_id) if good else b"bad", root),
            root,
            OperatorId(operator_id),
            ValidatorIndex(index),
        )
        for index in indices
    )
    content = PartialSignatureMessages(PartialSignatureType.POST_CONSENSUS, Slot(slot), messages)
    return signed(operator_id, SSVMessage(MsgType.PARTIAL_SIGNATURE, IDENTIFIER, content.encode()))


def decided_committee(validators: int = 2) -> tuple[Committee, Root]:
    """A committee that has decided and signed, and the root that is signed."""
    committee = make_committee(validators=validators)
    committee.handle(start(validators=validators), DUE)
    decided = next(message for message in of_others(2) if len(message.operator_ids) > 1)
    effects = committee.handle(received(decided), DUE + 0.1)
    [own] = [effect.message for effect in effects if isinstance(effect, Broadcast)]
    drain(committee, effects, DUE + 0.1)
    return committee, PartialSignatureMessages.decode(own.ssv_message.data).messages[0].signing_root


def test_a_bad_partial_signature_is_dropped_and_later_valid_ones_complete_the_duty() -> None:
    committee, root = decided_committee()
    assert committee.handle(received(partials(1, root, 1, 2)), DUE + 0.2) == []
    [rejected] = committee.handle(received(partials(3, root, 1, 2, good=False)), DUE + 0.3)
    assert rejected == Rejected(
        "reconstruct_signature",
        "2 of 2 rebuilt signatures do not verify, 2 partial signatures dropped so far",
        SLOT,
        (OperatorId(3),),
    )
    effects = committee.handle(received(partials(4, root, 1, 2)), DUE + 0.4)
    assert [type(effect) for effect in effects] == [SubmitAttestations, DutyEnded]
    assert record_of(effects).completed == 2


def test_one_bad_share_does_not_hold_up_the_other_validators() -> None:
    committee, root = decided_committee()
    bad = partials(3, root, 1, good=False)
    mixed = replace(
        PartialSignatureMessages.decode(bad.ssv_message.data),
        messages=PartialSignatureMessages.decode(bad.ssv_message.data).messages
        + PartialSignatureMessages.decode(partials(3, root, 2).ssv_message.data).messages,
    )
    message = signed(3, SSVMessage(MsgType.PARTIAL_SIGNATURE, IDENTIFIER, mixed.encode()))
    committee.handle(received(partials(1, root, 1, 2)), DUE + 0.2)
    submit, rejected = committee.handle(received(message), DUE + 0.3)
    assert isinstance(submit, SubmitAttestations)
    assert [attestation.validator_index for attestation in submit.attestations] == [2]
    assert isinstance(rejected, Rejected)
    effects = committee.handle(received(partials(4, root, 1, 2)), DUE + 0.4)
    assert isinstance(effects[0], SubmitAttestations)
    assert [attestation.validator_index for attestation in effects[0].attestations] == [1]
    assert record_of(effects).outcome == Outcome.COMPLETED


def test_invalid_partial_signatures_are_the_reason_at_the_deadline() -> None:
    committee, root = decided_committee()
    committee.handle(received(partials(1, root, 1, 2)), DUE + 0.2)
    committee.handle(received(partials(3, root, 1, 2, good=False)), DUE + 0.3)
    record = record_of(committee.handle(TimerFired(TimerKey(IDENTIFIER, SLOT, TimerKind.DEADLINE)), DEADLINE))
    assert (record.reason, record.detail) == (
        Reason.INVALID_PARTIAL_SIGNATURES,
        "0 of 2 signatures completed, invalid partial signatures: 2 of operator 3",
    )


def test_whose_partial_signatures_are_missing_is_named_at_the_deadline() -> None:
    committee, root = decided_committee()
    committee.handle(received(partials(3, root, 1, 2)), DUE + 0.2)
    record = record_of(committee.handle(TimerFired(TimerKey(IDENTIFIER, SLOT, TimerKind.DEADLINE)), DEADLINE))
    assert (record.reason, record.detail) == (
        Reason.NO_SIGNATURE_QUORUM,
        "0 of 2 signatures completed, none from operators 1, 4",
    )


def test_the_last_round_is_the_reason_where_consensus_came_to_it() -> None:
    committee = make_committee()
    committee.handle(start(), DUE)
    for round_ in range(1, 12):
        committee.handle(TimerFired(TimerKey(IDENTIFIER, SLOT, TimerKind.ROUND, Round(round_))), DUE + round_)
    record = record_of(committee.handle(TimerFired(TimerKey(IDENTIFIER, SLOT, TimerKind.DEADLINE)), DEADLINE))
    assert (record.reason, record.detail) == (Reason.ROUNDS_EXHAUSTED, "no proposal accepted by round 12")


def test_operators_may_cover_different_validators() -> None:
    """Operator 3 does not know validator 2 yet, operator 1 knows one more than this operator does."""
    committee, root = decided_committee()
    committee.handle(received(partials(1, root, 1, 2, 7)), DUE + 0.2)
    [submit] = committee.handle(received(partials(3, root, 1)), DUE + 0.3)
    assert isinstance(submit, SubmitAttestations)
    assert [attestation.validator_index for attestation in submit.attestations] == [1]
    effects = committee.handle(received(partials(4, root, 2, 7)), DUE + 0.4)
    assert [type(effect) for effect in effects] == [SubmitAttestations, DutyEnded]


def test_early_messages_are_bounded_by_sender() -> None:
    committee = make_committee()
    root = Root(bytes(32))
    effects = [
        effect
        for number in range(early.MAX_MESSAGES_PER_SENDER + 3)
        for effect in committee.handle(received(partials(3, root, 1, number + 2)), DUE)
    ]
    assert [effect.rule for effect in effects if isinstance(effect, Rejected)] == ["too_early"] * 3
    assert committee.handle(received(partials(4, root, 1)), DUE) == []  # another sender has room of its own
    assert len(committee._early) == early.MAX_MESSAGES_PER_SENDER + 1


@pytest.mark.parametrize(("slot", "kept"), [(SLOT - 4, 0), (SLOT - 3, 1), (SLOT, 1), (SLOT + 1, 1), (SLOT + 2, 0)])
def test_early_messages_are_bounded_by_slot(slot: int, kept: int) -> None:
    committee = make_committee()
    effects = committee.handle(received(partials(3, Root(bytes(32)), 1, slot=slot)), DUE)
    assert len(committee._early) == kept
    assert [effect.rule for effect in effects if isinstance(effect, Rejected)] == ["too_early"] * (1 - kept)


def test_early_messages_of_duties_that_never_come_are_forgotten() -> None:
    committee = make_committee()
    committee.handle(received(partials(3, Root(bytes(32)), 1)), DUE)
    committee.handle(BeaconReply("unknown"), CHAIN.start_of(SLOT + 4))
    assert len(committee._early) == 0


def test_validators_that_leave_the_registry_are_not_signed_for() -> None:
    signer = FakeSigner()
    committee = make_committee(signer=signer)
    committee.handle(start(), DUE)
    shares = make_shares(IDS, 2, 1)
    assert committee.update(committee.member, shares) == []
    decided = next(message for message in of_others(2) if len(message.operator_ids) > 1)
    effects = committee.handle(received(decided), DUE + 0.1)
    assert signer.batches == [1]
    [own] = [effect.message for effect in effects if isinstance(effect, Broadcast)]
    assert [m.validator_index for m in PartialSignatureMessages.decode(own.ssv_message.data).messages] == [1]


def test_a_duty_completes_when_the_validators_it_waits_for_leave() -> None:
    committee, root = decided_committee()
    committee.handle(received(partials(1, root, 1)), DUE + 0.2)
    committee.handle(received(partials(3, root, 1)), DUE + 0.3)
    effects = committee.update(committee.member, make_shares(IDS, 2, 1))
    record = record_of(effects)
    assert (record.outcome, record.validators, record.completed) == (Outcome.COMPLETED, 1, 1)


def test_a_duty_ends_when_all_its_validators_leave() -> None:
    committee = make_committee()
    committee.handle(start(), DUE)
    record = record_of(committee.update(committee.member, {}))
    assert (record.outcome, record.reason, record.validators) == (Outcome.FAILED, Reason.NO_SHARES, 0)
    assert record.detail == "all its validators left the registry"
    assert committee.runners == {}


def test_sync_committee_messages_are_signed_and_handed_over() -> None:
    network = CommitteeNetwork(4, validators=3)
    network.start(SLOT, sync=(2, 3))
    network.run()
    for node in network.nodes:
        assert [attestation.validator_index for attestation in node.attestations] == [1, 2, 3]
        assert [message.validator_index for message in node.sync_messages] == [2, 3]
        assert {message.block_root for message in node.sync_messages} == {vote().block_root}
        [record] = node.records
        assert (record.validators, record.completed) == (5, 5)


def test_before_electra_the_data_names_the_beacon_committee() -> None:
    network = CommitteeNetwork(4, validators=6, beacon_chain=chain("deneb"))
    network.start(SLOT)
    network.run()
    for node in network.nodes:
        assert [(a.validator_index, a.data.index) for a in node.attestations] == [
            (1, 1),
            (2, 2),
            (3, 3),
            (4, 0),
            (5, 1),
            (6, 2),
        ]
        assert node.threshold.batches == [6]  # four roots, one batch
