"""What was attested in a slot, kept on the broker for a while: aggregates must be of the data that validators signed.

A worker that starts a slot's duties keeps its own view of it; one that posts what a committee decided keeps that. Any
worker may then fetch the aggregate. Without the broker, or after a restart of it, the beacon node is asked again.
"""

from dataclasses import replace
from typing import Any

import redis

from ssv_pool.messaging.commands import AttestationSubmission, SyncMessageSubmission
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.types.beacon import AttestationData
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.primitives import Root, Slot

_OWN = b"own"
"""The worker's own view: attestation data with index 0."""

_DECIDED = b"decided:"
"""Before a beacon committee's index: the data that an own committee decided for it."""

_HEAD = b"head"
"""The block root of the sync committee messages."""

_log = logger(__name__)


class Attested:
    """Thread-safe. A broker that does not answer is no error: what it should keep is a help only."""

    def __init__(self, client: redis.Redis, instance: str, keep_seconds: float) -> None:
        """Make one.

        Args:
            client: the broker.
            instance: the operator's key prefix.
            keep_seconds: how long a slot's data is kept.
        """
        self._client = client
        self._prefix = f"{instance}:attested:"
        self._keep_seconds = keep_seconds

    def keep_own(self, data: AttestationData) -> None:
        """Keep what the own beacon node says of a slot."""
        self._keep(data.slot, {_OWN: replace(data, index=0).encode()})

    def keep_decided(self, submission: AttestationSubmission | SyncMessageSubmission) -> None:
        """Keep what a committee decided and signed."""
        if isinstance(submission, SyncMessageSubmission):
            fields = {_HEAD: bytes(submission.messages[0].block_root)} if submission.messages else {}
        else:
            fields = {
                _DECIDED + str(item.committee_index).encode(): item.data.encode() for item in submission.attestations
            }
        self._keep(submission.slot, fields)

    def data_of(self, slot: Slot, committee_index: int) -> list[AttestationData]:
        """What was signed in a beacon committee of ``slot``, likeliest first, without repeats; with index 0."""
        fields = self._fields(slot)
        own_committee = _DECIDED + str(committee_index).encode()
        names = [own_committee, *sorted(name for name in fields if name.startswith(_DECIDED)), _OWN]
        found = (_decoded(fields[name]) for name in names if name in fields)
        return list(dict.fromkeys(replace(data, index=0) for data in found if data is not None))

    def heads_of(self, slot: Slot) -> list[Root]:
        """The block roots that sync committee members of ``slot`` signed, likeliest first; each 32 bytes."""
        fields = self._fields(slot)
        heads = [Root(fields[_HEAD])] if len(fields.get(_HEAD, b"")) == 32 else []
        names = [*sorted(name for name in fields if name.startswith(_DECIDED)), _OWN]
        voted = (_decoded(fields[name]) for name in names if name in fields)
        return list(dict.fromkeys(heads + [data.beacon_block_root for data in voted if data is not None]))

    def _keep(self, slot: Slot, fields: dict[bytes, bytes]) -> None:
        if not fields:
            return
        key = f"{self._prefix}{slot}"
        try:
            with self._client.pipeline(transaction=True) as pipe:
                pipe.hset(key, mapping=dict[Any, Any](fields))
                pipe.expire(key, int(self._keep_seconds) + 1)
                pipe.execute()
        except redis.RedisError as error:
            _log.debug("what was attested is not kept", slot=slot, problem=str(error).partition("\n")[0])

    def _fields(self, slot: Slot) -> dict[bytes, bytes]:
        try:
            found: Any = self._client.hgetall(f"{self._prefix}{slot}")
        except redis.RedisError as error:
            _log.debug("what was attested is not known", slot=slot, problem=str(error).partition("\n")[0])
            return {}
        return dict(found)


def _decoded(raw: bytes) -> AttestationData | None:
    try:
        return AttestationData.decode(raw)
    except ProtocolError:
        return None
