"""The canonical conversation as the `messages` of the OpenAI family."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from orchestrator_core.openai_compatible.dialect import Dialect
from orchestrator_core.openai_compatible.media import MediaCompiler
from orchestrator_core.openai_compatible.notes import merged, taken_inside
from orchestrator_core.openai_compatible.repair import is_json
from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    MESSAGE,
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
)

Pair: TypeAlias = tuple[ToolCallPart, str, ToolResultPart | None]
"""A call, the id under which the vendor takes it, and its result where there is one."""

PART = "part"
"""What an opaque part holds: a part of an answer's content, as it came."""

CONTENT = "content"
"""The same of the whole content, for clients that are given its text alone."""

THINKING = "thinking"
"""What a vendor that gives thoughts as parts of the content said on one, beside its text."""

NO_RESULT = "no result was given"
NOTHING_SAID = "(nothing was said)"
MEDIA = ("images", "files")
"""Where answers carry what a model made; no vendor takes it back."""

_NONE: Mapping[int, dict[str, Json]] = {}


class MessageCompiler:
    """Compiles one conversation.

    Calls and their results are kept side by side, as the protocol demands: a result moves up to its call, one
    without a call is said by a user, and a call without a result gets an error for one.

    Args:
        dialect: The vendor's differences.
        provider_id: The provider instance, whose own metadata is given back.
        report: Notes what had to change.
    """

    def __init__(self, dialect: Dialect, provider_id: str, report: AdjustmentReport) -> None:
        self._dialect = dialect
        self._provider_id = provider_id
        self._report = report
        self.media = MediaCompiler(dialect, report)
        self._ids: dict[str, str] = {}
        self._answered: set[int] = set()
        self._asked = True

    def compile(
        self, messages: Sequence[Message], kept: Mapping[int, dict[str, Json]] = _NONE
    ) -> list[dict[str, Json]]:
        """Return the wire messages.

        Args:
            messages: The conversation.
            kept: Messages that are on the wire already, by their place; a call there has its result there too.

        Raises:
            UnsupportedParameter: Something would get lost, and the caller is strict.
        """
        wire: list[dict[str, Json]] = []
        last_user = next((place for place in range(len(messages) - 1, -1, -1) if messages[place].role == "user"), -1)
        answered = last_answer(messages)
        for position, message in enumerate(messages):
            self._asked = position > answered or position == len(messages) - 1
            if position in kept:
                wire.append(kept[position])
            elif (text := _only_text(message)) is not None:
                wire.append({"role": message.role, "content": text})
            elif message.role == "assistant":
                pairs = self.paired(messages, position)
                self._assistant(message, [id_ for _, id_, _ in pairs], wire, working=position > last_user)
                self._results(pairs, wire)
            elif message.role == "tool":
                for stray in self.strays(message):
                    texts, media = self._result_content(stray)
                    told = {"type": "text", "text": label(stray)}
                    wire.append({"role": "user", "content": [told, *texts, *media]})
            else:
                parts = self.instruction(message) if message.role == "system" else message.parts
                if parts or not message.parts:
                    wire.append(self._named(message, {"role": message.role, "content": self._content(parts)}))
        if messages and not wire:
            self._report.mapped("message", "a conversation has at least one message at this provider")
            wire.append({"role": "user", "content": NOTHING_SAID})
        return wire

    def paired(self, messages: Sequence[Message], position: int) -> list[Pair]:
        """Return each call of an answer, with an id that no other call of it has, and its result where there is one.

        Args:
            messages: The conversation. Results count up to the next answer, each for one call.
            position: The place of the answer.
        """
        calls = messages[position].tool_calls
        results: dict[str, deque[ToolResultPart]] = {}
        for place in range(position + 1, len(messages)) if calls else ():
            after = messages[place]
            if after.role == "assistant":
                break
            if after.role == "tool":
                for part in after.parts:
                    if isinstance(part, ToolResultPart):
                        results.setdefault(part.tool_call_id, deque()).append(part)
        pairs: list[Pair] = []
        namesakes: Counter[str] = Counter()
        for call in calls:
            free = results.get(call.id)
            result = free.popleft() if free else None
            if result is not None:
                self._answered.add(id(result))
            pairs.append((call, self._call_id(call.id, namesakes[call.id]), result))
            namesakes[call.id] += 1
        return pairs

    def strays(self, message: Message) -> list[ToolResultPart]:
        """Return the results in a message that no call before it took; a user says them."""
        found = [part for part in message.parts if isinstance(part, ToolResultPart) and id(part) not in self._answered]
        for part in found:
            self._report.mapped("tool_result", f"no call waits for a result with the id {part.tool_call_id}")
        return found

    def instruction(self, message: Message) -> list[Part]:
        """Return the parts of a system prompt, which is text in this protocol; report what is not."""
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, ImagePart | FilePart):
                self._report.dropped(part.type, "system prompts are text here")
            else:
                parts.append(part)
        return parts

    def _call_id(self, canonical: str, namesakes: int) -> str:
        """Return the id under which the vendor takes a call, the same for the same id."""
        key = f"{canonical}#{namesakes}" if namesakes else canonical
        if key not in self._ids:
            fits = not namesakes and re.fullmatch(self._dialect.tool_call_id, canonical) is not None
            made = hashlib.sha256(key.encode()).hexdigest()[: self._dialect.tool_call_id_length]
            self._ids[key] = canonical if fits else made
        return self._ids[key]

    def _assistant(self, message: Message, ids: Sequence[str], wire: list[dict[str, Json]], *, working: bool) -> None:
        content: list[dict[str, Json]] = []
        refusals: list[str] = []
        reasoning: list[dict[str, Json]] = []
        calls: list[dict[str, Json]] = []
        for part in message.parts:
            if isinstance(part, TextPart) or (isinstance(part, RefusalPart) and not self._dialect.refusal_field):
                if part.text:
                    content.append(merged({"type": "text", "text": part.text}, self._noted(part)))
            elif isinstance(part, RefusalPart):
                refusals.append(part.text)
            elif isinstance(part, ReasoningPart):
                reasoning += self._thought(part) if self._replays(part, working=working) else ()
            elif isinstance(part, ToolCallPart):
                calls.append(self._call(part, ids[len(calls)]))
            elif isinstance(part, OpaquePart):
                content += self._opaque(part)
            elif isinstance(part, FilePart) and (part.media_type or "").startswith("audio/") and message.text:
                self._report.omitted("audio", "of a spoken answer its text is given")
            elif isinstance(part, ImagePart | FilePart):
                self._report.dropped(part.type, "an earlier answer can only hold text and calls here")
        if not (content or any(refusals) or calls or (reasoning and self._dialect.replay_reasoning == "all")):
            if reasoning:
                self._report.omitted("reasoning", "a thought alone is no message at this provider")
            self._report.mapped("message", "an empty assistant message says nothing and is left out")
            return
        said = self._original(message) or self._answer_content(content, reasoning)
        compiled: dict[str, Json] = {"role": "assistant", **said}
        # Beside calls or a refusal the protocol has null for "no text"; alone, an answer must have a text.
        if compiled["content"] == "" and (calls or any(refusals)):
            compiled["content"] = None
        compiled |= {"refusal": "".join(refusals)} if any(refusals) else {}
        compiled |= {"tool_calls": calls} if calls else {}
        wire.append(self._named(message, compiled))

    def _original(self, message: Message) -> dict[str, Json] | None:
        """Return the content as the vendor gave it, where the client kept it, and did not change the text."""
        for part in message.parts:
            if isinstance(part, OpaquePart):
                parts = (part.provider_metadata or {}).get(self._provider_id, {}).get(CONTENT)
                texts = [each for each in parts or () if each.get("type") == "text"]
                if parts and "".join(each["text"] for each in texts) == message.text:
                    return {"content": parts}
        return None

    def _answer_content(self, content: list[dict[str, Json]], reasoning: Sequence[dict[str, Json]]) -> dict[str, Json]:
        """Return the content of an answer, and the field that gives thoughts back where that is not the content."""
        plain = all(part.keys() == {"type", "text"} for part in content)
        said: Json = "".join(part["text"] for part in content) if plain else content
        if not self._dialect.reasoning_parts:
            thought = "".join(each["text"] for each in reasoning)
            return {"content": said, **({self._dialect.reasoning_fields[0]: thought} if thought else {})}
        if not reasoning:
            return {"content": said}
        parts = [{"type": "text", "text": said}] if plain and said else content
        return {"content": [*reasoning, *parts]}

    def _thought(self, part: ReasoningPart) -> list[dict[str, Json]]:
        """Return a thought: as a part of the content where the vendor takes those, with what it noted on it."""
        if not self._dialect.reasoning_parts:
            return [{"text": part.text}]
        noted = (part.provider_metadata or {}).get(self._provider_id, {}).get(THINKING) or {}
        return [{"type": "thinking", "thinking": [{"type": "text", "text": part.text}], **noted}]

    def _opaque(self, part: OpaquePart) -> list[dict[str, Json]]:
        """Return the part of a kind that only the vendor reads, where it made it."""
        noted = part.provider_metadata or {}
        own = noted.get(self._provider_id, {})
        if isinstance(own.get(PART), dict):
            return [own[PART]]
        if not is_message_note(part) and not own.keys() & {CONTENT, MESSAGE}:
            self._report.omitted(part.type, "only the provider that made it can read it")
        return []

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
        noted = self._noted(part, "type")
        if part.is_custom and self._dialect.openai_tools:
            custom = {"name": part.name, "input": part.arguments}
            return merged({"id": id_, "type": "custom", "custom": custom}, noted)
        function = {"name": part.name, "arguments": self._arguments(part)}
        return merged({"id": id_, "type": "function", "function": function}, noted)

    def _arguments(self, part: ToolCallPart) -> str:
        if part.is_custom:
            self._report.mapped(
                "tool_call", f"the input of {part.name} is given as JSON: this provider has functions only"
            )
            return json.dumps({"input": part.arguments}, ensure_ascii=False)
        if self._dialect.json_arguments and part.arguments and not is_json(part.arguments):
            self._report.mapped("tool_call", f"the arguments for {part.name} were cut off: they are given as a text")
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
            texts, media = self._result_content(result)
            plain = all(part.keys() == {"type", "text"} for part in texts)
            content: Json = "".join(part["text"] for part in texts)
            if not plain or (media and self._dialect.result_media):
                texts = [{"type": "text", "text": content}] if plain and content else [] if plain else texts
                content = [*texts, *(media if self._dialect.result_media else ())]
            noted = self._noted(result)
            wire.append({**noted, "role": "tool", "tool_call_id": id_, "content": content})
            if media and not self._dialect.result_media:
                self._report.mapped("tool_result", "images and files of a result follow it as a user's message")
                attached += [{"type": "text", "text": f"Attached to the result of {call.name}:"}, *media]
        if attached:
            wire.append({"role": "user", "content": attached})

    def _result_content(self, result: ToolResultPart) -> tuple[list[dict[str, Json]], list[dict[str, Json]]]:
        parts = [TextPart(text=result.content)] if isinstance(result.content, str) else result.content
        compiled = [self._said(part) for part in parts]
        texts = [part for part in compiled if part and part["type"] == "text"]
        media = [part for part in compiled if part and part["type"] != "text"]
        if result.is_error and not (texts and texts[0]["text"].lower().startswith("error")):
            texts = [{"type": "text", "text": "Error: "}, *texts]  # the protocol has no mark for it
        return texts, media

    def _content(self, parts: Sequence[Part]) -> str | list[dict[str, Json]]:
        content = [part for each in parts if (part := self._said(each)) is not None]
        if len(content) == 1 and content[0].keys() == {"type", "text"} and len(parts) - _notes_among(parts) == 1:
            return str(content[0]["text"])
        if not content and len(parts) > _notes_among(parts):
            self._report.mapped("message", "nothing is left of what was said, and something must be")
            return NOTHING_SAID
        return content or ""

    def _said(self, part: Part) -> dict[str, Json] | None:
        """Return a part of what the user, an instruction or a tool says."""
        if isinstance(part, TextPart):
            return merged({"type": "text", "text": part.text}, self._noted(part))
        if isinstance(part, ImagePart | FilePart):
            compiled = self.media.compile(part)
            return None if compiled is None else merged(compiled, self._noted(part))
        if isinstance(part, OpaquePart) and not is_message_note(part):
            return self._unknown(part)
        return None

    def _unknown(self, part: OpaquePart) -> dict[str, Json] | None:
        """Return a part of a kind that nobody here knows, for a vendor that may, or report it."""
        noted = part.provider_metadata or {}
        own = noted.get(self._provider_id, noted.get(OPENAI_CHAT, {})).get("part")
        whole = own or noted.get(ANTHROPIC_MESSAGES, {}).get("block")
        kind = str(whole.get("type")) if isinstance(whole, dict) else part.type
        if isinstance(own, dict) and self._dialect.accepted_inside is None and kind not in self._dialect.foreign:
            return own
        report_note(kind, True, self._report, asked=self._asked)
        return None

    def _noted(self, part: Part, *read: str) -> dict[str, Json]:
        metadata = part.provider_metadata
        if not metadata:
            return {}
        said = (*read, "annotations")  # of an answer's text: the same as the vendor's own note on it
        return taken_inside(metadata, self._dialect, self._provider_id, self._report, read=said, asked=self._asked)

    def _named(self, message: Message, wire: dict[str, Json]) -> dict[str, Json]:
        """Return a message with its author's name, and with the fields that the vendor wrote, or a client for it."""
        named: dict[str, Json] = {"name": message.name} if message.name and self._dialect.names else {}
        if message.name and not named:
            self._report.dropped("name", "this provider takes no names of authors")
        fields = dict(message_notes(message))
        for name in MEDIA:
            if fields.pop(name, None):
                self._report.dropped(name, "an earlier answer can only hold text and calls here")
        noted = taken_inside({OPENAI_CHAT: fields}, self._dialect, self._provider_id, self._report, asked=self._asked)
        known, foreign = self._dialect.accepted_inside, self._dialect.foreign
        for part in message.parts:
            own = (part.provider_metadata or {}).get(self._provider_id, {}) if isinstance(part, OpaquePart) else {}
            for field, value in (own.get(MESSAGE) or {}).items():
                if (known is None or field in known) and field not in foreign:
                    noted[field] = value
                else:
                    report_note(field, value, self._report, asked=False)
        return {**noted, **wire, **named}


def _only_text(message: Message) -> str | None:
    """Return the text of a message that is nothing else, as most are."""
    if len(message.parts) != 1 or message.name is not None:
        return None
    part = message.parts[0]
    return (part.text or None) if type(part) is TextPart and not part.provider_metadata else None


def label(stray: ToolResultPart) -> str:
    """Return what stands before a result that no call waits for."""
    return f"Result of {stray.name or stray.tool_call_id}:"


def _notes_among(parts: Collection[Part]) -> int:
    return sum(is_message_note(part) for part in parts)
