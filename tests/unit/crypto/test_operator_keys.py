import base64
import copy
import pickle
import traceback

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from ssv_pool.crypto import bls, operator_keys
from ssv_pool.crypto.operator_keys import OperatorKeyError, OperatorKeyring, ShareError
from ssv_pool.protocol.types.primitives import PublicKey


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return operator_keys.generate()


@pytest.fixture(scope="module")
def keyring(private_key: rsa.RSAPrivateKey) -> OperatorKeyring:
    return OperatorKeyring(private_key)


@pytest.fixture(scope="module")
def other() -> OperatorKeyring:
    return OperatorKeyring(operator_keys.generate())


def test_public_key_forms(private_key: rsa.RSAPrivateKey, keyring: OperatorKeyring) -> None:
    pem = keyring.public_key
    assert len(pem) == 459
    assert pem.startswith(b"-----BEGIN RSA PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A")
    assert pem.endswith(b"\n-----END RSA PUBLIC KEY-----\n")
    assert operator_keys.public_key_from_pem(pem).public_numbers() == private_key.public_key().public_numbers()
    text = operator_keys.public_key_to_base64(pem)
    assert text == keyring.public_key_base64
    assert len(text) == 612
    assert operator_keys.public_key_from_base64(text) == pem


def test_public_keys_written_otherwise_come_out_the_same(keyring: OperatorKeyring) -> None:
    pem = keyring.public_key
    for written in (
        pem.rstrip(),
        pem.replace(b"\n", b"\r\n"),
        pem.replace(b"RSA PUBLIC KEY", b"PUBLIC KEY"),
        b"\n" + pem + b"\n",
    ):
        assert operator_keys.public_key_from_base64(operator_keys.public_key_to_base64(written)) == pem


