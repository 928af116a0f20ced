import pytest
from beacon_parity import published

from ssv_pool.devnet.interop import CURVE_ORDER, interop_secret_key


def test_published_keys():
    # From the mocked-start key list of the interop repository.
    first = 0x25295F0D1D592A90B333E26E85149708208E9F8E8BC18F6C77BD62F8AD7A6866
    assert interop_secret_key(0) == first
    assert bytes(published().bls.SkToPk(first)).hex() == (
        "a99a76ed7796f7be22d5b7e85deeb7c5677e88e511e0b337618f8c4eb61349b4bf2d153f649f7b53359fe8b94a38e44c"
    )


def test_keys_are_distinct_and_in_range():
    keys = {interop_secret_key(index) for index in range(200)}
    assert len(keys) == 200
    assert all(0 < key < CURVE_ORDER for key in keys)


def test_no_negative_index():
    with pytest.raises(ValueError, match="validator index -1: expected 0 or more"):
        interop_secret_key(-1)
