"""Anthropic: its card, and its calls."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing

import pydantic_core
from pydantic import Field

from orchestrator_anthropic.compile import compile_chat
from orchestrator_anthropic.errors import error_in_answer, error_of_answer
from orchestrator_anthropic.models import MODELS
from orchestrator_anthropic.parse import MessageParser
from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    FREE_TOOLS,
    AdjustmentReport,
    ChatEvents,
    ChatRequest,
    HealthReport,
    HealthRequest,
    Json,
    KeyFormat,
    ModelInfo,
    ProviderBadResponse,
    ProviderContext,
    ProviderHooks,
    ProviderInfo,
    ProviderRefused,
    ProviderSettings,
    hookimpl,
)

BASE_URL = "https://api.anthropic.com"
VERSION = "2023-06-01"
MAX_ROUNDS = 8
"""How often a paused turn is sent again: each round ran ten calls of Anthropic's own tools or more."""

_PASSED_ON = ("anthropic-version", "anthropic-beta")


def auth(credential: str) -> Mapping[str, str]:
    """Return the header of a key; tokens of OAuth (`sk-ant-oat...`) travel as Bearer."""
    if credential.startswith("sk-ant-oat"):
        return {"authorization": f"Bearer {credential}"}
    return {"x-api-key": credential}


class AnthropicSettings(ProviderSettings):
    """Settings of Anthropic.

    Attributes:
        betas: Names for `anthropic-beta` on every call, separated by commas.
    """

    betas: str | None = Field(default=None, pattern=r"^[ -~]*$")


