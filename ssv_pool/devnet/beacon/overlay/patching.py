"""How an overlay puts its methods in the place of the specification's functions."""

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def replaces(method: F) -> F:
    """Mark a method of an overlay: it takes the place of the specification's function of the same name."""
    method.__dict__["replaces_spec_function"] = True
    return method


def replaced_names(overlay: type) -> list[str]:
    """The names of the functions that ``overlay`` replaces."""
    return [name for name, member in vars(overlay).items() if getattr(member, "replaces_spec_function", False)]


def patch(spec: Any, overlay: object) -> None:
    """Put the marked methods of ``overlay`` into the specification module ``spec``.

    Raises:
        AttributeError: the specification has no function of that name, so nothing would ever call the method.
    """
    for name in replaced_names(type(overlay)):
        getattr(spec, name)
        setattr(spec, name, getattr(overlay, name))
