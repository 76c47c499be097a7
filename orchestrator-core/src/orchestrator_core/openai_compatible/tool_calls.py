"""Tool calls in the spellings of the family, whole or in fragments.

Vendors differ in every field: no index (xAI in whole bodies), one index for all calls (Mistral), an empty id in later
fragments (DashScope), no id at all, arguments as an object.
"""

from __future__ import annotations

import uuid

import pydantic_core

from orchestrator_core.provider_api import Json, ProviderMetadata, ToolCallDelta

_KNOWN_FIELDS = frozenset({"index", "id", "type", "function", "custom"})


class _Call:
    """A call under way: what the wire calls it, and what was said of it so far."""

    __slots__ = ("id", "named", "wire_index")

    def __init__(self, wire_index: Json, id_: str) -> None:
        self.wire_index, self.id, self.named = wire_index, id_, False


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
        self._calls: dict[int, list[_Call]] = {}
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
        calls = self._calls.setdefault(choice, [])
        wire_index, id_ = wire.get("index"), _text(wire.get("id"))
        place = len(calls)
        if not whole:
            for known in range(place - 1, -1, -1):
                if calls[known].wire_index == wire_index and (not id_ or calls[known].id == id_):
                    place = known
                    break
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
        if place == len(calls):
            call = _Call(wire_index, id_ or f"call_{uuid.uuid4().hex[:24]}")
            if not id_:
                wire["id"], self.respelt = call.id, True
            calls.append(call)
            call.named = bool(name)
            return ToolCallDelta(choice, self._metadata(wire), None, place, call.id, name or None, arguments)
        call = calls[place]
        new_name = None if call.named else name or None  # some servers repeat it in every fragment
        call.named = call.named or bool(name)
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
