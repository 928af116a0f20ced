"""One operator's share of a duty, to be done again and again: a committee in one process is recorded, then replayed.

The recording runs all operators of a committee with their real parts and notes everything that reaches the first one:
commands as they stand on the broker, gossip as it comes from the network, timers. A replay gives the same input to a
fresh operator, which answers with the same bytes, for RSA and BLS signatures here are deterministic. So its work can be
timed alone, and what it asked of the cryptography is known call by call.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ssv_pool.crypto import bls
from ssv_pool.crypto import operator_keys as rsa
from ssv_pool.crypto.shamir import split, threshold_of, weights_at_zero
from ssv_pool.crypto.threshold import BlsThreshold
from ssv_pool.messaging.bus import INLINE_BYTES
from ssv_pool.messaging.commands import (
    COMMANDS,
    JOURNAL,
    REQUESTS,
    SUBMISSIONS,
    BeaconAnswer,
    BeaconRequest,
    BeginAggregatorCommitteeDuty,
    BeginValidatorDuty,
    JournalEntry,
    StartCommand,
    StartCommitteeDuty,
    request_key,
)
from ssv_pool.network import GossipMessage, Verdict
from ssv_pool.node.commands import reply_of, start_of
from ssv_pool.node.executors import Executors, Work
from ssv_pool.node.gossip import Gossip, accepted_of
from ssv_pool.node.registry import OwnCommittee, RegistryState
from ssv_pool.node.submissions import submission_of
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.committee import Committee
from ssv_pool.protocol.events import (
    ArmTimer,
    AskBeacon,
    Broadcast,
    DutyEnded,
    Effect,
    MessageReceived,
    Outcome,
    Rejected,
    TimerFired,
    TimerKey,
    TimerKind,
)
from ssv_pool.protocol.forks import ForkSchedule
from ssv_pool.protocol.ports import OperatorKeys, Reconstruction, ShareSigner, ThresholdScheme
from ssv_pool.protocol.runners import Selection
from ssv_pool.protocol.types.ids import committee_id, message_executor, message_role
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import (
    CommitteeId,
    DomainType,
    Epoch,
    OperatorId,
    PublicKey,
    Root,
    Signature,
    Slot,
    ValidatorIndex,
)
from ssv_pool.protocol.types.roles import COMMITTEE_ROLES, BeaconRole
from ssv_pool.protocol.types.share import CommitteeMember, Operator, Share, ShareMember
from ssv_pool.protocol.validation import CommitteeView, ValidatorView
from ssv_pool.protocol.validator import Validator
from ssv_pool.signer.local import LocalSigner
from ssv_pool.signer.slashing import SlashingProtection

Answer = Callable[[AskBeacon], tuple[bytes, int]]
"""What the beacon node gives for a request: object and data version."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Keys of a committee and its validators."""

    ids: tuple[OperatorId, ...]
    keys: Mapping[OperatorId, RSAPrivateKey]
    public_keys: Mapping[OperatorId, bytes]
    """PEM, 459 bytes each."""
    validators: Mapping[ValidatorIndex, PublicKey]
    secrets: Mapping[ValidatorIndex, Mapping[OperatorId, int]]
    """Each operator's share."""
    domain: DomainType

    @property
    def committee_id(self) -> CommitteeId:
        """The committee's id, 32 bytes."""
        return committee_id(self.ids)

    def member(self, own: OperatorId) -> CommitteeMember:
        """One operator in the committee."""
        operators = tuple(Operator(number, self.public_keys[number]) for number in self.ids)
        faulty = (len(self.ids) - 1) // 3
        return CommitteeMember(own, self.committee_id, self.public_keys[own], faulty, operators, self.domain)

    def shares(self, own: OperatorId) -> dict[ValidatorIndex, Share]:
        """The validators as one operator holds them."""
        found = {}
        for index, key in self.validators.items():
            public = {number: bls.secret_to_public(secret) for number, secret in self.secrets[index].items()}
            members = tuple(ShareMember(public[number], number) for number in self.ids)
            found[index] = Share(index, key, public[own], members, self.domain)
        return found

    def registry(self) -> RegistryState:
        """What gossip validation asks of the registry."""
        view = CommitteeView(self.ids, len(self.validators), in_sync_committee=True)
        return RegistryState(
            operator_keys=self.public_keys,
            committees={self.committee_id: view},
            validators_by_key={
                key: ValidatorView(view, index, liquidated=False, attesting_from=Epoch(0))
                for index, key in self.validators.items()
            },
        )


