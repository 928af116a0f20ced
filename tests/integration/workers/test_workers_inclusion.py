"""What came into the chain is looked up by a real worker, and is in the journal then."""

import time
from dataclasses import replace

import pytest
from celery import Celery

from ssv_pool.messaging.broker import BrokerUrl
from ssv_pool.messaging.commands import committee_duty_key
from ssv_pool.messaging.tasks import celery_config
from ssv_pool.protocol.types import committee_id

pytestmark = pytest.mark.integration

COMMITTEES = ((1, 2, 3, 4), (1, 2, 3, 5))


def test_the_journal_says_what_is_in_the_chain_and_what_was_never_begun(operator, wait_until):
    operator.prepare(slot_seconds=1)
    operator.start_workers(1)
    slot = operator.slot()
    done, missed = (committee_duty_key(slot, committee_id(operators)) for operators in COMMITTEES)
    submission = operator.submission(done, [slot % 8])
    data = replace(submission.attestations[0].data, slot=slot)
    attestation = replace(submission.attestations[0], data=data)
    operator.sender().submit(replace(submission, slot=slot, attestations=(attestation,)))
    wait_until(lambda: done in operator.journal() and "accepted" in operator.journal()[done].steps)
    wait_until(lambda: operator.slot() > slot + 1)

    app = Celery(set_as_current=False)
    app.conf.update(celery_config(BrokerUrl.unix(operator.broker.socket), "op1"))
    app.send_task("ssv.check_inclusion", ("now", time.time() + 30, slot // 8), retry=False)
    wait_until(lambda: "included" in operator.journal()[done].steps)
    assert operator.journal()[done].steps["included"] == operator.start_of(slot + 1)
    assert operator.journal()[done].reason is None
    found = operator.journal()[missed]
    assert (found.outcome, found.reason) == ("failed", "not_started")
    assert found.detail == f"1 of 1 attestations not in the chain: validators {slot % 8 + 8}"
    assert operator.logs("Traceback") == []
