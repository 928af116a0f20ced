"""The specification's consensus tests, both releases, every file that is there; and that each of them can fail."""

import copy
from dataclasses import replace

import pytest
from spec_suite import parameters

from ssv_pool.spectests import run
from ssv_pool.spectests.model import MismatchError, SpecTest
from ssv_pool.spectests.registry import lookup

FILES = parameters("qbft")

HAVE_STATES = ("tests.MsgProcessingSpecTest", "tests.ControllerSpecTest")


@pytest.mark.parametrize("file", FILES)
def test_qbft(file):
    result = run.run_file(file)
    assert (result.tests, result.failures) == (1, ())


@pytest.mark.parametrize("file", FILES)
def test_other_expectations_fail(file, monkeypatch):
    registered = lookup(file.module, file.go_type)
    (test,) = run.tests_of(file, registered)
    changes = []
    if "ExpectedErrorCode" in test.content:
        changes.append({"ExpectedErrorCode": test["ExpectedErrorCode"] + 1})
    if test.get("OutputMessages"):
        changes.append({"OutputMessages": test["OutputMessages"][1:]})
    if test.get("ExpectedTimerState"):
        timer = test["ExpectedTimerState"]
        changes.append({"ExpectedTimerState": timer | {"Timeouts": timer["Timeouts"] + 1}})
    if test.get("ExpectedRoot"):
        changes.append({"ExpectedRoot": "00" * 32})
    if test.get("Proposers"):
        changes.append({"Proposers": [proposer + 1 for proposer in test["Proposers"]]})
    if test.get("PostRoot") and file.go_type == "timeout.SpecTest":
        changes.append({"PostRoot": "00" * 32})
    assert changes
    for change in changes:
        with pytest.raises(MismatchError):
            registered.run(replace(test, content=test.content | change))
    if file.go_type in HAVE_STATES:
        expected_state = SpecTest.expected_state

        def other(test, prefix=""):
            state = copy.deepcopy(expected_state(test, prefix))
            last = state[-1] if isinstance(state, list) else state
            last["Height"] += 1
            return state

        monkeypatch.setattr(SpecTest, "expected_state", other)
        with pytest.raises(MismatchError, match="Height is"):
            registered.run(test)
