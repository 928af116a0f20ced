"""CPU of one operator for each kind of duty, beside the CPU of its bare cryptography on this machine in the same run.

    scripts/bench duties --operators 4 --validators 1,50,500

A duty is all that the node does for it: decode the command that begins it, judge the gossip of the other operators,
consensus, sign with the slashing protection's file, rebuild the whole signatures, encode messages, submissions and the
journal's entry. The bare cryptography is the same RSA and BLS operations with nothing around them. What the broker, the
network's sockets and the workers' HTTP cost is not in either. Figures are medians in milliseconds.
"""

import argparse
import gc
import json
import random
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from duty_operator import Cluster, OneOperator, Setting, make_cluster
from duty_replay import Answer, bare, calls_of, record, replay

from ssv_pool.messaging.commands import (
    BeginAggregatorCommitteeDuty,
    BeginValidatorDuty,
    StartCommand,
    StartCommitteeDuty,
    aggregator_committee_key,
    committee_duty_key,
    validator_duty_key,
)
from ssv_pool.observability.logs import configure_logging
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.events import AskBeacon, AskKind
from ssv_pool.protocol.forks import ForkSchedule, alan_fork, boole_fork
from ssv_pool.protocol.runners import Selection
from ssv_pool.protocol.types import AttestationData, BeaconRole, BeaconVote, Checkpoint, ValidatorDuty
from ssv_pool.protocol.types.attestations import AggregateAndProof, ElectraAttestation
from ssv_pool.protocol.types.beacon_schemas import block_schemas
from ssv_pool.protocol.types.contributions import Contribution, Contributions, SyncCommitteeContribution
from ssv_pool.protocol.types.presets import MINIMAL
from ssv_pool.protocol.types.primitives import DomainType, Epoch, Root, Signature, Slot, ValidatorIndex
from ssv_pool.protocol.types.schema import (
    Bitlist,
    Bitvector,
    ByteList,
    Bytes,
    Container,
    Kind,
    List,
    U64List,
    Uint,
    Vector,
)
from ssv_pool.protocol.types.versions import DataVersion

ALAN_DOMAIN, BOOLE_DOMAIN = DomainType(b"\0\0\5\1"), DomainType(b"\0\0\5\2")
CHAIN = BeaconChain(1_700_000_000.0, Root(bytes(32)), 12_000, 32, (ForkVersion(Epoch(0), b"\x60\0\0\0", "fulu"),))
ALAN = ForkSchedule(alan_fork(ALAN_DOMAIN))
BOOLE = ForkSchedule(ALAN.alan, boole_fork(BOOLE_DOMAIN, "mainnet", 32), Epoch(0))

FIRST_EPOCH = 1000
COMMITTEE_LENGTH = 450
"""Validators of a beacon committee with a million validators on the chain: one in 28 aggregates."""
DEADLINE = 12.0
WARM_UP = 1
"""Duties done before those that count: keys are parsed in them."""
TRANSACTIONS, TRANSACTION_BYTES, BLOBS = 200, 600, 6
"""What the block holds: about what mainnet's hold."""

DICE = random.Random(1)


@dataclass(frozen=True, slots=True)
class Role:
    """One kind of duty."""

    name: str
    forks: ForkSchedule
    whole_committee: bool
    """Whether one duty is for all validators."""
    command: Callable[[Cluster, Slot], StartCommand]
    selection: Selection = field(default_factory=Selection)


def slot_of(number: int) -> Slot:
    """The slot of the n-th duty: one an epoch, as a validator attests once in each."""
    return Slot((FIRST_EPOCH + number) * CHAIN.slots_per_epoch + 5)


def root(text: str) -> Root:
    """Any root."""
    return Root(text.encode().ljust(32, b"."))


def vote(slot: Slot) -> BeaconVote:
    """What all operators' beacon nodes say of a slot."""
    epoch = CHAIN.epoch_of(slot)
    return BeaconVote(
        root(f"head {slot}"), Checkpoint(Epoch(epoch - 1), root("source")), Checkpoint(epoch, root("target"))
    )


def validator_duty(role: BeaconRole, cluster: Cluster, slot: Slot, index: ValidatorIndex, place: int) -> ValidatorDuty:
    """One validator's duty; the first validator's beacon committee is so small that it is sure to aggregate."""
    syncs = role in (BeaconRole.SYNC_COMMITTEE, BeaconRole.SYNC_COMMITTEE_CONTRIBUTION)
    attests = role in (BeaconRole.ATTESTER, BeaconRole.AGGREGATOR)
    return ValidatorDuty(
        type=int(role),
        pubkey=cluster.validators[index],
        slot=slot,
        validator_index=index,
        committee_index=place % 64 if attests else 0,
        committee_length=(COMMITTEE_LENGTH if place else 16) if attests else 0,
        committees_at_slot=64 if attests else 0,
        validator_committee_index=0,
        validator_sync_committee_indices=(place % 512,) if syncs else (),
    )


