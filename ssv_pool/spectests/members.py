"""The suite's committees: tests whose runner does not name its own take it from other tests."""

import functools
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from ssv_pool.crypto import bls
from ssv_pool.protocol.types.share import CommitteeMember, Share
from ssv_pool.spectests import fixtures, states, world
from ssv_pool.spectests.model import Json, MismatchError, SpecTest
from ssv_pool.spectests.sources import folders, smallest_first

FOUR = 4
"""Operators of the main validator."""

_RUNNER_FILES = "tests.M*SpecTest_*.json"
"""Files whose tests have runners with their committees."""


def member_of(test: SpecTest, share: Share) -> CommitteeMember:
    """The member whose validator a runner without controller serves: of a committee with the share's operators."""
    wanted = {member.signer for member in share.committee}
    for content in chain([test.whole], _contents(test)):
        for member in _members(content):
            if set(member.operator_ids) == wanted:
                return member
    raise MismatchError(f"no file has a committee of operators {sorted(wanted)}")


def main_validator(test: SpecTest) -> tuple[CommitteeMember, Share]:
    """The suite's main validator, with four operators."""
    for folder in folders(test):
        found = _main_validator_in(folder)
        if found is not None:
            return found
    raise MismatchError("no file has a runner of the main validator")


@functools.cache
def _main_validator_in(folder: Path) -> tuple[CommitteeMember, Share] | None:
    key = bls.secret_to_public(bls.secret_from_bytes(world.VALIDATOR_SECRET))
    for path in smallest_first(folder, _RUNNER_FILES):
        content = json.loads(path.read_text(encoding="utf-8"))
        for test in content.get("Tests") or [content]:
            base = (test.get("Runner") or {}).get("BaseRunner") or {}
            if base.get("QBFTController") is None:
                continue
            member = fixtures.committee_member(base["QBFTController"]["CommitteeMember"])
            for share in states.shares(base["Share"]).values():
                is_main = (share.validator_pubkey, share.validator_index) == (key, world.VALIDATOR_INDEX)
                if is_main and len(member.committee) == len(share.committee) == FOUR:
                    return member, share
    return None


def _members(content: Json) -> Iterator[CommitteeMember]:
    """The committee members in a file's runners that have a controller."""
    for test in content.get("Tests") or [content]:
        controller = ((test.get("Runner") or {}).get("BaseRunner") or {}).get("QBFTController")
        if controller is not None:
            yield fixtures.committee_member(controller["CommitteeMember"])


def _contents(test: SpecTest) -> Iterator[Json]:
    """The content of other files with runners, small ones first."""
    for folder in folders(test):
        for path in smallest_first(folder, _RUNNER_FILES):
            yield json.loads(path.read_text(encoding="utf-8"))
