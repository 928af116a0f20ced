"""Each rule for the roles of single validators in Alan, and for both forks' roles around the fork.

For every rule a message that just keeps it and one that breaks it and no earlier rule. Together with test_rules.py
every rule has a case; the last test here counts them.
"""

import importlib.util
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import pytest

from ssv_pool.protocol import types as t
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.forks import ForkSchedule, alan_fork, boole_fork
from ssv_pool.protocol.types import MsgType, PartialSignatureType, QBFTMessageType, RunnerRole
from ssv_pool.protocol.validation import (
    Accepted,
    CommitteeView,
    Refused,
    Rule,
    SeenState,
    Validator,
    ValidatorView,
    Verdict,
)

CHAIN = BeaconChain(1000.0, t.Root(bytes(32)), 12_000, 32, (ForkVersion(t.Epoch(0), bytes(4), "electra"),))
DOMAIN = t.DomainType(bytes.fromhex("00000402"))
BOOLE_DOMAIN = t.DomainType(bytes.fromhex("00000403"))
ALAN = alan_fork(DOMAIN)
BOOLE = boole_fork(BOOLE_DOMAIN, "devnet", 32)
NEVER = ForkSchedule(ALAN, BOOLE)
FORK_EPOCH = t.Epoch(10)
FORK_SLOT = t.Slot(320)
SCHEDULE = ForkSchedule(ALAN, BOOLE, FORK_EPOCH)
OPERATORS = tuple(map(t.OperatorId, (1, 2, 3, 4)))
COMMITTEE = t.committee_id(OPERATORS)
KEY = t.PublicKey(b"\xaa" * 48)
INDEX = t.ValidatorIndex(7)
SLOT = t.Slot(101)
PEER = b"peer"
VALUE = bytes(range(112))
ROOT = t.Root(sha256(VALUE).digest())
QBFT = t.QBFTMessage(QBFTMessageType.PREPARE, SLOT, t.Round(1), b"", ROOT)
POST, RANDAO, SELECTION, CONTRIBUTION, REGISTRATION, EXIT, AGGREGATORS = PartialSignatureType

ROLES = [RunnerRole(number) for number in range(6)]
VALIDATOR_ROLES = ROLES[1:]
CONSENSUS_ROLES = ROLES[1:4]


@dataclass
class View:
    """A registry with one committee and one validator, whose duties the test sets."""

    committee_view: CommitteeView = field(default_factory=lambda: CommitteeView(OPERATORS, 2, False))
    index: t.ValidatorIndex | None = INDEX
    liquidated: bool = False
    attesting_from: t.Epoch | None = field(default_factory=lambda: t.Epoch(0))
    proposer: bool | None = True
    sync_member: bool | dict[int, bool] | None = True
    """In any epoch, or epoch by epoch; one that is left out is not known."""
    tracked_exits: int | None = 1

    def committee(self, committee_id):
        return self.committee_view if committee_id == COMMITTEE else None

    def operator_key(self, operator_id):
        return b"key %d" % operator_id

    def validator(self, public_key):
        if public_key != KEY:
            return None
        return ValidatorView(self.committee_view, self.index, self.liquidated, self.attesting_from)

    def proposes(self, index, slot):
        assert index == INDEX
        return self.proposer

    def in_sync_committee(self, index, epoch):
        assert index == INDEX
        return self.sync_member.get(epoch) if isinstance(self.sync_member, dict) else self.sync_member

    def exits(self, public_key, slot):
        assert public_key == KEY
        return self.tracked_exits


class Keys:
    """A signature is valid when it begins with its key."""

    def __init__(self):
        self.looked_at = 0

    def sign(self, message):
        raise NotImplementedError

    def verify(self, public_key, message, signature):
        self.looked_at += 1
        return signature.startswith(public_key)


class Gossip:
    def __init__(self, forks=NEVER, **view):
        self.view, self.keys, self.forks = View(**view), Keys(), forks
        self.validator = Validator(self.view, forks, CHAIN, self.keys)

    def send(self, message, *, since=5.0, slot=None, now=None, topic=None, peer=PEER):
        """Send a message ``since`` seconds into its slot, on the topic that is its fork's."""
        slot = slot_of(message) if slot is None else slot
        now = CHAIN.start_of(slot) + since if now is None else now
        domain = t.message_domain(message.ssv_message.msg_id)
        fork = BOOLE if domain == BOOLE_DOMAIN else ALAN
        topic = fork.topic(OPERATORS) if topic is None else topic
        return self.validator.validate(peer, topic, message.encode(), now)


