import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.errors import KeyFileError
from ssv_pool.network.identity import SECP256K1_ORDER, identity_from_secret, load_or_create


@given(st.integers(min_value=1, max_value=SECP256K1_ORDER - 1))
def test_peer_id_has_the_form_of_a_secp256k1_identity(scalar: int) -> None:
    identity = identity_from_secret(scalar.to_bytes(32, "big"))

    assert identity.peer_id.startswith("16Uiu2HA")
    assert identity.peer_id_bytes[:6] == bytes.fromhex("002508021221")
    assert len(identity.peer_id_bytes) == 39
    assert base58.b58encode(identity.peer_id_bytes).decode() == identity.peer_id


def test_peer_id_equals_libp2p() -> None:
    from libp2p.crypto.secp256k1 import Secp256k1PrivateKey
    from libp2p.peer.id import ID

    secret = bytes(range(1, 33))

    assert identity_from_secret(secret).peer_id == str(ID.from_pubkey(Secp256k1PrivateKey.new(secret).get_public_key()))


def test_secret_is_not_shown() -> None:
    identity = identity_from_secret(bytes([7]) * 32)

    assert "07" * 4 not in repr(identity)
    assert "secret" not in repr(identity)


def test_file_is_made_once_and_private(tmp_path) -> None:
    path = tmp_path / "p2p.key"

    made = load_or_create(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create(path) == made


@pytest.mark.parametrize("text", ["", "zz", "00" * 32, "ff" * 32, "11" * 31])
def test_file_without_a_key_is_refused(tmp_path, text: str) -> None:
    path = tmp_path / "p2p.key"
    path.write_text(text)
    path.chmod(0o600)

    with pytest.raises(KeyFileError) as caught:
        load_or_create(path)

    assert str(caught.value) == f"network key {path}: not a secp256k1 private key, expected 64 hex digits"


def test_file_that_others_can_read_is_refused(tmp_path) -> None:
    path = tmp_path / "p2p.key"
    path.write_text("11" * 32)
    path.chmod(0o644)

    with pytest.raises(KeyFileError) as caught:
        load_or_create(path)

    assert str(caught.value) == f"network key {path}: mode 0644 lets others read it, expected 0600"
