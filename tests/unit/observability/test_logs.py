"""Logs: both styles tell of an exception, neither shows what its functions held."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
from ssv_pool.observability.logs import configure_logging, logger

def work(share_key):
    raise ValueError("it failed")

configure_logging("INFO", "{style}", process="node")
log = logger("test")
try:
    work("5ec7e7")
except ValueError:
    log.exception("not done", slot=7)
log.debug("too low")
"""


def said(style: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(style=style)], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_traceback_has_no_local_variables(style: str) -> None:
    text = said(style)
    assert "ValueError: it failed" in text
    assert "share_key" not in text
    assert "5ec7e7" not in text
    assert "too low" not in text
    assert "Warning" not in text


def test_json_is_one_object_a_line() -> None:
    (line,) = said("json").splitlines()
    entry = json.loads(line)
    assert {key: entry[key] for key in ("event", "level", "logger", "process", "slot")} == {
        "event": "not done",
        "level": "error",
        "logger": "test",
        "process": "node",
        "slot": 7,
    }