def slot_of(message):
    data = message.ssv_message.data
    if message.ssv_message.msg_type == MsgType.PARTIAL_SIGNATURE:
        return t.PartialSignatureMessages.decode(data, 5048).slot
    return t.QBFTMessage.decode(data).height


def mid(role, domain=DOMAIN, key=KEY):
    if role in t.COMMITTEE_ROLES:
        return t.committee_message_id(domain, role, COMMITTEE)
    return t.validator_message_id(domain, role, key)


def signed(message_id, content, *signers, full_data=b""):
    partial = isinstance(content, t.PartialSignatureMessages)
    inner = t.SSVMessage(MsgType.PARTIAL_SIGNATURE if partial else MsgType.CONSENSUS, message_id, content.encode())
    signatures = tuple((b"key %d" % signer).ljust(256, b"\0") for signer in signers)
    return t.SignedSSVMessage(signatures, signers, inner, full_data)


def qbft(role, *signers, domain=DOMAIN, full_data=b"", key=KEY, **changes):
    message_id = mid(role, domain, key)
    return signed(message_id, replace(QBFT, identifier=message_id, **changes), *(signers or (1,)), full_data=full_data)


def partials(role, type_, *, slot=SLOT, signer=1, indices=(INDEX,), domain=DOMAIN, key=KEY):
    items = tuple(t.PartialSignatureMessage(bytes(96), bytes(32), signer, index) for index in indices)
    return signed(mid(role, domain, key), t.PartialSignatureMessages(type_, slot, items), signer)


def leader(fork=ALAN, slot=SLOT):
    return fork.leader(OPERATORS, slot, t.Round(1))


TYPES = {
    RunnerRole.COMMITTEE: {POST},
    RunnerRole.AGGREGATOR: {SELECTION, POST},
    RunnerRole.PROPOSER: {RANDAO, POST},
    RunnerRole.SYNC_COMMITTEE_CONTRIBUTION: {CONTRIBUTION, POST},
    RunnerRole.VALIDATOR_REGISTRATION: {REGISTRATION},
    RunnerRole.VOLUNTARY_EXIT: {EXIT},
    RunnerRole.AGGREGATOR_COMMITTEE: {AGGREGATORS, POST},
}
"""PROTOCOL 4.6, rule 38."""

MAX_ROUNDS = {
    RunnerRole.COMMITTEE: 12,
    RunnerRole.AGGREGATOR: 12,
    RunnerRole.PROPOSER: 6,
    RunnerRole.SYNC_COMMITTEE_CONTRIBUTION: 6,
    RunnerRole.AGGREGATOR_COMMITTEE: 12,
}
LATE_SLOTS = {
    RunnerRole.COMMITTEE: 34,
    RunnerRole.AGGREGATOR: 34,
    RunnerRole.PROPOSER: 3,
    RunnerRole.SYNC_COMMITTEE_CONTRIBUTION: 3,
    RunnerRole.AGGREGATOR_COMMITTEE: 34,
}

FIRST_TYPE = {role: min(types, key=lambda type_: type_ == POST) for role, types in TYPES.items()}


@dataclass
class Case:
    """A message that is refused, and what has to be otherwise for it to be accepted."""

    rule: Rule
    detail: str
    message: t.SignedSSVMessage
    view: dict = field(default_factory=dict)
    """How the registry is when it is refused."""
    accepted_view: dict = field(default_factory=dict)
    """How the registry is when it is accepted."""
    accepted: t.SignedSSVMessage | None = None
    """The message that is accepted; none for the same one."""
    before: tuple = ()
    """Messages that have been accepted from the peer before the refused one."""
    before_peer: bytes = PEER
    send: dict = field(default_factory=dict)
    """When and on which topic the refused message comes."""
    forks: ForkSchedule = field(default_factory=lambda: NEVER)


PROPOSER, AGGREGATOR = RunnerRole.PROPOSER, RunnerRole.AGGREGATOR
SYNC, REGISTRAR, EXITER = (
    RunnerRole.SYNC_COMMITTEE_CONTRIBUTION,
    RunnerRole.VALIDATOR_REGISTRATION,
    RunnerRole.VOLUNTARY_EXIT,
)
AGGREGATOR_COMMITTEE = RunnerRole.AGGREGATOR_COMMITTEE
PREPARE = qbft(PROPOSER)
KEY_HEX = KEY.hex()
BOOLE_SLOT = t.Slot(FORK_SLOT + 5)


