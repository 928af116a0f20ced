"""The Beacon API client of the workers: blocking, thread-safe, one for all their talk with the beacon nodes.

Nodes are tried in the order of the settings; the first good answer counts. It survives the habits of nodes in use:
absent routes have older ones to fall back to, list parameters are repeated, a kept connection that the node closed is
opened again.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from ssv_pool import bounded_json
from ssv_pool.beacon import answers
from ssv_pool.beacon.answers import AnswerError, AttesterDuties, BeaconValidator, Refusal, SyncStatus
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import SignedAttestation
from ssv_pool.protocol.types.beacon import AttestationData
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Slot, ValidatorIndex

KEEP_ALIVE_SECONDS = 4.0
"""An unused connection is dropped after this; nodes close theirs after 5 s and more."""

CONNECT_SECONDS = 2.0
"""Time limit of one connection attempt."""

POST_VALIDATORS = 1000
"""Most validators asked for in one POST."""

GET_VALIDATORS = 50
"""Most validators asked for in one GET: its URL has 101 characters for each."""

_ABSENT = (404, 405, 501)

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class BeaconEvent:
    """One server-sent event."""

    topic: str
    """``head``, ``chain_reorg`` and the like."""
    data: dict[str, Any]
    """Its JSON."""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    params: dict[str, str | list[str]] | None = None
    body: Any = None
    headers: dict[str, str] | None = None
    timeout: float | None = None

    @property
    def endpoint(self) -> str:
        return f"{self.method} {self.path}"


class BeaconClient:
    """Talks with the own beacon nodes. Every method raises BeaconError when no node gives a good answer."""

    def __init__(
        self,
        urls: Sequence[str],
        timeout: float = 4.0,
        *,
        transport: Callable[[str], httpx.BaseTransport] | None = None,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            urls: base URLs, best first.
            timeout: time limit of one request in seconds.
            transport: makes the transport for a base URL, for tests.
        """
        if not urls:
            raise ValueError("no beacon node URL")
        limits = httpx.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=KEEP_ALIVE_SECONDS)
        self._clients = [
            httpx.Client(
                base_url=url,
                timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
                limits=limits,
                headers={"accept": "application/json"},
                # The nodes are the operator's own: a proxy of the surroundings has no part in it.
                trust_env=False,
                transport=transport(url) if transport else None,
            )
            for url in urls
        ]

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            client.close()

    def syncing(self) -> SyncStatus:
        """Where the first node that answers stands."""
        return self._ask(_Request("GET", "/eth/v1/node/syncing"), answers.sync_status)

    def chain(self) -> BeaconChain:
        """The chain's constants."""
        genesis = self._ask(_Request("GET", "/eth/v1/beacon/genesis"), _whole)
        spec = self._ask(_Request("GET", "/eth/v1/config/spec"), _whole)
        request = _Request("GET", "/eth/v1/config/fork_schedule")
        return self._ask(request, lambda schedule: answers.chain(genesis, spec, schedule))

    def validators(self, public_keys: Sequence[PublicKey]) -> list[BeaconValidator]:
        """What the head state says of these validators; those it does not know are left out."""
        path = "/eth/v1/beacon/states/head/validators"
        names = [f"0x{key.hex()}" for key in public_keys]
        try:
            requests = [_Request("POST", path, body={"ids": part}) for part in _parts(names, POST_VALIDATORS)]
            found = [validator for request in requests for validator in self._ask(request, answers.validators)]
        except BeaconError as error:
            if error.status not in _ABSENT:
                raise
            requests = [_Request("GET", path, params={"id": part}) for part in _parts(names, GET_VALIDATORS)]
            found = [validator for request in requests for validator in self._ask(request, answers.validators)]
        wanted = frozenset(public_keys)
        # A node that ignores the filter would answer with all the validators of the chain.
        return [validator for validator in found if validator.public_key in wanted]

    def attester_duties(self, epoch: Epoch, indices: Sequence[ValidatorIndex]) -> AttesterDuties:
        """The attestation duties of these validators in ``epoch`` (at most the next one)."""
        path = f"/eth/v1/validator/duties/attester/{epoch}"
        request = _Request("POST", path, body=[str(index) for index in indices])
        return self._ask(request, lambda body: answers.attester_duties(body, epoch))

    def attestation_data(
        self, slot: Slot, committee_index: int = 0, *, timeout: float | None = None
    ) -> AttestationData:
        """What an attestation of ``slot`` should say now."""
        params: dict[str, str | list[str]] = {"slot": str(slot), "committee_index": str(committee_index)}
        request = _Request("GET", "/eth/v1/validator/attestation_data", params=params, timeout=timeout)
        return self._ask(request, lambda body: answers.attestation_data(body, slot))

    def submit_attestations(
        self, fork: str, attestations: Sequence[SignedAttestation], *, timeout: float | None = None
    ) -> list[Refusal]:
        """Post attestations of one fork.

        Args:
            fork: name of the fork at their slot.
            attestations: in the order that a refusal's position counts.
            timeout: time limit in seconds.

        Returns:
            Those that the node refused; empty when it accepted all.

        Raises:
            BeaconError: no node took the batch; nothing is known of the single attestations.
        """
        single = answers.fork_is_at_least(fork, "electra")
        body = answers.single_attestations(attestations) if single else answers.phase0_attestations(attestations)
        headers = {"Eth-Consensus-Version": fork}
        path = "/eth/v2/beacon/pool/attestations"
        try:
            return self._publish(_Request("POST", path, body=body, headers=headers, timeout=timeout))
        except BeaconError as error:
            if single or error.status not in _ABSENT:
                raise
        return self._publish(_Request("POST", "/eth/v1/beacon/pool/attestations", body=body, timeout=timeout))

    def events(self, topics: Sequence[str], *, silence: float | None = None) -> Iterator[BeaconEvent]:
        """Server-sent events of the first node, until it ends the stream.

        Args:
            topics: the events wanted.
            silence: seconds without a sign of life after which the stream counts as broken; None for ever.

        Raises:
            BeaconError: the stream broke or could not be opened.
        """
        endpoint = "GET /eth/v1/events"
        timeout = httpx.Timeout(silence, connect=CONNECT_SECONDS)
        headers = {"accept": "text/event-stream"}
        try:
            with self._clients[0].stream(
                "GET", "/eth/v1/events", params={"topics": list(topics)}, timeout=timeout, headers=headers
            ) as response:
                if response.status_code != 200:
                    raise BeaconError(endpoint, response.status_code, answers.error_text(response.read()))
                topic = ""
                for line in response.iter_lines():
                    field, _, value = line.partition(":")
                    if field == "event":
                        topic = value.strip()
                    elif field == "data" and topic in topics:
                        yield _event(endpoint, topic, value)
        except httpx.HTTPError as error:
            raise BeaconError(endpoint, None, _reason(error)) from None

    def _ask(self, request: _Request, read: Callable[[Any], _Answer]) -> _Answer:
        """The first good answer."""
        return self._each(request, lambda client: _read(client, request, read))

    def _publish(self, request: _Request) -> list[Refusal]:
        return self._each(request, lambda client: _post_batch(client, request))

    def _each(self, request: _Request, attempt: Callable[[httpx.Client], _Answer]) -> _Answer:
        problem: BeaconError | None = None
        for client in self._clients:
            try:
                return attempt(client)
            except BeaconError as error:
                problem = problem or error.at(_name(client))
        raise problem or BeaconError(request.endpoint, None, "no node")


