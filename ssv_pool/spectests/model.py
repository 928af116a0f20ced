"""What a test function gets, and what it leaves behind."""

import enum
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ssv_pool.errors import SsvPoolError
from ssv_pool.protocol.forks import ProtocolFork, alan_fork, boole_fork
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError, code_of_alan
from ssv_pool.protocol.types.primitives import DomainType

Json = Any
"""Parsed JSON; the order of keys is the file's."""

TEST_DOMAIN = DomainType(bytes.fromhex("00000301"))
"""Domain type of all tests, in both forks."""

SLOTS_PER_EPOCH = 32
"""Of the tests' beacon chain."""


class SpecFork(enum.StrEnum):
    """Which release of the specification a file belongs to."""

    ALAN = "alan"
    """v1.2.2."""
    BOOLE = "boole"
    """HEAD."""

    @functools.cached_property
    def rules(self) -> ProtocolFork:
        """The protocol as it is to be tested."""
        if self is SpecFork.ALAN:
            return alan_fork(TEST_DOMAIN)
        return boole_fork(TEST_DOMAIN, "jato", SLOTS_PER_EPOCH)

    def code(self, number: int) -> ErrorCode:
        """The error that the release calls ``number``. Raises ValueError when it has none."""
        return code_of_alan(number) if self is SpecFork.ALAN else ErrorCode(number)


class MismatchError(SsvPoolError):
    """A test did not come out as its file says; the text is what the report shows."""


@dataclass(frozen=True, slots=True)
class SpecFile:
    """One file of the suite."""

    fork: SpecFork
    module: str
    """``types``, ``qbft`` or ``ssv``."""
    path: Path

    @property
    def go_type(self) -> str:
        """The specification's type of the test: ``package.Struct``."""
        return self.path.name.split("_", 1)[0]

    @property
    def title(self) -> str:
        """The file's name without its type."""
        return self.path.stem.partition("_")[2]

    @property
    def states(self) -> Path:
        """Folder of the expected post states of all tests of this type."""
        return self.path.parent.parent / "state_comparison" / self.go_type.replace(".", "_")

    def read(self) -> Json:
        """The file's content."""
        return _read(self.path)


@dataclass(frozen=True, slots=True)
class SpecTest:
    """One test: a file's content, or one of several tests in it."""

    file: SpecFile
    content: Json
    """The test's own fields."""
    whole: Json
    """The whole file's content; the same as ``content`` where the file is one test."""
    inner: bool = False
    """Whether the file holds several tests."""

    @property
    def fork(self) -> SpecFork:
        """The release the test belongs to."""
        return self.file.fork

    @property
    def name(self) -> str:
        """The test's name as the file gives it."""
        return str(self.content.get("Name") or self.file.title)

    def __getitem__(self, key: str) -> Json:
        return self.content[key]

    def get(self, key: str, default: Json = None) -> Json:
        """A field that may be absent."""
        return self.content.get(key, default)

    @property
    def private_keys(self) -> Json:
        """The PrivateKeys of the test or else of its file; empty where there are none."""
        return self.content.get("PrivateKeys") or self.whole.get("PrivateKeys") or {}

    def expected_state(self, prefix: str = "") -> Json | None:
        """The expected post state; ``prefix`` precedes the name of a single test. None where there is no file."""
        if self.inner:
            path = self.file.states / str(self.whole["Name"]).replace(" ", "_") / f"{self.name}.json"
        else:
            path = self.file.states / f"{prefix}{self.name}.json"
        return _read(path) if path.is_file() else None

    def check_error(self, error: ProtocolError | None, number: int | None = None) -> None:
        """Compare the last error's outermost code with the file's (0: no error). Raises MismatchError."""
        wanted = self.content["ExpectedErrorCode"] if number is None else number
        if wanted == 0:
            if error is not None:
                raise MismatchError(f"an error, expected none: {error}") from error
            return
        expected = self.fork.code(wanted)
        if error is None:
            raise MismatchError(f"no error, expected {wanted} {expected.name}")
        if error.outermost_code != expected:
            found = "one without a code" if error.outermost_code is None else error.outermost_code.name
            raise MismatchError(f"error {found}, expected {wanted} {expected.name}: {error}") from error


def check_equal(what: str, found: object, expected: object) -> None:
    """Raises MismatchError naming the thing and both values unless they are equal."""
    if found != expected:
        raise MismatchError(f"{what} is {_brief(found)}, expected {_brief(expected)}")


@dataclass(frozen=True, slots=True)
class Failure:
    """A test that failed."""

    fork: str
    module: str
    go_type: str
    file: str
    """The file's name."""
    test: str
    """The test's name in the file."""
    text: str
    """What was found and what was expected; for a bug the exception and where it was raised."""


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file."""

    fork: str
    module: str
    go_type: str
    tests: int
    """How many tests of the file were run."""
    seconds: float
    failures: tuple[Failure, ...] = ()

    @classmethod
    def of(cls, file: SpecFile, tests: int, seconds: float, failures: tuple[Failure, ...] = ()) -> Self:
        """A result of ``file``."""
        return cls(file.fork.value, file.module, file.go_type, tests, seconds, failures)


def _read(path: Path) -> Json:
    return json.loads(path.read_text(encoding="utf-8"))


def _brief(value: object) -> str:
    text = value.hex() if isinstance(value, bytes) else repr(value)
    return text if len(text) <= 200 else f"{text[:160]}… ({len(text)} characters)"