def spki(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return b"-----BEGIN RSA PUBLIC KEY-----\n" + base64.b64encode(der) + b"\n-----END RSA PUBLIC KEY-----\n"


@pytest.mark.parametrize(
    ("pem", "text"),
    [
        (b"", "operator public key: not PEM text labelled RSA PUBLIC KEY"),
        (b"junk", "operator public key: not PEM text labelled RSA PUBLIC KEY"),
        (
            b"-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "operator public key: not PEM text labelled RSA PUBLIC KEY",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "operator public key: not PEM text labelled RSA PUBLIC KEY",
        ),
        (
            b"-----BEGIN RSA PUBLIC KEY-----\nAAA\n-----END RSA PUBLIC KEY-----\n",
            "operator public key: the PEM body is not a DER public key",
        ),
        (
            b"-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n",
            "operator public key: the PEM body is not a DER public key",
        ),
        (
            spki(ec.generate_private_key(ec.SECP256R1()).public_key()),
            "operator public key: not an RSA key of 2048 bits",
        ),
        (
            spki(rsa.generate_private_key(65537, 1024).public_key()),
            "operator public key: not an RSA key of 2048 bits",
        ),
    ],
)
def test_other_texts_are_no_public_keys(pem: bytes, text: str) -> None:
    with pytest.raises(OperatorKeyError) as caught:
        operator_keys.public_key_from_pem(pem)
    assert str(caught.value) == text
    assert not operator_keys.verify(pem, b"message", bytes(256))


def test_a_huge_exponent_is_refused(private_key: rsa.RSAPrivateKey) -> None:
    modulus = private_key.public_key().public_numbers().n
    pem = operator_keys.public_key_to_pem(rsa.RSAPublicNumbers(2**31 + 1, modulus).public_key())
    with pytest.raises(OperatorKeyError, match=r"^operator public key: exponent over 2147483647$"):
        operator_keys.public_key_from_pem(pem)


def test_text_that_is_not_base64() -> None:
    for text in ("?", "ä", "AAA"):
        with pytest.raises(OperatorKeyError, match=r"^operator public key: not base64 text$"):
            operator_keys.public_key_from_base64(text)


def test_signatures(keyring: OperatorKeyring, other: OperatorKeyring) -> None:
    signature = keyring.sign(b"message")
    assert len(signature) == 256
    assert signature == keyring.sign(b"message")
    assert other.verify(keyring.public_key, b"message", signature)
    assert not other.verify(other.public_key, b"message", signature)
    assert not other.verify(keyring.public_key, b"massage", signature)
    assert not other.verify(keyring.public_key, b"message", signature[:-1])
    assert not other.verify(keyring.public_key, b"message", signature + b"\0")
    assert not other.verify(keyring.public_key, b"message", b"\xff" * 256)


def test_what_was_found_valid_is_remembered_for_exactly_these_bytes(
    keyring: OperatorKeyring, other: OperatorKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[bytes] = []
    check = operator_keys.verify

    def counting(public_key: bytes, message: bytes, signature: bytes) -> bool:
        checked.append(message)
        return check(public_key, message, signature)

    monkeypatch.setattr(operator_keys, "verify", counting)
    monkeypatch.setattr(operator_keys, "_REMEMBERED_SIGNATURES", 2)
    message = b"commit of round 1"
    signature = other.sign(message)
    fresh = OperatorKeyring(operator_keys.generate())
    assert [fresh.verify(other.public_key, message, signature) for _ in range(3)] == [True] * 3
    assert checked == [message]
    # The same bytes cut elsewhere, another message, another key: none of them is what was found valid.
    assert not fresh.verify(other.public_key, message[1:], signature + message[:1])
    assert not fresh.verify(other.public_key, signature[-1:] + message, signature[:-1])
    assert not fresh.verify(other.public_key, b"commit of round 2", signature)
    assert not fresh.verify(fresh.public_key, message, signature)
    # An own signature needs no check; two generations later it does again.
    own = fresh.sign(message)
    checked.clear()
    assert fresh.verify(fresh.public_key, message, own)
    assert checked == []
    for number in range(4):
        fresh.sign(b"%d" % number)
    assert fresh.verify(fresh.public_key, message, own)
    assert checked == [message]


def test_private_key_pem(private_key: rsa.RSAPrivateKey) -> None:
    pem = operator_keys.private_key_to_pem(private_key)
    assert pem.startswith(b"-----BEGIN RSA PRIVATE KEY-----\n")
    assert operator_keys.private_key_from_pem(pem).private_numbers() == private_key.private_numbers()


def test_damaged_private_keys_are_refused_without_being_shown(private_key: rsa.RSAPrivateKey) -> None:
    pem = operator_keys.private_key_to_pem(private_key)
    small = operator_keys.private_key_to_pem(rsa.generate_private_key(65537, 1024))
    for damaged in (pem[:500], pem.replace(b"RSA PRIVATE", b"EC PRIVATE"), small, b"", pem[200:]):
        with pytest.raises(OperatorKeyError) as caught:
            operator_keys.private_key_from_pem(damaged)
        shown = "".join(traceback.format_exception(caught.value))
        assert not any(line in shown for line in damaged.decode().split("\n") if len(line) == 64)


def test_shares_decrypt_to_what_was_encrypted(keyring: OperatorKeyring) -> None:
    secret = bls.random_secret()
    ciphertext = operator_keys.encrypt_share(keyring.public_key, secret)
    assert len(ciphertext) == 256
    assert keyring.decrypt_share(ciphertext, bls.secret_to_public(secret)) == secret


def test_share_plaintext_is_hexadecimal_text(private_key: rsa.RSAPrivateKey, keyring: OperatorKeyring) -> None:
    ciphertext = operator_keys.encrypt_share(keyring.public_key, 0xABCDEF)
    assert private_key.decrypt(ciphertext, padding.PKCS1v15()) == b"0x" + b"abcdef".rjust(64, b"0")
    bare = private_key.public_key().encrypt(b"ABCDEF".rjust(64, b"0"), padding.PKCS1v15())
    assert keyring.decrypt_share(bare, bls.secret_to_public(0xABCDEF)) == 0xABCDEF


SECRET = 0x1234567890ABCDEF1234567890ABCDEF1234567890ABCDEF1234567890ABCDEF


def wrong_shares(private_key: rsa.RSAPrivateKey, other: OperatorKeyring) -> dict[str, bytes]:
    public = private_key.public_key()

    def encrypted(plaintext: bytes) -> bytes:
        return public.encrypt(plaintext, padding.PKCS1v15())

    good = operator_keys.encrypt_share(operator_keys.public_key_to_pem(public), SECRET)
    return {
        "empty": b"",
        "short": good[:-1],
        "long": good + b"\0",
        "zeros": bytes(256),
        "over the modulus": b"\xff" * 256,
        "damaged": good[:-1] + bytes([good[-1] ^ 1]),
        "for another operator": operator_keys.encrypt_share(other.public_key, SECRET),
        "another share": encrypted(f"0x{SECRET ^ 1:064x}".encode()),
        "raw bytes": encrypted(SECRET.to_bytes(32, "big")),
        "too short a number": encrypted(f"0x{SECRET:x}".encode()[:-1]),
        "zero": encrypted(b"0x" + b"0" * 64),
        "over the group order": encrypted(b"0x" + b"f" * 64),
        "not hexadecimal": encrypted(b"0x" + b"g" * 64),
        "trailing line break": encrypted(f"0x{SECRET:064x}\n".encode()),
    }


def test_wrong_shares_all_fail_alike_and_say_nothing_secret(
    private_key: rsa.RSAPrivateKey, keyring: OperatorKeyring, other: OperatorKeyring
) -> None:
    share = bls.secret_to_public(SECRET)
    for name, ciphertext in wrong_shares(private_key, other).items():
        with pytest.raises(ShareError) as caught:
            keyring.decrypt_share(ciphertext, share)
        assert str(caught.value) == (
            f"share 0x{share.hex()}: the encrypted share does not decrypt to its secret key with this operator's key"
        ), name
        shown = "".join(traceback.format_exception(caught.value)).lower()
        assert f"{SECRET:x}"[:16] not in shown
        assert str(SECRET) not in shown


def test_a_malformed_share_public_key_never_matches(keyring: OperatorKeyring) -> None:
    with pytest.raises(ShareError):
        keyring.decrypt_share(operator_keys.encrypt_share(keyring.public_key, 5), PublicKey(b""))


def test_a_keyring_shows_only_a_fingerprint_and_is_not_copied(keyring: OperatorKeyring) -> None:
    assert repr(keyring) == f"OperatorKeyring({operator_keys.fingerprint(keyring.public_key)})"
    assert f"{keyring}" == repr(keyring)
    with pytest.raises(TypeError):
        pickle.dumps(keyring)
    with pytest.raises(TypeError):
        copy.deepcopy(keyring)
