import pytest
from hypothesis import given
from hypothesis import strategies as st
from remerkleable.byte_arrays import ByteVector
from remerkleable.complex import Container

from ssv_pool.protocol import types as t


class ForkData(Container):
    current_version: ByteVector[4]
    genesis_validators_root: ByteVector[32]


class SigningData(Container):
    object_root: ByteVector[32]
    domain: ByteVector[32]


roots = st.binary(min_size=32, max_size=32)


@given(version=st.binary(min_size=4, max_size=4), genesis_root=roots)
def test_domain(version, genesis_root):
    expected = ForkData(current_version=version, genesis_validators_root=genesis_root).hash_tree_root()
    domain = t.compute_domain(t.DOMAIN_BEACON_ATTESTER, version, t.Root(genesis_root))
    assert domain == b"\1\0\0\0" + bytes(expected)[:28]


@given(object_root=roots, domain=roots)
def test_signing_root(object_root, domain):
    expected = SigningData(object_root=object_root, domain=domain).hash_tree_root()
    assert t.signing_root(t.Root(object_root), t.Domain(domain)) == bytes(expected)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((b"\1", bytes(4), bytes(32)), "domain type is 1 bytes long, expected 4"),
        ((bytes(4), b"", bytes(32)), "fork version is 0 bytes long, expected 4"),
        ((bytes(4), bytes(4), bytes(31)), "genesis validators root is 31 bytes long, expected 32"),
    ],
)
def test_domain_of_parts_of_a_wrong_length(arguments, text):
    with pytest.raises(ValueError, match=rf"^{text}$"):
        t.compute_domain(*arguments)
