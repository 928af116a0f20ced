import itertools
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssv_pool.protocol.ports import SlashableError
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Root, Slot
from ssv_pool.signer.slashing import Marks, SlashingProtection, SlashingProtectionError

A, B, C = (PublicKey(bytes([i]) * 48) for i in (1, 2, 3))
NAME_A = "share 0x" + "01" * 48


def root(number: int) -> Root:
    return Root(number.to_bytes(32, "big"))


@pytest.fixture
def protection(tmp_path: Path) -> SlashingProtection:
    opened = SlashingProtection(tmp_path / "slashing.sqlite")
    opened.raise_to([A, B], Epoch(9), Epoch(10), Slot(320))
    return opened


def attest(protection: SlashingProtection, share: PublicKey, source: int, target: int, number: int = 0) -> None:
    protection.record_attestations([share], [root(number)], Epoch(source), Epoch(target))


def refusal(protection: SlashingProtection, share: PublicKey, source: int, target: int, number: int = 0) -> str:
    before = protection.export_history()
    with pytest.raises(SlashableError) as caught:
        attest(protection, share, source, target, number)
    assert protection.export_history() == before
    return str(caught.value)


def test_attestations_in_order_are_recorded(protection: SlashingProtection) -> None:
    attest(protection, A, 9, 11, 1)
    attest(protection, A, 10, 12, 2)
    assert protection.marks(A) == Marks(9, 10, 320, 10, 12, 320)
    assert protection.marks(B) == Marks(9, 10, 320, 9, 10, 320)


def test_a_second_vote_for_a_target_is_refused(protection: SlashingProtection) -> None:
    attest(protection, A, 9, 11, 1)
    assert refusal(protection, A, 9, 11, 2) == (
        f"{NAME_A}: attestation with source epoch 9 and target epoch 11, slashable beside the signed one with source 9 "
        "and target 11"
    )
    assert refusal(protection, A, 10, 11, 1).endswith("slashable beside the signed one with source 9 and target 11")
    attest(protection, B, 9, 11, 2)


def test_the_very_same_vote_may_be_repeated(protection: SlashingProtection) -> None:
    attest(protection, A, 9, 11, 1)
    attest(protection, A, 10, 20, 2)
    before = protection.export_history()
    attest(protection, A, 9, 11, 1)
    assert protection.export_history() == before


def test_surrounding_and_surrounded_votes_are_refused(protection: SlashingProtection) -> None:
    attest(protection, A, 12, 15, 1)
    assert refusal(protection, A, 11, 16).endswith("slashable beside the signed one with source 12 and target 15")
    assert refusal(protection, A, 13, 14).endswith("slashable beside the signed one with source 12 and target 15")


def test_a_late_vote_that_harms_nobody_is_allowed(protection: SlashingProtection) -> None:
    attest(protection, A, 10, 12, 1)
    attest(protection, A, 10, 11, 2)
    assert protection.marks(A) == Marks(9, 10, 320, 10, 12, 320)


def test_nothing_under_the_floor_is_signed(protection: SlashingProtection) -> None:
    assert refusal(protection, A, 9, 10) == (
        f"{NAME_A}: attestation with source epoch 9 and target epoch 10, expected source >= 9 and target > 10 "
        "(lower bounds)"
    )
    assert refusal(protection, A, 8, 30).endswith("expected source >= 9 and target > 10 (lower bounds)")
    with pytest.raises(SlashableError) as caught:
        protection.record_block(A, Slot(320), root(1))
    assert str(caught.value) == f"{NAME_A}: block of slot 320, expected slot > 320 (lower bound)"


def test_an_unknown_share_signs_nothing(protection: SlashingProtection) -> None:
    text = f"share 0x{C.hex()}: not known to the slashing protection, expected it raised first"
    assert refusal(protection, C, 9, 11) == text
    with pytest.raises(SlashableError) as caught:
        protection.record_block(C, Slot(1000), root(1))
    assert str(caught.value) == text
    assert protection.slashable_attestations([A, C], Epoch(9), Epoch(11)) == [C]
    assert protection.slashable_block(C, Slot(1000))
    assert not protection.knows(C)


@pytest.mark.parametrize(("source", "target"), [(12, 11), (2**64 - 1, 11), (11, 2**63), (2**64 - 1, 2**64 - 1)])
def test_impossible_epochs_are_refused(protection: SlashingProtection, source: int, target: int) -> None:
    assert refusal(protection, A, source, target) == (
        f"{NAME_A}: attestation with source epoch {source} and target epoch {target}, "
        "expected source <= target <= 9223372036854775807"
    )
    assert protection.slashable_attestations([A], Epoch(source), Epoch(target)) == [A]


def test_impossible_slots_are_refused(protection: SlashingProtection) -> None:
    with pytest.raises(SlashableError):
        protection.record_block(A, Slot(2**64 - 1), root(1))
    assert protection.slashable_block(A, Slot(2**64 - 1))