def boole_qbft(role, *signers, slot=BOOLE_SLOT, **changes):
    return qbft(role, *signers, domain=BOOLE_DOMAIN, height=slot, **changes)


def boole_partials(type_=AGGREGATORS, slot=BOOLE_SLOT, role=AGGREGATOR_COMMITTEE, **changes):
    return partials(role, type_, slot=slot, domain=BOOLE_DOMAIN, **changes)


VALIDATOR = [
    Case(
        Rule.UNKNOWN_VALIDATOR,
        f"validator {'bb' * 48} is not registered",
        qbft(PROPOSER, key=t.PublicKey(b"\xbb" * 48)),
        accepted=PREPARE,
    ),
    Case(Rule.LIQUIDATED, f"validator {KEY_HEX} is of a liquidated cluster", PREPARE, {"liquidated": True}),
    Case(Rule.NO_METADATA, f"validator {KEY_HEX} has no index yet", PREPARE, {"index": None}),
    Case(
        Rule.NOT_ATTESTING,
        f"validator {KEY_HEX} does not attest in epoch 3",
        PREPARE,
        {"attesting_from": None},
    ),
    Case(
        Rule.NOT_ATTESTING,
        f"validator {KEY_HEX} does not attest in epoch 3",
        PREPARE,
        {"attesting_from": t.Epoch(4)},
        accepted_view={"attesting_from": t.Epoch(3)},
    ),
    Case(
        Rule.SIGNER_NOT_IN_COMMITTEE,
        "signers are (9,), expected operators of the committee (1, 2, 3, 4)",
        qbft(PROPOSER, 9),
        accepted=qbft(PROPOSER, 4),
    ),
    Case(Rule.WRONG_TOPIC, "topic is 'ssv.v2.113', expected 'ssv.v2.114'", PREPARE, send={"topic": "ssv.v2.113"}),
    *(
        Case(
            Rule.ROLE_WITHOUT_CONSENSUS,
            f"role {role.name} has no consensus",
            qbft(role),
            accepted=partials(role, FIRST_TYPE[role]),
        )
        for role in (REGISTRAR, EXITER)
    ),
    *(
        Case(
            Rule.ROUND_TOO_HIGH,
            f"round is {MAX_ROUNDS[role] + 1}, expected at most {MAX_ROUNDS[role]}",
            qbft(role, 1, 2, 3, msg_type=QBFTMessageType.COMMIT, round=MAX_ROUNDS[role] + 1),
            accepted=qbft(role, 1, 2, 3, msg_type=QBFTMessageType.COMMIT, round=MAX_ROUNDS[role]),
        )
        for role in CONSENSUS_ROLES
    ),
    *(
        Case(
            Rule.NOT_THE_LEADER,
            f"proposal of operator {leader() % 4 + 1}, expected {leader()}",
            qbft(role, leader() % 4 + 1, msg_type=QBFTMessageType.PROPOSAL, full_data=VALUE),
            accepted=qbft(role, leader(), msg_type=QBFTMessageType.PROPOSAL, full_data=VALUE),
        )
        for role in CONSENSUS_ROLES
    ),
    *(
        Case(
            Rule.LATER_SLOT_SEEN,
            "slot is 100, expected at least 101 of operator 1",
            qbft(role, height=SLOT - 1),
            before=(qbft(role),),
            send={"slot": SLOT},
        )
        for role in CONSENSUS_ROLES
    ),
    *(
        Case(
            Rule.LATER_SLOT_SEEN,
            "slot is 100, expected at least 101 of operator 1",
            partials(role, FIRST_TYPE[role], slot=SLOT - 1),
            before=(partials(role, FIRST_TYPE[role]),),
            send={"slot": SLOT},
        )
        for role in VALIDATOR_ROLES
    ),
    *(
        Case(Rule.NO_DUTY, f"validator 7 {why} proposer of slot 101", message, {"proposer": known})
        for message in (PREPARE, partials(PROPOSER, RANDAO), partials(PROPOSER, POST))
        for known, why in ((False, "is not"), (None, "is not known to be"))
    ),
    *(
        Case(
            Rule.NO_DUTY, f"validator 7 {why} member of the sync committee of epoch 3", message, {"sync_member": known}
        )
        for message in (qbft(SYNC), partials(SYNC, CONTRIBUTION), partials(SYNC, POST))
        for known, why in ((False, "is not"), (None, "is not known to be"))
    ),
    Case(
        Rule.NO_DUTY,
        "validator 7 is not proposer of slot 96",
        partials(PROPOSER, RANDAO, slot=96),
        {"proposer": False},
        accepted_view={"proposer": None},
    ),
    Case(
        Rule.NO_DUTY,
        "validator 7 is not known to be proposer of slot 96",
        partials(PROPOSER, POST, slot=96),
        {"proposer": None},
    ),
    Case(
        Rule.NO_DUTY,
        "validator 7 is not known to be proposer of slot 96",
        partials(PROPOSER, RANDAO, slot=96),
        {"proposer": None},
        accepted_view={"proposer": None},
        send={"slot": 97},
    ),
    *(
        Case(
            Rule.EARLY,
            "slot 101 starts in 0.06 s, expected a slot that has started",
            partials(role, FIRST_TYPE[role]),
            send={"since": -0.06},
        )
        for role in VALIDATOR_ROLES
    ),
    *(
        Case(
            Rule.LATE,
            f"slot 101 is 0.06 s past its end of {LATE_SLOTS[role]} slots and 3 s",
            message,
            send={"since": LATE_SLOTS[role] * 12 + 3.06},
        )
        for role in CONSENSUS_ROLES
        for message in (qbft(role), partials(role, POST))
    ),
    *(
        Case(
            Rule.TOO_MANY_DUTIES,
            "duty 3 of operator 1 in this epoch, expected at most 2",
            message,
            before=(partials(role, FIRST_TYPE[role], slot=97), partials(role, FIRST_TYPE[role], slot=98)),
        )
        for role, message in (
            (AGGREGATOR, partials(AGGREGATOR, SELECTION)),
            (AGGREGATOR, qbft(AGGREGATOR)),
            (REGISTRAR, partials(REGISTRAR, REGISTRATION)),
        )
    ),
    *(
        Case(
            Rule.TOO_MANY_DUTIES,
            "duty 1 of operator 1 in this epoch, expected at most 0",
            partials(EXITER, EXIT),
            {"tracked_exits": exits},
        )
        for exits in (0, None)
    ),
    *(
        Case(
            Rule.PARTIAL_TYPE_OF_ROLE,
            f"partial signature type is {int(type_)}, expected one of {sorted(map(int, TYPES[role]))} "
            f"for role {role.name}",
            partials(role, type_),
            accepted=partials(role, FIRST_TYPE[role]),
        )
        for role in VALIDATOR_ROLES
        for type_ in set(PartialSignatureType) - TYPES[role]
    ),
    *(
        Case(
            Rule.PARTIAL_VALIDATOR,
            "partial signature for validator 8, expected 7",
            partials(role, FIRST_TYPE[role], indices=(t.ValidatorIndex(8),)),
            accepted=partials(role, FIRST_TYPE[role]),
        )
        for role in VALIDATOR_ROLES
    ),
    *(
        Case(
            Rule.REPEATED_PARTIALS,
            "operator 1 sent partial signatures for slot 101 before",
            partials(role, type_, indices=(INDEX, INDEX)),
            accepted=partials(role, type_, signer=2),
            before=(partials(role, type_),),
        )
        for role in VALIDATOR_ROLES
        for type_ in sorted(TYPES[role])
    ),
    *(
        Case(
            Rule.TOO_MANY_PARTIALS,
            f"{allowed + 1} partial signatures, expected at most {allowed} for role {role.name}",
            partials(role, FIRST_TYPE[role], indices=(INDEX,) * (allowed + 1)),
            accepted=partials(role, FIRST_TYPE[role], indices=(INDEX,) * allowed),
        )
        for role in VALIDATOR_ROLES
        for allowed in (13 if role is SYNC else 1,)
    ),
    Case(
        Rule.CONSENSUS_SIGNATURE,
        "the signature of operator 1 is not valid",
        replace(PREPARE, signatures=(bytes(256),)),
        accepted=PREPARE,
    ),
    Case(
        Rule.PARTIAL_SIGNATURE,
        "the signature of operator 1 is not valid",
        replace(partials(PROPOSER, RANDAO), signatures=(bytes(256),)),
        accepted=partials(PROPOSER, RANDAO),
    ),
]

