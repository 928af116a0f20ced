"""Approvals as files: what a member signed, to be handed to whoever sends the call.

JSON with the chain, the pool, the message and its signature. Nothing in it is secret. A file is taken for what its
signature says, and only where it is of the same message as the one at hand.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from eth_utils.address import to_checksum_address

from ssv_pool.crypto.files import write_private
from ssv_pool.crypto.keystore import load_json_object
from ssv_pool.errors import KeyFileError, SsvPoolError
from ssv_pool.pool.approvals import Domain, Message, MessageError, Signed, body_of, checked, read_message
from ssv_pool.pool.calls import in_order

_MOST_TEXT: Final = 200


class ApprovalError(SsvPoolError):
    """An approval cannot be used, or there are too few."""


def write_approval(path: Path, domain: Domain, signed: Signed) -> None:
    """Write a member's signature to a file. Raises KeyFileError if it exists or cannot be written."""
    content = {
        "chainId": domain.chain_id,
        "pool": domain.contract,
        "kind": signed.message.KIND,
        "body": body_of(signed.message),
        "signer": address_of(signed.signer),
        "signature": f"0x{signed.signature.hex()}",
    }
    write_private(path, json.dumps(content, indent=2).encode() + b"\n")


def read_approval(path: Path, domain: Domain) -> Signed:
    """Read a member's signature.

    Raises:
        ApprovalError: for another chain or pool, or the signature is not that of its signer.
        KeyFileError: the file cannot be read or is malformed.
    """
    content = load_json_object(path)
    for field, found, wanted in (
        ("chainId", content.get("chainId"), domain.chain_id),
        ("pool", str(content.get("pool")), domain.contract),
    ):
        if str(found).lower() != str(wanted).lower():
            raise ApprovalError(
                f"approval {path}: {field} {str(found)[:60]}, expected {wanted}: it is for another pool"
            )
    text = content.get("signature")
    try:
        signature = bytes.fromhex(text.removeprefix("0x")) if isinstance(text, str) else b""
        signed = checked(domain, read_message(content.get("kind"), content.get("body")), signature)
    except (MessageError, ValueError) as error:
        raise KeyFileError(f"approval {path}: {str(error)[:_MOST_TEXT]}") from None
    stated = str(content.get("signer"))
    if stated.lower() != address_of(signed.signer).lower():
        raise ApprovalError(
            f"approval {path}: signed by {address_of(signed.signer)}, and it says {stated[:60]}: the file was changed"
        )
    return signed


def collect(
    action: str, message: Message, members: Sequence[str], quorum: int, signed: Sequence[tuple[str, Signed]]
) -> list[bytes]:
    """Signatures as the contract takes them, if they are a quorum's over one message.

    Args:
        action: what is approved, to begin error texts with.
        message: what must have been signed.
        members: addresses of those who may.
        quorum: how many must.
        signed: signatures, and for each where it comes from.

    Raises:
        ApprovalError: one is over something else or of a stranger, or there are too few.
    """
    known = {bytes.fromhex(member[2:]) for member in members}
    for source, item in signed:
        if item.message != message:
            raise ApprovalError(f"{action}: {source} is over something else: {_difference(item.message, message)}")
        if item.signer not in known:
            raise ApprovalError(
                f"{action}: {source} is signed by {address_of(item.signer)}, who is no member of the pool: leave it out"
            )
    have = {item.signer for _, item in signed}
    if len(have) < quorum:
        missing = ", ".join(member for member in members if bytes.fromhex(member[2:]) not in have)
        raise ApprovalError(
            f"{action}: {len(have)} approvals of members, expected {quorum}: let others of {missing} sign it "
            "(--sign FILE) and give their files by --approval"
        )
    return in_order(item for _, item in signed)


def address_of(signer: bytes) -> str:
    """An address of 20 bytes in EIP-55 mixed case."""
    return str(to_checksum_address(signer))


def _difference(found: Message, wanted: Message) -> str:
    if type(found) is not type(wanted):
        return f"a {found.KIND}, expected a {wanted.KIND}"
    one, other = (body_of(message) for message in (found, wanted))
    return ", ".join(
        f"{name} {_short(one[name])}, expected {_short(other[name])}" for name in one if one[name] != other[name]
    )


def _short(value: Any) -> str:
    text = ",".join(value) if isinstance(value, list) else str(value)
    return text if len(text) <= 80 else f"{text[:40]}…"
