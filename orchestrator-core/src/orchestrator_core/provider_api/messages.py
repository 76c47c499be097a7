"""The conversation in canonical form: what is stored, and what every provider compiles to its own wire.

A message is a list of typed parts. What only one provider can read (signatures, item ids) stands in
`provider_metadata` under that provider's name, is given back to it unchanged, and is left out for all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Json: TypeAlias = Any
"""A JSON value; an object is a dict. Deliberately loose: vendors' extensions are passed on, not understood."""

ProviderMetadata: TypeAlias = Mapping[str, Mapping[str, Json]]
"""Provider name to what only that provider reads."""

Role = Literal["system", "user", "assistant", "tool"]
ImageDetail = Literal["auto", "low", "high"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    provider_metadata: ProviderMetadata | None = None


class TextPart(_Part):
    """Text that a person or a model wrote."""

    type: Literal["text"] = "text"
    text: str


class ImagePart(_Part):
    """An image, by `url` or by base64 `data` with its `media_type`; one of the two is set."""

    type: Literal["image"] = "image"
    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: ImageDetail | None = None


class FilePart(_Part):
    """A document, audio or other file: base64 `data`, a `url`, or a `file_id` of the provider that keeps it."""

    type: Literal["file"] = "file"
    url: str | None = None
    data: str | None = None
    file_id: str | None = None
    media_type: str | None = None
    filename: str | None = None


class ReasoningPart(_Part):
    """What a model thought; `text` may be empty where the provider only gives something encrypted."""

    type: Literal["reasoning"] = "reasoning"
    text: str = ""


class ToolCallPart(_Part):
    """A call that the caller is to execute.

    `arguments` is JSON text exactly as the model wrote it: a call that was cut off is no valid JSON, and is
    kept all the same.
    """

    type: Literal["tool_call"] = "tool_call"
    id: str
    name: str
    arguments: str = ""

    @property
    def is_custom(self) -> bool:
        """Whether a tool is called whose input is any text, no JSON: OpenAI's tools of the type `custom`."""
        return any(noted.get("type") == "custom" for noted in (self.provider_metadata or {}).values())


class ToolResultPart(_Part):
    """What the call `tool_call_id` gave: text, or parts where there is more than text."""

    type: Literal["tool_result"] = "tool_result"
    tool_call_id: str
    content: str | tuple[TextPart | ImagePart | FilePart, ...]
    name: str | None = None
    is_error: bool = False


class RefusalPart(_Part):
    """What a model said as it refused."""

    type: Literal["refusal"] = "refusal"
    text: str


class OpaquePart(_Part):
    """Something that only the provider in `provider_metadata` can read, such as the call of its own server tool."""

    type: Literal["opaque"] = "opaque"


Part: TypeAlias = Annotated[
    TextPart | ImagePart | FilePart | ReasoningPart | ToolCallPart | ToolResultPart | RefusalPart | OpaquePart,
    Field(discriminator="type"),
]

PARTS: TypeAdapter[tuple[Part, ...]] = TypeAdapter(tuple[Part, ...])
"""Reads and writes the parts of a message as JSON."""


class Message(BaseModel):
    """One message of a conversation.

    A system message may stand anywhere. Results of tools stand in messages of the role `tool`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def tool_calls(self) -> Sequence[ToolCallPart]:
        """The calls that the caller is to execute."""
        return [part for part in self.parts if isinstance(part, ToolCallPart)]


def text_message(role: Role, text: str) -> Message:
    """Make a message of one text part."""
    return Message(role=role, parts=(TextPart(text=text),))
