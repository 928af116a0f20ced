"""The suite's module ``types``: containers, their encodings, roots, limits and validation."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import padding

from ssv_pool.crypto import operator_keys
from ssv_pool.protocol.types.aggregator_committee import (
    MAX_AGGREGATES,
    MAX_AGGREGATORS,
    MAX_ATTESTATION_BYTES,
    MAX_CONTRIBUTORS,
    MAX_SUBCOMMITTEES,
    AggregatorCommitteeConsensusData,
)
from ssv_pool.protocol.types.attestations import (
    MAX_COMMITTEE_BITS,
    Attestation,
    ElectraAttestation,
)
from ssv_pool.protocol.types.beacon import DOMAIN_DEPOSIT, BeaconVote, compute_domain, signing_root
from ssv_pool.protocol.types.blocks import withdrawals_root
from ssv_pool.protocol.types.consensus_data import MAX_DATA_SSZ_BYTES, ProposerConsensusData, block_of
from ssv_pool.protocol.types.duties import MAX_SYNC_COMMITTEE_INDICES
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.ids import MESSAGE_ID_BYTES, message_executor
from ssv_pool.protocol.types.messages import (
    MAX_FULL_DATA_BYTES,
    MAX_PREPARE_JUSTIFICATION_BYTES,
    MAX_ROUND_CHANGE_JUSTIFICATION_BYTES,
    MAX_SIGNATURE_BYTES,
    MAX_SIGNERS,
    QBFTMessage,
    SignedSSVMessage,
    SSVMessage,
)
from ssv_pool.protocol.types.operations import DepositMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessage, PartialSignatureMessages
from ssv_pool.protocol.types.presets import MAINNET
from ssv_pool.protocol.types.primitives import MessageId, PublicKey, Root
from ssv_pool.protocol.types.share import Share
from ssv_pool.spectests import fixtures
from ssv_pool.spectests.model import Json, MismatchError, SpecFork, SpecTest, check_equal
from ssv_pool.spectests.registry import spec_test

TEST_VALIDATOR = bytes.fromhex(
    "8e80066551a81b318258709edaf7dd1f63cd686a0e4db8b29bbb7acfe65608677af5a527d9448ee47835485e02b50bc0"
)
"""Public key of the suite's validator with four shares, 48 bytes."""

DEPOSIT_GWEI = 32 * 10**9
"""Amount of every deposit in the suite."""


class _Container(Protocol):
    def encode(self) -> bytes: ...

    def hash_tree_root(self) -> Root: ...


def error_of(step: Callable[[], object]) -> ProtocolError | None:
    """The error that a step ends with."""
    try:
        step()
    except ProtocolError as error:
        return error
    return None


def validate_signed(fork: SpecFork, message: SignedSSVMessage) -> None:
    """A signed message's checks; Boole's include those of the message inside. Raises ProtocolError."""
    message.validate()
    if fork is SpecFork.BOOLE:
        message.ssv_message.validate()


@spec_test("types", "proposerconsensusdata.ProposerConsensusDataTest")
@spec_test("types", "validatorconsensusdata.ValidatorConsensusDataTest")
def consensus_data_validation(test: SpecTest) -> None:
    """Validate a proposer's (in Alan any validator's) consensus data."""
    data = fixtures.proposer_data(test["ConsensusData"])
    test.check_error(error_of(data.validate_alan if test.fork is SpecFork.ALAN else data.validate_boole))


@spec_test("types", "aggregatorcommitteeconsensusdata.AggregatorCommitteeConsensusDataTest")
def aggregator_committee_validation(test: SpecTest) -> None:
    """Validate an aggregator committee's consensus data."""
    test.check_error(error_of(fixtures.aggregator_committee_data(test["AggCommConsensusData"]).validate))


