"""The content blocks of Anthropic's messages (Messages API, `messages.content`) to canonical parts.

What a block says beyond its part stands in the part's metadata under the name of the dialect, with the block's own
field names (`cache_control`, `citations`, `signature` ...); `redacted` is the data of a redacted thought, and `block` a
whole block that no part can say. A provider that speaks the dialect gives them back, all others leave them out.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    FilePart,
    ImagePart,
    Json,
    OpaquePart,
    Part,
    ProviderMetadata,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from orchestrator_core.server.translate.anthropic_marks import extra_content, unpack
from orchestrator_core.server.translate.anthropic_shapes import TOOL_ID
from orchestrator_core.server.translate.fields import Fields, invalid

_TOOL_ID = re.compile(TOOL_ID)

_ASKED = ("cache_control", "citations", "context")
"""Fields of blocks by which a client asks for something. The others say what was."""


class BlockReader:
    """Reads the blocks of one request.

    Attributes:
        moved: Whether something in the conversation did not come from a provider of this dialect, so that such a
            provider would refuse the body as it is.
        only: What is asked for in blocks and has no canonical form.
    """

    def __init__(self) -> None:
        """Start with nothing read."""
        self.moved = False
        self.only: dict[str, None] = {}

    def content(self, fields: Fields, key: str = "content") -> list[Part]:
        """Read a content that is a string or a list of blocks; null is no part.

        Raises:
            InvalidRequest: It is neither, or a block is malformed.
        """
        content = fields.data.get(key)
        if content is None:
            return []
        if isinstance(content, str):
            return [TextPart(text=content)]
        if not isinstance(content, list):
            raise invalid(fields.at(key), "expected a string or a list of blocks")
        parts: list[Part] = []
        for block in fields.objects(key):
            for part in self._block(block):
                last = parts[-1] if parts else None
                late = isinstance(part, TextPart) and not part.text and "extra_content" in block.data
                if late and isinstance(last, TextPart):
                    # The notes on the text before, which a stream knew only at its end.
                    notes = {**(last.provider_metadata or {}), **(part.provider_metadata or {})}
                    parts[-1] = last.model_copy(update={"provider_metadata": notes})
                else:
                    parts.append(part)
        return parts

    def asks(self, fields: Fields, *names: str) -> None:
        """Note which of these fields are set, since only this dialect has them."""
        for name in names:
            value = fields.data.get(name)
            if value is not None and value != {"enabled": False}:
                self.only[name] = None

    def _block(self, block: Fields) -> Sequence[Part]:
        kind = block.required("type")
        self.asks(block, *_ASKED)
        reader = self._READERS.get(kind)
        if reader is not None:
            return reader(self, block)
        # Calls and results of the vendor's own tools, and what it adds next year.
        return [OpaquePart(provider_metadata={ANTHROPIC_MESSAGES: {"block": block.data}})]

    def _notes(self, block: Fields, *said: str, **more: Json) -> ProviderMetadata | None:
        """Return the metadata of a block whose fields `said` are in the part itself."""
        skipped = {"type", "extra_content", *said}
        own = {name: value for name, value in block.data.items() if name not in skipped and value is not None}
        notes = extra_content(block)
        if notes:
            self.moved = True
        if own or more:
            notes[ANTHROPIC_MESSAGES] = {**own, **more}
        return notes or None

    def _text(self, block: Fields) -> Sequence[Part]:
        return [TextPart(text=block.required("text"), provider_metadata=self._notes(block, "text"))]

    def _image(self, block: Fields) -> Sequence[Part]:
        source, notes = block.need("source"), self._notes(block, "source")
        match source.required("type"):
            case "base64":
                data, media_type = source.required("data", empty=False), source.string("media_type")
                return [ImagePart(data=data, media_type=media_type, provider_metadata=notes)]
            case "url":
                return [ImagePart(url=source.required("url", empty=False), provider_metadata=notes)]
            case _:
                return [self._whole(block, OpaquePart())]

    def _document(self, block: Fields) -> Sequence[Part]:
        source, title = block.need("source"), block.string("title")
        notes = self._notes(block, "source", "title")
        match source.required("type"):
            case "base64":
                data, media_type = source.required("data", empty=False), source.string("media_type")
                return [FilePart(data=data, media_type=media_type, filename=title, provider_metadata=notes)]
            case "text":
                data = base64.b64encode(source.required("data").encode("utf-8", "replace")).decode()
                return [FilePart(data=data, media_type="text/plain", filename=title, provider_metadata=notes)]
            case "url":
                url = source.required("url", empty=False)
                return [FilePart(url=url, media_type="application/pdf", filename=title, provider_metadata=notes)]
            case "file":
                file_id = source.required("file_id", empty=False)
                return [FilePart(file_id=file_id, filename=title, provider_metadata=notes)]
            case "content":
                return self._inner(block, self.content(source))
            case _:
                return [self._whole(block, OpaquePart())]

    def _inner(self, block: Fields, parts: Sequence[Part]) -> Sequence[Part]:
        texts = [part.text for part in parts if isinstance(part, TextPart)]
        return [self._whole(block, TextPart(text="".join(texts)))] if len(texts) == len(parts) else parts

    def _search_result(self, block: Fields) -> Sequence[Part]:
        head = "\n".join(text for name in ("title", "source") if (text := block.string(name)))
        text = "".join(part.text for part in self.content(block) if isinstance(part, TextPart))
        return [self._whole(block, TextPart(text=f"{head}\n{text}"))]

    def _thinking(self, block: Fields) -> Sequence[Part]:
        text, signature = block.string("thinking") or "", block.string("signature") or ""
        ours = unpack(signature, block.at("signature"))
        if ours is not None or not signature:
            self.moved = True
            return [ReasoningPart(text=text, provider_metadata=None if ours is None else ours.provider_metadata)]
        return [ReasoningPart(text=text, provider_metadata=self._notes(block, "thinking"))]

    def _redacted(self, block: Fields) -> Sequence[Part]:
        data = block.required("data")
        ours = unpack(data, block.at("data"))
        if ours is not None:
            self.moved = True
            return [ours]
        return [ReasoningPart(provider_metadata=self._notes(block, "data", redacted=data))]

    def _tool_use(self, block: Fields) -> Sequence[Part]:
        arguments = json.dumps(block.need("input").data, ensure_ascii=False, separators=(",", ":"))
        return [
            ToolCallPart(
                id=self._tool_id(block, "id"),
                name=block.required("name", empty=False),
                arguments=arguments,
                provider_metadata=self._notes(block, "id", "name", "input"),
            )
        ]

    def _tool_result(self, block: Fields) -> Sequence[Part]:
        content = block.data.get("content")
        result: str | tuple[TextPart | ImagePart | FilePart, ...]
        if isinstance(content, str) or content is None:
            result = content or ""
        else:
            result = tuple(self._result(block))
            if len(result) == 1 and isinstance(result[0], TextPart) and not result[0].provider_metadata:
                result = result[0].text
        return [
            ToolResultPart(
                tool_call_id=self._tool_id(block, "tool_use_id"),
                content=result,
                is_error=block.boolean("is_error") or False,
                provider_metadata=self._notes(block, "tool_use_id", "content", "is_error"),
            )
        ]

    def _result(self, block: Fields) -> Iterator[TextPart | ImagePart | FilePart]:
        for index, part in enumerate(self.content(block)):
            if isinstance(part, TextPart | ImagePart | FilePart):
                yield part
            elif isinstance(part, OpaquePart):
                # A reference to a tool, for instance: the name is what a reader without the dialect can use.
                own = (part.provider_metadata or {}).get(ANTHROPIC_MESSAGES, {}).get("block", {})
                yield TextPart(text=json.dumps(own, ensure_ascii=False), provider_metadata=part.provider_metadata)
            else:
                raise invalid(f"{block.at('content')}.{index}.type", "a tool's result is text, images or documents")

    def _tool_id(self, block: Fields, key: str) -> str:
        identity = block.required(key, empty=False)
        if not _TOOL_ID.fullmatch(identity):
            self.moved = True
        return identity

    def _whole(self, block: Fields, part: TextPart | OpaquePart) -> Part:
        return part.model_copy(update={"provider_metadata": {ANTHROPIC_MESSAGES: {"block": block.data}}})

    # Functions, not methods that are bound to a reader: those would hold it in a cycle.
    _READERS: ClassVar[Mapping[str, Callable[[BlockReader, Fields], Sequence[Part]]]] = {
        "text": _text,
        "image": _image,
        "document": _document,
        "search_result": _search_result,
        "thinking": _thinking,
        "redacted_thinking": _redacted,
        "tool_use": _tool_use,
        "tool_result": _tool_result,
    }