COMMITTEES = [
    Case(
        Rule.COMMITTEE_WITHOUT_VALIDATORS,
        f"committee {COMMITTEE.hex()} has no validators, expected one or more",
        qbft(RunnerRole.COMMITTEE),
        {"committee_view": CommitteeView(OPERATORS, 0, False)},
    ),
    Case(
        Rule.TOO_MANY_DUTIES,
        "duty 5 of operator 1 in this epoch, expected at most 4",
        qbft(RunnerRole.COMMITTEE),
        before=tuple(qbft(RunnerRole.COMMITTEE, height=slot) for slot in range(97, 101)),
    ),
]

BOTH_FORKS = [
    Case(
        Rule.WRONG_DOMAIN,
        "domain is 00000404, expected 00000402 or 00000403",
        qbft(RunnerRole.COMMITTEE, domain=t.DomainType(bytes.fromhex("00000404"))),
        accepted=qbft(RunnerRole.COMMITTEE),
        forks=SCHEDULE,
    ),
    Case(
        Rule.WRONG_DOMAIN,
        "domain is 00000403, expected 00000402",
        qbft(RunnerRole.COMMITTEE, domain=BOOLE_DOMAIN),
        accepted=qbft(RunnerRole.COMMITTEE),
    ),
    Case(
        Rule.WRONG_DOMAIN,
        "domain is 00000402, expected 00000403",
        qbft(RunnerRole.COMMITTEE, height=FORK_SLOT + 40),
        accepted=boole_qbft(RunnerRole.COMMITTEE, slot=FORK_SLOT + 40),
        forks=SCHEDULE,
    ),
    *(
        Case(
            Rule.WRONG_FORK,
            f"domain is that of boole, expected alan at slot {FORK_SLOT - 1}",
            wrong,
            accepted=right,
            send={"slot": now},
            forks=SCHEDULE,
        )
        for now in (FORK_SLOT - 1, FORK_SLOT)
        for wrong, right in (
            (boole_qbft(RunnerRole.COMMITTEE, slot=FORK_SLOT - 1), qbft(RunnerRole.COMMITTEE, height=FORK_SLOT - 1)),
            (
                boole_partials(POST, FORK_SLOT - 1, RunnerRole.COMMITTEE),
                partials(RunnerRole.COMMITTEE, POST, slot=FORK_SLOT - 1),
            ),
        )
    ),
    Case(
        Rule.WRONG_FORK,
        "domain is that of alan, expected boole at slot 320",
        qbft(RunnerRole.COMMITTEE, height=FORK_SLOT),
        accepted=boole_qbft(RunnerRole.COMMITTEE, slot=FORK_SLOT),
        forks=SCHEDULE,
    ),
    Case(
        Rule.WRONG_TOPIC,
        f"topic is {ALAN.topic(OPERATORS)!r}, expected {BOOLE.topic(OPERATORS)!r}",
        boole_qbft(RunnerRole.COMMITTEE),
        send={"topic": ALAN.topic(OPERATORS)},
        forks=SCHEDULE,
    ),
    Case(
        Rule.WRONG_TOPIC,
        f"topic is {BOOLE.topic(OPERATORS)!r}, expected {ALAN.topic(OPERATORS)!r}",
        qbft(RunnerRole.COMMITTEE, height=FORK_SLOT - 1),
        send={"topic": BOOLE.topic(OPERATORS)},
        forks=SCHEDULE,
    ),
    *(
        Case(
            Rule.WRONG_ROLE,
            f"role is {int(role)}, expected one of [0, 2, 4, 5, 6]",
            boole_qbft(role),
            accepted=boole_qbft(AGGREGATOR_COMMITTEE),
            forks=SCHEDULE,
        )
        for role in (AGGREGATOR, SYNC)
    ),
    Case(
        Rule.WRONG_ROLE,
        "role is 6, expected one of [0, 1, 2, 3, 4, 5]",
        qbft(AGGREGATOR_COMMITTEE),
        accepted=qbft(AGGREGATOR),
        forks=SCHEDULE,
    ),
    Case(
        Rule.DATA_TOO_LONG,
        "the message has 722413 bytes of data, expected at most 722412",
        replace(qbft(PROPOSER), ssv_message=replace(qbft(PROPOSER).ssv_message, data=bytes(722_413))),
        accepted=qbft(PROPOSER),
        send={"slot": SLOT},
        forks=SCHEDULE,
    ),
    Case(
        Rule.PARTIAL_DATA_TOO_LONG,
        "partial signatures of 151364 bytes, expected at most 151220",
        partials(RunnerRole.COMMITTEE, POST, indices=range(1051)),
        accepted=boole_partials(POST, role=RunnerRole.COMMITTEE, indices=range(1051)),
        view={"committee_view": CommitteeView(OPERATORS, 1051, False)},
        accepted_view={"committee_view": CommitteeView(OPERATORS, 1051, False)},
        forks=SCHEDULE,
    ),
    Case(
        Rule.ROUND_TOO_HIGH,
        "round is 13, expected at most 12",
        boole_qbft(AGGREGATOR_COMMITTEE, 1, 2, 3, msg_type=QBFTMessageType.COMMIT, round=13),
        accepted=boole_qbft(AGGREGATOR_COMMITTEE, 1, 2, 3, msg_type=QBFTMessageType.COMMIT, round=12),
        forks=SCHEDULE,
    ),
    Case(
        Rule.NOT_THE_LEADER,
        f"proposal of operator {leader(BOOLE, BOOLE_SLOT) % 4 + 1}, expected {leader(BOOLE, BOOLE_SLOT)}",
        boole_qbft(
            AGGREGATOR_COMMITTEE,
            leader(BOOLE, BOOLE_SLOT) % 4 + 1,
            msg_type=QBFTMessageType.PROPOSAL,
            full_data=VALUE,
        ),
        accepted=boole_qbft(
            AGGREGATOR_COMMITTEE, leader(BOOLE, BOOLE_SLOT), msg_type=QBFTMessageType.PROPOSAL, full_data=VALUE
        ),
        forks=SCHEDULE,
    ),
    *(
        Case(
            Rule.LATE,
            f"slot {BOOLE_SLOT} is 0.06 s past its end of 34 slots and 3 s",
            message,
            send={"since": 34 * 12 + 3.06},
            forks=SCHEDULE,
        )
        for message in (boole_qbft(AGGREGATOR_COMMITTEE), boole_partials())
    ),
    Case(
        Rule.TOO_MANY_DUTIES,
        "duty 5 of operator 1 in this epoch, expected at most 4",
        boole_partials(),
        before=tuple(boole_partials(slot=slot) for slot in range(FORK_SLOT, FORK_SLOT + 4)),
        forks=SCHEDULE,
    ),
    *(
        Case(
            Rule.PARTIAL_TYPE_OF_ROLE,
            f"partial signature type is {int(type_)}, expected one of [0, 6] for role AGGREGATOR_COMMITTEE",
            boole_partials(type_),
            accepted=boole_partials(),
            forks=SCHEDULE,
        )
        for type_ in (RANDAO, SELECTION, CONTRIBUTION, REGISTRATION, EXIT)
    ),
    Case(
        Rule.TOO_MANY_PARTIALS,
        "11 partial signatures, expected at most 10 of 2 validators",
        boole_partials(indices=range(11)),
        accepted=boole_partials(indices=(*range(5), *range(5))),
        forks=SCHEDULE,
    ),
    Case(
        Rule.TOO_MANY_PARTIALS,
        "2649 partial signatures, expected at most 2648 of 600 validators",
        boole_partials(indices=[number % 600 for number in range(2649)]),
        accepted=boole_partials(indices=[number % 600 for number in range(2648)]),
        view={"committee_view": CommitteeView(OPERATORS, 600, False)},
        accepted_view={"committee_view": CommitteeView(OPERATORS, 600, False)},
        forks=SCHEDULE,
    ),
    Case(
        Rule.REPEATED_VALIDATOR,
        "6 partial signatures for validator 7, expected at most 5",
        boole_partials(indices=(INDEX,) * 6),
        accepted=boole_partials(indices=(INDEX,) * 5),
        forks=SCHEDULE,
    ),
    Case(
        Rule.REPEATED_TYPE,
        "operator 1 sent a message of type 1 in round 1 before",
        boole_qbft(RunnerRole.COMMITTEE),
        before=(boole_qbft(RunnerRole.COMMITTEE),),
        forks=SCHEDULE,
    ),
    Case(
        Rule.REPEATED_BY_OTHER,
        "operator 1 sent a message of type 1 in round 1 or a later one before, by another peer",
        boole_qbft(RunnerRole.COMMITTEE),
        before=(boole_qbft(RunnerRole.COMMITTEE),),
        before_peer=b"other",
        forks=SCHEDULE,
    ),
    Case(
        Rule.REPEATED_BY_OTHER,
        "operator 1 sent a message of type 1 in round 1 or a later one before, by another peer",
        boole_qbft(RunnerRole.COMMITTEE),
        before=(boole_qbft(RunnerRole.COMMITTEE, round=2),),
        before_peer=b"other",
        forks=SCHEDULE,
    ),
    *(
        Case(
            Rule.NOT_MORE_SIGNERS,
            "decided message of 3 signers, expected more than 3",
            boole_qbft(RunnerRole.COMMITTEE, 1, 2, 4, msg_type=QBFTMessageType.COMMIT),
            accepted=boole_qbft(RunnerRole.COMMITTEE, 1, 2, 3, 4, msg_type=QBFTMessageType.COMMIT),
            before=(boole_qbft(RunnerRole.COMMITTEE, 1, 2, 3, msg_type=QBFTMessageType.COMMIT),),
            before_peer=peer,
            forks=SCHEDULE,
        )
        for peer in (PEER, b"other")
    ),
    Case(
        Rule.REPEATED_PARTIALS,
        f"operator 1 sent partial signatures for slot {BOOLE_SLOT} before",
        boole_partials(),
        before=(boole_partials(),),
        forks=SCHEDULE,
    ),
    Case(
        Rule.PARTIALS_BY_OTHER,
        f"operator 1 sent partial signatures for slot {BOOLE_SLOT} before",
        boole_partials(),
        before=(boole_partials(),),
        before_peer=b"other",
        forks=SCHEDULE,
    ),
    Case(
        Rule.UNKNOWN_COMMITTEE,
        f"committee {bytes(32).hex()} is not registered",
        signed(
            t.committee_message_id(BOOLE_DOMAIN, AGGREGATOR_COMMITTEE, t.CommitteeId(bytes(32))),
            replace(QBFT, height=BOOLE_SLOT),
            1,
        ),
        accepted=boole_qbft(AGGREGATOR_COMMITTEE),
        forks=SCHEDULE,
    ),
]

