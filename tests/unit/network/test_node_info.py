"""Node info and its envelope: what we write others read, and what others may write harms nobody."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssv_pool.network.errors import HandshakeError
from ssv_pool.network.frames import encode_varint
from ssv_pool.network.identity import identity_from_secret, new_identity
from ssv_pool.network.node_info import (
    MAX_INFO_SIZE,
    NodeInfo,
    decode_subnets,
    encode_subnets,
    printable,
    seal,
    unseal,
)

ME = identity_from_secret(bytes(31) + b"\1")
INFO = NodeInfo("0x00000402", "ssv-pool/0.1.0", "geth/1", "lodestar/1", frozenset({0, 9, 127}))

TEXT = st.text(st.characters(categories=["L", "N"]), max_size=40)
INFOS = st.builds(NodeInfo, TEXT, TEXT, TEXT, TEXT, st.frozensets(st.integers(0, 127)))


def test_the_payload_is_what_the_networks_clients_write():
    metadata = (
        '{"NodeVersion":"ssv-pool/0.1.0","ExecutionNode":"geth/1","ConsensusNode":"lodestar/1",'
        '"Subnets":"01020000000000000000000000000080"}'
    )
    assert json.loads(INFO.encode()) == {"Entries": ["", "0x00000402", metadata]}


@given(INFOS)
def test_what_is_written_is_read(info):
    assert NodeInfo.decode(info.encode()) == info


@given(st.frozensets(st.integers(0, 127)))
def test_subnets_are_bits_the_lowest_first(subnets):
    text = encode_subnets(subnets)
    raw = bytes.fromhex(text)
    assert len(text) == 32
    assert {subnet for subnet in range(128) if raw[subnet // 8] >> subnet % 8 & 1} == subnets
    assert decode_subnets(text) == subnets


@settings(max_examples=20)
@given(INFOS)
def test_an_envelope_is_opened_under_the_id_of_who_sealed_it(info):
    assert unseal(seal(info, ME), ME.peer_id_bytes) == info


def test_the_envelope_is_libp2ps():
    from libp2p.peer.envelope import make_unsigned, unmarshal_envelope

    envelope = unmarshal_envelope(seal(INFO, ME))
    envelope.validate("ssv")
    assert (envelope.payload_type, envelope.raw_payload) == (b"ssv/nodeinfo", INFO.encode())
    assert envelope.public_key.verify(make_unsigned("ssv", b"ssv/nodeinfo", INFO.encode()), envelope.signature)


def test_an_envelope_that_libp2p_sealed_is_opened():
    from libp2p.crypto.secp256k1 import Secp256k1PrivateKey
    from libp2p.peer.envelope import Envelope, make_unsigned

    key = Secp256k1PrivateKey.new(ME.secret)
    signature = key.sign(make_unsigned("ssv", b"ssv/nodeinfo", INFO.encode()))
    envelope = Envelope(key.get_public_key(), b"ssv/nodeinfo", INFO.encode(), signature)
    assert unseal(envelope.marshal_envelope(), ME.peer_id_bytes) == INFO


def test_another_peers_envelope_is_refused():
    with pytest.raises(HandshakeError, match="another key than the peer's"):
        unseal(seal(INFO, new_identity()), ME.peer_id_bytes)


def test_no_byte_of_an_envelope_can_be_changed():
    sealed = seal(INFO, ME)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(HandshakeError):
            unseal(bytes(changed), ME.peer_id_bytes)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x0a",
        b"\x0a\x7f",
        b"\x08\x01",
        b"\xff" * 11,
        seal(INFO, ME)[:-1],
        seal(INFO, ME) * 2,
        seal(INFO, ME) + b"\0" * (MAX_INFO_SIZE + 1),
        encode_varint(1 << 3 | 2) + encode_varint(2**63) + b"x",
    ],
    ids=range(9),
)
def test_malformed_envelopes_are_refused(raw):
    with pytest.raises(HandshakeError):
        unseal(raw, ME.peer_id_bytes)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(raw):
    with pytest.raises(HandshakeError):
        unseal(raw, ME.peer_id_bytes)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"Entries":null}',
        b'{"Entries":["","0x00000402",3]}',
        b'{"Entries":[""]}',
        b'{"Entries":["","0x00000402","{}{"]}',
        b'{"Entries":["","0x00000402","[]"]}',
        b'{"Entries":["","0x00000402","{\\"NodeVersion\\":1}"]}',
        b'{"Entries":["","0x00000402","{\\"Subnets\\":\\"00\\"}"]}',
        b'{"Entries":["","0x00000402","{\\"Subnets\\":\\"' + b"zz" * 16 + b'\\"}"]}',
        b"[" * 16_000,
        b'{"Entries":["","", "' + b"[" * 15_000 + b'"]}',
        b"9" * 16_000,
        b"\xff\xfe",
    ],
    ids=range(16),
)
def test_malformed_payloads_are_refused(payload):
    with pytest.raises(HandshakeError):
        NodeInfo.decode(payload)


@settings(max_examples=200)
@given(st.binary(max_size=100))
def test_no_payload_raises_anything_else(payload):
    try:
        NodeInfo.decode(payload)
    except HandshakeError:
        return


def test_metadata_may_be_missing_and_its_subnets_too():
    assert NodeInfo.decode(b'{"Entries":["","0x00000402"]}') == NodeInfo("0x00000402", subnets=None)
    assert NodeInfo.decode(b'{"Entries":["","0x00000402","{}"]}') == NodeInfo("0x00000402", subnets=None)


def test_a_peers_text_is_cut_and_harmless_in_a_log():
    assert printable("a\x1b[31m\nb") == "a?[31m?b"
    assert len(printable("x" * 10_000)) == 256
