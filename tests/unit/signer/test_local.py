import copy
import logging
import pickle
import threading
import traceback
from contextlib import suppress
from pathlib import Path

import pytest

from ssv_pool.crypto import bls
from ssv_pool.protocol.ports import ShareSigner, SlashableError
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Root, Slot
from ssv_pool.signer.local import LocalSigner, UnknownShareError
from ssv_pool.signer.slashing import SlashingProtection, SlashingProtectionError

SECRETS = [0x1A2B3C4D5E6F708192A3B4C5D6E7F8091A2B3C4D5E6F708192A3B4C5D6E7F800 + i for i in range(3)]
SHARES = [bls.secret_to_public(secret) for secret in SECRETS]
ROOTS = [Root(bytes([7]) * 32), Root(bytes([7]) * 32), Root(bytes([8]) * 32)]


@pytest.fixture
def protection(tmp_path: Path) -> SlashingProtection:
    return SlashingProtection(tmp_path / "slashing.sqlite")


@pytest.fixture
def signer(protection: SlashingProtection) -> LocalSigner:
    signer: ShareSigner = LocalSigner(protection)
    assert isinstance(signer, LocalSigner)
    for share, secret in zip(SHARES, SECRETS, strict=True):
        signer.add(share, secret)
    signer.raise_protection(SHARES, Epoch(9), Epoch(10), Slot(320))
    return signer


def test_attestations_are_signed(signer: LocalSigner) -> None:
    signatures = signer.sign_attestations(SHARES, ROOTS, Epoch(10), Epoch(11))
    assert signatures == [bls.sign(secret, root) for secret, root in zip(SECRETS, ROOTS, strict=True)]
    assert signer.sign_attestations(SHARES, ROOTS, Epoch(10), Epoch(11)) == signatures
    assert signer.slashable_attestations(SHARES, Epoch(10), Epoch(11)) == SHARES


