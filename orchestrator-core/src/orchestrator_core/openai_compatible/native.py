"""The messages and tools of a client's own body, without what is not for this vendor.

A client keeps the answers of all its providers as they came, and sends them to the next one. What the gateway wrote
into them for another provider (`extra_content`, `reasoning_details`) is left out here, what it wrote for this one takes
its own form again, a message that the vendor would refuse is compiled anew, and everything else goes as the client says
it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator_core.openai_compatible.dialect import Dialect
from orchestrator_core.openai_compatible.messages import MEDIA, NOTHING_SAID, MessageCompiler
from orchestrator_core.openai_compatible.repair import intact, says_something
from orchestrator_core.provider_api import (
    FIELDS,
    THOUGHT,
    AdjustmentReport,
    FilePart,
    Json,
    Message,
    fields_of,
    report_note,
)

_OF_ANSWERS: Final = frozenset(("index", "reasoning_details", "extra_content", *MEDIA))
"""Fields of answers that may have to be left out, or said in another way."""
_FOREIGN_THOUGHT: Final = "what another model thought is not given to this provider"
_FOREIGN_MARK: Final = "only the provider that made it can read it"


class NativeCleaner:
    """Cleans one body.

    Args:
        dialect: The vendor's differences.
        provider_id: The provider instance, whose own marks are given back.
        report: Notes what is left out.
    """

    def __init__(self, dialect: Dialect, provider_id: str, report: AdjustmentReport) -> None:
        self._dialect = dialect
        self._provider_id = provider_id
        self._report = report
        self._foreign = frozenset(dialect.foreign)
        self._of_answers = _OF_ANSWERS.union(dialect.reasoning_fields, () if dialect.refusal_field else ("refusal",))
        self._compiler = MessageCompiler(dialect, provider_id, report)
        self._asked = True

    def clean(self, body: dict[str, Json], said: Sequence[Message]) -> None:
        """Replace the messages and tools of a body; what is unchanged stays the same object.

        Args:
            body: The body.
            said: Its messages in canonical form, one for each.

        Raises:
            UnsupportedParameter: Something would get lost, and the caller is strict.
        """
        if isinstance(body.get("messages"), list):
            body["messages"] = self._messages(body["messages"], said)
        self._asked = True
        if self._foreign and isinstance(body.get("tools"), list):
            body["tools"] = [self._tool(tool) for tool in body["tools"]]

    def _messages(self, wire: list[dict[str, Json]], said: Sequence[Message]) -> list[dict[str, Json]]:
        last = next((place for place in reversed(range(len(wire))) if wire[place]["role"] == "assistant"), -1)
        kept: dict[int, dict[str, Json]] = {}
        for place in intact(wire, self._dialect, self._provider_id):
            self._asked = place > last or place == len(wire) - 1
            message = self._message(wire[place])
            if message["role"] != "assistant" or says_something(message, self._dialect):
                kept[place] = message
        return list(kept.values()) if len(kept) == len(wire) else self._compiler.compile(said, kept)

    def _message(self, message: dict[str, Json]) -> dict[str, Json]:
        kept = self._native(self._answer(message) if message["role"] == "assistant" else message)
        if isinstance(content := kept.get("content"), list) and (parts := self._parts(content)) != content:
            kept = {**kept, "content": parts}
        return kept

    def _answer(self, message: dict[str, Json]) -> dict[str, Json]:
        kept = message
        if not self._of_answers.isdisjoint(message):
            kept = dict(message)
            kept.pop("index", None)  # of a delta: a client that joins a stream by hand may keep it
            self._thoughts(kept)
            self._marks(kept)
            if not self._dialect.refusal_field and kept.get("refusal", "") is None:
                del kept["refusal"]  # clients say so of every answer that was none
        calls = kept.get("tool_calls") or ()
        if any("extra_content" in call for call in calls):
            kept = {**kept, "tool_calls": [self._call(call) for call in calls]}
        return kept

    def _thoughts(self, message: dict[str, Json]) -> None:
        """Keep thoughts that no other provider marked, and those of this one; the gateway marks by `extra_content`."""
        names = [*self._dialect.reasoning_fields, "reasoning_details"]
        if any(name in self._dialect.foreign for name in names):
            if [message.pop(name) for name in names if message.get(name)]:
                self._report.omitted("reasoning", "this provider takes no thoughts back")
            return
        details = message.get("reasoning_details")
        if not isinstance(details, list) or not any(
            isinstance(_field(each, "extra_content"), dict) for each in details
        ):
            owners = _owners(message)
            foreign = bool(owners) and self._provider_id not in owners
            if foreign and [message.pop(name) for name in names if message.get(name)]:
                self._report.omitted("reasoning", _FOREIGN_THOUGHT)
            return
        mine = [each for each in details if not (marks := _field(each, "extra_content")) or self._provider_id in marks]
        del message["reasoning_details"]
        if len(mine) == len(details):
            return
        self._report.omitted("reasoning", _FOREIGN_THOUGHT)
        for name in self._dialect.reasoning_fields:
            message.pop(name, None)
        if text := "".join(text for each in mine if isinstance(text := _field(each, "text"), str)):
            message[self._dialect.reasoning_fields[0]] = text

    def _marks(self, message: dict[str, Json]) -> None:
        for name in MEDIA:
            if message.pop(name, None):
                self._report.dropped(name, "an earlier answer can only hold text and calls here")
        marks = message.get("extra_content")
        if isinstance(marks, dict):
            message.pop("extra_content")
            if kept := {name: value for name, value in marks.items() if name in self._dialect.marks}:
                message["extra_content"] = kept
            others = marks.keys() - self._dialect.marks - {self._provider_id}
            if any(_field(marks, name).keys() - {THOUGHT, FIELDS} for name in others):
                self._report.omitted("extra_content", _FOREIGN_MARK)
            mine = fields_of(marks, self._provider_id)
            for name in [name for other in others for name in fields_of(marks, other) if name not in mine]:
                report_note(name, message.pop(name, None), self._report, asked=False)

    def _call(self, call: Json) -> Json:
        marks = _field(call, "extra_content")
        if not isinstance(marks, dict):
            return call
        kept = {name: value for name, value in call.items() if name != "extra_content"}
        own = marks.get(self._provider_id)
        if isinstance(own, dict):
            kept |= own
            function = kept.get("function")
            if own.get("type") == "custom" and isinstance(function, dict):
                # As the gateway wrote calls of custom tools for clients that know functions only.
                del kept["function"]
                kept["custom"] = {"name": function.get("name"), "input": function.get("arguments")}
        if theirs := {name: value for name, value in marks.items() if name in self._dialect.marks}:
            kept["extra_content"] = theirs
        if marks.keys() - self._dialect.marks - {self._provider_id}:
            self._report.omitted("extra_content", _FOREIGN_MARK)
        return kept

    def _parts(self, parts: Sequence[Json]) -> list[Json]:
        kept: list[Json] = []
        for part in parts:
            kind = _field(part, "type")
            if not isinstance(kind, str) or kind not in self._dialect.foreign:
                kept.append(self._native(part) if isinstance(part, dict) else part)
            elif kind == "document_url" and (file := self._compiler.media.compile(_document(part))) is not None:
                self._report.mapped("file", "this provider takes documents as files")
                kept.append(file)
            elif kind == "thinking":
                self._report.omitted("reasoning", "this provider takes no thoughts back")
            elif kind != "document_url":
                report_note(kind, True, self._report, asked=self._asked)
        if parts and not kept:
            kept.append({"type": "text", "text": NOTHING_SAID})
        return kept

    def _tool(self, tool: Json) -> Json:
        if not isinstance(tool, dict):
            return tool
        kept = self._native(tool)
        function = kept.get("function")
        if isinstance(function, dict) and (native := self._native(function)) is not function:
            kept = {**kept, "function": native}
        return kept

    def _native(self, value: dict[str, Json]) -> dict[str, Json]:
        """Return an object without other vendors' fields."""
        if self._foreign.isdisjoint(value):
            return value
        kept = dict(value)
        for name in value.keys() & self._foreign:
            report_note(name, kept.pop(name), self._report, asked=self._asked)
        return kept


def _owners(message: Mapping[str, Json]) -> list[str]:
    """Return who thought what stands in a message, where the gateway said so."""
    marks = message.get("extra_content")
    return [name for name, noted in marks.items() if THOUGHT in noted] if isinstance(marks, dict) else []


def _document(part: Mapping[str, Json]) -> FilePart:
    """Read Mistral's part for documents, whose URL may be an object as others have it."""
    url, name = part.get("document_url"), part.get("document_name")
    return FilePart(
        url=str(url.get("url") if isinstance(url, dict) else url), filename=name if isinstance(name, str) else None
    )


def _field(value: Json, name: str) -> Json:
    return value.get(name) if isinstance(value, dict) else None