def make_cluster(operators: int, validators: int, domain: DomainType) -> Cluster:
    """A committee with fresh keys."""
    ids = tuple(OperatorId(number) for number in range(1, operators + 1))
    keys = {number: rsa.generate() for number in ids}
    secrets = {ValidatorIndex(1000 + number): bls.random_secret() for number in range(validators)}
    return Cluster(
        ids,
        keys,
        {number: rsa.OperatorKeyring(key).public_key for number, key in keys.items()},
        {index: bls.secret_to_public(secret) for index, secret in secrets.items()},
        {index: split(secret, ids, threshold_of(operators)) for index, secret in secrets.items()},
        domain,
    )


@dataclass(frozen=True, slots=True)
class Setting:
    """What the duties run in."""

    cluster: Cluster
    chain: BeaconChain
    forks: ForkSchedule
    selection: Selection = field(default_factory=Selection)


@dataclass(frozen=True, slots=True)
class Input:
    """One thing that reaches an operator, as the node gets it."""

    now: float
    """When, seconds since the UNIX epoch."""
    command: bytes = b""
    """A command from the stream, or empty."""
    payload: bytes = b""
    """What lies beside the stream for it."""
    sender: bytes = b""
    """Peer id of a gossip message's sender."""
    topic: str = ""
    gossip: bytes = b""
    """A gossip message, or empty."""
    timer: tuple[PublicKey | None, TimerKey] | None = None
    """A timer that ran out, and whose it is."""


@dataclass(slots=True)
class Output:
    """What an operator gives back for one input."""

    published: list[tuple[str, bytes]] = field(default_factory=list)
    """Topic and encoded message."""
    tasks: list[bytes] = field(default_factory=list)
    """Payloads of tasks for the workers."""
    asked: list[tuple[PublicKey | None, AskBeacon]] = field(default_factory=list)
    timers: list[tuple[PublicKey | None, TimerKey]] = field(default_factory=list)
    ended: int = 0


class FailedError(Exception):
    """A duty did not go as it should: what it measured would mean nothing."""


