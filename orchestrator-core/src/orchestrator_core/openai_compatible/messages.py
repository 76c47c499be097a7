"""The canonical conversation as the `messages` of the OpenAI family."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

from orchestrator_core.openai_compatible.dialect import Dialect, MediaKind
from orchestrator_core.provider_api import (
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
)

NO_RESULT = "no result was given"
_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "x-m4a": "m4a"}
_DATA_URI = re.compile(r"data:([^;,]*)(?:;[^,]*)?,")


class MessageCompiler:
    """Compiles one conversation.

    Calls and their results are kept side by side, as the protocol demands: a result moves up to its call, one
    without a call is left out, and a call without a result gets an error for one.

    Args:
        dialect: The vendor's differences.
        provider_id: The provider instance, whose own metadata is given back.
        report: Notes what had to change.
    """

    def __init__(self, dialect: Dialect, provider_id: str, report: AdjustmentReport) -> None:
        self._dialect = dialect
        self._provider_id = provider_id
        self._report = report
        self._ids: dict[str, str] = {}

    def compile(self, messages: Sequence[Message]) -> list[dict[str, Json]]:
        """Return the wire messages.

        Raises:
            UnsupportedParameter: Something would get lost, and the caller is strict.
        """
        wire: list[dict[str, Json]] = []
        last_user = max((i for i, message in enumerate(messages) if message.role == "user"), default=-1)
        for position, message in enumerate(messages):
            if message.role == "assistant":
                self._assistant(message, wire, working=position > last_user)
                if message.tool_calls:
                    self._results(message, _results_after(messages, position), wire)
            elif message.role == "tool":
                self._strays(messages, position)
            else:
                wire.append(self._named(message, {"role": message.role, "content": self._content(message.parts)}))
        return wire

    def call_id(self, canonical: str) -> str:
        """Return the id under which the vendor takes a call, the same for the same id."""
        if canonical not in self._ids:
            fits = re.fullmatch(self._dialect.tool_call_id, canonical) is not None
            made = hashlib.sha256(canonical.encode()).hexdigest()[: self._dialect.tool_call_id_length]
            self._ids[canonical] = canonical if fits else made
        return self._ids[canonical]

    def _assistant(self, message: Message, wire: list[dict[str, Json]], *, working: bool) -> None:
        texts: list[str] = []
        refusals: list[str] = []
        reasoning: list[str] = []
        calls: list[dict[str, Json]] = []
        for part in message.parts:
            if isinstance(part, TextPart):
                texts.append(part.text)
            elif isinstance(part, RefusalPart):
                (refusals if self._dialect.refusal_field else texts).append(part.text)
            elif isinstance(part, ReasoningPart):
                if self._replays(part, working=working):
                    reasoning.append(part.text)
            elif isinstance(part, ToolCallPart):
                calls.append(self._call(part))
            elif isinstance(part, OpaquePart):
                self._report.omitted(part.type, "only the provider that made it can read it")
            elif isinstance(part, ImagePart | FilePart):
                self._report.dropped(part.type, "an earlier answer can only hold text and calls here")
        if not (any(texts) or refusals or calls or reasoning):
            self._report.mapped("message", "an empty assistant message says nothing and is left out")
            return
        # Beside calls or a refusal the protocol has null for "no text"; alone, an answer must have a text.
        content = "".join(texts) or (None if calls or refusals else "")
        compiled: dict[str, Json] = {"role": "assistant", "content": content, **self._thoughts(reasoning, content)}
        if refusals:
            compiled["refusal"] = "".join(refusals)
        if calls:
            compiled["tool_calls"] = calls
        wire.append(self._named(message, compiled))

    def _thoughts(self, reasoning: Sequence[str], content: str | None) -> dict[str, Json]:
        """Return the field that gives thoughts back, which may be the content."""
        if not reasoning:
            return {}
        if not self._dialect.reasoning_parts:
            return {self._dialect.reasoning_fields[0]: "".join(reasoning)}
        thoughts = {"type": "thinking", "thinking": [{"type": "text", "text": "".join(reasoning)}]}
        return {"content": [thoughts, *([{"type": "text", "text": content}] if content else [])]}

    def _replays(self, part: ReasoningPart, *, working: bool) -> bool:
        metadata, mode = part.provider_metadata, self._dialect.replay_reasoning
        if metadata and self._provider_id not in metadata:
            self._report.omitted("reasoning", "what another model thought is not given to this provider")
            return False
        return bool(part.text) and (mode == "all" or (mode == "tool_turn" and working))

    def _call(self, part: ToolCallPart) -> dict[str, Json]:
        own = dict((part.provider_metadata or {}).get(self._provider_id, {}))
        id_ = self.call_id(part.id)
        if own.get("type") == "custom":
            return {**own, "id": id_, "custom": {"name": part.name, "input": part.arguments}}
        function = {"name": part.name, "arguments": self._arguments(part)}
        return {**own, "id": id_, "type": "function", "function": function}

    def _arguments(self, part: ToolCallPart) -> str:
        if self._dialect.json_arguments and part.arguments:
            try:
                json.loads(part.arguments)
            except ValueError:
                self._report.mapped(
                    "tool_call", f"the arguments for {part.name} were cut off: they are given as a text"
                )
                return json.dumps({"incomplete": part.arguments}, ensure_ascii=False)
        return part.arguments or "{}"

    def _results(self, message: Message, results: Mapping[str, ToolResultPart], wire: list[dict[str, Json]]) -> None:
        """Append the result of each call, and after them, as a user, what no result can hold."""
        attached: list[dict[str, Json]] = []
        for call in message.tool_calls:
            result = results.get(call.id)
            if result is None:
                self._report.mapped("tool_call", f"the call of {call.name} has no result: it gets an error for one")
                result = ToolResultPart(tool_call_id=call.id, content=NO_RESULT, is_error=True)
            text, media = self._result_content(result)
            content: Json = text
            if media and self._dialect.result_media:
                content = [*([{"type": "text", "text": text}] if text else []), *media]
            wire.append({"role": "tool", "tool_call_id": self.call_id(call.id), "content": content})
            if media and not self._dialect.result_media:
                self._report.mapped("tool_result", "images and files of a result follow it as a user's message")
                attached += [{"type": "text", "text": f"Attached to the result of {call.name}:"}, *media]
        if attached:
            wire.append({"role": "user", "content": attached})

    def _result_content(self, result: ToolResultPart) -> tuple[str, list[dict[str, Json]]]:
        media: list[dict[str, Json]] = []
        if isinstance(result.content, str):
            text = result.content
        else:
            text = "".join(part.text for part in result.content if isinstance(part, TextPart))
            compiled = (self._media(part) for part in result.content if not isinstance(part, TextPart))
            media = [part for part in compiled if part]
        if result.is_error and not text.lower().startswith("error"):
            text = f"Error: {text}"  # the protocol has no mark for it
        return text, media

    def _strays(self, messages: Sequence[Message], position: int) -> None:
        """Report the results at `position` that belong to no call before them."""
        caller = next((i for i in range(position - 1, -1, -1) if messages[i].role == "assistant"), None)
        called = {call.id for call in messages[caller].tool_calls} if caller is not None else set()
        for part in messages[position].parts:
            if isinstance(part, ToolResultPart) and part.tool_call_id not in called:
                self._report.dropped("tool_result", f"no call has the id {part.tool_call_id}")

    def _content(self, parts: Sequence[Part]) -> str | list[dict[str, Json]]:
        if len(parts) == 1 and isinstance(parts[0], TextPart) and not parts[0].provider_metadata:
            return parts[0].text
        content: list[dict[str, Json]] = []
        for part in parts:
            compiled: dict[str, Json] | None = None
            if isinstance(part, TextPart):
                compiled = {"type": "text", "text": part.text}
            elif isinstance(part, ImagePart | FilePart):
                compiled = self._media(part)
            if compiled is not None:
                content.append({**compiled, **(part.provider_metadata or {}).get(self._provider_id, {})})
        return content or ""

    def _media(self, part: ImagePart | FilePart) -> dict[str, Json] | None:
        if isinstance(part, ImagePart):
            if not self._takes("image"):
                return None
            url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data or ''}"
            return {"type": "image_url", "image_url": {"url": url, **({"detail": part.detail} if part.detail else {})}}
        if part.media_type and part.media_type.startswith("audio/") and part.data:
            if not self._takes("audio"):
                return None
            form = part.media_type.removeprefix("audio/")
            data = f"data:{part.media_type};base64,{part.data}" if self._dialect.audio_uri else part.data
            return {"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO_FORMATS.get(form, form)}}
        if part.media_type and part.media_type.startswith("video/") and "video" in self._dialect.media:
            url = part.url or f"data:{part.media_type};base64,{part.data or ''}"
            return {"type": "video_url", "video_url": {"url": url}}
        return self._file(part) if self._takes("file") else None

    def _file(self, part: FilePart) -> dict[str, Json] | None:
        if self._dialect.document_url and not part.file_id:
            url = part.url or f"data:{part.media_type or 'application/pdf'};base64,{part.data or ''}"
            return {
                "type": "document_url",
                "document_url": url,
                **({"document_name": part.filename} if part.filename else {}),
            }
        file: dict[str, Json] = {}
        if part.file_id:
            file["file_id"] = part.file_id
        elif part.data or _DATA_URI.match(part.url or ""):
            media_type = part.media_type or "application/octet-stream"
            file["filename"] = part.filename or "file.pdf"
            file["file_data"] = f"data:{media_type};base64,{part.data}" if part.data else part.url
        else:
            self._report.dropped("file", "this provider takes no files by URL: send the data")
            return None
        return {"type": "file", "file": file}

    def _takes(self, kind: MediaKind) -> bool:
        if kind not in self._dialect.media:
            self._report.dropped(kind, "this provider does not take it")
            return False
        return True

    def _named(self, message: Message, wire: dict[str, Json]) -> dict[str, Json]:
        if message.name and not self._dialect.names:
            self._report.dropped("name", "this provider takes no names of authors")
        return {**wire, "name": message.name} if message.name and self._dialect.names else wire


def _results_after(messages: Sequence[Message], position: int) -> dict[str, ToolResultPart]:
    """Return the results between an assistant message and the next one, by the id of their call."""
    results: dict[str, ToolResultPart] = {}
    for message in messages[position + 1 :]:
        if message.role == "assistant":
            break
        for part in message.parts:
            if message.role == "tool" and isinstance(part, ToolResultPart):
                results.setdefault(part.tool_call_id, part)
    return results
