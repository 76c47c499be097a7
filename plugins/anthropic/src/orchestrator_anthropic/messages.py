"""The canonical conversation as Anthropic's `system` and `messages` (https://platform.claude.com/docs/en/api/messages)."""

from __future__ import annotations

import base64
import binascii
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import pydantic_core

from orchestrator_anthropic.models import Traits
from orchestrator_anthropic.pairs import paired, pairing
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

Block: TypeAlias = dict[str, Json]

NO_RESULT = "no result was given"
NOTHING_SAID = "(nothing was said)"
GO_ON = "Go on."
THOUGHTS = ("thinking", "redacted_thinking")

_MARKS = ("cache_control", "citations", "title", "context")
_CONTENT = ("signature", "redacted", "block", "deltas")
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_ONLY_ITS_PROVIDER = "only the provider that made it can read it"


class Conversation:
    """Compiles one conversation: turns that alternate, the user first, none empty, each call with its result.

    Args:
        provider_id: The provider instance, whose own metadata is given back.
        traits: What the model takes.
        report: Notes what had to change.
        tool_name: Makes the name under which Anthropic takes a tool.
        connects: Whether the request names MCP servers: only then are their calls taken in a history.

    Attributes:
        system: The system prompts, as blocks.
        turns: The messages.
        has_files: Whether a block names a file that Anthropic keeps.
        has_thoughts: Whether a thought is given back.
    """

    def __init__(
        self,
        provider_id: str,
        traits: Traits,
        report: AdjustmentReport,
        *,
        tool_name: Callable[[str], str] = str,
        connects: bool = False,
    ) -> None:
        self.system: list[Block] = []
        self.turns: list[dict[str, Json]] = []
        self.has_files = False
        self.has_thoughts = False
        self._provider_id = provider_id
        self._traits = traits
        self._report = report
        self._tool_name = tool_name
        self._connects = connects
        self._asked = True
        self._waiting: list[Block] = []
        self._silent = False
        self._shown: list[Block] = []
        self._ids: dict[str, int] = {}

    def compile(self, messages: Sequence[Message]) -> None:
        """Fill `system` and `turns`.

        Raises:
            UnsupportedParameter: Something would get lost, and the caller is strict.
        """
        answered: set[int] = set()
        answered_at = last_answer(messages)
        for position, message in enumerate(messages):
            self._asked = position > answered_at or position == len(messages) - 1
            for name, value in message_notes(message).items():
                report_note(name, value, self._report, asked=self._asked)
            if message.name:
                self._report.dropped("name", "the authors of messages have no names at this provider")
            if message.role == "system":
                self._system(message)
            elif message.role == "assistant":
                self._assistant(message, _results(messages, position), answered)
            else:
                self._user(message, answered)
        self._end()

    @property
    def resumes_without_thought(self) -> bool:
        """Whether the model is to go on after results of calls that it made, or somebody else, without a thought."""
        last = next((i for i in range(len(self.turns) - 1, -1, -1) if self.turns[i]["role"] == "user"), 0)
        if last == 0 or not any(block["type"] == "tool_result" for block in self.turns[last]["content"]):
            return False
        return self.turns[last - 1]["content"][0]["type"] not in THOUGHTS

    def _system(self, message: Message) -> None:
        said = self._others(*message.parts)
        blocks = [block for block in said if block["type"] == "text"]
        if others := [block for block in said if block["type"] != "text"]:
            # https://platform.claude.com/docs/en/api/messages/create: `system` is a string or blocks of text.
            self._report.mapped("system", "a system prompt is text at this provider: the user shows what else it has")
            if self.turns:
                self._add("user", others)
            else:
                self._shown += others
        if not self.turns:
            self.system += blocks
        elif self._traits.system_turns:
            self._waiting += blocks
        elif blocks:
            self._report.mapped("system", "system prompts stand before the conversation for this model")
            self.system += blocks

    def _assistant(self, message: Message, later: Mapping[str, deque[ToolResultPart]], answered: set[int]) -> None:
        whole = paired(self._block_of(part) for part in message.parts if isinstance(part, OpaquePart))
        content: list[Block] = []
        results: list[Block] = []
        for part in message.parts:
            if isinstance(part, ToolCallPart):
                identity = self._unique(part.id)
                content.append(self._call(part, identity))
                results.append(self._result(part, identity, later, answered))
            elif isinstance(part, OpaquePart):
                if is_message_note(part):
                    continue
                block = self._block_of(part)
                if block is None or not self._replayable(block, whole):
                    lost = "it has lost its other half, or what it belongs to is not connected"
                    self._report.omitted("opaque", _ONLY_ITS_PROVIDER if block is None else lost)
                else:
                    content.append(block)
            elif isinstance(part, ImagePart | FilePart):
                self._report.downgraded(part.type, "an earlier answer can only hold text and calls at this provider")
                content.append({"type": "text", "text": f"[{part.type}]"})
            elif (said := self._said(part)) is not None:
                content.append(said)
        while content and content[-1]["type"] in THOUGHTS:  # refused as the last block of a turn
            self._report.omitted("reasoning", "a thought that led to nothing cannot be given back")
            content.pop()
        if content:
            self._speak()
            self._flush()
            self._add("assistant", content)
        else:
            self._report.mapped("message", "an empty assistant message says nothing and is left out")
        if results:
            self._add("user", results)

    def _user(self, message: Message, answered: set[int]) -> None:
        content: list[Block] = []
        for part in message.parts:
            if isinstance(part, ToolResultPart):
                if id(part) not in answered:
                    self._report.mapped("tool_result", "a result without a call is said as text")
                    inner = self._inner(part.content)
                    label = f"Result of {part.name or part.tool_call_id}:"
                    content += [{"type": "text", "text": label}, *inner]
            else:
                content += self._others(part)
        if content:
            self._add("user", content)
        elif not any(isinstance(part, ToolResultPart) for part in message.parts):
            self._report.mapped("message", "a message without text says nothing and is left out")
            self._silent = True

    def _others(self, *parts: Part) -> list[Block]:
        """Return the blocks of parts that are not the model's; what only a model can say is left out."""
        blocks: list[Block] = []
        for part in parts:
            if isinstance(part, ReasoningPart | ToolCallPart) or pairing(self._block_of(part) or {}) is not None:
                self._report.omitted(part.type, "thoughts and calls are of the model's turns at this provider")
                continue
            block = self._said(part)
            if block is not None:
                blocks.append(block)
            elif isinstance(part, OpaquePart) and not is_message_note(part):
                self._report.dropped("content", "this kind of content has no form at this provider")
        return blocks

    def _add(self, role: str, content: list[Block]) -> None:
        self._silent = False
        if not self.turns and role == "assistant":
            self._report.mapped("message", "a conversation begins with the user at this provider")
            self.turns.append({"role": "user", "content": [{"type": "text", "text": NOTHING_SAID}]})
        if self._waiting and role == "user":
            self._report.mapped("system", "a system prompt in the middle follows what the user says")
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"] += content
        else:
            self.turns.append({"role": role, "content": content})

    def _flush(self) -> None:
        """Put waiting system prompts where they may stand: behind the user, before the model's turn or the end."""
        if self._waiting and self.turns[-1]["role"] == "user":
            self.turns.append({"role": "system", "content": self._waiting})
            self._waiting = []

    def _speak(self) -> None:
        """Keep the turn of a user of whom nothing could be said: two answers are not one, and the last is not begun."""
        if self._silent and self.turns and self.turns[-1]["role"] == "assistant":
            self._add("user", [{"type": "text", "text": NOTHING_SAID}])

    def _end(self) -> None:
        self._speak()
        self._flush()
        if self._waiting:
            self._report.mapped("system", "system prompts in the middle follow what the user says")
            self.system += self._waiting
        if not self.turns:
            self._report.mapped("message", "a conversation begins with the user at this provider")
            self._add("user", [{"type": "text", "text": NOTHING_SAID}])
        self.turns[0]["content"][:0] = self._shown
        last = self.turns[-1]
        if last["role"] != "assistant":
            return
        if not self._traits.prefill:
            self._report.downgraded("message", "this model does not continue its own message: it is asked to go on")
            self._add("user", [{"type": "text", "text": GO_ON}])
        elif last["content"][-1]["type"] == "text":  # white space at its end is refused
            last["content"][-1] = {**last["content"][-1], "text": last["content"][-1]["text"].rstrip()}

    def _call(self, part: ToolCallPart, identity: str) -> Block:
        try:
            given = {"input": part.arguments} if part.is_custom else pydantic_core.from_json(part.arguments or "{}")
        except ValueError:
            given = None
        if not isinstance(given, dict):
            # https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming names this form.
            self._report.mapped("tool_call", "arguments that are no JSON object are sent inside of one")
            given = {"INVALID_JSON": part.arguments}
        name = self._tool_name(part.name)
        return {"type": "tool_use", "id": identity, "name": name, "input": given, **self._marks(part)}

    def _result(
        self, call: ToolCallPart, identity: str, later: Mapping[str, deque[ToolResultPart]], answered: set[int]
    ) -> Block:
        free = later.get(call.id)
        if not free:
            self._report.mapped("tool_call", f"the call of {call.name} has no result: it gets an error for one")
            return {"type": "tool_result", "tool_use_id": identity, "content": NO_RESULT, "is_error": True}
        found = free.popleft()
        answered.add(id(found))
        block: Block = {"type": "tool_result", "tool_use_id": identity, **self._marks(found)}
        if isinstance(found.content, str):
            block["content"] = found.content
        elif inner := self._inner(found.content):
            block["content"] = inner
        return {**block, "is_error": True} if found.is_error else block

    def _inner(self, content: str | Sequence[Part]) -> list[Block]:
        parts = [TextPart(text=content)] if isinstance(content, str) else content
        return [block for part in parts if (block := self._said(part)) is not None]

    def _said(self, part: Part) -> Block | None:
        """Return the block of a part that is no call and no result."""
        if (whole := self._block_of(part)) is not None:
            return whole
        if isinstance(part, TextPart | RefusalPart):
            # Empty text, and white space alone, are refused.
            return {"type": "text", "text": part.text, **self._marks(part)} if part.text.strip() else None
        if isinstance(part, ReasoningPart):
            return self._thought(part)
        if isinstance(part, ImagePart | FilePart):
            block = self._image(part) if isinstance(part, ImagePart) else self._document(part)
            if block is None:
                self._report.dropped(
                    "image" if isinstance(part, ImagePart) else "file", "this provider takes no such one"
                )
            return block
        return None

    def _thought(self, part: ReasoningPart) -> Block | None:
        own = self._own(part) if self._traits.thinking != "none" else {}
        self.has_thoughts = self.has_thoughts or bool(own.keys() & {"redacted", "signature"})
        more = {name: value for name, value in own.items() if name not in _CONTENT}
        if "redacted" in own:
            return {"type": "redacted_thinking", "data": own["redacted"], **more}
        if "signature" in own:
            return {"type": "thinking", "thinking": part.text, "signature": own["signature"], **more}
        self._report.omitted("reasoning", "a thought without Anthropic's signature is not given to this provider")
        return None

    def _image(self, part: ImagePart) -> Block | None:
        if part.detail not in (None, "auto"):
            self._report.dropped("detail", "images have no detail at this provider")
        if part.data is not None:
            media_type = (part.media_type or "image/png").replace("image/jpg", "image/jpeg")
            if media_type not in _IMAGES:
                return None
            source = {"type": "base64", "media_type": media_type, "data": part.data}
        elif part.url and part.url.startswith(("https://", "http://")):
            source = {"type": "url", "url": part.url}
        else:
            return None
        return {"type": "image", "source": source, **self._marks(part)}

    def _document(self, part: FilePart) -> Block | None:
        source: Block
        kind = part.media_type or "application/pdf"
        text = _text(part.data) if part.data and (kind.startswith("text/") or kind == "application/json") else None
        if part.file_id:
            source = {"type": "file", "file_id": part.file_id}
            self.has_files = True
        elif text is not None:
            source = {"type": "text", "media_type": "text/plain", "data": text}
        elif kind != "application/pdf":
            return None
        elif part.data:
            source = {"type": "base64", "media_type": kind, "data": part.data}
        else:
            source = {"type": "url", "url": part.url}
        title = {"title": part.filename} if part.filename else {}
        return {"type": "document", "source": source, **title, **self._marks(part)}

    def _own(self, part: Part) -> Mapping[str, Json]:
        """Return what was noted for this provider: by itself, or by a client of its dialect."""
        noted = part.provider_metadata or {}
        return {**noted.get(ANTHROPIC_MESSAGES, {}), **noted.get(self._provider_id, {})}

    def _marks(self, part: Part) -> Block:
        """Return what a block may carry besides its content, also where a client of OpenAI's dialect wrote it."""
        shared = _MARKS if isinstance(part, FilePart) else _MARKS[:1]
        noted = taken_notes(
            part.provider_metadata,
            OPENAI_CHAT,
            self._report,
            known=shared,
            read=("type", "annotations"),
            asked=self._asked,
        )
        marks = {name: value for name, value in noted.items() if value}
        return {**marks, **{name: value for name, value in self._own(part).items() if name not in _CONTENT and value}}

    def _block_of(self, part: Part) -> Block | None:
        block = self._own(part).get("block")
        return dict(block) if isinstance(block, Mapping) and isinstance(block.get("type"), str) else None

    def _replayable(self, block: Block, whole: set[str]) -> bool:
        if block["type"].startswith("mcp_") and not self._connects:
            return False
        identity = pairing(block)
        return identity is None or identity in whole

    def _unique(self, canonical: str) -> str:
        """Return the id under which a call is taken: its own, where it has the form and came up for the first time."""
        base = re.sub(r"[^a-zA-Z0-9_-]", "_", canonical) or "call"
        identity, number = base, self._ids.get(base, 1)
        while identity in self._ids:
            number += 1
            identity = f"{base}_{number}"
        self._ids[base] = number
        self._ids.setdefault(identity, 1)
        return identity


def _results(messages: Sequence[Message], position: int) -> Mapping[str, deque[ToolResultPart]]:
    """Return the results between an answer and the next one, by the ids of their calls."""
    results: dict[str, deque[ToolResultPart]] = {}
    for place in range(position + 1, len(messages)):
        message = messages[place]
        if message.role == "assistant":
            break
        for part in message.parts:
            if isinstance(part, ToolResultPart):
                results.setdefault(part.tool_call_id, deque()).append(part)
    return results


def _text(data: str) -> str | None:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
