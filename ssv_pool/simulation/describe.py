"""Messages and effects in words, for traces."""

from ssv_pool.protocol.events import (
    ArmTimer,
    DutyEnded,
    Effect,
    Rejected,
    SubmitAttestations,
    SubmitSyncCommitteeMessages,
)
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.messages import QBFTMessage, SignedSSVMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessages
from ssv_pool.protocol.types.roles import MsgType

_NAMES = ("proposal", "prepare", "commit", "round change")


def describe_message(message: SignedSSVMessage) -> str:
    """A message in a few words: signers, slot, kind, round, the first bytes of its root, proof."""
    signers = "+".join(map(str, message.operator_ids))
    data = message.ssv_message.data
    try:
        if message.ssv_message.msg_type == MsgType.PARTIAL_SIGNATURE:
            partials = PartialSignatureMessages.decode(data)
            roots = " ".join(f"{item.validator_index}:{item.signing_root.hex()[:4]}" for item in partials.messages)
            return f"[{signers}] slot {partials.slot} partial signatures {roots}"
        content = QBFTMessage.decode(data)
    except ProtocolError as error:
        return f"[{signers}] undecodable: {error}"
    kind = _NAMES[content.msg_type] if content.msg_type < len(_NAMES) else f"type {content.msg_type}"
    if len(message.operator_ids) > 1:
        kind = f"decided ({kind})"
    text = f"[{signers}] slot {content.height} {kind} round {content.round} root {content.root.hex()[:4]}"
    if content.data_round:
        text += f" prepared in {content.data_round}"
    if content.round_change_justification:
        text += f", {len(content.round_change_justification)} round change justifications"
    if content.prepare_justification:
        text += f", {len(content.prepare_justification)} prepare justifications"
    return text


def describe_effect(effect: Effect) -> str:
    """An effect that is no broadcast in a few words; empty for what a trace does not need."""
    match effect:
        case SubmitAttestations():
            return f"submits attestations of slot {effect.slot} for {[a.validator_index for a in effect.attestations]}"
        case SubmitSyncCommitteeMessages():
            return f"submits sync committee messages of slot {effect.slot}"
        case DutyEnded(record=record):
            why = "" if record.reason.value == "none" else f" ({record.reason.value}: {record.detail})"
            return f"ends slot {record.slot} {record.outcome.value} in round {record.round}{why}"
        case Rejected():
            return f"refuses ({effect.rule}): {effect.detail}"
        case ArmTimer(timer=timer) if timer.round:
            return f"is in round {timer.round} of slot {timer.slot}"
        case _:
            return ""
