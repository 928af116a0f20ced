import pytest

from ssv_pool.protocol import types as t

DOMAIN = t.DomainType(bytes.fromhex("00000301"))
COMMITTEE = t.CommitteeId(bytes.fromhex("cf97adeedb59e05bfd73a2b4c2a8885708c4f4f70c84c64b27120e72ab733b72"))


def ids(*numbers):
    return tuple(map(t.OperatorId, numbers))


def test_committee_id_sorts_and_takes_the_low_32_bits():
    assert t.committee_id(ids(1, 2, 3, 4)) == COMMITTEE
    assert t.committee_id(ids(4, 1, 3, 2)) == COMMITTEE
    assert t.committee_id(ids(1, 2, 3, 2**32 + 4)) == COMMITTEE


@pytest.mark.parametrize(
    ("operators", "alan", "boole"),
    [
        (ids(1, 2, 3, 4), 114, 11),
        (ids(5, 6, 7, 8), 36, 7),
        (ids(1, 2, 3, 4, 5, 6, 7), 90, 7),
        (ids(100, 200, 300, 400), 88, 83),
    ],
)
def test_subnets(operators, alan, boole):
    assert (t.alan_subnet(t.committee_id(operators)), t.boole_subnet(operators)) == (alan, boole)


def test_message_id_of_a_committee():
    mid = t.committee_message_id(DOMAIN, t.RunnerRole.COMMITTEE, COMMITTEE)
    assert mid == DOMAIN + bytes(4) + bytes(16) + COMMITTEE
    assert t.message_domain(mid) == DOMAIN
    assert t.message_role(mid) == t.RunnerRole.COMMITTEE
    assert t.message_executor(mid) == bytes(16) + COMMITTEE
    assert t.committee_of(mid) == COMMITTEE


def test_message_id_of_a_validator():
    key = t.PublicKey(bytes(range(48)))
    mid = t.validator_message_id(DOMAIN, t.RunnerRole.VOLUNTARY_EXIT, key)
    assert mid == DOMAIN + b"\5\0\0\0" + key
    assert (t.message_role(mid), t.message_executor(mid)) == (5, key)


def test_a_role_is_a_signed_number():
    assert t.message_role(t.MessageId(DOMAIN + b"\xff" * 4 + bytes(48))) == t.RunnerRole.UNKNOWN
    assert t.committee_message_id(DOMAIN, t.RunnerRole.UNKNOWN, COMMITTEE)[4:8] == b"\xff" * 4


def test_cluster_id_is_the_contracts_hash():
    from eth_abi.packed import encode_packed
    from eth_utils import keccak

    owner = bytes(range(20))
    packed = encode_packed(["address", "uint256[]"], ["0x" + owner.hex(), [1, 2, 3, 40]])
    assert t.cluster_id(owner, ids(3, 40, 1, 2)) == keccak(packed)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: t.committee_message_id(DOMAIN, 0, b"short"), "committee id is 5 bytes long, expected 32"),
        (lambda: t.validator_message_id(DOMAIN, 0, COMMITTEE), "validator public key is 32 bytes long, expected 48"),
        (lambda: t.committee_message_id(b"\1", 0, COMMITTEE), "domain type is 1 bytes long, expected 4"),
        (lambda: t.cluster_id(b"", ids(1)), "cluster owner is 0 bytes long, expected 20"),
    ],
)
def test_parts_of_a_wrong_length_are_refused(call, text):
    with pytest.raises(ValueError, match=r"^") as caught:
        call()
    assert str(caught.value) == text
