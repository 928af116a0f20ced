"""Finds, unpacks and reads the SSV specification's JSON tests.

The files are GPL test data, published beside the specification, and never part of this repository.
"""

import base64
import functools
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError, code_of_alan
from ssv_pool.protocol.types.messages import QBFTMessage, SignedSSVMessage, SSVMessage
from ssv_pool.protocol.types.primitives import CommitteeId, DomainType, MessageId, OperatorId, Root, Round, Slot
from ssv_pool.protocol.types.share import CommitteeMember, Operator

Json = Any

VECTORS = Path(os.environ.get("SSV_VECTORS") or Path(__file__).resolve().parents[2].parent / "shared" / "vectors")
"""Folder with the archives."""

WHERE = "the SSV spec test archives are not there: set SSV_VECTORS to the folder that holds {}"


@functools.cache
def module_folder(archive_name: str, module: str) -> Path | None:
    """Unpack one module of an archive once into a cache outside the repository; None where the archive is missing."""
    archive = VECTORS / archive_name
    if not archive.is_file():
        return None
    stat = archive.stat()
    tag = hashlib.sha256(f"{archive.resolve()}:{stat.st_size}:{stat.st_mtime_ns}:{module}".encode()).hexdigest()[:16]
    cache = Path(tempfile.gettempdir()) / f"ssv-vectors-{os.getuid()}"
    folder = cache / tag
    if not folder.is_dir():
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        unpacked = Path(tempfile.mkdtemp(dir=cache))
        with tarfile.open(archive) as tar:
            members = [m for m in tar if m.name.removeprefix("./").startswith(f"{module}/")]
            tar.extractall(unpacked, members=members, filter="data")
        try:
            unpacked.rename(folder)
        except OSError:  # another test process was faster
            shutil.rmtree(unpacked)
    return folder / module


def fixture_files(archive: str, module: str, prefix: str) -> list[Path]:
    """All files of one Go test type, sorted; empty where the archive is missing."""
    folder = module_folder(archive, module)
    if folder is None:
        return []
    return sorted((folder / "tests").glob(f"{prefix}_*.json"))


def read(path: Path) -> Json:
    """A file's JSON; the order of keys is kept."""
    return json.loads(path.read_text(encoding="utf-8"))


def expected_state(path: Path, name: str) -> Json | None:
    """The state_comparison file of a test; None where there is none."""
    go_type = path.name.split("_", 1)[0].replace(".", "_")
    found = path.parent.parent / "state_comparison" / go_type / f"{name}.json"
    return read(found) if found.is_file() else None


def unbase64(text: str | None) -> bytes:
    """Go's []byte; nil becomes empty."""
    return base64.b64decode(text) if text else b""


def raw_bytes(value: str | list[int]) -> bytes:
    """Go's byte array: hex, or a list of ints where Go had no addressable value."""
    return bytes.fromhex(value) if isinstance(value, str) else bytes(value)


def signed_message(value: Json) -> SignedSSVMessage:
    """A SignedSSVMessage."""
    inner = value["SSVMessage"]
    return SignedSSVMessage(
        signatures=tuple(unbase64(item) for item in value["Signatures"] or []),
        operator_ids=tuple(OperatorId(item) for item in value["OperatorIDs"] or []),
        ssv_message=SSVMessage(inner["MsgType"], MessageId(raw_bytes(inner["MsgID"])), unbase64(inner["Data"])),
        full_data=unbase64(value["FullData"]),
    )


def qbft_message(value: Json) -> QBFTMessage:
    """A QBFT Message."""
    return QBFTMessage(
        msg_type=value["MsgType"],
        height=Slot(value["Height"]),
        round=Round(value["Round"]),
        identifier=unbase64(value["Identifier"]),
        root=Root(raw_bytes(value["Root"])),
        data_round=Round(value["DataRound"]),
        round_change_justification=tuple(unbase64(item) for item in value["RoundChangeJustification"] or []),
        prepare_justification=tuple(unbase64(item) for item in value["PrepareJustification"] or []),
    )


def committee_member(value: Json) -> CommitteeMember:
    """A CommitteeMember."""
    return CommitteeMember(
        operator_id=OperatorId(value["OperatorID"]),
        committee_id=CommitteeId(raw_bytes(value["CommitteeID"])),
        operator_pubkey=unbase64(value["SSVOperatorPubKey"]),
        faulty_nodes=value["FaultyNodes"],
        committee=tuple(
            Operator(OperatorId(item["OperatorID"]), unbase64(item["SSVOperatorPubKey"])) for item in value["Committee"]
        ),
        domain_type=DomainType(raw_bytes(value["DomainType"])),
    )


def operator_private_keys(archive: str, module: str) -> set[bytes]:
    """The PEM of every operator's private key in a module's fixtures."""
    folder = module_folder(archive, module)
    files = (folder / "tests").glob("*.json") if folder is not None else ()
    return {
        bytes.fromhex(key)
        for path in files
        for key in (read(path).get("PrivateKeys") or {}).get("OperatorKeys", {}).values()
    }


def code_of(error: ProtocolError | None) -> ErrorCode | None:
    """The code a test compares: the outermost one; None where there is no error."""
    return None if error is None else error.outermost_code


def assert_outcome(error: ProtocolError | None, alan_code: int) -> None:
    """Compare the last error with a fixture's ExpectedErrorCode (0: there must be no error)."""
    if alan_code == 0:
        assert error is None, f"unexpected error: {error!r}"
        return
    expected = code_of_alan(alan_code)
    assert error is not None, f"expected {expected!r}, got no error"
    assert code_of(error) == expected, f"expected {expected!r}, got {code_of(error)!r}: {error}"
