"""Tool calls in the spellings of the family, whole or in fragments.

Vendors differ in every field: no index (xAI in whole bodies), one index for all calls (Mistral), an empty id in later
fragments (DashScope), no id at all, arguments as an object.
"""

from __future__ import annotations

import uuid

import pydantic_core

from orchestrator_core.provider_api import Json, ProviderMetadata, ToolCallDelta

_KNOWN_FIELDS = frozenset({"index", "id", "type", "function", "custom"})


class _Calls:
    """The calls of a choice.

    Attributes:
        named: Whether each has its name.
        last: The place of the last one with an index.
        places: The place of the last one with an index and an id.
    """

    __slots__ = ("last", "named", "places")

    def __init__(self) -> None:
        self.named: list[bool] = []
        self.last: dict[Json, int] = {}
        self.places: dict[tuple[Json, str], int] = {}


class ToolCalls:
    """The calls of one answer.

    Attributes:
        respelt: Whether a wire call was changed, so that a client of OpenAI can read it.
    """

    __slots__ = ("_calls", "_provider_id", "respelt")

    def __init__(self, provider_id: str) -> None:
        """Start without calls.

        Args:
            provider_id: The provider instance, under whose name metadata is kept.
        """
        self._provider_id = provider_id
        self._calls: dict[int, _Calls] = {}
        self.respelt = False

    def __contains__(self, choice: int) -> bool:
        """Say whether a choice has calls."""
        return choice in self._calls

    def read(self, choice: int, wire: dict[str, Json], *, whole: bool) -> ToolCallDelta:
        """Read a call or a fragment of one.

        A fragment continues the last call with its index, unless it names another id.

        Args:
            choice: The index of its choice.
            wire: The object; where a client of OpenAI could not read it, it is corrected in place.
            whole: Whether it cannot be a fragment.
        """
        calls = self._calls.get(choice) or self._calls.setdefault(choice, _Calls())
        wire_index, id_ = wire.get("index"), _text(wire.get("id"))
        if type(wire_index) is list or type(wire_index) is dict:
            wire_index = None  # it says nothing
        place = new = len(calls.named)
        if not whole:
            place = calls.places.get((wire_index, id_), new) if id_ else calls.last.get(wire_index, new)
            if wire_index != place:
                wire["index"], self.respelt = place, True
        function = wire.get("function") or wire.get("custom") or {}
        arguments = function.get("arguments")
        if arguments is None:
            arguments = function.get("input") or ""
        if type(arguments) is not str:
            arguments = function["arguments"] = pydantic_core.to_json(arguments).decode()
            self.respelt = True
        name = _text(function.get("name"))
        if place == new:
            if not id_:
                wire["id"] = id_ = f"call_{uuid.uuid4().hex[:24]}"
                self.respelt = True
            calls.named.append(bool(name))
            calls.last[wire_index] = calls.places[wire_index, id_] = place
            return ToolCallDelta(choice, self._metadata(wire), None, place, id_, name or None, arguments)
        new_name = None if calls.named[place] else name or None  # some servers repeat it in every fragment
        calls.named[place] = calls.named[place] or bool(name)
        return ToolCallDelta(choice, None, None, place, None, new_name, arguments)

    def _metadata(self, wire: dict[str, Json]) -> ProviderMetadata | None:
        """Keep what must come back with the call, such as Gemini's signatures in `extra_content`."""
        kept = {name: wire[name] for name in wire.keys() - _KNOWN_FIELDS}
        if wire.get("type") == "custom":
            kept["type"] = "custom"
        return {self._provider_id: kept} if kept else None


def _text(value: Json) -> str:
    if value is not None and type(value) is not str:
        raise TypeError("not a text")
    return value or ""
