"""The Celery side of the broker: one configuration for whoever sends tasks, and the node's way to send them.

Workers build their app from the same configuration, so that sender and worker can never disagree about a queue's name.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import redis
from celery import Celery
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError, OperationalError

from ssv_pool.errors import UnavailableError
from ssv_pool.messaging.broker import CONNECT_SECONDS, SOCKET_SECONDS, BrokerUrl
from ssv_pool.messaging.codec import CodecError
from ssv_pool.messaging.commands import (
    JOURNAL,
    REQUESTS,
    SUBMISSIONS,
    BeaconRequest,
    BlockSubmission,
    JournalEntries,
    JournalEntry,
    StoredBlockSubmission,
    Submission,
)
from ssv_pool.messaging.payloads import INLINE_BYTES, Payloads
from ssv_pool.protocol.events import AskKind

SUBMIT = "ssv.submit"
"""Task: post something signed. Payload: one of SUBMISSIONS."""

ASK_BEACON = "ssv.ask_beacon"
"""Task: fetch an object from the beacon node. Payload: BeaconRequest."""

RECORD_DUTY = "ssv.record_duty"
"""Task: keep duties' stories. Payload: JournalEntry or JournalEntries."""

URGENT, ORDINARY = 0, 5
"""Priorities of tasks. A worker that is free takes urgent ones first: proposals, and all that belongs to them."""

VISIBILITY_SECONDS = 10
"""After this time a task that a worker took and neither finished nor gave back is given to another.

It has to be longer than any wait inside a task, or tasks run twice; claims make that harmless.
"""

EXPIRY_SECONDS = 30.0
"""So long after its deadline the broker drops a task unseen."""

JOURNAL_SECONDS = 60.0
"""How long a journal entry may wait for a broker that is away."""


def celery_config(broker: BrokerUrl, instance: str) -> dict[str, Any]:
    """The settings that sender and worker share."""
    return {
        "broker_url": broker.celery_url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "global_keyprefix": f"{instance}:",
            "visibility_timeout": VISIBILITY_SECONDS,
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": SOCKET_SECONDS,
            "priority_steps": [URGENT, ORDINARY],
        },
        "task_default_queue": "duties",
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "enable_utc": True,
    }


class TaskSender:
    """Sends the node's tasks to the workers. Thread-safe; blocks, so call it from a thread."""

    def __init__(
        self,
        broker: BrokerUrl,
        instance: str,
        *,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._app = Celery("ssv_pool", set_as_current=False)
        self._app.conf.update(celery_config(broker, instance))
        self._client = broker.client()
        self._payloads = Payloads(self._client, instance, clock)
        self._clock = clock
        self._pause = pause

    def submit(self, submission: Submission) -> None:
        """Have something posted; tries until the deadline. Raises UnavailableError when the broker stays away."""
        urgent = isinstance(submission, BlockSubmission)
        payload = SUBMISSIONS.encode(
            self._store(submission) if isinstance(submission, BlockSubmission) else submission
        ).decode()
        self._send(SUBMIT, payload, submission.key, submission.deadline, URGENT if urgent else ORDINARY)

    def ask_beacon(self, request: BeaconRequest) -> None:
        """Have an object fetched; tries until the deadline. Raises UnavailableError when the broker stays away."""
        priority = URGENT if request.kind is AskKind.BLOCK else ORDINARY
        self._send(ASK_BEACON, REQUESTS.encode(request).decode(), request.key, request.deadline, priority)

    def record_duties(self, entries: JournalEntries) -> None:
        """Have duties' stories kept; tries for a minute. Raises UnavailableError when the broker stays away."""
        self._send(RECORD_DUTY, JOURNAL.encode(entries).decode(), entries.key, self._clock() + JOURNAL_SECONDS)

    def record_duty(self, entry: JournalEntry) -> None:
        """Have one duty's story kept: ``record_duties``."""
        self.record_duties(JournalEntries((entry,)))

    def close(self) -> None:
        """Close the connections to the broker."""
        self._app.close()
        self._client.close()

    def _store(self, submission: BlockSubmission) -> BlockSubmission | StoredBlockSubmission:
        """Lay a large block beside its task; where the broker does not take it now the task carries it."""
        if len(submission.signed_block) <= INLINE_BYTES:
            return submission
        try:
            name = self._payloads.put(submission.signed_block, submission.deadline, kept=EXPIRY_SECONDS)
        except redis.RedisError:
            return submission
        return StoredBlockSubmission(replace(submission, signed_block=b""), name)

    def _send(self, name: str, payload: str, key: str, deadline: float, priority: int = ORDINARY) -> None:
        wait = 0.05
        while True:
            try:
                # Past the deadline by a little: the task says itself that it came too late.
                expires = datetime.fromtimestamp(deadline + EXPIRY_SECONDS, UTC)
                self._app.send_task(
                    name, (payload,), expires=expires, priority=priority, retry=False, ignore_result=True
                )
            except (OperationalError, KombuError, CeleryError, OSError) as error:
                if self._clock() + wait >= deadline:
                    problem = str(error).partition("\n")[0]
                    raise UnavailableError(f"broker: task {name} for {key} not sent in time: {problem}") from None
                self._pause(wait)
                wait = min(2 * wait, 1.0)
            else:
                return


def read_submission(payload: str, payloads: Payloads) -> Submission:
    """The submission that the task ``submit`` was given.

    Raises:
        CodecError: it is malformed, or its block is not there any more.
        redis.RedisError: the broker does not answer.
    """
    submission: Submission | StoredBlockSubmission = SUBMISSIONS.decode(payload)
    if not isinstance(submission, StoredBlockSubmission):
        return submission
    block = payloads.get(submission.name)
    if block is None:
        raise CodecError(f"submission {submission.key}: its block has expired")
    return replace(submission.block, signed_block=block)
