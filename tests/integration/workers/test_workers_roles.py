"""Every role but attesting: real workers, broker and store, and a beacon node that knows nothing but duties."""

import time
from collections import Counter

import pytest

from ssv_pool.messaging.commands import (
    AggregateSubmission,
    BeaconRequest,
    BlockSubmission,
    ContributionSubmission,
    ExitSubmission,
    RegistrationSubmission,
    SyncMessageSubmission,
    validator_duty_key,
)
from ssv_pool.protocol.events import AskKind, SignedSyncCommitteeMessage
from ssv_pool.protocol.types import BeaconRole
from ssv_pool.protocol.types.attestations import AggregateAndProof, ElectraAttestation, decode_attestation
from ssv_pool.protocol.types.beacon import AttestationData, Checkpoint
from ssv_pool.protocol.types.blocks import decode_block
from ssv_pool.protocol.types.contributions import (
    ContributionAndProof,
    Contributions,
    SignedContributionAndProof,
    SyncCommitteeContribution,
)
from ssv_pool.store.registry_changes import add_exit_request, set_fee_recipient

pytestmark = pytest.mark.integration

OWNER = bytes(20)


def key(index):
    return index.to_bytes(48, "big")


def test_what_begins_with_a_slot_begins_at_its_start(operator, wait_until):
    operator.prepare(slot_seconds=2)
    [worker], first = operator.start_workers(1)
    wait_until(lambda: operator.slot() > first + 2)

    slots = range(first, first + 3)
    proposals = [command for command in operator.begun(BeaconRole.PROPOSER) if command.duty.slot in slots]
    assert [(c.duty.slot, c.duty.validator_index) for c in proposals] == [(slot, slot % 16) for slot in slots]
    for command in proposals:
        assert command.key == f"proposer:{command.duty.slot}:{command.duty.pubkey.hex()}"
        assert command.due == operator.start_of(command.duty.slot)
        assert 0 <= command.begun - command.due < 0.5
        assert command.deadline == operator.start_of(command.duty.slot + 1)
    # Nobody asked the beacon node for anything before.
    assert operator.call("/log")["asked"] == []

    aggregators = [command for command in operator.begun(BeaconRole.AGGREGATOR) if command.duty.slot in slots]
    assert [(c.duty.slot, c.duty.validator_index % 8) for c in aggregators] == [(s, s % 8) for s in slots for _ in "12"]
    # An own block has the beginning of its slot for itself.
    assert {round(c.due - operator.start_of(c.duty.slot), 6) for c in aggregators} == {round(2 / 12, 6)}
    order = [
        c.duty.type for c in operator.commands() if c.key.startswith((f"proposer:{first}:", f"aggregator:{first}:"))
    ]
    assert order == [BeaconRole.PROPOSER, BeaconRole.AGGREGATOR, BeaconRole.AGGREGATOR]
    contributors = [c.duty for c in operator.begun(BeaconRole.SYNC_COMMITTEE_CONTRIBUTION) if c.duty.slot in slots]
    assert [(d.slot, d.validator_index, d.validator_sync_committee_indices) for d in contributors] == [
        expected for slot in slots for expected in ((slot, 3, (5, 200)), (slot, 12, (7,)))
    ]
    registered = {command.duty.slot for command in operator.begun(BeaconRole.VALIDATOR_REGISTRATION)}
    assert registered >= {slot for slot in slots if slot % 80 < 16}

    # A head event of its slot starts an attestation before a third of the slot is over: the fake tells of one at once.
    due = {command.slot: command.due - operator.start_of(command.slot) for command in operator.started()}
    assert all(0.29 < due[slot] < 0.6 for slot in slots)
    operator.call("/control?quiet=1")
    quiet = operator.slot() + 1
    operator.wait_for_slot(quiet)
    [late, *_] = [command for command in operator.started() if command.slot == quiet]
    assert late.due == pytest.approx(operator.start_of(quiet) + 2 / 3)

    recipients = wait_until(lambda: operator.posted("/eth/v1/validator/prepare_beacon_proposer"))[-1]
    assert [entry["validator_index"] for entry in recipients] == [str(index) for index in range(16)]
    [subnets, *_] = operator.posted("/eth/v1/validator/beacon_committee_subscriptions")
    assert {entry["is_aggregator"] for entry in subnets} == {True}
    assert len(subnets) == 32
    [members, *_] = operator.posted("/eth/v1/validator/sync_committee_subscriptions")
    assert {(m["validator_index"], tuple(m["sync_committee_indices"])) for m in members} == {
        ("3", ("5", "200")),
        ("12", ("7",)),
    }

    # Events of the contract, known only now: their slot is long past.
    asked = int(time.time()) - 20
    with operator.database.session() as session:
        add_exit_request(session, key(4), OWNER, 7, 0, asked)
        set_fee_recipient(session, OWNER, b"\xfe" * 20, asked)
    slot = int((asked - operator.genesis) // 2) + 4
    names = [validator_duty_key(BeaconRole.VALIDATOR_REGISTRATION, slot, key(index)) for index in range(16)]
    # Its regular turn may have been in that very slot.
    names = [name for index, name in enumerate(names) if index != slot % 80]
    names.append(validator_duty_key(BeaconRole.VOLUNTARY_EXIT, slot, key(4)))
    seen = wait_until(lambda: (found := Counter(c.key for c in operator.commands())).keys() >= set(names) and found)
    after = operator.slot()
    wait_until(lambda: operator.slot() > after + 1)
    assert [Counter(command.key for command in operator.commands())[name] for name in names] == [1] * len(names), seen
    assert worker.poll() is None
    assert operator.logs("Traceback") == []


def request(operator, name, kind, slot, arguments, public_key=bytes(48)):
    return BeaconRequest(
        key=f"ask:{name}",
        committee_id=bytes(32),
        public_key=public_key,
        request_id=name,
        kind=kind,
        slot=slot,
        arguments=tuple(arguments.items()),
        deadline=time.time() + 60,
    )


def test_what_duties_ask_for_is_answered(operator, wait_until):
    operator.prepare(slot_seconds=4)
    _, _ = operator.start_workers(1)
    sender = operator.sender()

    def answer(asked):
        sender.ask_beacon(asked)
        return wait_until(lambda: operator.answers_to(asked.key), what=f"no answer to {asked.key}")[0]

    slot = operator.slot() + 1
    operator.call("/control?block=1")
    order = {"randao_reveal": "ab" * 96, "graffiti": b"hello".ljust(32, b"\0").hex()}
    found = answer(request(operator, "block", AskKind.BLOCK, slot, order))
    block = decode_block(found.version, found.payload)
    assert (found.error, found.version, block.slot, block.blinded) == ("", 7, slot, False)
    assert bytes(block.block.body.graffiti).rstrip(b"\0") == b"hello"
    [problem] = operator.logs("a request was not answered: trying again")
    assert f"block of slot {slot + 1}, expected {slot}" in problem

    # 40 validators of two beacon committees ask at one instant: the beacon node is asked twice.
    operator.wait_for_slot(attested := operator.slot() + 1)
    asked = [
        request(
            operator,
            f"aggregate-{number}",
            AskKind.AGGREGATE,
            attested,
            {
                "committee_index": str(number % 2),
                "committee_length": "32",
                "validator_index": str(number),
                "selection_proof": "cc" * 96,
            },
            b"" if number == 1 else key(number),
        )
        for number in range(40)
    ]
    for one in asked:
        sender.ask_beacon(one)
    answers = [wait_until(lambda: operator.answers_to(one.key))[0] for one in asked]  # noqa: B023
    assert {found.error for found in answers} == {""}
    fetched = Counter(tuple(what) for what in operator.call("/log")["asked"] if what[0] == "aggregate")
    assert fetched == {("aggregate", attested, 0): 1, ("aggregate", attested, 1): 1}
    proof = AggregateAndProof.decode(7, answers[0].payload)
    assert (proof.aggregator_index, proof.selection_proof) == (0, b"\xcc" * 96)
    committee = decode_attestation(7, answers[1].payload)
    assert isinstance(committee, ElectraAttestation)
    assert (committee.data.slot, committee.committee_bits[0]) == (attested, 2)

    arguments = {"subcommittees": "0,3", "selection_proofs": "dd" * 96 + "," + "ee" * 96}
    found = answer(request(operator, "contributions", AskKind.CONTRIBUTIONS, attested, arguments))
    items = Contributions.decode(found.payload).items
    assert [(item.selection_proof[0], item.contribution.subcommittee_index) for item in items] == [(0xDD, 0), (0xEE, 3)]

    found = answer(request(operator, "nonsense", AskKind.AGGREGATE, attested, {"committee_index": "-1"}))
    assert (found.payload, found.error) == (b"", "request argument committee_index: found '-1', expected a number")
    # An aggregate that there is not: tried again as long as it can help, then an error that says what the node said.
    past = request(operator, "past", AskKind.AGGREGATE, 0, {**dict(asked[0].arguments), "committee_index": "0"})
    operator.redis.hset("op1:attested:0", "own", bytes(128))
    assert "status 404: no aggregate of this data" in answer(past).error
    sender.close()


def test_whatever_was_signed_is_posted(operator, wait_until):
    # Long slots: what is passed on in its own slot only must not be late.
    operator.prepare(slot_seconds=60)
    operator.start_workers(1)
    sender = operator.sender()
    slot, until = operator.slot(), time.time() + 60
    data = AttestationData(slot, 0, bytes(32), Checkpoint(1, bytes(32)), Checkpoint(2, bytes(32)))
    attestation = ElectraAttestation(b"\x07", data, bytes(96), b"\x01" + bytes(7))
    aggregate = (100).to_bytes(4, "little") + bytes(96) + AggregateAndProof(3, attestation, bytes(96)).encode()
    contribution = SyncCommitteeContribution(slot, bytes(32), 0, b"\x01" + bytes(15), bytes(96))
    signed = SignedContributionAndProof(ContributionAndProof(3, contribution, bytes(96)), bytes(96)).encode()
    block = operator_block(slot)
    submissions = [
        ("sync_committees", SyncMessageSubmission(
            f"committee:{slot}:{'00' * 32}", slot, (SignedSyncCommitteeMessage(3, bytes(32), bytes(96)),), until
        )),
        ("blocks", BlockSubmission(f"proposer:{slot}:{key(3).hex()}", slot, "fulu", 7, False, block, until)),
        ("aggregate_and_proofs", AggregateSubmission(
            f"aggregator:{slot}:{key(3).hex()}", slot, "fulu", 7, (aggregate,), until
        )),
        ("contribution_and_proofs", ContributionSubmission(
            f"sync_committee_contribution:{slot}:{key(3).hex()}", slot, (signed,), until
        )),
        ("register_validator", RegistrationSubmission(
            f"validator_registration:{slot}:{key(3).hex()}", slot, bytes(180), until
        )),
        ("voluntary_exits", ExitSubmission(f"voluntary_exit:{slot}:{key(3).hex()}", slot, bytes(112), until)),
    ]  # fmt: skip
    for name, submission in submissions:
        operator.call("/control?refuse=1")
        sender.submit(submission)
        [path] = wait_until(lambda: [p for p, _ in operator.call("/log")["posted"] if p.endswith(f"/{name}")])  # noqa: B023
        prefix = "sync_" if name == "sync_committees" else ""
        steps = {f"{prefix}submitted", f"{prefix}accepted", f"{prefix}refused"}
        entry = wait_until(lambda: (e := operator.journal().get(submission.key)) and steps <= e.steps.keys() and e)  # noqa: B023
        assert operator.call("/log")["refused"][-1] == path
        assert f"POST {path}: status 400: not this one" in entry.detail or prefix
        assert entry.steps[f"{prefix}submitted"] <= entry.steps[f"{prefix}refused"] <= entry.steps[f"{prefix}accepted"]
    assert operator.posted("/eth/v2/beacon/blocks") == [len(block)]
    assert len(list(operator.redis.scan_iter("op1:payload:*"))) == 1

    sender.submit(ExitSubmission("voluntary_exit:0:bad", slot, bytes(3), until))
    wait_until(lambda: operator.logs("voluntary exit malformed: dropped"))
    sender.close()


def operator_block(slot):
    from executor_network import empty_block

    from ssv_pool.protocol.types.blocks import decode_block
    from ssv_pool.protocol.types.versions import DataVersion

    # With a blob it is long enough to lie beside its task.
    empty = empty_block(slot, DataVersion.FULU)
    contents = empty.object._replace(kzg_proofs=(bytes(48),), blobs=(bytes(131_072),))
    return decode_block(DataVersion.FULU, empty.schema.encode(contents)).signed(bytes(96))
