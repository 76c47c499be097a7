"""The canonical conversation as `contents` (https://ai.google.dev/api/caching#Content)."""

from __future__ import annotations

import mimetypes
from collections import deque
from collections.abc import Mapping, Sequence

import pydantic_core

from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    OPENAI_CHAT,
    AdjustmentReport,
    FilePart,
    ImagePart,
    Json,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    is_message_note,
    last_answer,
    message_notes,
    report_note,
    taken_notes,
)

Wire = dict[str, Json]

NOTHING = "(nothing was said)"
"""What stands where the user must say something and did not."""

NO_RESULT = "no result was given"
"""What stands for the result of a call that has none."""

UNSIGNED = "skip_thought_signature_validator"
"""The signature of calls that another model made (https://ai.google.dev/gemini-api/docs/thought-signatures)."""

FILES = "https://generativelanguage.googleapis.com/v1beta/"

_SAID_BY_PARTS = ("type", "block", "redacted", "signature", "annotations")
"""Notes of clients that are the part itself, or the same as the vendor's own note."""

# https://ai.google.dev/gemini-api/docs/audio names MP3 so.
_MEDIA_TYPES = {"audio/mpeg": "audio/mp3"}


class ContentsCompiler:
    """Compiles one conversation.

    Every call is followed by its response, in a content of its own: a result moves up to its call, a call without one
    gets an error for one, and a result without a call is said as text.

    Args:
        provider_id: The provider instance, whose own metadata is given back.
        generation: That of the model: from 3 on, calls must be signed, and responses may hold media.
        report: Notes what had to change.
    """

    def __init__(self, provider_id: str, generation: float, report: AdjustmentReport) -> None:
        self._provider_id = provider_id
        self._newer = generation >= 3
        self._report = report
        self._contents: list[Wire] = []
        self._answered: set[int] = set()
        self._silent = False

    def compile(self, messages: Sequence[Message]) -> list[Wire]:
        """Return the contents; system messages are not among them.

        Raises:
            UnsupportedParameter: Something would get lost, and the caller is strict.
        """
        answered = last_answer(messages)
        for position, message in enumerate(messages):
            self._note(message, asked=position > answered or position == len(messages) - 1)
            if message.role == "system":
                continue
            if message.name:
                self._report.dropped("name", "the authors of messages have no names here")
            if message.role == "assistant":
                self._assistant(message, _results_after(messages, position))
            else:
                self._user(message)
        self._speak()
        if not self._contents or self._contents[0]["role"] != "user":
            self._report.mapped("message", "a conversation begins with the user here")
            self._contents.insert(0, {"role": "user", "parts": [{"text": NOTHING}]})
        return self._contents

    def system(self, messages: Sequence[Message]) -> list[Wire]:
        """Return the parts of the system instruction."""
        spoken = False
        parts: list[Wire] = []
        for message in messages:
            if message.role != "system":
                spoken = True
                continue
            for part in message.parts:
                if not isinstance(part, TextPart):
                    self._report.dropped(part.type, "system prompts are text here")
                elif part.text.strip():
                    parts.append({"text": part.text})
            if spoken:
                self._report.mapped("system", "system prompts stand before the conversation here")
        return parts

    def _note(self, message: Message, *, asked: bool) -> None:
        """Report what clients of other dialects said beside the parts: there are no fields for it here."""
        for name, value in message_notes(message).items():
            report_note(name, value, self._report, asked=asked)
        for part in message.parts:
            inner = part.content if isinstance(part, ToolResultPart) and not isinstance(part.content, str) else ()
            for each in (part, *inner):
                if isinstance(each, OpaquePart):
                    if message.role == "assistant" or is_message_note(each) or self._own(each):
                        continue
                    kinds = (
                        noted.get("part") or noted.get("block") for noted in (each.provider_metadata or {}).values()
                    )
                    kind = next((str(kind.get("type")) for kind in kinds if isinstance(kind, Mapping)), each.type)
                    report_note(kind, True, self._report, asked=asked)
                else:
                    for dialect in (OPENAI_CHAT, ANTHROPIC_MESSAGES):
                        taken_notes(each.provider_metadata, dialect, self._report, read=_SAID_BY_PARTS, asked=asked)

    def _user(self, message: Message) -> None:
        pieces = [piece for part in message.parts for piece in self._said(part)]
        self._say("user", pieces)
        if not pieces and not any(isinstance(part, ToolResultPart) for part in message.parts):
            self._report.mapped("message", "an empty message says nothing and is left out")
            self._silent = True

    def _speak(self) -> None:
        """Keep the turn of a user of whom nothing could be said: two answers are not one, and the last is not begun."""
        if self._silent and self._contents and self._contents[-1]["role"] == "model":
            self._say("user", [{"text": NOTHING}])

    def _assistant(self, message: Message, results: Sequence[ToolResultPart]) -> None:
        parts = [piece for part in message.parts if (piece := self._part(part)) is not None]
        if not parts:
            self._report.mapped("message", "an empty assistant message says nothing and is left out")
            return
        calls = [piece for piece in parts if "functionCall" in piece]
        if any(self._provider_id in (part.provider_metadata or {}) for part in message.parts):
            # Gemini's own calls go back as they came, which may be without an id; others keep theirs.
            for call, piece in zip(message.tool_calls, calls, strict=True):
                if "id" not in self._own(call):
                    del piece["functionCall"]["id"]
        _tell_apart([piece["functionCall"] for piece in calls])
        if calls and self._newer:
            calls[0].setdefault("thoughtSignature", UNSIGNED)
        self._speak()
        self._say("model", parts)
        if calls:
            self._respond(message.tool_calls, calls, results)

    def _respond(
        self, calls: Sequence[ToolCallPart], compiled: Sequence[Wire], results: Sequence[ToolResultPart]
    ) -> None:
        waiting: dict[str, deque[tuple[int, ToolResultPart]]] = {}
        for place, result in enumerate(results):
            waiting.setdefault(result.tool_call_id, deque()).append((place, result))
        found: list[tuple[int, Wire, ToolResultPart]] = []
        for call, wire in zip(calls, compiled, strict=True):
            if free := waiting.get(call.id):
                place, result = free.popleft()
                self._answered.add(id(result))
            else:
                place = len(results)
                self._report.mapped("tool_call", f"the call of {call.name} has no result: it gets an error for one")
                result = ToolResultPart(tool_call_id=call.id, content=NO_RESULT, is_error=True)
            found.append((place, wire["functionCall"], result))
        if all("id" in wire for _, wire, _ in found):
            found.sort(key=lambda each: each[0])  # as they came; without ids, their order says which is which
        responses: list[Wire] = []
        attached: list[Wire] = []
        for _, wire, result in found:
            text, media = self._result(result)
            named = {name: value for name, value in wire.items() if name != "args"}
            response: Wire = {**named, "response": _structured(text, is_error=result.is_error)}
            if media and self._newer:
                response["parts"] = media
            elif media:
                self._report.mapped("tool_result", "images and files of a result follow it as the user's")
                attached += [{"text": f"Attached to the result of {wire['name']}:"}, *media]
            responses.append({"functionResponse": response})
        self._contents.append({"role": "user", "parts": responses})
        self._say("user", attached)

    def _say(self, role: str, parts: list[Wire]) -> None:
        """Add parts, to the last content where that is of the same side and holds no responses."""
        if not parts:
            return
        self._silent = False
        last = self._contents[-1] if self._contents else None
        if last is not None and last["role"] == role and "functionResponse" not in last["parts"][0]:
            last["parts"] += parts
        else:
            self._contents.append({"role": role, "parts": parts})

    def _said(self, part: Part) -> list[Wire]:
        """Return what a part of the user's side is, beside the responses."""
        if isinstance(part, OpaquePart) and not self._own(part):
            return []  # reported with the notes of its message
        if not isinstance(part, ToolResultPart):
            piece = self._part(part)
            return [] if piece is None else [piece]
        if id(part) in self._answered:
            return []
        self._report.mapped("tool_result", "a result without a call is said as text")
        text, media = self._result(part)
        return [{"text": f"[result of {part.tool_call_id}] {text}"}, *media]

    def _part(self, part: Part) -> Wire | None:
        own = self._own(part)
        if isinstance(part, TextPart | RefusalPart):
            return {"text": part.text, **own} if part.text or own else None
        if isinstance(part, ToolCallPart):
            more = own.pop("functionCall", None)
            call = {"name": part.name, "args": self._arguments(part), "id": own.pop("id", part.id)}
            return {"functionCall": {**more, **call} if isinstance(more, Mapping) else call, **own}
        if isinstance(part, ImagePart | FilePart):
            media = self._media(part)
            return None if media is None else {**media, **own}
        if isinstance(part, ReasoningPart) and own:
            return {"text": part.text, "thought": True, **own}
        if isinstance(part, OpaquePart) and own:
            kept = own.get("part")
            return dict(kept) if isinstance(kept, Mapping) else None  # else it is about the answer, not of it
        if not is_message_note(part):
            self._report.omitted(part.type, "only the provider that made it can read it")
        return None

    def _own(self, part: Part) -> Wire:
        return dict((part.provider_metadata or {}).get(self._provider_id, {}))

    def _arguments(self, part: ToolCallPart) -> Wire:
        given = {"input": part.arguments} if part.is_custom else _object(part.arguments or "{}")
        if given is None:
            self._report.mapped("tool_call", "arguments that are no JSON object are sent inside of one")
            return {"unparsed": part.arguments}
        return given

    def _result(self, result: ToolResultPart) -> tuple[str, list[Wire]]:
        if isinstance(result.content, str):
            return result.content, []
        text = "".join(part.text for part in result.content if isinstance(part, TextPart))
        compiled = (self._media(part) for part in result.content if not isinstance(part, TextPart))
        return text, [part for part in compiled if part is not None]

    def _media(self, part: ImagePart | FilePart) -> Wire | None:
        file_id = part.file_id if isinstance(part, FilePart) else None
        name = part.url or (part.filename if isinstance(part, FilePart) else None) or ""
        kind = part.media_type or mimetypes.guess_type(name.partition("?")[0])[0]
        kind = _MEDIA_TYPES.get(kind or "", kind)
        if isinstance(part, ImagePart) and part.detail not in {None, "auto"}:
            self._report.dropped("detail", "images have no detail here")
        if part.data is not None:
            fallback = "image/png" if isinstance(part, ImagePart) else "application/octet-stream"
            return {"inlineData": {"mimeType": kind or fallback, "data": part.data}}
        uri = part.url or (f"{FILES}{file_id}" if file_id and file_id.startswith("files/") else file_id)
        if not uri or "://" not in uri:
            self._report.dropped(part.type, "files that another provider keeps cannot be read")
            return None
        return {"fileData": {"fileUri": uri, **({"mimeType": kind} if kind else {})}}


def _tell_apart(calls: Sequence[Wire]) -> None:
    """Change ids that parallel calls have in common: a response names its call by it."""
    seen: dict[str, int] = {}
    for call in calls:
        if (base := call.get("id")) is None:
            continue
        number = seen.get(base, 1)
        while call["id"] in seen:
            number += 1
            call["id"] = f"{base}_{number}"
        seen[base] = number
        seen.setdefault(call["id"], 1)


def _results_after(messages: Sequence[Message], position: int) -> list[ToolResultPart]:
    """Return the results between an assistant message and the next one."""
    results: list[ToolResultPart] = []
    for place in range(position + 1, len(messages)):
        message = messages[place]
        if message.role == "assistant":
            break
        results += [part for part in message.parts if isinstance(part, ToolResultPart)]
    return results


def _structured(text: str, *, is_error: bool) -> Mapping[str, Json]:
    """Return a result as the object that a response has to be."""
    given = _object(text)
    if is_error:
        return {"error": text if given is None else given}
    return {"result": text} if given is None else given


def _object(text: str) -> Wire | None:
    try:
        value = pydantic_core.from_json(text, allow_inf_nan=False)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