CASES = VALIDATOR + COMMITTEES + BOTH_FORKS
SIGNATURE_RULES = {Rule.CONSENSUS_SIGNATURE, Rule.PARTIAL_SIGNATURE}


def name(case):
    return f"{case.rule.number} {case.rule.label} role {t.message_role(case.message.ssv_message.msg_id)}"


@pytest.mark.parametrize("case", CASES, ids=name)
def test_refused_before_any_signature_is_looked_at(case):
    gossip = Gossip(case.forks, **case.view)
    for message in case.before:
        assert isinstance(gossip.send(message, peer=case.before_peer), Accepted)
    gossip.keys.looked_at = 0
    kept = gossip.validator.state.size
    assert gossip.send(case.message, **case.send) == Refused(case.rule, case.detail)
    assert gossip.validator.state.size == kept, "a refused message is not remembered"
    if case.rule not in SIGNATURE_RULES:
        assert gossip.keys.looked_at == 0


@pytest.mark.parametrize("case", CASES, ids=name)
def test_accepted_when_the_rule_is_kept(case):
    gossip = Gossip(case.forks, **case.accepted_view)
    if case.accepted is not None:
        for message in case.before:
            assert isinstance(gossip.send(message, peer=case.before_peer), Accepted)
    message = case.accepted or case.message
    assert isinstance(gossip.send(message), Accepted)
    assert gossip.keys.looked_at >= len(message.operator_ids)


