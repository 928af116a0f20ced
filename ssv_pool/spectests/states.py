"""States: read from the suite's JSON, written in its shape, and compared (PROTOCOL 6.4).

Go tells nil from an empty slice or map and the protocol does not, so both are normalised before they are compared.
"""

import base64
from collections.abc import Mapping

from ssv_pool.protocol.qbft import (
    Context,
    Controller,
    Instance,
    InstanceState,
    MessageContainer,
    ProcessingMessage,
)
from ssv_pool.protocol.runners import PartialSignatureContainer, Runner, RunnerState
from ssv_pool.protocol.types.aggregator_committee import AggregatorCommitteeDuty
from ssv_pool.protocol.types.duties import CommitteeDuty, ValidatorDuty
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import OperatorId, Root, Round, Signature, Slot, ValidatorIndex
from ssv_pool.protocol.types.share import CommitteeMember, Share
from ssv_pool.spectests import fixtures
from ssv_pool.spectests.model import Json, MismatchError

NETWORK = "now_test_network"
"""Name of the suite's beacon chain."""

MAX_PARTIALS = 1 << 20
"""The suite's containers have no limit."""


def base64_text(value: bytes | None) -> str:
    """Go's []byte."""
    return base64.b64encode(value or b"").decode()


def normalised(value: Json) -> Json:
    """Nil, "", [] and {} all become None."""
    if isinstance(value, dict):
        return {key: normalised(item) for key, item in value.items()} or None
    if isinstance(value, list):
        return [normalised(item) for item in value] or None
    return None if value == "" else value


def check_state(found: Json, expected: Json | None) -> None:
    """Compare a post state with the file's. Raises MismatchError naming the first place where they differ."""
    if expected is None:
        raise MismatchError("the file with the expected post state is missing")
    difference = _difference("state", normalised(found), normalised(expected))
    if difference is not None:
        raise MismatchError(difference)


def _difference(place: str, found: Json, expected: Json) -> str | None:
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in [*expected, *(key for key in found if key not in expected)]:
            if key not in found or key not in expected:
                missing = "is missing" if key not in found else "is not expected"
                if (found.get(key), expected.get(key)) != (None, None):
                    return f"{place}.{key} {missing}: {_brief(found.get(key, expected.get(key)))}"
                continue
            difference = _difference(f"{place}.{key}", found[key], expected[key])
            if difference is not None:
                return difference
        return None
    if isinstance(found, list) and isinstance(expected, list):
        for index, (one, other) in enumerate(zip(found, expected, strict=False)):
            difference = _difference(f"{place}[{index}]", one, other)
            if difference is not None:
                return difference
        return None if len(found) == len(expected) else f"{place} has {len(found)} items, expected {len(expected)}"
    return None if found == expected else f"{place} is {_brief(found)}, expected {_brief(expected)}"


def _brief(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}… ({len(text)} characters)"


# Reading


def processing_message(value: Json) -> ProcessingMessage | None:
    """A ProcessingMessage or nil."""
    if value is None:
        return None
    return ProcessingMessage(
        fixtures.signed_message(value["SignedMessage"]), fixtures.qbft_message(value["QBFTMessage"])
    )


def instance(value: Json, context: Context) -> Instance:
    """An Instance."""
    state = value["State"]
    height = Slot(state["Height"])
    made = Instance(context, height)
    made.start_value = fixtures.unbase64(value["StartValue"])
    made.force_stopped = value.get("forceStop", False)
    made.state = InstanceState(
        height=height,
        round=Round(state["Round"]),
        last_prepared_round=Round(state["LastPreparedRound"]),
        last_prepared_value=_optional_bytes(state["LastPreparedValue"]),
        accepted_proposal=processing_message(state["ProposalAcceptedForCurrentRound"]),
        decided=state["Decided"],
        decided_value=fixtures.unbase64(state["DecidedValue"]),
        proposals=_container(state["ProposeContainer"]),
        prepares=_container(state["PrepareContainer"]),
        commits=_container(state["CommitContainer"]),
        round_changes=_container(state["RoundChangeContainer"]),
    )
    return made


def restore_controller(controller: Controller, value: Json) -> None:
    """Give a controller a Controller's height and instances."""
    controller.height = Slot(value["Height"])
    controller.instances = [instance(item, controller.context) for item in value["StoredInstances"] or []]


