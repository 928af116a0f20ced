"""The specification's runner tests, both releases, every file that is there; and that each of them can fail."""

import copy
from dataclasses import replace

import pytest
from spec_suite import parameters

from ssv_pool.spectests import run
from ssv_pool.spectests.model import MismatchError, SpecTest
from ssv_pool.spectests.registry import lookup

FILES = parameters("ssv")

ROOT = "ab" * 32


@pytest.mark.parametrize("file", FILES)
def test_ssv(file):
    result = run.run_file(file)
    assert result.tests > 0
    assert result.failures == ()


@pytest.mark.parametrize("file", FILES)
def test_other_expectations_fail(file, monkeypatch):
    registered = lookup(file.module, file.go_type)
    test = run.tests_of(file, registered)[-1]
    changes = []
    if "ExpectedErrorCode" in test.content and not test.get("AnyError"):
        changes.append({"ExpectedErrorCode": test["ExpectedErrorCode"] + 1})
    if "BeaconBroadcastedRoots" in test.content:
        changes.append({"BeaconBroadcastedRoots": [*(test["BeaconBroadcastedRoots"] or []), ROOT]})
    if test.get("OutputMessages") and not file.go_type.startswith("newduty"):
        changes.append({"OutputMessages": test["OutputMessages"][1:]})
    if test.get("ExpectedResult"):
        changes.append({"ExpectedResult": "AAAA"})
    if "ExpectedQuorum" in test.content:
        changes.append({"ExpectedQuorum": not test["ExpectedQuorum"]})
    if "RoleError" in test.content:
        changes.append({"RoleError": dict.fromkeys(test["RoleError"], "another text")})
    for change in changes:
        with pytest.raises(MismatchError):
            registered.run(replace(test, content=test.content | change))
    if test.expected_state() is not None:
        expected_state = SpecTest.expected_state

        def other(test, prefix=""):
            state = copy.deepcopy(expected_state(test, prefix))
            runners = state.get("Runners") or state.get("CommitteeRunners") or state.get("AggregatorCommitteeRunners")
            if "PreConsensusContainer" in state:
                state["Finished"] = not state["Finished"]
            elif "BaseRunner" in state:
                change_runner(state)
            elif runners:
                change_runner(list(runners.values())[-1])
            else:
                state["CommitteeMember"]["OperatorID"] += 1
            return state

        monkeypatch.setattr(SpecTest, "expected_state", other)
        with pytest.raises(MismatchError):
            registered.run(test)
    else:
        assert changes or test.get("AnyError")


def change_runner(runner):
    """Another outcome of the duty, or another role where none was begun."""
    state = runner["BaseRunner"]["State"]
    if state is None:
        runner["BaseRunner"]["RunnerRoleType"] += 1
    else:
        state["Finished"] = not state["Finished"]