@pytest.mark.parametrize("role", CONSENSUS_ROLES, ids=lambda role: role.name)
def test_a_whole_duty_of_a_validator(role):
    gossip = Gossip()
    kinds = QBFTMessageType
    first = [partials(role, FIRST_TYPE[role], signer=signer) for signer in OPERATORS]
    proposal = qbft(role, leader(), msg_type=kinds.PROPOSAL, full_data=VALUE)
    rest = [qbft(role, signer, msg_type=kind) for kind in (kinds.PREPARE, kinds.COMMIT) for signer in OPERATORS]
    decided = qbft(role, 1, 2, 3, msg_type=kinds.COMMIT, full_data=VALUE)
    last = [partials(role, POST, signer=signer) for signer in OPERATORS]
    for message in [*first, proposal, *rest, decided, *last]:
        assert isinstance(gossip.send(message), Accepted)


@pytest.mark.parametrize(
    ("slot", "member", "accepted"),
    [
        # The last slot of epoch 3: its votes go into epoch 4's first block.
        (127, {3: False, 4: True}, True),
        (127, {3: True, 4: False}, True),
        (127, {3: None, 4: True}, True),
        (127, {3: False, 4: False}, False),
        (127, {3: False, 4: None}, False),
        (126, {3: False, 4: True}, False),
    ],
)
def test_in_an_epochs_last_slot_the_next_ones_sync_committee_contributes_too(slot, member, accepted):
    message = partials(SYNC, CONTRIBUTION, slot=slot)
    result = Gossip(sync_member=member).send(message)
    if accepted:
        assert isinstance(result, Accepted)
    else:
        assert (result.rule, result.detail) == (
            Rule.NO_DUTY, "validator 7 is not member of the sync committee of epoch 3"
        )  # fmt: skip