def duty(value: Json) -> ValidatorDuty | CommitteeDuty | AggregatorCommitteeDuty | None:
    """The duty that an object holds under one of three names; None where it holds none."""
    if value.get("ValidatorDuty") is not None:
        return fixtures.validator_duty(value["ValidatorDuty"])
    if value.get("CommitteeDuty") is not None:
        return CommitteeDuty(*_duties(value["CommitteeDuty"]))
    if value.get("AggregatorCommitteeDuty") is not None:
        return AggregatorCommitteeDuty(*_duties(value["AggregatorCommitteeDuty"]))
    return None


def _duties(value: Json) -> tuple[Slot, tuple[ValidatorDuty, ...]]:
    items = tuple(fixtures.validator_duty(item) for item in value["ValidatorDuties"] or [] if item is not None)
    return Slot(int(value["Slot"])), items


def restore_runner(runner: Runner, value: Json) -> None:
    """Give a runner a BaseRunner's state and controller."""
    if value["QBFTController"] is not None:
        restore_controller(runner.controller, value["QBFTController"])
    state = value["State"]
    if state is None:
        return
    started_with = duty(state)
    if started_with is None:
        raise MismatchError("the runner's state has no duty")
    runner.state = RunnerState(
        started_with,
        partial_container(state["PreConsensusContainer"]),
        partial_container(state["PostConsensusContainer"]),
        decided_value=fixtures.unbase64(state["DecidedValue"]),
        finished=state["Finished"],
    )
    running = state["RunningInstance"]
    if running is not None:
        # One object in Go, written twice.
        runner.state.instance = runner.controller.instance(Slot(running["State"]["Height"])) or instance(
            running, runner.controller.context
        )


def partial_container(value: Json) -> PartialSignatureContainer:
    """A PartialSigContainer."""
    container = PartialSignatureContainer(value["Quorum"], MAX_PARTIALS)
    for index, roots in (value["Signatures"] or {}).items():
        for root, signatures in roots.items():
            for operator_id, signature in signatures.items():
                container.add(
                    ValidatorIndex(int(index)),
                    Root(bytes.fromhex(root)),
                    OperatorId(int(operator_id)),
                    Signature(fixtures.unbase64(signature)),
                )
    return container


def shares(value: Json) -> dict[ValidatorIndex, Share]:
    """A map of Shares by validator index."""
    return {ValidatorIndex(int(index)): fixtures.share(item) for index, item in (value or {}).items()}


def _container(value: Json) -> MessageContainer:
    container = MessageContainer()
    for messages in (value["Msgs"] or {}).values():
        for message in messages:
            decoded = processing_message(message)
            if decoded is not None:
                container.add(decoded)
    return container


def _optional_bytes(text: str | None) -> bytes | None:
    return None if text is None else fixtures.unbase64(text)


# Writing


def export_signed(message: SignedSSVMessage) -> Json:
    """A SignedSSVMessage."""
    inner = message.ssv_message
    return {
        "Signatures": [base64_text(signature) for signature in message.signatures],
        "OperatorIDs": list(message.operator_ids),
        "SSVMessage": {"MsgType": inner.msg_type, "MsgID": inner.msg_id.hex(), "Data": base64_text(inner.data)},
        "FullData": base64_text(message.full_data),
    }


def export_member(member: CommitteeMember) -> Json:
    """A CommitteeMember."""
    return {
        "OperatorID": member.operator_id,
        "CommitteeID": member.committee_id.hex(),
        "SSVOperatorPubKey": base64_text(member.operator_pubkey),
        "FaultyNodes": member.faulty_nodes,
        "Committee": [
            {"OperatorID": operator.operator_id, "SSVOperatorPubKey": base64_text(operator.pubkey)}
            for operator in member.committee
        ],
        "DomainType": member.domain_type.hex(),
    }


def export_instance_state(made: Instance) -> Json:
    """An instance's State."""
    state = made.state
    return {
        "CommitteeMember": export_member(made.context.member),
        "ID": base64_text(made.context.identifier),
        "Round": state.round,
        "Height": state.height,
        "LastPreparedRound": state.last_prepared_round,
        "LastPreparedValue": base64_text(state.last_prepared_value),
        "ProposalAcceptedForCurrentRound": _export_message(state.accepted_proposal),
        "Decided": state.decided,
        "DecidedValue": base64_text(state.decided_value),
        "ProposeContainer": _export_container(state.proposals),
        "PrepareContainer": _export_container(state.prepares),
        "CommitContainer": _export_container(state.commits),
        "RoundChangeContainer": _export_container(state.round_changes),
    }