def committee_command(role: BeaconRole) -> Callable[[Cluster, Slot], StartCommand]:
    """A committee's attestations or sync committee messages."""

    def make(cluster: Cluster, slot: Slot) -> StartCommand:
        duties = tuple(
            validator_duty(role, cluster, slot, index, place) for place, index in enumerate(cluster.validators)
        )
        due = CHAIN.attestation_due(slot)
        key = committee_duty_key(slot, cluster.committee_id)
        return StartCommitteeDuty(key, cluster.committee_id, slot, duties, vote(slot), due, due + 0.05, due + DEADLINE)

    return make


def validator_command(role: BeaconRole) -> Callable[[Cluster, Slot], StartCommand]:
    """The first validator's duty."""

    def make(cluster: Cluster, slot: Slot) -> StartCommand:
        index, public_key = next(iter(cluster.validators.items()))
        duty = validator_duty(role, cluster, slot, index, 0)
        due = CHAIN.start_of(slot)
        key = validator_duty_key(role, slot, public_key)
        return BeginValidatorDuty(key, cluster.committee_id, duty, due, due + 0.05, due + 2 * DEADLINE)

    return make


def aggregator_committee_command(cluster: Cluster, slot: Slot) -> StartCommand:
    """All validators' selection proofs of the slot; every tenth is in the sync committee too."""
    places = list(enumerate(cluster.validators))
    duties = [validator_duty(BeaconRole.AGGREGATOR, cluster, slot, index, place) for place, index in places]
    duties += [
        validator_duty(BeaconRole.SYNC_COMMITTEE_CONTRIBUTION, cluster, slot, index, place)
        for place, index in places[::10]
    ]
    due = CHAIN.start_of(slot)
    key = aggregator_committee_key(slot, cluster.committee_id)
    return BeginAggregatorCommitteeDuty(
        key, cluster.committee_id, slot, tuple(duties), due, due + 0.05, due + 2 * DEADLINE
    )


EVERYONE = Selection(MINIMAL)
"""In a small sync committee every member makes contributions."""

ROLES = (
    Role("attestation", ALAN, True, committee_command(BeaconRole.ATTESTER)),
    Role("sync_committee", ALAN, True, committee_command(BeaconRole.SYNC_COMMITTEE)),
    Role("proposer", ALAN, False, validator_command(BeaconRole.PROPOSER)),
    Role("aggregator", ALAN, False, validator_command(BeaconRole.AGGREGATOR)),
    Role("contribution", ALAN, False, validator_command(BeaconRole.SYNC_COMMITTEE_CONTRIBUTION), EVERYONE),
    Role("aggregator_committee", BOOLE, True, aggregator_committee_command),
)


def beacon_node(role: Role, cluster: Cluster, blocks: dict[Slot, bytes]) -> Answer:
    """Answers what the operators ask."""
    of_validator = not role.whole_committee

    def answer(request: AskBeacon) -> tuple[bytes, int]:
        slot, arguments = request.slot, dict(request.arguments)
        if request.kind is AskKind.BLOCK:
            if slot not in blocks:
                blocks[slot] = block(slot, next(iter(cluster.validators)))
            return blocks[slot], DataVersion.FULU
        if request.kind is AskKind.AGGREGATE:
            attestation = aggregate(slot, int(arguments["committee_index"]))
            if not of_validator:
                return attestation.encode(), DataVersion.FULU
            proof = Signature(bytes.fromhex(arguments["selection_proof"]))
            index = ValidatorIndex(int(arguments["validator_index"]))
            return AggregateAndProof(index, attestation, proof).encode(), DataVersion.FULU
        pairs = zip(arguments["subcommittees"].split(","), arguments["selection_proofs"].split(","), strict=True)
        items = tuple(
            Contribution(
                Signature(bytes.fromhex(proof)),
                SyncCommitteeContribution(slot, root(f"head {slot}"), int(number), b"\x7f" * 16, Signature(b"s" * 96)),
            )
            for number, proof in pairs
        )
        return Contributions(items).encode(), DataVersion.FULU

    return answer


