"""A committee's keys, and one operator's node without its sockets, for the measurements of duties."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ssv_pool.crypto import bls
from ssv_pool.crypto import operator_keys as rsa
from ssv_pool.crypto.shamir import split, threshold_of
from ssv_pool.crypto.threshold import BlsThreshold
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
)
from ssv_pool.protocol.forks import ForkSchedule
from ssv_pool.protocol.ports import OperatorKeys, ShareSigner, ThresholdScheme
from ssv_pool.protocol.runners import Selection
from ssv_pool.protocol.types.ids import committee_id, message_executor, message_role
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import (
    CommitteeId,
    DomainType,
    Epoch,
    OperatorId,
    PublicKey,
    Slot,
    ValidatorIndex,
)
from ssv_pool.protocol.types.roles import COMMITTEE_ROLES, BeaconRole
from ssv_pool.protocol.types.share import CommitteeMember, Operator, Share, ShareMember
from ssv_pool.protocol.validation import CommitteeView, ValidatorView
from ssv_pool.protocol.validator import Validator
from ssv_pool.signer.local import LocalSigner
from ssv_pool.signer.slashing import SlashingProtection


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