@pytest.mark.parametrize("role", [REGISTRAR, EXITER], ids=lambda role: role.name)
def test_registrations_and_exits_have_no_lateness_limit(role):
    gossip = Gossip()
    assert isinstance(gossip.send(partials(role, FIRST_TYPE[role]), since=10_000), Accepted)


@pytest.mark.parametrize("role", [PROPOSER, SYNC], ids=lambda role: role.name)
def test_proposals_and_contributions_are_not_counted(role):
    gossip = Gossip()
    for slot in range(96, 128):
        assert isinstance(gossip.send(partials(role, FIRST_TYPE[role], slot=slot)), Accepted)


def test_validators_and_roles_are_remembered_apart():
    gossip = Gossip()
    assert isinstance(gossip.send(qbft(AGGREGATOR)), Accepted)
    assert isinstance(gossip.send(qbft(PROPOSER)), Accepted)
    assert isinstance(gossip.send(qbft(RunnerRole.COMMITTEE)), Accepted)
    assert gossip.send(qbft(AGGREGATOR)).rule is Rule.REPEATED_TYPE


def test_two_exits_of_one_slot_allow_two_slots_of_an_epoch():
    gossip = Gossip(tracked_exits=2)
    for slot in (97, 98):
        assert isinstance(gossip.send(partials(EXITER, EXIT, slot=slot)), Accepted)
    assert gossip.send(partials(EXITER, EXIT, slot=99)).rule is Rule.TOO_MANY_DUTIES