def aggregate(slot: Slot, committee: int) -> ElectraAttestation:
    """A beacon committee's aggregate."""
    seen = vote(slot)
    data = AttestationData(slot, 0, seen.block_root, seen.source, seen.target)
    bits = ((1 << COMMITTEE_LENGTH + 1) - 1).to_bytes(COMMITTEE_LENGTH // 8 + 1, "little")
    return ElectraAttestation(bits, data, Signature(b"s" * 96), (1 << committee).to_bytes(8, "little"))


def block(slot: Slot, proposer: ValidatorIndex) -> bytes:
    """Block contents of the size of mainnet's."""
    schema = block_schemas(DataVersion.FULU).unsigned(blinded=False)
    contents: Any = filled(schema)
    body = contents.block.body
    payload = body.execution_payload._replace(
        transactions=tuple(DICE.randbytes(TRANSACTION_BYTES) for _ in range(TRANSACTIONS))
    )
    body = body._replace(execution_payload=payload, blob_kzg_commitments=tuple(bytes(48) for _ in range(BLOBS)))
    return schema.encode(
        contents._replace(
            block=contents.block._replace(slot=slot, proposer_index=proposer, body=body),
            kzg_proofs=tuple(bytes(48) for _ in range(BLOBS * 128)),
            blobs=tuple(bytes(131_072) for _ in range(BLOBS)),
        )
    )


def filled(kind: Kind) -> object:
    """A value of an SSZ type in which short lists of containers are full."""
    match kind:
        case Container():
            return kind.record(*(filled(field) for field in kind.fields.values()))
        case Uint():
            return 7
        case Bytes() | Bitvector():
            return bytes(kind.size)
        case Bitlist():
            return b"\xff" * 56 + b"\x01"
        case ByteList():
            return b""
        case U64List():
            return ()
        case Vector():
            return tuple(filled(kind.item) for _ in range(kind.count))
        case List():
            few = isinstance(kind.item, Container) and kind.item.name in ("Attestation", "Withdrawal")
            return tuple(filled(kind.item) for _ in range(kind.limit if few else 0))
    raise TypeError(f"no value for {kind!r}")


def measure(role: Role, operators: int, validators: int, duties: int, folder: Path) -> dict[str, Any]:
    """One role's figures."""
    domain = ALAN_DOMAIN if role.forks is ALAN else BOOLE_DOMAIN
    cluster = make_cluster(operators, validators, domain)
    slots = [slot_of(number) for number in range(WARM_UP + duties)]
    setting = Setting(cluster, CHAIN, role.forks, role.selection)
    commands = [role.command(cluster, slot) for slot in slots]
    places = [folder / name for name in ("record", "replay", "calls")]
    for place in places:
        place.mkdir()
    recording = record(setting, commands, beacon_node(role, cluster, {}), places[0])
    calls = calls_of(setting, recording, places[2])
    operator = OneOperator(setting, cluster.ids[0], places[1])
    gc.collect()
    spent = replay(recording, operator)[WARM_UP:]
    operator.protection.close()
    secrets = {
        share.share_pubkey: cluster.secrets[index][cluster.ids[0]]
        for index, share in cluster.shares(cluster.ids[0]).items()
    }
    cryptography = [bare(each, secrets) for each in calls][WARM_UP:]
    counts = [each.counts for each in calls[WARM_UP:]]
    median, least = statistics.median(spent), statistics.median(cryptography)
    return {
        "role": role.name,
        "validators": validators,
        "cpu_ms": round(median * 1000, 3),
        "cryptography_ms": round(least * 1000, 3),
        "ratio": round(median / least, 3),
        "operations": {name: statistics.fmean(each[name] for each in counts) for name in counts[0]},
    }


def rows(options: argparse.Namespace) -> Sequence[tuple[Role, int]]:
    """What is measured: roles of one validator once, the others for each number of validators."""
    wanted = [role for role in ROLES if not options.roles or role.name in options.roles]
    return [
        (role, validators)
        for role in wanted
        for validators in (options.validators if role.whole_committee else options.validators[:1])
    ]


def numbers(text: str) -> list[int]:
    """Comma separated positive numbers."""
    found = [int(part) for part in text.split(",")]
    if min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}, expected numbers from 1 up")
    return found


def main() -> None:
    """Print the figures, as text or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operators", type=int, default=4, choices=(4, 7, 10, 13), help="committee size (4)")
    parser.add_argument("--validators", type=numbers, default=[1, 50, 500], help="validators of a duty (1,50,500)")
    parser.add_argument("--roles", type=lambda text: text.split(","), help="only these, comma separated")
    parser.add_argument("--duties", type=int, default=8, help="duties of which the median counts (8)")
    parser.add_argument("--folder", type=Path, help="where slashing protection files are put (a temporary folder)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    configure_logging("WARNING", "console")
    results = []
    if not options.json:
        print(f"{options.operators} operators; milliseconds of CPU of one operator for one duty")
        print(f"{'role':22}{'validators':>10}{'duty':>10}{'crypto':>10}{'ratio':>7}  operations")
    for role, validators in rows(options):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            found = measure(role, options.operators, validators, options.duties, Path(folder))
        results.append(found)
        if not options.json:
            operations = ", ".join(f"{name} {count:g}" for name, count in found["operations"].items() if count)
            print(
                f"{role.name:22}{validators:10}{found['cpu_ms']:10.2f}{found['cryptography_ms']:10.2f}"
                f"{found['ratio']:7.2f}  {operations}",
                flush=True,
            )
    if options.json:
        print(json.dumps({"operators": options.operators, "duties": results}))


if __name__ == "__main__":
    main()
