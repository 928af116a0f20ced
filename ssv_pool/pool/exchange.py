"""How members hear of each other's signatures: each node API serves what its own member has signed, keepers fetch it.

Nothing is pushed and nothing is done on request. What is fetched is bounded, read strictly, and kept only where the
signature is a member's; whether a message is right is judged by own data elsewhere.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from ssv_pool import bounded_json
from ssv_pool.pool.approvals import Domain, MessageError, Signed, body_of, checked, digest, read_message
from ssv_pool.store.database import Database
from ssv_pool.store.pool import MESSAGES_PATH, SERVED_MESSAGES, SignedRecord, keep_message, own_messages

MAX_BYTES: Final = 512 * 1024
"""Most bytes that are read of a member's answer."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one member's node answered."""

    peer: str
    """Host and port."""
    messages: tuple[Signed, ...]
    problem: str | None
    """Why nothing, or not all, could be taken; None where all is well."""


def publish(database: Database, domain: Domain, signed: Signed, now: float) -> None:
    """Store what was signed; from then on it is served. The same twice changes nothing."""
    record = SignedRecord(
        kind=signed.message.KIND,
        body=body_of(signed.message),
        digest=digest(domain, signed.message),
        signer=signed.signer,
        signature=signed.signature,
        signed_at=now,
    )
    with database.session() as session:
        keep_message(session, record)


def own(database: Database, domain: Domain, member: bytes, now: float) -> tuple[Signed, ...]:
    """What the member has signed for this contract. Raises UnavailableError: the store does not answer."""
    with database.read() as session:
        records = own_messages(session, now)
    found = []
    for record in records:
        message = read_message(record.kind, record.body)
        # A store that has seen another contract or another key still has their messages.
        if record.signer == member and record.digest == digest(domain, message):
            found.append(Signed(message, record.signer, record.signature))
    return tuple(found)


class Peers:
    """Fetches what other members have signed; what was read once is not checked again.

    Args:
        urls: base URLs of their node APIs.
        timeout: seconds for one member's answer as a whole.
        transport: for tests.
        clock: seconds from any start.
    """

    def __init__(
        self,
        urls: Sequence[str],
        timeout: float,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._urls = tuple(urls)
        self._timeout = timeout
        self._clock = clock
        self._http = httpx.Client(timeout=timeout, transport=transport, follow_redirects=False, trust_env=False)
        self._known: dict[tuple[str, ...], Signed] = {}

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def fetch(self, domain: Domain, members: Collection[bytes]) -> list[Fetched]:
        """Ask every member's node, one after the other; raises nothing for one that fails."""
        known: dict[tuple[str, ...], Signed] = {}
        answers = [self._fetch(url, domain, members, known) for url in self._urls]
        self._known = known
        return answers

    def _fetch(
        self, url: str, domain: Domain, members: Collection[bytes], known: dict[tuple[str, ...], Signed]
    ) -> Fetched:
        # The address may hold a password: only host and port are named.
        peer = urlsplit(url).netloc.rpartition("@")[2]
        try:
            entries = self._entries(url)
        except (httpx.HTTPError, ValueError) as error:
            text = str(error).partition("\n")[0][:200] or type(error).__name__
            return Fetched(peer, (), text if isinstance(error, ValueError) else type(error).__name__)
        found: list[Signed] = []
        problem = None
        for entry in entries[:SERVED_MESSAGES]:
            try:
                signed = self._read(entry, domain, known)
            except MessageError as error:
                problem = str(error)
                continue
            if signed.signer in members:
                found.append(signed)
            else:
                problem = f"a {signed.message.KIND} is signed by 0x{signed.signer.hex()}, who is no member"
        return Fetched(peer, tuple(found), problem)

    def _entries(self, url: str) -> list[Any]:
        """Raises httpx.HTTPError, ValueError: the answer is not what is expected."""
        deadline = self._clock() + self._timeout
        raw = bytearray()
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        with self._http.stream("GET", f"{url}{MESSAGES_PATH}", headers=headers) as response:
            if response.status_code != 200:
                raise ValueError(f"answers with status {response.status_code}")
            # What is packed is bounded only when it is unpacked: too late.
            if response.headers.get("content-encoding", "identity") != "identity":
                raise ValueError("answers in a packed form")
            for part in response.iter_bytes():
                raw += part
                if len(raw) > MAX_BYTES:
                    raise ValueError(f"answers with more than {MAX_BYTES} bytes")
                if self._clock() > deadline:
                    raise ValueError(f"takes longer than {self._timeout:g} s to answer")
        try:
            content = bounded_json.loads(bytes(raw))
        except ValueError:
            raise ValueError("its answer is not JSON") from None
        entries = content.get("messages") if isinstance(content, Mapping) else None
        if not isinstance(entries, list):
            raise ValueError("its answer has no list of messages")  # noqa: TRY004 - about what came, as the others
        return entries

    def _read(self, entry: object, domain: Domain, known: dict[tuple[str, ...], Signed]) -> Signed:
        if not isinstance(entry, Mapping) or set(entry) != {"kind", "body", "signature"}:
            raise MessageError("message: expected an object with kind, body and signature")
        text = entry["signature"]
        if not isinstance(text, str) or len(text) != 132 or not text.startswith("0x"):
            raise MessageError("signature: expected 0x and 130 hex digits")
        try:
            signature = bytes.fromhex(text[2:])
        except ValueError:
            raise MessageError("signature: expected 0x and 130 hex digits") from None
        message = read_message(entry["kind"], entry["body"])
        name = (domain.contract, str(domain.chain_id), digest(domain, message).hex(), text)
        signed = self._known.get(name) or checked(domain, message, signature)
        known[name] = signed
        return signed
