"""What pydantic found, as messages for an operator: without any value."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator

from pydantic import ValidationError

_RAISED = ("value_error", "assertion_error")


def explain(error: ValidationError, name_of: Callable[[str], str], *, own: bool) -> Iterator[str]:
    """Yield one message for each mistake.

    Args:
        error: What pydantic raised.
        name_of: Gives the name by which an operator knows a field.
        own: Whether the model is core's. What a plugin's validator raises may hold the value.
    """
    for detail in error.errors(include_input=False, include_url=False, include_context=False):
        field, *place = (str(part) for part in detail["loc"]) if detail["loc"] else ("",)
        where = name_of(field) + "".join(f".{part}" for part in place)
        if detail["type"] in _RAISED:
            _, _, raised = detail["msg"].partition(", ")
            text = raised if own else "this provider does not accept the value"
        else:
            text = detail["msg"].replace("Input should be", "expected")
        yield f"{where}: {text[:1].lower() + text[1:]}."


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the known name that is nearest, empty where none is near."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {found[0]}?" if found else ""