def export_instance(made: Instance) -> Json:
    """An Instance."""
    exported = {"State": export_instance_state(made), "StartValue": base64_text(made.start_value)}
    return exported | ({"forceStop": True} if made.force_stopped else {})


def export_controller(controller: Controller) -> Json:
    """A Controller."""
    return {
        "Identifier": base64_text(controller.context.identifier),
        "Height": controller.height,
        "StoredInstances": [export_instance(made) for made in controller.instances],
        "CommitteeMember": export_member(controller.context.member),
    }


def export_share(share: Share) -> Json:
    """A Share."""
    return {
        "Committee": [
            {"SharePubKey": base64_text(member.share_pubkey), "Signer": member.signer} for member in share.committee
        ],
        "DomainType": list(share.domain_type),
        "FeeRecipientAddress": share.fee_recipient.hex(),
        "Graffiti": base64_text(share.graffiti),
        "SharePubKey": base64_text(share.share_pubkey),
        "ValidatorIndex": str(share.validator_index),
        "ValidatorPubKey": share.validator_pubkey.hex(),
    }


def export_shares(values: Mapping[ValidatorIndex, Share]) -> Json:
    """A map of Shares."""
    return {str(index): export_share(share) for index, share in values.items()}


def export_runner_state(state: RunnerState | None) -> Json:
    """A runner's State."""
    if state is None:
        return None
    kinds = {
        ValidatorDuty: "ValidatorDuty",
        CommitteeDuty: "CommitteeDuty",
        AggregatorCommitteeDuty: "AggregatorCommitteeDuty",
    }
    return {
        "PreConsensusContainer": _export_partials(state.pre_consensus),
        "PostConsensusContainer": _export_partials(state.post_consensus),
        "RunningInstance": None if state.instance is None else export_instance(state.instance),
        "DecidedValue": base64_text(state.decided_value),
        "Finished": state.finished,
        kinds[type(state.duty)]: _export_duty(state.duty),
    }


def export_runner(runner: Runner, *, with_controller: bool) -> Json:
    """A runner; those without consensus have no controller."""
    return {
        "BaseRunner": {
            "State": export_runner_state(runner.state),
            "Share": export_shares(runner.shares),
            "QBFTController": export_controller(runner.controller) if with_controller else None,
            "BeaconNetwork": NETWORK,
            "RunnerRoleType": int(runner.role),
        }
    }


def _export_duty(value: ValidatorDuty | CommitteeDuty | AggregatorCommitteeDuty) -> Json:
    if not isinstance(value, ValidatorDuty):
        return {
            "Slot": str(value.slot),
            "ValidatorDuties": [_export_duty(item) for item in value.validator_duties],
        }
    return {
        "Type": int(value.type),
        "PubKey": f"0x{value.pubkey.hex()}",
        "Slot": str(value.slot),
        "ValidatorIndex": str(value.validator_index),
        "CommitteeIndex": value.committee_index,
        "CommitteeLength": value.committee_length,
        "CommitteesAtSlot": value.committees_at_slot,
        "ValidatorCommitteeIndex": value.validator_committee_index,
        "ValidatorSyncCommitteeIndices": list(value.validator_sync_committee_indices),
    }


def _export_partials(container: PartialSignatureContainer) -> Json:
    return {
        "Signatures": {
            str(index): {
                root.hex(): {str(operator_id): base64_text(signature) for operator_id, signature in partials.items()}
                for root, partials in roots.items()
            }
            for index, roots in container.signatures.items()
        },
        "Quorum": container.quorum,
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
            "Identifier": base64_text(content.identifier),
            "MsgType": int(content.msg_type),
            "PrepareJustification": [base64_text(item) for item in content.prepare_justification],
            "Root": content.root.hex(),
            "Round": content.round,
            "RoundChangeJustification": [base64_text(item) for item in content.round_change_justification],
        },
    }


def _export_container(container: MessageContainer) -> Json:
    return {
        "Msgs": {str(round_): [_export_message(m) for m in container.of_round(round_)] for round_ in container.rounds}
    }