class OneOperator:
    """One operator's node without its sockets: gossip validation, cores, signer with its file, codecs."""

    def __init__(
        self,
        setting: Setting,
        own: OperatorId,
        folder: Path,
        ports: "Callable[[OperatorKeys, ShareSigner, ThresholdScheme], Ports] | None" = None,
    ) -> None:
        cluster, chain = setting.cluster, setting.chain
        self._chain, self._forks, self._selection = chain, setting.forks, setting.selection
        self._member, shares = cluster.member(own), cluster.shares(own)
        self.protection = SlashingProtection(folder / f"slashing-{own}.sqlite")
        signer = LocalSigner(self.protection)
        for index, share in shares.items():
            signer.add(share.share_pubkey, cluster.secrets[index][own])
        keys = [share.share_pubkey for share in shares.values()]
        signer.raise_protection(keys, Epoch(0), Epoch(0), Slot(0))
        self._ports = (ports or Ports)(rsa.OperatorKeyring(cluster.keys[own]), signer, BlsThreshold())
        self.now = 0.0
        self._gossip = Gossip(setting.forks, self._ports.keys, clock=lambda: self.now)
        self._gossip.update(cluster.registry(), chain)
        self._gossip.duties.set_sync_committee(Epoch(0), Epoch(2**40), cluster.validators)
        self._executors = Executors(OwnCommittee(self._member, shares), chain, self)

    def committee(self, own: OwnCommittee, chain: BeaconChain) -> Committee:
        """The committee's core."""
        return Committee(own.member, own.shares, self._forks, chain, *self._ports, **self._rest)

    def validator(self, member: CommitteeMember, share: Share, chain: BeaconChain) -> Validator:
        """A validator's core."""
        return Validator(member, share, self._forks, chain, *self._ports, **self._rest)

    @property
    def _rest(self) -> dict[str, Any]:
        return {"clock": time.time, "selection": self._selection}

    def take(self, given: Input) -> Output:
        """Do everything that follows from one input. Raises FailedError where something is refused."""
        self.now = given.now
        output = Output()
        if given.gossip:
            judged = self._gossip.judge(given.sender, given.topic, given.gossip)
            if judged.verdict is Verdict.REJECT:
                raise FailedError(f"a message of {given.sender!r} was rejected")
            if judged.verdict is Verdict.IGNORE:
                return output  # Boole: another operator's proof of the decision, which this one had already
            accepted = accepted_of(GossipMessage(given.sender, given.topic, given.gossip, judged.decoded))
            message_id = accepted.message.ssv_message.msg_id
            of_committee = message_role(message_id) in COMMITTEE_ROLES
            owner = None if of_committee else PublicKey(message_executor(message_id))
            self._handle(Work(owner, MessageReceived(accepted.message, verified=True)), output)
        elif given.timer is not None:
            self._handle(Work(given.timer[0], TimerFired(given.timer[1])), output)
        else:
            command = COMMANDS.decode(given.command)
            if isinstance(command, BeaconAnswer):
                answer = replace(command, payload=given.payload) if given.payload else command
                owner = PublicKey(answer.public_key) if answer.public_key else None
                self._handle(Work(owner, reply_of(answer)), output)
            else:
                self._note_proposer(command)
                whole = isinstance(command, StartCommitteeDuty | BeginAggregatorCommitteeDuty)
                self._handle(Work(None if whole else command.duty.pubkey, start_of(command)), output)
        return output

    def _note_proposer(self, command: StartCommand) -> None:
        """What the plan of the epoch told before."""
        if isinstance(command, BeginValidatorDuty) and command.duty.type == BeaconRole.PROPOSER:
            duty = command.duty
            self._gossip.duties.set_proposers(self._chain.epoch_of(duty.slot), {duty.slot: duty.validator_index})

    def _handle(self, work: Work, output: Output) -> None:
        for deed in self._executors.handle(work, self.now):
            self._perform(deed.validator, deed.effect, output)

    def _perform(self, owner: PublicKey | None, effect: Effect, output: Output) -> None:
        match effect:
            case Broadcast(message=message):
                output.published.append((self._topic(message), message.encode()))
            case ArmTimer(timer=timer):
                output.timers.append((owner, timer))
            case AskBeacon():
                request = BeaconRequest(
                    request_key(effect.request_id),
                    self._member.committee_id,
                    owner or b"",
                    effect.request_id,
                    effect.kind,
                    effect.slot,
                    effect.arguments,
                    self.now + 12,
                )
                output.tasks.append(REQUESTS.encode(request))
                output.asked.append((owner, effect))
            case DutyEnded(record=record):
                if record.outcome is not Outcome.COMPLETED:
                    raise FailedError(f"{record.key}: {record.reason.value}, {record.detail}")
                output.tasks.append(JOURNAL.encode(JournalEntry(record)))
                output.ended += 1
            case Rejected():
                pass  # what the others still send when this operator has what it needs
            case _:
                output.tasks.append(SUBMISSIONS.encode(submission_of(effect, self._chain)))

    def _topic(self, message: SignedSSVMessage) -> str:
        slot = Slot(int.from_bytes(message.ssv_message.data[8:16], "little"))
        return self._forks.topic_of_message(self._member.operator_ids, slot, self._chain.slots_per_epoch)


class Ports(NamedTuple):
    """The cryptography of one operator."""

    keys: OperatorKeys
    signer: ShareSigner
    threshold: ThresholdScheme


@dataclass(frozen=True, slots=True)
class Recording:
    """What reached the first operator in each of several duties."""

    duties: tuple[tuple[Input, ...], ...]


