"""OpenAI: the protocol itself, so nearly everything here is data; and which requests go to the Responses API."""

from __future__ import annotations

import re
from typing import Literal

import pydantic_core

from orchestrator_core.openai_compatible import Dialect, OpenAICompatibleProvider, Refused
from orchestrator_core.openai_compatible.stream import stream_chat, whole_chat
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatEvents,
    ChatRequest,
    Json,
    KeyFormat,
    ProviderContext,
    ProviderInfo,
    ProviderRefused,
    ProviderSettings,
)
from orchestrator_openai.foreign import FOREIGN
from orchestrator_openai.models import MODELS
from orchestrator_openai.responses_request import compile_responses
from orchestrator_openai.responses_stream import ResponseStreamReader

# Fine-tuned models keep the name of their base: `ft:o4-mini:...`.
REASONING_MODELS = r"(ft:)?(o\d|gpt-([5-9]|\d\d)).*"

# https://platform.openai.com/docs/guides/reasoning: these sample in one way only. From gpt-5.1 on it depends on
# the effort, which OpenAI itself must judge.
FIXED_SAMPLING = r"(ft:)?(o\d.*|gpt-5(-mini|-nano|-pro|-codex)?(-\d{4}-\d\d-\d\d)?(:.*)?)"

# https://platform.openai.com/docs/api-reference/chat/create (`stop`): "Not supported with latest reasoning models o3
# and o4-mini"; gpt-5 answers "Unsupported parameter: 'stop' is not supported with this model".
WITHOUT_STOP = r"(ft:)?(o3(-pro)?|o4-mini|gpt-5(-mini|-nano|-pro|-codex)?)(-\d{4}-\d\d-\d\d)?(:.*)?"

# https://developers.openai.com/api/docs/guides/reasoning: "Function tools with reasoning_effort are not supported for
# gpt-5.6-terra in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'."
REASONS_WITH_TOOLS_BY_RESPONSES = r"(ft:)?gpt-(5\.[6-9]|[6-9]|\d\d).*"


class OpenAISettings(ProviderSettings):
    """The operator's settings.

    Attributes:
        responses: Which chats go to the Responses API: those that Chat Completions refuses, none, or all.
    """

    responses: Literal["auto", "never", "always"] = "auto"


class OpenAIProvider(OpenAICompatibleProvider):
    """OpenAI's Chat Completions, embeddings and models, and its Responses API where a chat needs it."""

    settings_model = OpenAISettings
    info = ProviderInfo(
        name="openai",
        title="OpenAI",
        capabilities=(
            "chat",
            "function_calling",
            "vision",
            "reasoning",
            "long_context",
            "code_generation",
            "embeddings",
            "structured_output",
        ),
        default_model="gpt-5.6-luna",
        default_embedding_model="text-embedding-3-small",
        models=MODELS,
        env_prefixes=("OPENAI",),
        key_env=("OPENAI_API_KEY",),
        key_formats=(
            KeyFormat(
                r"sk-(?!ant-|or-|kimi-|ws-|sp-|admin-)[A-Za-z0-9_-]{40,250}",
                "`sk-` (also `sk-proj-`, `sk-svcacct-`) and 40 characters or more",
                "sk-",
            ),
        ),
        foreign_keys=(r"^sk-(ant|or|kimi|ws|sp|admin)-", r"^xai-", r"^AIza", r"^AQ\.", r"^gsk_"),
        otel_name="openai",
        price_id="openai",
    )
    dialect = Dialect(
        base_url="https://api.openai.com/v1",
        # https://platform.openai.com/docs/api-reference/chat/create: `max_tokens` is refused by reasoning models.
        limits=("max_tokens", "max_completion_tokens"),
        limits_of={REASONING_MODELS: ("max_completion_tokens",)},
        refused=(
            Refused(
                models=FIXED_SAMPLING,
                parameters={
                    "temperature": 1,
                    "top_p": 1,
                    "presence_penalty": 0,
                    "frequency_penalty": 0,
                    "logprobs": False,
                    "top_logprobs": 0,
                    "logit_bias": {},
                },
                reason="this reasoning model has fixed sampling",
            ),
            Refused(models=WITHOUT_STOP, parameters={"stop": None}),
        ),
        foreign=FOREIGN,
        refusal_field=True,
        empty_answers=True,
    )

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        settings = context.settings
        self._responses = settings.responses if isinstance(settings, OpenAISettings) else "auto"

    def compile(self, request: ChatRequest, report: AdjustmentReport) -> dict[str, Json]:
        """Return the body to send, of the Responses API where the request goes there.

        Raises:
            UnsupportedParameter: Something would get lost, and the caller is strict.
        """
        if self._by_responses(request):
            return self._compile_responses(request, report)
        return super().compile(request, report)

    def ask(self, request: ChatRequest) -> ChatEvents:
        """Ask the API that the request goes to: Responses, or Chat Completions.

        Raises:
            UnsupportedParameter: Something would get lost, and the caller is strict.
        """
        return self._ask_responses(request) if self._by_responses(request) else super().ask(request)

    def refused(self, request: ChatRequest, error: ProviderRefused) -> ChatEvents | None:
        """Send to the Responses API what OpenAI refuses on Chat Completions and tells to send there."""
        if self._responses == "never" or "v1/responses" not in error.message:
            return super().refused(request, error)
        return self._ask_responses(request, error)

    def _by_responses(self, request: ChatRequest) -> bool:
        if self._responses != "auto":
            return self._responses == "always"
        reasons = request.reasoning_effort not in (None, "none")
        return bool(reasons and request.tools and re.fullmatch(REASONS_WITH_TOOLS_BY_RESPONSES, request.model))

    def _compile_responses(self, request: ChatRequest, report: AdjustmentReport) -> dict[str, Json]:
        return compile_responses(
            request,
            self.dialect,
            provider_id=self.context.provider_id,
            settings=self.context.settings,
            report=report,
        )

    def _ask_responses(self, request: ChatRequest, refusal: ProviderRefused | None = None) -> ChatEvents:
        report = AdjustmentReport(strict=request.strict)
        body = self._compile_responses(request, report)

        def refused(error: ProviderRefused) -> None:
            if refusal is not None and error.upstream_status == 404:  # a server without the Responses API
                self._hint(refusal, request.model)
                raise refusal from None
            self._hint(error, request.model)

        ask = stream_chat if request.stream else whole_chat
        return ask(
            self.context.client,
            f"{self.base_url}/responses",
            pydantic_core.to_json(body),
            ResponseStreamReader(self.context.provider_id, adjustments=tuple(report.adjustments)),
            deadline=request.deadline,
            credential=request.credential,
            headers=self.dialect.headers,
            clock=self.context.clock,
            refused=refused,
        )
