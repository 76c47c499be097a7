"""How a vendor's protocol differs from OpenAI's, as data."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from orchestrator_core.provider_api import Json

LIMITS = ("max_tokens", "max_completion_tokens")
"""The two names under which a limit on the answer's length travels."""

MediaKind = Literal["image", "audio", "file", "video"]
ForcedChoice = Literal["required", "named"]


_MODELS: Final = 256
"""Models of all dialects together of which it is remembered what holds for them: callers choose the names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Parameters that a vendor answers with an error, so that they are left out and reported.

    Attributes:
        parameters: The names, each with the one value that is taken all the same, or None.
        models: A regular expression that the whole model name matches where this holds.
        reason: Why, for people.
    """

    parameters: Mapping[str, Json]
    models: str = ".*"
    reason: str = "this model does not take it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """How models are told to think, and what they demand while they do.

    Attributes:
        models: A regular expression that the whole model name matches where this holds.
        efforts: Words of `reasoning_effort`, each with the fields that say it here, or with None where nothing does;
            a word that is not here is sent as it is.
        rough: Those of `efforts` whose fields mean something else than the word, if only in degree.
        budget: The field that takes the most tokens of thought as a number; None where there is none.
        off: The fields that switch thinking off; None where it cannot be.
        default: Whether models think where nothing is said.
        forced: Which demands for a tool are taken while a model thinks.
        calls_need_reasoning: Whether an earlier message with calls is refused, while a model thinks, without what was
            thought before it.
        idle: Parameters that are taken, and do nothing while a model thinks.
    """

    models: str = ".*"
    efforts: Mapping[str, Mapping[str, Json] | None] = field(default_factory=dict)
    rough: Collection[str] = ()
    budget: str | None = None
    off: Mapping[str, Json] | None = None
    default: bool = True
    forced: Sequence[ForcedChoice] = ("required", "named")
    calls_need_reasoning: bool = False
    idle: Collection[str] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Dialect:
    """The differences of one vendor. The defaults are OpenAI's protocol as most servers speak it.

    Attributes:
        base_url: Where the API is, up to and without `/chat/completions`.
        limits: The names that are taken for the limit on the answer's length, the preferred one first.
        limits_of: The same for models whose whole name matches a regular expression.
        accepted: The only fields that the vendor takes, where it refuses unknown ones.
        refused: Fields that it refuses.
        foreign: Fields of other vendors that it refuses as unknown, wherever they stand: in a request, in messages,
            parts and tools; and kinds of parts.
        accepted_inside: The only fields of messages, parts, calls and tools that it takes beyond the canonical ones,
            where it refuses unknown ones.
        marks: Names in `extra_content` under which the vendor itself keeps what must come back.
        renamed: OpenAI's names of fields, with the vendor's.
        stream_usage: Whether `stream_options.include_usage` has to be asked for.
        tool_choices: OpenAI's words for the choice of a tool, with the vendor's.
        named_tool_choice: Whether one tool can be demanded by its name.
        openai_tools: Whether OpenAI's tools of the kind `custom` are known, a choice among some of the tools, and the
            retired `functions`; else calls of such tools in the history are functions, only the tools to choose from
            are sent, and what is retired is said in its later form.
        spoken_answers: Whether an earlier answer may be sound, by an id that the vendor gave it; else it is its text.
        tool_kinds: The only kinds of tools that there are, where others are refused.
        tool_call_id: A regular expression that ids of tool calls match whole.
        tool_call_id_length: The length of the ids that are made for calls whose id does not.
        json_arguments: Whether the arguments of earlier calls must be JSON, even of one that was cut off.
        media: What a user's message may hold beside text.
        audio_uri: Whether sound goes into a data URI instead of bare base64.
        document_url: Whether a file is a part `document_url`, by URL or data URI; else it is a part `file`.
        result_media: Whether a tool's result may hold what a user's message may; else a user's message follows it.
        names: Whether a message may name its author.
        developer: Whether the role `developer` is known; else it is `system`.
        json_schema: Whether an answer can be held to a schema; else the schema becomes an instruction.
        refusal_field: Whether an earlier refusal goes into a field of its own; else it is text.
        empty_answers: Whether an earlier answer of a client may be an empty text, and nothing else.
        reasoning_fields: Where reasoning may stand in an answer, in order of precedence.
        replay_reasoning: Which earlier messages get their reasoning back: none, those of the tool calls that
            are still being worked on, or all. It goes into the first of `reasoning_fields`.
        reasoning_parts: Whether it goes into the content instead, as parts of the kind `thinking`.
        thinking: How models think; the first entry that fits a model holds.
        reasoning_outside: Whether `completion_tokens` excludes reasoning where no total decides it.
        native_request: Whether an OpenAI client's body is sent on, with the differences applied; else the
            canonical request is compiled.
        embeddings: Whether there is `/embeddings`.
        embedding_batch: The most inputs of one call.
        embedding_accepted: The only fields that `/embeddings` takes, where unknown ones are refused.
        headers: Further headers, none of them secret.
    """

    base_url: str = ""
    limits: Sequence[str] = ("max_tokens",)
    limits_of: Mapping[str, Sequence[str]] = field(default_factory=dict)
    accepted: Collection[str] | None = None
    refused: Sequence[Refused] = ()
    foreign: Collection[str] = ()
    accepted_inside: Collection[str] | None = None
    marks: Collection[str] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    stream_usage: bool = True
    tool_choices: Mapping[str, str] = field(default_factory=dict)
    named_tool_choice: bool = True
    openai_tools: bool = True
    spoken_answers: bool = True
    tool_kinds: Collection[str] | None = None
    tool_call_id: str = r"[\x21-\x7e]{1,40}"
    tool_call_id_length: int = 24
    json_arguments: bool = False
    media: Sequence[MediaKind] = ("image", "audio", "file")
    audio_uri: bool = False
    document_url: bool = False
    result_media: bool = False
    names: bool = True
    developer: bool = True
    json_schema: bool = True
    refusal_field: bool = False
    empty_answers: bool = False
    reasoning_fields: Sequence[str] = ("reasoning_content", "reasoning")
    replay_reasoning: Literal["none", "tool_turn", "all"] = "none"
    reasoning_parts: bool = False
    thinking: Sequence[Thinking] = ()
    reasoning_outside: bool = False
    native_request: bool = True
    embeddings: bool = True
    embedding_batch: int | None = None
    embedding_accepted: Collection[str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @lru_cache(maxsize=_MODELS)  # noqa: B019 - dialects live as long as the process
    def limits_for(self, model: str) -> Sequence[str]:
        """Return the names that a model takes for the limit on the answer's length."""
        for pattern, names in self.limits_of.items():
            if re.fullmatch(pattern, model):
                return names
        return self.limits

    @lru_cache(maxsize=_MODELS)  # noqa: B019 - dialects live as long as the process
    def refused_for(self, model: str) -> Mapping[str, tuple[Json, str]]:
        """Return what a model refuses, each with the one value that it takes and with the reason."""
        return {
            name: (taken, rule.reason)
            for rule in self.refused
            if re.fullmatch(rule.models, model)
            for name, taken in rule.parameters.items()
        }

    @lru_cache(maxsize=_MODELS)  # noqa: B019 - dialects live as long as the process
    def thinking_of(self, model: str) -> Thinking | None:
        """Return how a model thinks, where that is known."""
        return next((rule for rule in self.thinking if re.fullmatch(rule.models, model)), None)