def record(setting: Setting, commands: Sequence[StartCommand], answer: Answer, folder: Path) -> Recording:
    """Have all operators do duties one after the other, and note what reaches the first. Raises FailedError."""
    operators = {own: OneOperator(setting, own, folder) for own in setting.cluster.ids}
    first = setting.cluster.ids[0]
    duties = []
    try:
        for command in commands:
            noted: list[Input] = []
            waiting = deque((own, Input(command.begun, COMMANDS.encode(command))) for own in operators)
            ended = 0
            while waiting:
                own, given = waiting.popleft()
                if own == first:
                    noted.append(given)
                output = operators[own].take(given)
                ended += output.ended
                waiting.extend(_consequences(setting, own, given.now, output, answer))
            if ended != len(operators):
                raise FailedError(f"{command.key}: {ended} of {len(operators)} operators ended it")
            duties.append(tuple(noted))
    finally:
        for operator in operators.values():
            operator.protection.close()
    return Recording(tuple(duties))


def _consequences(
    setting: Setting, own: OperatorId, now: float, output: Output, answer: Answer
) -> list[tuple[OperatorId, Input]]:
    """What an operator's output brings about: gossip for the others, answers and timers for itself."""
    peer = b"peer %d" % own
    found = [
        (other, Input(now, sender=peer, topic=topic, gossip=raw))
        for topic, raw in output.published
        for other in setting.cluster.ids
        if other != own
    ]
    found += [(own, Input(now, timer=timer)) for timer in output.timers if timer[1].kind is TimerKind.CONTINUE]
    for owner, asked in output.asked:
        payload, version = answer(asked)
        inline = payload if len(payload) <= INLINE_BYTES else b""
        command = BeaconAnswer(
            request_key(asked.request_id),
            setting.cluster.committee_id,
            owner or b"",
            asked.request_id,
            inline,
            version,
            "",
            now + 12,
        )
        beside = b"" if inline else payload
        at = max(now, setting.chain.aggregate_due(asked.slot)) if asked.kind.value != "block" else now
        found.append((own, Input(at, COMMANDS.encode(command), beside)))
    return found


def replay(recording: Recording, operator: OneOperator) -> list[float]:
    """CPU seconds of each duty, done by a fresh operator."""
    seconds = []
    for duty in recording.duties:
        bls.forget_recent()  # what the others hashed and signed
        begun = time.process_time()
        for given in duty:
            operator.take(given)
        seconds.append(time.process_time() - begun)
    return seconds


@dataclass(slots=True)
class Calls:
    """What was asked of the cryptography for one duty."""

    signed: list[tuple[OperatorKeys, bytes]] = field(default_factory=list)
    verified: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)
    shares: list[tuple[PublicKey, Root]] = field(default_factory=list)
    rebuilt: list[tuple[Reconstruction, ...]] = field(default_factory=list)
    checked: list[tuple[tuple[PublicKey, Root, Signature], ...]] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {
            "rsa_signatures": len(self.signed),
            "rsa_checks": len(set(self.verified)),
            "share_signatures": len(self.shares),
            "rebuilt": sum(map(len, self.rebuilt)),
            "bls_checks": sum(map(len, self.checked)),
        }


class _Recorder:
    """Stands before the ports and notes what goes through."""

    def __init__(self, inner: Any, calls: Callable[[], Calls]) -> None:
        self._inner = inner
        self._calls = calls


