"""What members of a staking pool sign: typed data (EIP-712) of the pool's contract, and its form on the wire.

A message is a frozen dataclass whose fields are those of its type in the contract. On the wire it is JSON: integers as
decimal text, bytes as 0x hex.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, TypeVar

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from ssv_pool.errors import SsvPoolError

DOMAIN_NAME: Final = "SSV Staking Pool"
DOMAIN_VERSION: Final = "1"

SIGNATURE_BYTES: Final = 65
"""r, s and v."""

_MAX_OPERATORS: Final = 13


class MessageError(SsvPoolError):
    """A message of a pool is malformed, or its signature is."""


@dataclass(frozen=True, slots=True)
class Domain:
    """The contract that signatures are for."""

    chain_id: int
    contract: str
    """Address, EIP-55 mixed case."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the pool's validators are worth and what has come in (the contract's struct Report)."""

    KIND: ClassVar = "report"
    TYPE: ClassVar = "Report"
    FIELDS: ClassVar = (
        ("number", "uint64"),
        ("slot", "uint64"),
        ("blockNumber", "uint64"),
        ("beaconBalance", "uint256"),
        ("depositsCounted", "uint256"),
        ("received", "uint256"),
        ("exited", "uint64"),
    )

    number: int
    """reportCount() + 1."""
    slot: int
    """Slot of the beacon state."""
    block_number: int
    """Execution block of that state."""
    beacon_balance: int
    """Wei of all the pool's validators; 32 ETH for a deposit that is not in the state yet."""
    deposits_counted: int
    """depositedTotal() at that block, wei."""
    received: int
    """receivedTotal() + unbooked() at that block, wei."""
    exited: int
    """How many validators that were asked to exit have been withdrawn, of all ever."""

    @property
    def subject(self) -> str:
        """What it is about, for audit lines."""
        return f"report {self.number} of slot {self.slot}"


@dataclass(frozen=True, slots=True)
class Funding:
    """The deposit of a registered validator."""

    KIND: ClassVar = "funding"
    TYPE: ClassVar = "Funding"
    FIELDS: ClassVar = (
        ("publicKey", "bytes"),
        ("signature", "bytes"),
        ("depositDataRoot", "bytes32"),
        ("depositRoot", "bytes32"),
    )

    public_key: bytes
    """48 bytes."""
    signature: bytes
    """BLS signature of the deposit message, 96 bytes."""
    deposit_data_root: bytes
    """hash_tree_root of the deposit data, 32 bytes."""
    deposit_root: bytes
    """The deposit contract's root of all deposits so far, 32 bytes."""

    @property
    def subject(self) -> str:
        """What it is about, for audit lines."""
        return f"0x{self.public_key.hex()}"


@dataclass(frozen=True, slots=True)
class _Payment:
    FIELDS: ClassVar = (("operatorIds", "uint64[]"), ("amount", "uint256"), ("nonce", "uint256"))

    operator_ids: tuple[int, ...]
    amount: int
    """Wei."""
    nonce: int
    """clusterNonce()."""

    @property
    def subject(self) -> str:
        """What it is about, for audit lines."""
        return f"cluster {_ids(self.operator_ids)}"


@dataclass(frozen=True, slots=True)
class ClusterPayment(_Payment):
    """Wei for the balance of a cluster."""

    KIND: ClassVar = "cluster-payment"
    TYPE: ClassVar = "ClusterPayment"


@dataclass(frozen=True, slots=True)
class ClusterRefund(_Payment):
    """Wei back from the balance of a cluster."""

    KIND: ClassVar = "cluster-refund"
    TYPE: ClassVar = "ClusterRefund"


@dataclass(frozen=True, slots=True)
class ClusterReactivation(_Payment):
    """A liquidated cluster starts again with so many wei."""

    KIND: ClassVar = "cluster-reactivation"
    TYPE: ClassVar = "ClusterReactivation"


@dataclass(frozen=True, slots=True)
class Committee:
    """Whether validators may be registered with these operators."""

    KIND: ClassVar = "committee"
    TYPE: ClassVar = "Committee"
    FIELDS: ClassVar = (("operatorIds", "uint64[]"), ("allowed", "bool"), ("nonce", "uint256"))

    operator_ids: tuple[int, ...]
    allowed: bool
    nonce: int
    """clusterNonce()."""

    @property
    def subject(self) -> str:
        """What it is about, for audit lines."""
        return f"committee {_ids(self.operator_ids)}"


@dataclass(frozen=True, slots=True)
class Removal:
    """A validator leaves the registry for good."""

    KIND: ClassVar = "removal"
    TYPE: ClassVar = "Removal"
    FIELDS: ClassVar = (("publicKey", "bytes"),)

    public_key: bytes
    """48 bytes."""

    @property
    def subject(self) -> str:
        """What it is about, for audit lines."""
        return f"0x{self.public_key.hex()}"


Message = Report | Funding | ClusterPayment | ClusterRefund | ClusterReactivation | Committee | Removal
"""Whatever members sign."""

_KINDS: Final[dict[str, type[Message]]] = {
    kind.KIND: kind
    for kind in (Report, Funding, ClusterPayment, ClusterRefund, ClusterReactivation, Committee, Removal)
}