class AnthropicProvider(ProviderHooks):
    """Anthropic's Messages API."""

    info = ProviderInfo(
        name="anthropic",
        title="Anthropic",
        capabilities=(
            "chat",
            "function_calling",
            "vision",
            "reasoning",
            "long_context",
            "code_generation",
            "structured_output",
        ),
        default_model="claude-sonnet-5-5",
        models=MODELS,
        env_prefixes=("ANTHROPIC",),
        key_env=("ANTHROPIC_API_KEY",),
        key_formats=(
            KeyFormat(
                r"sk-ant-(?:api|oat)\d{2}-[A-Za-z0-9_-]{80,250}",
                "`sk-ant-api03-` and 80 characters or more",
                "sk-ant-",
            ),
        ),
        foreign_keys=(r"^sk-(?!ant-)", r"^xai-", r"^AIza", r"^AQ\."),
        auth=auth,
        otel_name="anthropic",
        price_id="anthropic",
        # What the caller runs (https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview, "client tools").
        free_tools=(*FREE_TOOLS, r"(bash|text_editor|computer|memory)_\d{8}"),
        dialects=(ANTHROPIC_MESSAGES,),
    )
    settings_model = AnthropicSettings

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        base_url = context.settings.base_url or BASE_URL
        self.base_url = base_url.rstrip("/").removesuffix("/v1")

    @hookimpl
    async def chat(self, request: ChatRequest) -> ChatEvents:
        """Answer a conversation, see `ProviderHooks.chat`."""
        report = AdjustmentReport(strict=request.strict)
        compiled = compile_chat(request, self.context.settings, self.context.provider_id, report)
        body = compiled.body
        native = request.native is not None and request.native.dialect == ANTHROPIC_MESSAGES
        # Only its own tools make Anthropic pause; a client of its dialect sees to it by itself.
        pauses = body.get("mcp_servers") or any("input_schema" not in tool for tool in body.get("tools") or ())
        parser = MessageParser(
            self.context.provider_id,
            native=native,
            adjustments=tuple(report.adjustments),
            names=compiled.names,
            resumes=not native and bool(pauses),
        )
        headers = self._headers(request, compiled.betas)
        ask = self._streamed if request.stream else self._whole
        try:
            for number in range(MAX_ROUNDS):
                parser.resumes = parser.resumes and number < MAX_ROUNDS - 1
                async with aclosing(ask(request, body, headers, parser)) as events:
                    async for given in events:
                        yield given
                if not parser.paused:
                    return
                said = {"role": "assistant", "content": list(parser.content)}
                body = {**compiled.body, "messages": [*compiled.body["messages"], said]}
                parser.again()
        except ProviderRefused as error:
            self._hint(error, request.model)
            raise

    @hookimpl
    async def health(self, request: HealthRequest) -> HealthReport:
        """List the models, which costs no tokens; see `ProviderHooks.health`."""
        response = await self.context.client.request(
            "GET",
            f"{self.base_url}/v1/models?limit=1000",
            deadline=request.deadline,
            credential=request.credential,
            headers={"anthropic-version": VERSION},
        )
        self._check(response.status, response.headers, response.body)
        try:
            rows = pydantic_core.from_json(response.body)["data"]
            return HealthReport(healthy=True, models=[_model(row) for row in rows])
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ProviderBadResponse("The provider's list of models has the wrong shape.") from None

    async def _whole(
        self, request: ChatRequest, body: Mapping[str, Json], headers: Mapping[str, str], parser: MessageParser
    ) -> ChatEvents:
        response = await self.context.client.request(
            "POST",
            f"{self.base_url}/v1/messages",
            deadline=request.deadline,
            credential=request.credential,
            headers=headers,
            body=pydantic_core.to_json(body),
        )
        self._check(response.status, response.headers, response.body)
        yield parser.body(response.body)

    async def _streamed(
        self, request: ChatRequest, body: Mapping[str, Json], headers: Mapping[str, str], parser: MessageParser
    ) -> ChatEvents:
        """Ask for a stream. It is complete with `message_stop`: what breaks after that has cost nobody anything."""
        async with self.context.client.stream(
            "POST",
            f"{self.base_url}/v1/messages",
            deadline=request.deadline,
            credential=request.credential,
            headers=headers,
            body=pydantic_core.to_json(body),
        ) as stream:
            if stream.status != 200 or "text/event-stream" not in stream.headers.get("content-type", ""):
                answer = await stream.read()
                self._check(stream.status, stream.headers, answer)
                raise _no_stream(answer)
            async with aclosing(stream.batches()) as upstream:
                async for batch in upstream:
                    for event in batch:
                        if event.data:
                            yield parser.event(event.data, event.event)
                        if parser.complete:
                            return
        raise ProviderBadResponse("The provider's stream ended before the answer was complete.")

    def _headers(self, request: ChatRequest, betas: list[str]) -> dict[str, str]:
        options = request.native or request.native_options
        given = options.headers if options is not None and options.dialect == ANTHROPIC_MESSAGES else {}
        headers = {"anthropic-version": VERSION}
        headers |= {name.lower(): value for name, value in given.items() if name.lower() in _PASSED_ON}
        own = self.context.settings.betas if isinstance(self.context.settings, AnthropicSettings) else None
        named = [headers.get("anthropic-beta", ""), own or "", *betas]
        every = dict.fromkeys(beta.strip() for each in named for beta in each.split(",") if beta.strip())
        if every:
            headers["anthropic-beta"] = ",".join(every)
        return headers

    def _check(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Refuse an answer that is no JSON under a 2xx.

        Raises:
            ProviderError: As its status and body say.
        """
        if not 200 <= status < 300:
            raise error_of_answer(status, headers, body, self.context.clock())
        kind = headers.get("content-type", "")
        if not body or (kind and "json" not in kind):
            raise ProviderBadResponse(
                "The provider's answer is empty, or not labelled as JSON.", upstream_status=status
            )

    def _hint(self, error: ProviderRefused, model: str) -> None:
        """Add the name of a retired model's successor to what Anthropic said, where it is known."""
        for known in self.info.models:
            if known.id == model and known.replacement:
                error.message = f"{error.message} ({model} is retired: use {known.replacement}.)"
                error.args = (error.message,)


def _no_stream(answer: bytes) -> Exception:
    try:
        wire = pydantic_core.from_json(answer, allow_partial=True)
    except ValueError:
        wire = None
    if isinstance(wire, dict) and wire.get("type") == "error":
        return error_in_answer(wire)
    return ProviderBadResponse("The provider sent no stream although one was asked for.")


def _model(row: Mapping[str, Json]) -> ModelInfo:
    """Read a row of `GET /v1/models`; older answers have only the first two fields."""
    return ModelInfo(
        id=row["id"],
        description=row.get("display_name"),
        context_window=row.get("max_input_tokens"),
        max_output_tokens=row.get("max_tokens"),
    )
