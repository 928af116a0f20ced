"""The table of test types: which function runs the tests of a type."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from ssv_pool.spectests.model import SpecTest

MODULES = ("types", "qbft", "ssv")
"""The suite's modules; each is a module of this package of the same name, which registers its types when imported."""

TestFunction = Callable[[SpecTest], None]
"""Runs one test; returns when it passed, raises MismatchError where it did not; any other exception fails it too."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A test type's entry."""

    run: TestFunction
    inner: str | None
    """The field with the list of tests in a file that holds several; None where a file is one test."""


_TYPES: dict[tuple[str, str], Registered] = {}


def spec_test(module: str, go_type: str, *, inner: str | None = None) -> Callable[[TestFunction], TestFunction]:
    """Register the decorated function for a test type; it may be registered for several.

    Args:
        module: ``types``, ``qbft`` or ``ssv``.
        go_type: the type as file names begin with it: ``package.Struct``.
        inner: the field with the inner tests, each of which then is one call (and one test in the count).

    Raises:
        ValueError: the type has a function already.
    """

    def register(function: TestFunction) -> TestFunction:
        if (module, go_type) in _TYPES:
            raise ValueError(f"test type {module} {go_type} is registered twice")
        _TYPES[module, go_type] = Registered(function, inner)
        return function

    return register


def lookup(module: str, go_type: str) -> Registered | None:
    """A type's entry; None when the type is unknown."""
    if module in MODULES:
        importlib.import_module(f"ssv_pool.spectests.{module}")
    return _TYPES.get((module, go_type))