class RecordingKeys(_Recorder):
    """OperatorKeys."""

    def sign(self, message: bytes) -> bytes:
        """Sign and note."""
        self._calls().signed.append((self._inner, message))
        return bytes(self._inner.sign(message))

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Check and note."""
        self._calls().verified.append((public_key, message, signature))
        return bool(self._inner.verify(public_key, message, signature))


class RecordingSigner(_Recorder):
    """ShareSigner."""

    def slashable_attestations(self, shares: Sequence[PublicKey], source: Epoch, target: Epoch) -> list[PublicKey]:
        """No cryptography."""
        return list(self._inner.slashable_attestations(shares, source, target))

    def slashable_block(self, share: PublicKey, slot: Slot) -> bool:
        """No cryptography."""
        return bool(self._inner.slashable_block(share, slot))

    def sign_attestations(
        self, shares: Sequence[PublicKey], roots: Sequence[Root], source: Epoch, target: Epoch
    ) -> list[Signature]:
        """Sign and note."""
        self._calls().shares.extend(zip(shares, roots, strict=True))
        return list(self._inner.sign_attestations(shares, roots, source, target))

    def sign_block(self, share: PublicKey, root: Root, slot: Slot) -> Signature:
        """Sign and note."""
        self._calls().shares.append((share, root))
        return Signature(self._inner.sign_block(share, root, slot))

    def sign_roots(self, shares: Sequence[PublicKey], roots: Sequence[Root]) -> list[Signature]:
        """Sign and note."""
        self._calls().shares.extend(zip(shares, roots, strict=True))
        return list(self._inner.sign_roots(shares, roots))


class RecordingThreshold(_Recorder):
    """ThresholdScheme."""

    def reconstruct(self, items: Sequence[Reconstruction]) -> list[Signature | None]:
        """Rebuild and note."""
        self._calls().rebuilt.append(tuple(items))
        return list(self._inner.reconstruct(items))

    def verify(self, public_key: PublicKey, root: Root, signature: Signature) -> bool:
        """Check and note."""
        self._calls().checked.append(((public_key, root, signature),))
        return bool(self._inner.verify(public_key, root, signature))

    def verify_many(self, items: Sequence[tuple[PublicKey, Root, Signature]]) -> list[bool]:
        """Check and note."""
        self._calls().checked.append(tuple(items))
        return list(self._inner.verify_many(items))


def calls_of(setting: Setting, recording: Recording, folder: Path) -> list[Calls]:
    """What the first operator asks of the cryptography, duty by duty."""
    calls: list[Calls] = []

    def ports(keys: OperatorKeys, signer: ShareSigner, threshold: ThresholdScheme) -> Ports:
        return Ports(
            RecordingKeys(keys, lambda: calls[-1]),
            RecordingSigner(signer, lambda: calls[-1]),
            RecordingThreshold(threshold, lambda: calls[-1]),
        )

    operator = OneOperator(setting, setting.cluster.ids[0], folder, ports)
    for duty in recording.duties:
        calls.append(Calls())
        for given in duty:
            operator.take(given)
    operator.protection.close()
    return calls


def bare(calls: Calls, secrets: Mapping[PublicKey, int]) -> float:
    """CPU seconds of the same cryptography with nothing around it: straight calls of the primitives.

    Nothing is done twice: a message is hashed to the curve once, the same RSA signature is checked once (those of a
    decision are its commits'), an own one not at all. Keys are parsed already, and rebuilt signatures are checked in
    one batch, as in the operator itself.
    """
    bls.forget_recent()
    work = [(secrets[share], root) for share, root in calls.shares]
    batches = [
        [
            (bls.public_key_point(item.public_key), item.root, tuple(item.partials.values()), weights)
            for item in items
            if (weights := weights_at_zero(tuple(item.partials)))
        ]
        for items in calls.rebuilt
    ]
    checks = [[(bls.public_key_point(key), root, raw) for key, root, raw in items] for items in calls.checked]
    own = {keyring.sign(message) for keyring, message in calls.signed}
    verified = [each for each in dict.fromkeys(calls.verified) if each[2] not in own]
    begun = time.process_time()
    for keyring, message in calls.signed:
        keyring.sign(message)
    good = [rsa.verify(key, message, signature) for key, message, signature in verified]
    points = {}
    for secret, root in work:
        point = bls.hash_point(root).scalar_mul(secret)
        points[point.compress()] = point
    for batch in batches:
        whole = []
        for key, root, partials, weights in batch:
            parts = [points.get(partial) or bls.signature_point(partial) for partial in partials]
            total = bls.combine(parts, weights.numerators)
            if weights.denominator != 1:
                total = bls.multiply(total, weights.inverse_denominator)
            total.compress()
            whole.append((key, root, total))
        good.append(bls.batch_check(whole))
    good += [bls.batch_check([(key, root, bls.signature_point(raw)) for key, root, raw in items]) for items in checks]
    spent = time.process_time() - begun
    if not all(good):
        raise FailedError("the bare cryptography does not verify what the operator verified")
    return spent