def test_the_record_is_committed_before_the_first_signature(
    signer: LocalSigner, protection: SlashingProtection, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    protection._database.set_trace_callback(lambda statement: order.append(statement.split(" ", 1)[0]))
    sign = bls.sign

    def spied(secret: int, root: bytes) -> bytes:
        assert not protection._database.in_transaction
        order.append("sign")
        return sign(secret, root)

    monkeypatch.setattr(bls, "sign", spied)
    signer.sign_attestations(SHARES[:2], ROOTS[:2], Epoch(10), Epoch(11))
    signer.sign_block(SHARES[0], ROOTS[0], Slot(400))
    assert order == [
        *["BEGIN", "INSERT", "INSERT", "INSERT", "INSERT", "COMMIT", "sign", "sign"],
        *["BEGIN", "INSERT", "INSERT", "COMMIT", "sign"],
    ]


def test_one_slashable_share_stops_the_whole_batch(signer: LocalSigner, monkeypatch: pytest.MonkeyPatch) -> None:
    signer.sign_attestations(SHARES[:1], ROOTS[:1], Epoch(10), Epoch(11))
    monkeypatch.setattr(bls, "sign", lambda *_: pytest.fail("signed"))
    with pytest.raises(SlashableError):
        signer.sign_attestations(SHARES, [ROOTS[2]] * 3, Epoch(10), Epoch(11))
    assert signer.slashable_attestations(SHARES, Epoch(10), Epoch(11)) == SHARES[:1]


def test_a_failing_record_stops_the_batch(
    signer: LocalSigner, protection: SlashingProtection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bls, "sign", lambda *_: pytest.fail("signed"))
    protection.close()
    with pytest.raises(SlashingProtectionError):
        signer.sign_attestations(SHARES, ROOTS, Epoch(10), Epoch(11))
    with pytest.raises(SlashingProtectionError):
        signer.sign_block(SHARES[0], ROOTS[0], Slot(400))


def test_a_share_that_is_not_held_stops_the_batch_before_the_record(signer: LocalSigner) -> None:
    signer.remove(SHARES[1])
    signer.remove(SHARES[1])
    with pytest.raises(UnknownShareError) as caught:
        signer.sign_attestations(SHARES, ROOTS, Epoch(10), Epoch(11))
    assert str(caught.value) == f"share 0x{SHARES[1].hex()}: not held by this signer"
    assert signer.slashable_attestations(SHARES, Epoch(10), Epoch(11)) == []
    assert signer.shares == {SHARES[0], SHARES[2]}


def test_a_share_that_comes_back_remembers(signer: LocalSigner) -> None:
    signer.sign_attestations(SHARES[:1], ROOTS[:1], Epoch(10), Epoch(11))
    signer.remove(SHARES[0])
    signer.add(SHARES[0], SECRETS[0])
    with pytest.raises(SlashableError):
        signer.sign_attestations(SHARES[:1], ROOTS[2:], Epoch(10), Epoch(11))


def test_a_share_without_protection_signs_nothing_slashable(signer: LocalSigner) -> None:
    share = bls.secret_to_public(5)
    signer.add(share, 5)
    with pytest.raises(SlashableError):
        signer.sign_attestations([share], ROOTS[:1], Epoch(10), Epoch(11))
    with pytest.raises(SlashableError):
        signer.sign_block(share, ROOTS[0], Slot(1000))
    assert signer.sign_roots([share], ROOTS[:1]) == [bls.sign(5, ROOTS[0])]


def test_blocks_are_signed_once_a_slot(signer: LocalSigner) -> None:
    assert not signer.slashable_block(SHARES[0], Slot(400))
    assert signer.sign_block(SHARES[0], ROOTS[0], Slot(400)) == bls.sign(SECRETS[0], ROOTS[0])
    assert signer.slashable_block(SHARES[0], Slot(400))
    with pytest.raises(SlashableError):
        signer.sign_block(SHARES[0], ROOTS[2], Slot(400))


def test_a_secret_of_another_share_is_refused(signer: LocalSigner) -> None:
    with pytest.raises(UnknownShareError) as caught:
        signer.add(SHARES[0], SECRETS[1])
    assert str(caught.value) == f"share 0x{SHARES[0].hex()}: the secret key given belongs to another public key"


def test_secrets_never_show(signer: LocalSigner, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    texts = [repr(signer), str(signer), f"{signer!r}"]
    attempts = [
        lambda: signer.add(SHARES[0], SECRETS[1]),
        lambda: signer.add(PublicKey(b""), SECRETS[1]),
        lambda: signer.sign_attestations(SHARES, ROOTS, Epoch(1), Epoch(2)),
        lambda: signer.sign_attestations([PublicKey(bytes(48))], ROOTS[:1], Epoch(10), Epoch(11)),
        lambda: signer.sign_attestations(SHARES, ROOTS[:1], Epoch(10), Epoch(12)),
        lambda: signer.sign_roots(SHARES, ROOTS[:1]),
        lambda: pickle.dumps(signer),
        lambda: copy.deepcopy(signer),
        lambda: copy.copy(signer),
    ]
    for attempt in attempts:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - each raises another, none may show a secret
            attempt()
        texts.append("".join(traceback.format_exception(caught.value)))
    shown = "\n".join([*texts, caplog.text]).lower()
    for secret in SECRETS:
        assert f"{secret:x}" not in shown
        assert str(secret) not in shown
    assert repr(signer) == "LocalSigner(3 shares)"


def test_of_two_votes_signed_by_two_threads_at_once_one_is_refused(signer: LocalSigner) -> None:
    """Check and record are one step: no thread gets between another's look and its note."""
    signed: list[tuple[int, Root]] = []

    def vote(target: int, root: Root, together: threading.Barrier) -> None:
        together.wait(10)
        with suppress(SlashableError):
            signer.sign_attestations(SHARES[:1], [root], Epoch(target - 1), Epoch(target))
            signed.append((target, root))

    for target in range(20, 60):
        together = threading.Barrier(4)
        threads = [threading.Thread(target=vote, args=(target, Root(bytes([n]) * 32), together)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert [target for target, _ in sorted(signed)] == list(range(20, 60))