def test_the_last_duties_of_alan_run_into_boole():
    gossip = Gossip(SCHEDULE)
    last = FORK_SLOT - 1
    late = CHAIN.start_of(last + 34) + 3
    assert isinstance(gossip.send(qbft(RunnerRole.COMMITTEE, height=last), now=late), Accepted)
    assert isinstance(gossip.send(partials(AGGREGATOR, POST, slot=last), now=late), Accepted)
    assert isinstance(gossip.send(boole_partials(), now=CHAIN.start_of(BOOLE_SLOT) + 1), Accepted)


def test_a_slot_from_the_next_fork_is_early_and_not_of_a_wrong_fork():
    gossip = Gossip(SCHEDULE)
    result = gossip.send(boole_qbft(RunnerRole.COMMITTEE, slot=FORK_SLOT), slot=SLOT)
    assert result.rule is Rule.EARLY


def test_at_the_fork_slot_the_clocks_may_differ():
    gossip = Gossip(SCHEDULE)
    assert isinstance(gossip.send(boole_qbft(RunnerRole.COMMITTEE, slot=FORK_SLOT), since=-0.049), Accepted)


def test_boole_remembers_all_peers_within_bounds():
    state = SeenState(max_records=100, max_records_per_peer=100)
    for number in range(1000):
        state.record_partials(b"", number.to_bytes(4, "little"), t.Slot(5), t.OperatorId(1), 2)
    assert state.size <= 100


def test_every_rule_has_a_refused_case():
    place = Path(__file__).with_name("test_rules.py")
    spec = importlib.util.spec_from_file_location("committee_rules", place)
    others = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(others)
    elsewhere = {Rule.TOO_MANY_DECIDED}  # test_flow.py, which takes a flood
    assert {case.rule for case in CASES + others.CASES} == set(Rule) - elsewhere


def test_numbered_rules_are_all_there():
    without_refusal = {10, 19, 37, 42}  # as the docstring of Rule says
    assert {rule.number for rule in Rule} == set(range(1, 43)) - without_refusal
    assert {rule.verdict for rule in Rule} == set(Verdict)