@spec_test("types", "signedssvmsg.SignedSSVMessageTest")
def signed_message_validation(test: SpecTest) -> None:
    """Validate signed messages; where keys are given, verify signature i with key i."""
    keys = [fixtures.unbase64(key) for key in test.get("RSAPublicKey") or []]

    def check(value: Json) -> None:
        message = fixtures.signed_message(value)
        validate_signed(test.fork, message)
        payload = message.ssv_message.encode()
        for index, key in enumerate(keys):
            if not operator_keys.verify(key, payload, message.signatures[index]):
                raise ProtocolError(f"signature {index} is not by key {index}")

    errors = [error_of(partial(check, value)) for value in test["Messages"]]
    test.check_error(next((error for error in reversed(errors) if error is not None), None))


@spec_test("types", "duty.DutySpecTest")
def duty_role(test: SpecTest) -> None:
    """Which runner does a beacon role's duties."""
    check_equal("runner role", int(test.fork.rules.runner_role(test["BeaconRole"])), test["RunnerRole"])


@spec_test("types", "partialsigmessage.MsgSpecTest")
def partial_signature_messages(test: SpecTest) -> None:
    """Validate, encode, decode, root of partial signature messages."""
    last = None
    limit = test.fork.rules.max_partial_messages
    encodings, roots = test.get("EncodedMessages") or [], test.get("ExpectedRoots") or []
    for index, value in enumerate(test["Messages"]):
        messages = fixtures.partial_messages(value)
        error = error_of(messages.validate)
        last = error or last
        if error is not None:
            continue
        encoded = messages.encode()
        check_equal("decoded message", PartialSignatureMessages.decode(encoded, limit), messages)
        if index < len(encodings):
            check_equal("encoding", encoded, fixtures.unbase64(encodings[index]))
        if index < len(roots):
            check_equal("root", messages.hash_tree_root(limit), fixtures.raw_bytes(roots[index]))
    test.check_error(last)


@spec_test("types", "consensusdataproposer.ProposerSpecTest")
def proposer_data(test: SpecTest) -> None:
    """Decode a proposer's consensus data and the block in it; forms, roots and bytes."""
    raw = fixtures.unbase64(test["DataCd"])
    if test["ExpectedErrorCode"]:
        test.check_error(error_of(lambda: block_of(ProposerConsensusData.decode(raw))))
        return
    data = ProposerConsensusData.decode(raw)
    block = block_of(data)
    check_equal("blinded", block.blinded, test["Blinded"])
    check_equal("block root", block.root, fixtures.raw_bytes(test["ExpectedBlkRoot"]))
    check_equal("block", block.schema.encode(block.object), fixtures.unbase64(test["DataBlk"]))
    check_equal("consensus data root", data.hash_tree_root(), fixtures.raw_bytes(test["ExpectedCdRoot"]))
    check_equal("consensus data", data.encode(), raw)


@spec_test("types", "committeemember.CommitteeMemberTest")
def committee_member(test: SpecTest) -> None:
    """Whether a message's distinct signers are a quorum, and the whole committee."""
    member = fixtures.committee_member(test["CommitteeMember"])
    message = fixtures.signed_message(test["Message"])
    signers = len(set(message.operator_ids))
    test.check_error(error_of(lambda: validate_signed(test.fork, message)))
    check_equal("quorum", signers >= member.quorum, test["ExpectedHasQuorum"])
    check_equal("full committee", signers == len(member.committee), test["ExpectedFullCommittee"])


def _encoding(go_type: str, decode: Callable[[SpecFork, bytes], _Container]) -> None:
    """Register an encoding test: decode, encode again, root."""

    def run(test: SpecTest) -> None:
        raw = fixtures.unbase64(test["Data"])
        decoded = decode(test.fork, raw)
        check_equal("encoding", decoded.encode(), raw)
        if "ExpectedRoot" in test.content:
            root = _root(test.fork, decoded)
            check_equal("root", root, fixtures.raw_bytes(test["ExpectedRoot"]))

    spec_test("types", go_type)(run)


def _decode_partials(fork: SpecFork, raw: bytes) -> PartialSignatureMessages:
    return PartialSignatureMessages.decode(raw, fork.rules.max_partial_messages)


