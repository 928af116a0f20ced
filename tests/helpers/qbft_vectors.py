"""The specification's QBFT tests: their fixed surroundings, and own states in the specification's JSON shape."""

import base64
import functools
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa
from spec_vectors import Json, committee_member, operator_private_keys, qbft_message, signed_message, unbase64

from ssv_pool.crypto import operator_keys
from ssv_pool.protocol.qbft import Context, Controller, Instance, InstanceState, MessageContainer, ProcessingMessage
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import MessageId, OperatorId, Round, Slot
from ssv_pool.protocol.types.share import CommitteeMember

ARCHIVE = "ssv-spec-alan.tar.xz"

IDENTIFIER = MessageId(bytes((1, 2, 3, 4)).ljust(56, b"\0"))
"""Identifier of all tests."""

CUTOFF = Round(15)
"""Cut-off round of the test configuration."""

INVALID_VALUES = {b"", bytes((1, 1, 1, 1))}
"""The values that the tests' value check refuses."""


@functools.cache
def private_keys() -> dict[bytes, rsa.RSAPrivateKey]:
    """Public PEM → private key of all operators in the tests."""
    keys = [operator_keys.private_key_from_pem(pem) for pem in operator_private_keys(ARCHIVE, "qbft")]
    return {operator_keys.public_key_to_pem(key.public_key()): key for key in keys}


@dataclass
class Recorder:
    """Keeps what an instance puts out."""

    sent: list[SignedSSVMessage] = field(default_factory=list)
    armed: list[tuple[Slot, Round]] = field(default_factory=list)

    def broadcast(self, message: SignedSSVMessage) -> None:
        self.sent.append(message)

    def arm_round_timer(self, height: Slot, round_: Round) -> None:
        self.armed.append((height, round_))

    def timer(self) -> Json:
        """The timer's state as the tests write it."""
        return {"Timeouts": len(self.armed), "Round": self.armed[-1][1] if self.armed else 0}


def check_value(value: bytes) -> None:
    """The tests' value check."""
    if value in INVALID_VALUES:
        raise ProtocolError("invalid value", ErrorCode.QBFT_VALUE_INVALID)


def context(member: CommitteeMember, recorder: Recorder, leader: int = 1, identifier: bytes = IDENTIFIER) -> Context:
    """The tests' fixed surroundings."""
    return Context(
        member=member,
        identifier=MessageId(identifier),
        keys=operator_keys.OperatorKeyring(private_keys()[member.operator_pubkey]),
        leader=lambda height, round_: OperatorId(leader),
        check_value=check_value,
        output=recorder,
        cutoff_round=CUTOFF,
    )


def processing_message(value: Json) -> ProcessingMessage | None:
    """A ProcessingMessage or nil."""
    if value is None:
        return None
    return ProcessingMessage(signed_message(value["SignedMessage"]), qbft_message(value["QBFTMessage"]))


def instance(value: Json, recorder: Recorder) -> Instance:
    """An instance in the state that a test starts from."""
    state = value["State"]
    height = Slot(state["Height"])
    leader = 2 if height == 10 else 1
    made = Instance(
        context(committee_member(state["CommitteeMember"]), recorder, leader, unbase64(state["ID"])), height
    )
    made.start_value = unbase64(value["StartValue"])
    made.force_stopped = value.get("forceStop", False)
    made.state = InstanceState(
        height=height,
        round=Round(state["Round"]),
        last_prepared_round=Round(state["LastPreparedRound"]),
        last_prepared_value=None if state["LastPreparedValue"] is None else unbase64(state["LastPreparedValue"]),
        accepted_proposal=processing_message(state["ProposalAcceptedForCurrentRound"]),
        decided=state["Decided"],
        decided_value=unbase64(state["DecidedValue"]),
        proposals=_container(state["ProposeContainer"]),
        prepares=_container(state["PrepareContainer"]),
        commits=_container(state["CommitContainer"]),
        round_changes=_container(state["RoundChangeContainer"]),
    )
    return made


def _container(value: Json) -> MessageContainer:
    container = MessageContainer()
    for messages in value["Msgs"].values():
        for message in messages:
            decoded = processing_message(message)
            assert decoded is not None
            container.add(decoded)
    return container


def _base64(value: bytes | None) -> str:
    return base64.b64encode(value or b"").decode()


def export_signed(message: SignedSSVMessage) -> Json:
    inner = message.ssv_message
    return {
        "Signatures": [_base64(signature) for signature in message.signatures],
        "OperatorIDs": list(message.operator_ids),
        "SSVMessage": {"MsgType": inner.msg_type, "MsgID": inner.msg_id.hex(), "Data": _base64(inner.data)},
        "FullData": _base64(message.full_data),
    }


def _export_message(message: ProcessingMessage | None) -> Json:
    if message is None:
        return None
    content = message.content
    return {
        "SignedMessage": export_signed(message.signed),
        "QBFTMessage": {
            "DataRound": content.data_round,
            "Height": content.height,
            "Identifier": _base64(content.identifier),
            "MsgType": int(content.msg_type),
            "PrepareJustification": [_base64(item) for item in content.prepare_justification],
            "Root": content.root.hex(),
            "Round": content.round,
            "RoundChangeJustification": [_base64(item) for item in content.round_change_justification],
        },
    }


def _export_container(container: MessageContainer) -> Json:
    return {
        "Msgs": {str(round_): [_export_message(m) for m in container.of_round(round_)] for round_ in container.rounds}
    }


def export_member(member: CommitteeMember) -> Json:
    return {
        "OperatorID": member.operator_id,
        "CommitteeID": member.committee_id.hex(),
        "SSVOperatorPubKey": _base64(member.operator_pubkey),
        "FaultyNodes": member.faulty_nodes,
        "Committee": [
            {"OperatorID": operator.operator_id, "SSVOperatorPubKey": _base64(operator.pubkey)}
            for operator in member.committee
        ],
        "DomainType": member.domain_type.hex(),
    }


def export_state(made: Instance) -> Json:
    """An instance's state in the specification's shape."""
    state = made.state
    return {
        "CommitteeMember": export_member(made.context.member),
        "ID": _base64(made.context.identifier),
        "Round": state.round,
        "Height": state.height,
        "LastPreparedRound": state.last_prepared_round,
        "LastPreparedValue": _base64(state.last_prepared_value),
        "ProposalAcceptedForCurrentRound": _export_message(state.accepted_proposal),
        "Decided": state.decided,
        "DecidedValue": _base64(state.decided_value),
        "ProposeContainer": _export_container(state.proposals),
        "PrepareContainer": _export_container(state.prepares),
        "CommitContainer": _export_container(state.commits),
        "RoundChangeContainer": _export_container(state.round_changes),
    }


def export_controller(controller: Controller) -> Json:
    """A controller in the specification's shape."""
    return {
        "Identifier": _base64(controller.context.identifier),
        "Height": controller.height,
        "StoredInstances": [
            {"State": export_state(made), "StartValue": _base64(made.start_value)}
            | ({"forceStop": True} if made.force_stopped else {})
            for made in controller.instances
        ],
        "CommitteeMember": export_member(controller.context.member),
    }


def normalised(value: Json) -> Json:
    """Nil, "", [] and {} all become None: Go tells them apart, the protocol does not."""
    if isinstance(value, dict):
        return {key: normalised(item) for key, item in value.items()} or None
    if isinstance(value, list):
        return [normalised(item) for item in value] or None
    return None if value == "" else value
