"""What of the node process needs no network: which errors are shown as one line."""

import pytest

from ssv_pool.errors import ConfigError, SsvPoolError, UnavailableError
from ssv_pool.node.process import _only_ours

PORT, STORE = UnavailableError("port"), ConfigError("store")


@pytest.mark.parametrize(
    ("errors", "shown"),
    [
        ([PORT], PORT),
        ([ExceptionGroup("inner", [ExceptionGroup("innermost", [PORT])])], PORT),
        ([STORE, PORT], STORE),
        ([ExceptionGroup("inner", [PORT]), STORE], PORT),
        ([PORT, ValueError("bug")], None),
        ([ExceptionGroup("inner", [PORT]), ValueError("bug")], None),
        ([ValueError("bug"), ExceptionGroup("inner", [PORT])], None),
    ],
)
def test_a_group_of_our_own_errors_is_one_line_and_a_bug_is_not_hidden(
    errors: list[Exception], shown: SsvPoolError | None
) -> None:
    assert _only_ours(ExceptionGroup("outer", errors)) is shown