def _root(fork: SpecFork, decoded: _Container) -> Root:
    if isinstance(decoded, PartialSignatureMessages):
        return decoded.hash_tree_root(fork.rules.max_partial_messages)
    return decoded.hash_tree_root()


_encoding("ssvmsg.EncodingTest", lambda _, raw: SSVMessage.decode(raw))
_encoding("signedssvmsg.EncodingTest", lambda _, raw: SignedSSVMessage.decode(raw))
_encoding("share.EncodingTest", lambda _, raw: Share.decode(raw))
_encoding("partialsigmessage.EncodingTest", _decode_partials)
_encoding("beaconvote.EncodingTest", lambda _, raw: BeaconVote.decode(raw))
_encoding("proposerconsensusdata.EncodingTest", lambda _, raw: ProposerConsensusData.decode(raw))
_encoding("validatorconsensusdata.EncodingTest", lambda _, raw: ProposerConsensusData.decode(raw))
_encoding("aggregatorcommitteeconsensusdata.EncodingTest", lambda _, raw: AggregatorCommitteeConsensusData.decode(raw))


@spec_test("types", "ssvmsg.SSVMessageTest")
def message_ownership(test: SpecTest) -> None:
    """Whether message ids belong to the suite's validator."""
    for value in test["MessageIDs"]:
        belongs = message_executor(MessageId(fixtures.raw_bytes(value))) == TEST_VALIDATOR
        check_equal(f"belonging of {value}", belongs, test["BelongsToValidator"])


@spec_test("types", "encryption.EncryptionSpecTest")
def encryption(test: SpecTest) -> None:
    """The public key's form, and a round trip of encryption."""
    private = operator_keys.private_key_from_pem(fixtures.unbase64(test["SKPem"]))
    public = fixtures.unbase64(test["PKPem"])
    check_equal("public key", operator_keys.public_key_to_pem(private.public_key()), public)
    plain = fixtures.unbase64(test["PlainText"])
    encrypted = operator_keys.public_key_from_pem(public).encrypt(plain, padding.PKCS1v15())
    check_equal("decrypted text", private.decrypt(encrypted, padding.PKCS1v15()), plain)


@spec_test("types", "ssz.SSZSpecTest")
def withdrawals(test: SpecTest) -> None:
    """Root of the withdrawals in a block."""
    raw = fixtures.unbase64(test["Data"])
    if test["ExpectedErrorCode"]:
        test.check_error(error_of(lambda: withdrawals_root(block_of(ProposerConsensusData.decode(raw)))))
        return
    root = withdrawals_root(block_of(ProposerConsensusData.decode(raw)))
    check_equal("withdrawals root", root, fixtures.raw_bytes(test["ExpectedRoot"]))


@spec_test("types", "beacon.DepositDataSpecTest")
def deposit(test: SpecTest) -> None:
    """What a validator signs for its deposit."""
    message = DepositMessage(
        PublicKey(fixtures.raw_bytes(test["ValidatorPK"])),
        fixtures.raw_bytes(test["WithdrawalCredentials"]),
        DEPOSIT_GWEI,
    )
    check_equal("domain type", DOMAIN_DEPOSIT, fixtures.raw_bytes(test["Domain"]))
    domain = compute_domain(DOMAIN_DEPOSIT, fixtures.raw_bytes(test["ForkVersion"]), Root(bytes(32)))
    root = signing_root(message.hash_tree_root(), domain)
    check_equal("signing root", root, fixtures.raw_bytes(test["ExpectedSigningRoot"]))


@spec_test("types", "maxmsgsize.StructureSizeTest")
def structure_size(test: SpecTest) -> None:
    """The length of an encoded object; every list within its limit, at it where the object is of maximum size."""
    value = test["Object"]
    read = _READERS.get(frozenset(value))
    if read is None:
        raise MismatchError(f"an object with the fields {sorted(value)} is none of the known containers")
    made = read(value)
    check_equal("encoded length", len(made.encode()), test["ExpectedEncodedLength"])
    for name, found, limit in _lists(test.fork, made):
        if found > limit or (found < limit and test["IsMaxSize"]):
            raise MismatchError(f"{name} has {found} items, expected {'' if test['IsMaxSize'] else 'at most '}{limit}")


