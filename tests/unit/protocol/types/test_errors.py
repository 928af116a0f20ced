import pytest

from ssv_pool.protocol.types import ALAN_CODES, ErrorCode, ProtocolError, code_of_alan


def test_head_numbers_are_1_to_92_without_a_gap():
    assert sorted(code for code in ErrorCode if code < 1000) == list(range(1, 93))


def test_alan_numbers_are_1_to_72_without_a_gap():
    assert sorted(ALAN_CODES.values()) == list(range(1, 73))


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (1, ErrorCode.UNMARSHAL_SSZ),
        (9, ErrorCode.NON_UNIQUE_SIGNER),
        (10, ErrorCode.VALIDATOR_REGISTRATION_NO_CONSENSUS_DATA),
        (11, ErrorCode.VALIDATOR_EXIT_NO_CONSENSUS_DATA),
        (12, ErrorCode.UNKNOWN_DUTY_ROLE_DATA),
        (72, ErrorCode.TIMEOUT_INSTANCE),
    ],
)
def test_alan_number(number, code):
    assert code_of_alan(number) is code
    assert ALAN_CODES[code] == number


@pytest.mark.parametrize("number", [0, 73, 1010])
def test_a_number_that_alan_does_not_have(number):
    with pytest.raises(ValueError, match=rf"^error number {number} does not exist in Alan, expected 1 to 72$"):
        code_of_alan(number)


def test_the_outermost_code_of_a_chain_counts():
    inner = ProtocolError("inner", ErrorCode.EMPTY_SIGNATURE)
    middle = ProtocolError("middle", ErrorCode.COMMIT_MESSAGE_INVALID)
    outer = ProtocolError("outer")
    middle.__cause__ = inner
    outer.__cause__ = middle
    assert outer.outermost_code is ErrorCode.COMMIT_MESSAGE_INVALID
    assert ProtocolError("plain").outermost_code is None
