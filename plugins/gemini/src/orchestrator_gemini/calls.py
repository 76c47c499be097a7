"""Calls whose arguments come piece by piece (https://ai.google.dev/api/caching#FunctionCall, `partialArgs`).

Gemini tells each piece by the place in the arguments to which it belongs, and places may come in any order; the text of
the arguments is there when the call is complete.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pydantic_core

from orchestrator_core.provider_api import Json

# Names and indices of https://www.rfc-editor.org/rfc/rfc9535, as in `$.foo.bar[0].data`.
_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,4})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")


class StreamedCall:
    """A call that is not complete yet.

    Attributes:
        number: Which call of the candidate it is, from 0.
        id: Gemini's id of it; empty where it gave none.
    """

    def __init__(self, number: int, id_: str) -> None:
        self.number = number
        self.id = id_
        self._given: dict[str, Json] = {}
        self._unfinished: set[str] = set()

    def add(self, call: Mapping[str, Json]) -> None:
        """Take the next piece of the call."""
        if isinstance(call.get("args"), Mapping):
            self._given.update(call["args"])
        for piece in call.get("partialArgs") or ():
            self._put(piece)

    @property
    def arguments(self) -> str:
        """The arguments so far, as JSON."""
        return pydantic_core.to_json(self._given).decode()

    def _put(self, piece: Mapping[str, Json]) -> None:
        path = str(piece.get("jsonPath") or "$")
        name = next((each for each in _VALUES if each in piece), None)
        if name is not None:
            value = None if name == "nullValue" else piece[name]
            steps = _steps(path)
            if not steps or not _set(self._given, steps, value, goes_on=path in self._unfinished):
                self._given[path] = value  # a place that cannot be, kept under its own name
        if piece.get("willContinue"):
            self._unfinished.add(path)
        else:
            self._unfinished.discard(path)


def _steps(path: str) -> list[str | int]:
    """Return the names and indices of a path; nothing where it is of another form."""
    steps: list[str | int] = []
    place = 1
    while path.startswith("$") and place < len(path):
        step = _STEP.match(path, place)
        if step is None:
            return []
        name, index, single, double = step.groups()
        quoted = single if single is not None else double
        steps.append(int(index) if index else name or re.sub(r"\\(.)", r"\1", quoted or ""))
        place = step.end()
    return steps


def _set(root: Json, steps: list[str | int], value: Json, *, goes_on: bool) -> bool:
    """Set a value at a place, making what is on the way to it; return whether the place can be."""
    here = root
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if not isinstance(here, list if isinstance(step, int) else dict):
            return False
        if isinstance(here, list) and isinstance(step, int):
            here.extend([None] * (step + 1 - len(here)))
        before = here[step] if isinstance(step, int) else here.get(step)
        if following is None:
            joined = goes_on and isinstance(before, str) and isinstance(value, str)
            here[step] = f"{before}{value}" if joined else value
        elif before is None:
            here[step] = [] if isinstance(following, int) else {}
        here = here[step]
    return True