_AGGREGATOR_COMMITTEE_FIELDS = (
    "Version Aggregators AggregatorsCommitteeIndexes AggregatedAttestations Contributors SyncCommitteeContributions"
)

_READERS: dict[frozenset[str], Callable[[Json], _Container]] = {
    frozenset(fields.split()): reader
    for fields, reader in (
        (
            "MsgType Height Round Identifier Root DataRound RoundChangeJustification PrepareJustification",
            fixtures.qbft_message,
        ),
        ("PartialSignature SigningRoot Signer ValidatorIndex", fixtures.partial_message),
        ("Type Slot Messages", fixtures.partial_messages),
        ("MsgType MsgID Data", fixtures.ssv_message),
        ("Signatures OperatorIDs SSVMessage FullData", fixtures.signed_message),
        ("Duty Version DataSSZ", fixtures.proposer_data),
        ("BlockRoot Source Target", fixtures.beacon_vote),
        (_AGGREGATOR_COMMITTEE_FIELDS, fixtures.aggregator_committee_data),
        ("aggregation_bits data signature", fixtures.attestation),
        ("aggregation_bits data signature committee_bits", fixtures.attestation),
    )
}
"""Which container has exactly these fields."""

_Lists = list[tuple[str, int, int]]


def _lists(fork: SpecFork, made: _Container) -> _Lists:
    """An object's lists: name, length, limit; those of attestations count bytes, as the specification's tags do."""
    match made:
        case PartialSignatureMessage() | BeaconVote():
            return []
        case PartialSignatureMessages():
            return [("messages", len(made.messages), fork.rules.max_partial_messages)]
        case SSVMessage():
            return [("data", len(made.data), fork.rules.max_data_bytes)]
        case SignedSSVMessage():
            return [
                *_items("signatures", made.signatures, MAX_SIGNERS, MAX_SIGNATURE_BYTES),
                ("operator ids", len(made.operator_ids), MAX_SIGNERS),
                ("full data", len(made.full_data), MAX_FULL_DATA_BYTES),
                *_lists(fork, made.ssv_message),
            ]
        case QBFTMessage():
            return [
                ("identifier", len(made.identifier), MESSAGE_ID_BYTES),
                *_items(
                    "round changes", made.round_change_justification, MAX_SIGNERS, MAX_ROUND_CHANGE_JUSTIFICATION_BYTES
                ),
                *_items("prepares", made.prepare_justification, MAX_SIGNERS, MAX_PREPARE_JUSTIFICATION_BYTES),
            ]
        case ProposerConsensusData():
            indices = made.duty.validator_sync_committee_indices
            return [
                ("sync committee indices", len(indices), MAX_SYNC_COMMITTEE_INDICES),
                ("data", len(made.data_ssz), MAX_DATA_SSZ_BYTES),
            ]
        case AggregatorCommitteeConsensusData():
            return [
                ("aggregators", len(made.aggregators), MAX_AGGREGATORS),
                ("committee indexes", len(made.aggregator_committee_indexes), MAX_AGGREGATES),
                *_items("attestations", made.aggregated_attestations, MAX_AGGREGATES, MAX_ATTESTATION_BYTES),
                ("contributors", len(made.contributors), MAX_CONTRIBUTORS),
                ("contributions", len(made.sync_committee_contributions), MAX_SUBCOMMITTEES),
            ]
        case Attestation():
            return [("aggregation bits", len(made.aggregation_bits), MAX_COMMITTEE_BITS)]
        case ElectraAttestation():
            limit = MAINNET.max_attesters_per_slot
            return [("aggregation bits", len(made.aggregation_bits), limit)]
        case _:
            raise MismatchError(f"no limits are known of {type(made).__name__}")


def _items(name: str, items: tuple[bytes, ...], limit: int, item_limit: int) -> _Lists:
    return [(name, len(items), limit), *((f"one of the {name}", len(item), item_limit) for item in items)]
