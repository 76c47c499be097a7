"""The canonical conversation as the `messages` of the OpenAI family."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import TypeAlias

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

Pair: TypeAlias = tuple[ToolCallPart, str, ToolResultPart | None]
"""A call, the id under which the vendor takes it, and its result where there is one."""

NO_RESULT = "no result was given"
NOTHING_SAID = "(nothing was said)"
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
        self._answered: set[int] = set()

    def compile(self, messages: Sequence[Message]) -> list[dict[str, Json]]:
        """Return the wire messages.

        Raises:
            UnsupportedParameter: Something would get lost, and the caller is strict.
        """
        wire: list[dict[str, Json]] = []
        last_user = max((i for i, message in enumerate(messages) if message.role == "user"), default=-1)
        for position, message in enumerate(messages):
            if message.role == "assistant":
                pairs = self.paired(message, messages[position + 1 :])
                self._assistant(message, [id_ for _, id_, _ in pairs], wire, working=position > last_user)
                self._results(pairs, wire)
            elif message.role == "tool":
                self.report_strays(message)
            else:
                wire.append(self._named(message, {"role": message.role, "content": self._content(message.parts)}))
        if messages and not wire:
            self._report.mapped("message", "a conversation has at least one message at this provider")
            wire.append({"role": "user", "content": NOTHING_SAID})
        return wire

    def paired(self, message: Message, later: Sequence[Message]) -> list[Pair]:
        """Return each call of an answer, with an id that no other call of it has, and its result where there is one.

        Args:
            message: The answer.
            later: What came after it; results count up to the next answer, each for one call.
        """
        results: list[ToolResultPart] = []
        for after in later:
            if after.role == "assistant":
                break
            if after.role == "tool":
                results += [part for part in after.parts if isinstance(part, ToolResultPart)]
        pairs: list[Pair] = []
        for call in message.tool_calls:
            free = (each for each in results if each.tool_call_id == call.id and id(each) not in self._answered)
            result = next(free, None)
            if result is not None:
                self._answered.add(id(result))
            namesakes = sum(other.id == call.id for other, _, _ in pairs)
            pairs.append((call, self._call_id(call.id, namesakes), result))
        return pairs

    def report_strays(self, message: Message) -> None:
        """Report the results in a message that no call before it took."""
        for part in message.parts:
            if isinstance(part, ToolResultPart) and id(part) not in self._answered:
                self._report.dropped("tool_result", f"no call waits for a result with the id {part.tool_call_id}")

    def _call_id(self, canonical: str, namesakes: int) -> str:
        """Return the id under which the vendor takes a call, the same for the same id."""
        key = f"{canonical}#{namesakes}" if namesakes else canonical
        if key not in self._ids:
            fits = not namesakes and re.fullmatch(self._dialect.tool_call_id, canonical) is not None
            made = hashlib.sha256(key.encode()).hexdigest()[: self._dialect.tool_call_id_length]
            self._ids[key] = canonical if fits else made
        return self._ids[key]

    def _assistant(self, message: Message, ids: Sequence[str], wire: list[dict[str, Json]], *, working: bool) -> None:
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
                calls.append(self._call(part, ids[len(calls)]))
            elif isinstance(part, OpaquePart):
                self._report.omitted(part.type, "only the provider that made it can read it")
            elif isinstance(part, ImagePart | FilePart):
                self._report.dropped(part.type, "an earlier answer can only hold text and calls here")
        if not (any(texts) or any(refusals) or calls or reasoning):
            self._report.mapped("message", "an empty assistant message says nothing and is left out")
            return
        # Beside calls or a refusal the protocol has null for "no text"; alone, an answer must have a text.
        content = "".join(texts) or (None if calls or any(refusals) else "")
        compiled: dict[str, Json] = {"role": "assistant", "content": content, **self._thoughts(reasoning, content)}
        if any(refusals):
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
        wanted = mode == "all" or (mode == "tool_turn" and working)
        if part.text and not wanted and not metadata:  # its own goes without saying: it asks for no more of it
            self._report.omitted("reasoning", "this provider takes no thoughts back here")
        return bool(part.text) and wanted

    def _call(self, part: ToolCallPart, id_: str) -> dict[str, Json]:
        own = dict((part.provider_metadata or {}).get(self._provider_id, {}))
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

    def _results(self, pairs: Sequence[Pair], wire: list[dict[str, Json]]) -> None:
        """Append the result of each call, and after them, as a user, what no result can hold."""
        attached: list[dict[str, Json]] = []
        for call, id_, found in pairs:
            result = found
            if result is None:
                self._report.mapped("tool_call", f"the call of {call.name} has no result: it gets an error for one")
                result = ToolResultPart(tool_call_id=call.id, content=NO_RESULT, is_error=True)
            text, media = self._result_content(result)
            content: Json = text
            if media and self._dialect.result_media:
                content = [*([{"type": "text", "text": text}] if text else []), *media]
            wire.append({"role": "tool", "tool_call_id": id_, "content": content})
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