def test_a_batch_is_recorded_whole_or_not_at_all(protection: SlashingProtection) -> None:
    attest(protection, B, 9, 11, 7)
    before = protection.export_history()
    with pytest.raises(SlashableError):
        protection.record_attestations([A, B], [root(8), root(8)], Epoch(9), Epoch(11))
    assert protection.export_history() == before
    assert protection.slashable_attestations([A, B], Epoch(9), Epoch(11)) == [B]
    protection.record_attestations([A, B], [root(8), root(7)], Epoch(9), Epoch(11))
    assert protection.slashable_attestations([A, B], Epoch(9), Epoch(11)) == [A, B]


def test_one_batch_cannot_contradict_itself(protection: SlashingProtection) -> None:
    with pytest.raises(SlashableError) as caught:
        protection.record_attestations([A, A], [root(1), root(2)], Epoch(9), Epoch(11))
    assert str(caught.value) == f"{NAME_A}: two signing roots for target epoch 11 at once, expected one"
    protection.record_attestations([A, A], [root(1), root(1)], Epoch(9), Epoch(11))


def test_an_empty_batch(protection: SlashingProtection) -> None:
    protection.record_attestations([], [], Epoch(9), Epoch(11))
    assert protection.slashable_attestations([], Epoch(9), Epoch(11)) == []


def test_blocks(protection: SlashingProtection) -> None:
    assert not protection.slashable_block(A, Slot(330))
    protection.record_block(A, Slot(330), root(1))
    protection.record_block(A, Slot(330), root(1))
    assert protection.slashable_block(A, Slot(330))
    with pytest.raises(SlashableError) as caught:
        protection.record_block(A, Slot(330), root(2))
    assert str(caught.value) == f"{NAME_A}: block of slot 330, slashable beside the signed one of that slot"
    protection.record_block(A, Slot(329), root(2))
    protection.record_block(B, Slot(330), root(2))
    assert protection.marks(A) == Marks(9, 10, 320, 9, 10, 330)


def test_marks_are_only_ever_raised(protection: SlashingProtection) -> None:
    protection.raise_to([A, C], Epoch(5), Epoch(20), Slot(3))
    assert protection.marks(A) == Marks(9, 20, 320, 9, 20, 320)
    assert protection.marks(B) == Marks(9, 10, 320, 9, 10, 320)
    assert protection.marks(C) == Marks(5, 20, 3, 5, 20, 3)
    with pytest.raises(SlashingProtectionError):
        protection.raise_to([A], Epoch(6), Epoch(5), Slot(0))
    with pytest.raises(SlashingProtectionError):
        protection.raise_to([A], Epoch(-1), Epoch(5), Slot(0))


def test_everything_is_there_after_reopening(protection: SlashingProtection, tmp_path: Path) -> None:
    attest(protection, A, 9, 11, 1)
    protection.record_block(B, Slot(400), root(5))
    before = protection.export_history()
    protection.close()
    protection.close()
    with SlashingProtection(tmp_path / "slashing.sqlite") as again:
        assert again.export_history() == before
        assert again.marks(A) == Marks(9, 10, 320, 9, 11, 320)
        assert refusal(again, A, 9, 11, 2)
        assert again.slashable_block(B, Slot(400))


def test_the_files_are_the_owner_s_alone(protection: SlashingProtection, tmp_path: Path) -> None:
    attest(protection, A, 9, 11, 1)
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert names == {"slashing.sqlite": 0o600, "slashing.sqlite-wal": 0o600, "slashing.sqlite.lock": 0o600}


