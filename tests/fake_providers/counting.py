"""A provider that counts what it is sent, refuses what is too long, and summarises by keeping every marked fact."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar

from fake_providers.scripted import Step
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    ContextTooLong,
    Finish,
    FinishReason,
    ImagePart,
    ModelInfo,
    Part,
    ProviderContext,
    ProviderHooks,
    ProviderInfo,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    hookimpl,
)

FACT = re.compile(r"FACT\d+=\w+")
"""What a conversation is to remember."""

LOOK = re.compile(r"LOOK\w+")
"""What is to be looked up."""

IMAGE = 800
"""Tokens of an image."""


class CountingProvider(ProviderHooks):
    """Counts three characters to a token, and answers with them; a summary is all the facts in what it stands for.

    Where it has tools, it calls the first one for every word of a question that begins with `LOOK`.

    Attributes:
        made: The instances of this kind.
        window: The tokens that it takes; None is any number.
        refuses_above: The tokens above which it refuses, where that is not the window that it declares.
        counts_answer: Whether the answer that is asked for has to fit too.
        turns: The turns that it was asked for, without summaries.
        summaries: The summaries that it was asked for.
        refused: How many calls were too long.
        summary_tokens: The tokens that a summary needs, or it is cut off; None is any number.
        next_summaries: What the next summaries say instead, or raise.
    """

    made: ClassVar[list[CountingProvider]] = []
    window: ClassVar[int | None] = None
    refuses_above: ClassVar[int | None] = None
    info = ProviderInfo(
        name="counting", title="Counting", capabilities=("chat",), requires_key=False, default_model="counting-1"
    )

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.made.append(self)
        self.turns: list[ChatRequest] = []
        self.summaries: list[ChatRequest] = []
        self.refused = 0
        self.counts_answer = False
        self.summary_tokens: int | None = None
        self.next_summaries: list[str | Exception] = []

    @hookimpl
    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        tokens = size(request)
        limit = self.refuses_above or self.window
        answer = (request.max_tokens or 0) if self.counts_answer else 0
        if limit is not None and tokens + answer > limit:
            self.refused += 1
            raise ContextTooLong("The conversation is longer than the model's context window. Shorten it.")
        summary = request.messages[0].text.startswith("Condense")
        (self.summaries if summary else self.turns).append(request)
        wanted = [] if summary else _wanted(request)
        said = self._summary(request) if summary else f"answer of {tokens} tokens"
        reason: FinishReason = "length" if summary and self._cut(request) else "stop"
        steps: list[Step] = [
            Start(id="answer-1", model=request.model),
            TextDelta(text=said),
            *(
                ToolCallDelta(index=index, id=f"call_{word}", name=request.tools[0].name, arguments="{}")
                for index, word in enumerate(wanted)
            ),
            UsageReport(usage=Usage(input_tokens=tokens - tokens // 2, cached_input_tokens=tokens // 2)),
            Finish(reason="tool_calls" if wanted else reason),
        ]
        for step in steps:
            assert isinstance(step, ChatEvent)
            yield step

    def _cut(self, request: ChatRequest) -> bool:
        return self.summary_tokens is not None and (request.max_tokens or 0) < self.summary_tokens

    def _summary(self, request: ChatRequest) -> str:
        if self.next_summaries:
            planned = self.next_summaries.pop(0)
            if isinstance(planned, Exception):
                raise planned
            return planned
        facts = dict.fromkeys(FACT.findall("".join(message.text for message in request.messages)))
        return " ".join(facts) or "nothing"


def size(request: ChatRequest) -> int:
    """Return the tokens of a call, as this provider counts; an image has as many whatever its bytes."""
    return sum(map(_tokens, (part for message in request.messages for part in message.parts)))


def _tokens(part: Part) -> int:
    return IMAGE if isinstance(part, ImagePart) else len(part.model_dump_json()) // 3


def _wanted(request: ChatRequest) -> Sequence[str]:
    """Return what a question wants to be looked up."""
    last = request.messages[-1]
    return LOOK.findall(last.text) if request.tools and last.role == "user" else []


def counting(name: str, window: int | None = None, refuses_above: int | None = None) -> type[CountingProvider]:
    """Make a provider with a context window, declared or not."""
    models = (ModelInfo(id=f"{name}-1", context_window=window, max_output_tokens=200),)
    info = ProviderInfo(
        name=name, title=name, capabilities=("chat",), requires_key=False, default_model=f"{name}-1", models=models
    )
    fields = {"made": [], "info": info, "window": window, "refuses_above": refuses_above}
    return type(f"Counting{name.title()}", (CountingProvider,), fields)