_LENGTHS: Final = {"publicKey": 48, "signature": 96, "depositDataRoot": 32, "depositRoot": 32}


@dataclass(frozen=True, slots=True)
class Signed:
    """A message and one member's signature of it, which is known to be its signer's."""

    message: Message
    signer: bytes
    """Address, 20 bytes."""
    signature: bytes
    """65 bytes."""


def digest(domain: Domain, message: Message) -> bytes:
    """What is signed: the EIP-712 digest, 32 bytes."""
    signable = _signable(domain, message)
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


def sign(domain: Domain, message: Message, account: LocalAccount) -> Signed:
    """Sign a message as a member."""
    signature = bytes(account.sign_message(_signable(domain, message)).signature)
    return Signed(message, bytes.fromhex(str(account.address)[2:]), signature)


def checked(domain: Domain, message: Message, signature: bytes) -> Signed:
    """A message with the signer that its signature names. Raises MessageError: that is no signature."""
    # One signature has two forms of s; the contract takes the lower one.
    if len(signature) != SIGNATURE_BYTES or signature[64] not in (27, 28):
        raise MessageError(f"signature: {len(signature)} bytes, expected {SIGNATURE_BYTES} that end in 27 or 28")
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise MessageError("signature: s is in the upper half of its range, expected the lower one")
    try:
        signer = Account.recover_message(_signable(domain, message), signature=signature)
    except (BadSignature, ValidationError, ValueError):
        raise MessageError("signature: no public key fits it") from None
    return Signed(message, bytes.fromhex(signer[2:]), signature)


def body_of(message: Message) -> dict[str, Any]:
    """The JSON of a message."""
    names = [name for name, _ in message.FIELDS]
    return {name: _to_json(value) for name, value in zip(names, values_of(message), strict=True)}


def values_of(message: Message) -> list[Any]:
    """The values of a message's fields in the order of its type."""
    return [getattr(message, field.name) for field in fields(message)]


def read_message(kind: object, body: object) -> Message:
    """Read a message's JSON. Raises MessageError, which names what is wrong."""
    form = _KINDS.get(kind) if isinstance(kind, str) else None
    if form is None:
        raise MessageError(f"kind: {str(kind)[:40]!r}, expected one of {', '.join(sorted(_KINDS))}")
    if not isinstance(body, Mapping) or set(body) != {name for name, _ in form.FIELDS}:
        raise MessageError(f"{form.KIND}: expected the fields {', '.join(name for name, _ in form.FIELDS)} alone")
    return _make(form, [_from_json(name, solidity, body[name]) for name, solidity in form.FIELDS])


_HALF_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 // 2

_Form = TypeVar("_Form")


def _make(form: type[_Form], values: list[Any]) -> _Form:
    return form(*values)


def _signable(domain: Domain, message: Message) -> Any:
    types = {message.TYPE: [{"name": name, "type": solidity} for name, solidity in message.FIELDS]}
    values = [list(value) if isinstance(value, tuple) else value for value in values_of(message)]
    content = dict(zip((name for name, _ in message.FIELDS), values, strict=True))
    place = {
        "name": DOMAIN_NAME,
        "version": DOMAIN_VERSION,
        "chainId": domain.chain_id,
        "verifyingContract": domain.contract,
    }
    return encode_typed_data(domain_data=place, message_types=types, message_data=content)


def _to_json(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int():
            return str(value)
        case bytes():
            return f"0x{value.hex()}"
        case _:
            return [str(item) for item in value]


def _from_json(name: str, solidity: str, value: object) -> Any:
    if solidity == "bool":
        if not isinstance(value, bool):
            raise MessageError(f"{name}: {str(value)[:40]!r}, expected true or false")
        return value
    if solidity == "uint64[]":
        if not isinstance(value, list) or not 0 < len(value) <= _MAX_OPERATORS:
            raise MessageError(f"{name}: expected a list of 1 to {_MAX_OPERATORS} operator ids")
        ids = tuple(_number(name, item, 64) for item in value)
        if list(ids) != sorted(set(ids)):
            raise MessageError(f"{name}: {_ids(ids)}, expected ascending ids")
        return ids
    if solidity.startswith("uint"):
        return _number(name, value, int(solidity.removeprefix("uint")))
    length = _LENGTHS[name]
    if not isinstance(value, str) or not value.startswith("0x") or len(value) != 2 + 2 * length:
        raise MessageError(f"{name}: expected 0x and {2 * length} hex digits")
    try:
        return bytes.fromhex(value[2:])
    except ValueError:
        raise MessageError(f"{name}: expected 0x and {2 * length} hex digits") from None


def _number(name: str, value: object, bits: int) -> int:
    if not isinstance(value, str) or not value.isascii() or not value.isdecimal() or len(value) > 78:
        raise MessageError(f"{name}: {str(value)[:40]!r}, expected a decimal number as text")
    number = int(value)
    if number >= 2**bits:
        raise MessageError(f"{name}: {number}, expected a number below 2**{bits}")
    return number


def _ids(operator_ids: tuple[int, ...]) -> str:
    return ",".join(map(str, operator_ids))