def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "slashing.sqlite"
    SlashingProtection(path).close()
    path.chmod(0o644)
    with SlashingProtection(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_commits_are_synced(protection: SlashingProtection) -> None:
    assert protection._database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert protection._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_second_opening_is_refused(protection: SlashingProtection, tmp_path: Path) -> None:
    with pytest.raises(SlashingProtectionError, match=r"in use by another process \(pid \d+\); two must never sign"):
        SlashingProtection(tmp_path / "slashing.sqlite")
    link = tmp_path / "link.sqlite"
    link.symlink_to(tmp_path / "slashing.sqlite")
    with pytest.raises(SlashingProtectionError, match=r"in use by another process"):
        SlashingProtection(link)
    protection.close()
    SlashingProtection(link).close()


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "slashing.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(SlashingProtectionError) as caught:
        SlashingProtection(path)
    assert str(caught.value) == f"{path}: not a usable slashing protection file: file is not a database"
    assert path.read_bytes() == b"no database at all" * 100
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE something (value)")
    other.close()
    with pytest.raises(SlashingProtectionError) as caught:
        SlashingProtection(path)
    assert str(caught.value) == (f"{path}: not a slashing protection file of version 1 (application 0, version 0)")
    with pytest.raises(SlashingProtectionError, match="No such file or directory"):
        SlashingProtection(tmp_path / "absent" / "slashing.sqlite")


def test_a_damaged_file_is_refused(protection: SlashingProtection, tmp_path: Path) -> None:
    for target in range(11, 400):
        protection.record_attestations([A, B], [root(1), root(2)], Epoch(target - 1), Epoch(target))
    protection.close()
    path = tmp_path / "slashing.sqlite"
    raw = bytearray(path.read_bytes())
    raw[-4096:] = b"\xa5" * 4096
    path.write_bytes(raw)
    with pytest.raises(SlashingProtectionError, match=r"slashing.sqlite: (damaged|not a usable)"):
        SlashingProtection(path)


def test_a_failing_disk_records_nothing_and_forgets_nothing(protection: SlashingProtection) -> None:
    attest(protection, A, 9, 11, 1)
    before = protection.export_history()
    # A full disk, as SQLite sees it.
    pages = protection._database.execute("PRAGMA page_count").fetchone()[0]
    protection._database.execute(f"PRAGMA max_page_count = {pages}")
    shares = [PublicKey(i.to_bytes(48, "big")) for i in range(2000)]
    with pytest.raises(SlashingProtectionError, match=r"cannot be written: database or disk is full$"):
        protection.raise_to(shares, Epoch(9), Epoch(10), Slot(0))
    assert protection.export_history() == before
    assert not protection.knows(shares[0])
    assert refusal(protection, A, 9, 11, 2)
    protection._database.execute("PRAGMA max_page_count = 1000000")
    protection.raise_to(shares, Epoch(9), Epoch(10), Slot(0))
    assert protection.knows(shares[0])


def test_a_file_belongs_to_one_chain(protection: SlashingProtection) -> None:
    assert protection.genesis_validators_root() is None
    protection.bind(root(1))
    protection.bind(root(1))
    assert protection.genesis_validators_root() == root(1)
    with pytest.raises(SlashingProtectionError, match=r"belongs to the chain with genesis validators root 0x0+1, "):
        protection.bind(root(2))


def test_pruning_forgets_but_allows_nothing_more(protection: SlashingProtection) -> None:
    for target in range(11, 31):
        attest(protection, A, target - 1, target, target)
        protection.record_block(A, Slot(target * 32), root(target))
    attest(protection, B, 9, 11, 1)
    assert protection.prune(Epoch(25), Slot(25 * 32)) == 14 + 14 + 1
    assert protection.marks(A) == Marks(23, 24, 24 * 32, 29, 30, 30 * 32)
    assert protection.marks(B) == Marks(9, 24, 320, 9, 24, 320)
    assert refusal(protection, A, 23, 24, 24)
    assert refusal(protection, A, 22, 40)
    attest(protection, A, 29, 30, 30)
    assert protection.slashable_block(A, Slot(24 * 32))
    assert not protection.slashable_block(A, Slot(25 * 32 + 1))
    assert protection.prune(Epoch(25), Slot(25 * 32)) == 0


def test_repr_is_the_path(protection: SlashingProtection, tmp_path: Path) -> None:
    assert repr(protection) == f"SlashingProtection({tmp_path / 'slashing.sqlite'})"


def slashable(first: tuple[int, int, int], second: tuple[int, int, int]) -> bool:
    """The beacon chain's own rule (is_slashable_attestation_data): a double vote or a surround vote."""
    (s1, t1, r1), (s2, t2, r2) = first, second
    return (t1 == t2 and (s1, r1) != (s2, r2)) or (s1 < s2 and t2 < t1) or (s2 < s1 and t1 < t2)


votes = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 2), st.sampled_from([A, B])), max_size=40
)


@settings(max_examples=60, deadline=None)
@given(votes, st.booleans())
def test_what_is_signed_can_never_be_slashed(
    tmp_path_factory: pytest.TempPathFactory, attempts: list[tuple[int, int, int, PublicKey]], prune: bool
) -> None:
    """Random attempts: no signed pair is slashable, and what is refused is slashable, impossible or under the floor."""
    folder = tmp_path_factory.mktemp("slashing")
    signed: dict[PublicKey, set[tuple[int, int, int]]] = {A: set(), B: set()}
    try:
        with SlashingProtection(folder / "slashing.sqlite") as protection:
            protection.raise_to([A, B], Epoch(1), Epoch(2), Slot(0))
            for index, (source, target, number, share) in enumerate(attempts):
                if prune and index == 20:
                    protection.prune(Epoch(6), Slot(0))
                marks = protection.marks(share)
                assert marks is not None
                vote = (source, target, number)
                says = protection.slashable_attestations([share], Epoch(source), Epoch(target))
                try:
                    attest(protection, share, source, target, number)
                except SlashableError:
                    assert says == [share]
                    assert (
                        source > target
                        or source < marks.floor_source
                        or target <= marks.floor_target
                        or any(slashable(vote, old) for old in signed[share])
                    )
                else:
                    assert says == [] or vote in signed[share]
                    signed[share].add(vote)
            for share_votes in signed.values():
                assert not any(slashable(*pair) for pair in itertools.combinations(share_votes, 2))
    finally:
        shutil.rmtree(folder)