def _read(client: httpx.Client, request: _Request, read: Callable[[Any], _Answer]) -> _Answer:
    response = _send(client, request)
    if response.status_code != 200:
        raise BeaconError(request.endpoint, response.status_code, answers.error_text(response.content))
    try:
        return read(bounded_json.loads(response.content))
    except (ValueError, AnswerError) as error:
        raise BeaconError(request.endpoint, 200, f"bad answer: {error}") from None


def _post_batch(client: httpx.Client, request: _Request) -> list[Refusal]:
    response = _send(client, request)
    if response.is_success:
        return []
    try:
        refusals = answers.refusals(bounded_json.loads(response.content))
    except ValueError:
        refusals = []
    if not refusals:
        raise BeaconError(request.endpoint, response.status_code, answers.error_text(response.content))
    return refusals


def _send(client: httpx.Client, request: _Request) -> httpx.Response:
    timeout = httpx.USE_CLIENT_DEFAULT if request.timeout is None else httpx.Timeout(request.timeout)
    content = None if request.body is None else json.dumps(request.body, separators=(",", ":")).encode()
    headers = {**({"content-type": "application/json"} if content else {}), **(request.headers or {})}
    for attempt in (1, 2):
        started = time.monotonic()
        try:
            return client.request(
                request.method, request.path, params=request.params, content=content, headers=headers, timeout=timeout
            )
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
            # The node closed a kept connection just then. Everything that is sent here may be sent twice.
            if attempt == 2 or time.monotonic() - started > 1:
                raise BeaconError(request.endpoint, None, _reason(error)) from None
        except httpx.HTTPError as error:
            raise BeaconError(request.endpoint, None, _reason(error)) from None
    raise AssertionError("unreachable")


def _event(endpoint: str, topic: str, text: str) -> BeaconEvent:
    try:
        data = bounded_json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise BeaconError(endpoint, 200, f"bad answer: event {topic}: found {text[:60]!r}, expected an object")
    return BeaconEvent(topic, data)


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"timed out ({type(error).__name__})"
    return str(error) or type(error).__name__


def _name(client: httpx.Client) -> str:
    """A node in a message: its URL may hold a key, so scheme, host and port only."""
    url = client.base_url
    return f"{url.scheme}://{url.host}{f':{url.port}' if url.port else ''}"


def _whole(body: Any) -> Any:
    return body


def _parts(items: list[str], size: int) -> list[list[str]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
