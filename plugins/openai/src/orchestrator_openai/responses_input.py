"""The canonical conversation as the `input` of `POST /responses`: messages, calls, results and thoughts, as items.

No item carries an id: an item that does is looked up or checked against its neighbours (recording
`openai-error-ea3a218b03`: "provided without its required following item"), and nothing is kept at OpenAI.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator_core.openai_compatible import Dialect
from orchestrator_core.openai_compatible.messages import NO_RESULT, NOTHING_SAID, MessageCompiler, Pair, label
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

_SHARED: Final = ("prompt_cache_breakpoint",)
"""Fields that the parts of both APIs have."""

_OF_BLOCKS: Final = ("block", "redacted", "signature")
"""Notes of Anthropic's dialect that are the content itself."""

ITEM: Final = "item"
"""Metadata of an opaque part: the item as it came."""


class InputCompiler:
    """Compiles one conversation.

    Calls and results are kept side by side as for Chat Completions, see `MessageCompiler`.

    Args:
        dialect: OpenAI's dialect of Chat Completions.
        provider_id: The provider instance, whose own metadata is given back.
        report: Notes what had to change.
    """

    def __init__(self, dialect: Dialect, provider_id: str, report: AdjustmentReport) -> None:
        self._provider_id = provider_id
        self._report = report
        # One id for one call on both ways, as a conversation may change between them.
        self._calls = MessageCompiler(dialect, provider_id, report)
        self._asked = True

    def compile(self, messages: Sequence[Message]) -> list[dict[str, Json]]:
        """Return the input items.

        Raises:
            UnsupportedParameter: Something would get lost, and the caller is strict.
        """
        items: list[dict[str, Json]] = []
        answered = last_answer(messages)
        for position, message in enumerate(messages):
            self._asked = position > answered or position == len(messages) - 1
            self._said(message)
            if message.name:
                self._report.dropped("name", "the Responses API takes no names of authors")
            if message.role == "assistant":
                pairs = self._calls.paired(messages, position)
                self._assistant(message, [id_ for _, id_, _ in pairs], items)
                self._results(pairs, items)
            elif message.role == "tool":
                for stray in self._calls.strays(message):
                    output = self._output(stray)
                    said = [{"type": "input_text", "text": output}] if isinstance(output, str) else output
                    told = {"type": "input_text", "text": label(stray)}
                    items.append({"role": "user", "content": [told, *said]})
            elif content := [item for part in self._said_in(message) if (item := self._content(part))]:
                items.append({"role": message.role, "content": content})
        if messages and not items:
            self._report.mapped("message", "a conversation has at least one message at this provider")
            items.append({"role": "user", "content": [{"type": "input_text", "text": NOTHING_SAID}]})
        return items

    def _said_in(self, message: Message) -> Sequence[Part]:
        return self._calls.instruction(message) if message.role == "system" else message.parts

    def _said(self, message: Message) -> None:
        """Report what was said on a message itself: items have no fields for it."""
        for name, value in message_notes(message).items():
            report_note(name, value, self._report, asked=self._asked)

    def _assistant(self, message: Message, ids: Sequence[str], items: list[dict[str, Json]]) -> None:
        before = len(items)
        left = iter(ids)
        thoughts: list[dict[str, Json]] = []
        for part in message.parts:
            if isinstance(part, ReasoningPart):
                thoughts += self._thought(part)
                continue
            item = self._call(part, next(left)) if isinstance(part, ToolCallPart) else self._item(part)
            if item is not None:
                items += [*thoughts, item]
                thoughts = []
        if thoughts:
            self._report.omitted("reasoning", "a thought that nothing followed, as its answer was cut off, is refused")
        if len(items) == before:
            self._report.mapped("message", "an empty assistant message says nothing and is left out")

    def _thought(self, part: ReasoningPart) -> list[dict[str, Json]]:
        metadata = part.provider_metadata or {}
        if metadata and self._provider_id not in metadata:
            self._report.omitted("reasoning", "what another model thought is not given to this provider")
        encrypted = metadata.get(self._provider_id, {}).get("encrypted_content")
        if not encrypted:
            return []
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        return [{"type": "reasoning", "summary": summary, "encrypted_content": encrypted}]

    def _item(self, part: Part) -> dict[str, Json] | None:
        own = (part.provider_metadata or {}).get(self._provider_id, {})
        if isinstance(part, TextPart | RefusalPart):
            self._noted(part)
            if not part.text:
                return None
            kind, field = ("refusal", "refusal") if isinstance(part, RefusalPart) else ("output_text", "text")
            # Newer models want the phase of their earlier messages back (API reference, `phase`).
            phase = {"phase": own["phase"]} if own.get("phase") else {}
            return {"role": "assistant", "content": [{"type": kind, field: part.text}], **phase}
        if isinstance(part, OpaquePart):
            if ITEM in own:
                return dict(own[ITEM])
            if is_message_note(part):
                return None
            self._report.omitted(part.type, "only the provider that made it can read it")
        elif isinstance(part, ImagePart) and ITEM in own:
            return {**own[ITEM], "result": part.data}
        elif isinstance(part, ImagePart | FilePart):
            self._report.dropped(part.type, "an earlier answer can only hold text and calls here")
        return None

    def _call(self, part: ToolCallPart, id_: str) -> dict[str, Json]:
        self._noted(part, "type")
        if part.is_custom:
            return {"type": "custom_tool_call", "call_id": id_, "name": part.name, "input": part.arguments}
        return {"type": "function_call", "call_id": id_, "name": part.name, "arguments": part.arguments or "{}"}

    def _results(self, pairs: Sequence[Pair], items: list[dict[str, Json]]) -> None:
        for call, id_, found in pairs:
            result = found
            if result is None:
                self._report.mapped("tool_call", f"the call of {call.name} has no result: it gets an error for one")
                result = ToolResultPart(tool_call_id=call.id, content=NO_RESULT, is_error=True)
            kind = "custom_tool_call_output" if call.is_custom else "function_call_output"
            self._noted(result)
            items.append({"type": kind, "call_id": id_, "output": self._output(result)})

    def _output(self, result: ToolResultPart) -> Json:
        parts = [TextPart(text=result.content)] if isinstance(result.content, str) else list(result.content)
        compiled = [item for part in parts if (item := self._content(part))]
        plain = all(item.keys() == {"type", "text"} for item in compiled)
        text = "".join(part.text for part in parts if isinstance(part, TextPart))
        if result.is_error and not text.lower().startswith("error"):
            text = f"Error: {text}"  # the protocol has no mark for it
            compiled = [{"type": "input_text", "text": "Error: "}, *compiled]
        return text if plain else compiled

    def _content(self, part: Part) -> dict[str, Json] | None:
        if isinstance(part, TextPart):
            return {"type": "input_text", "text": part.text, **self._noted(part)}
        if isinstance(part, ImagePart):
            url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data or ''}"
            noted, inside = self._noted(part, "image_url"), dict(_inside(part, "image_url"))
            detail = inside.pop("detail", None) or part.detail or "auto"
            report_note("image_url", inside, self._report, asked=self._asked)
            return {"type": "input_image", "image_url": url, "detail": detail, **noted}
        if isinstance(part, FilePart):
            return self._file(part)
        if not is_message_note(part):
            whole = (part.provider_metadata or {}).get(OPENAI_CHAT, {}).get("part")
            kind = str(whole.get("type")) if isinstance(whole, Mapping) else part.type
            report_note(kind, True, self._report, asked=self._asked)
        return None

    def _file(self, part: FilePart) -> dict[str, Json] | None:
        if part.media_type and part.media_type.startswith(("audio/", "video/")):
            # Recording `openai-error-050fe17915`.
            self._report.dropped(part.media_type.partition("/")[0], "the Responses API does not take it")
            return None
        noted = self._noted(part)
        if part.file_id:
            return {"type": "input_file", "file_id": part.file_id, **noted}
        if part.url and not part.url.startswith("data:"):
            return {"type": "input_file", "file_url": part.url, **noted}
        data = part.url or f"data:{part.media_type or 'application/octet-stream'};base64,{part.data or ''}"
        return {"type": "input_file", "filename": part.filename or "file.pdf", "file_data": data, **noted}

    def _noted(self, part: Part, *read: str) -> dict[str, Json]:
        """Return the fields of a part that the Responses API has too; report the others."""
        metadata = part.provider_metadata
        if not metadata:
            return {}
        taken_notes(metadata, ANTHROPIC_MESSAGES, self._report, read=_OF_BLOCKS, asked=self._asked)
        said = (*read, "annotations")  # of an answer's text: the same as the vendor's own note on it
        theirs = taken_notes(metadata, OPENAI_CHAT, self._report, known=_SHARED, read=said, asked=self._asked)
        return {**theirs, **metadata.get(self._provider_id, {})}


def _inside(part: Part, name: str) -> Mapping[str, Json]:
    inner = (part.provider_metadata or {}).get(OPENAI_CHAT, {}).get(name)
    return inner if isinstance(inner, Mapping) else {}
