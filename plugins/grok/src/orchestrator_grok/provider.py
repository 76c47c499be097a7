"""Grok: xAI's API is close to OpenAI's, so everything here is data."""

from __future__ import annotations

from orchestrator_core.openai_compatible import Dialect, OpenAICompatibleProvider, Refused, Thinking
from orchestrator_core.provider_api import KeyFormat, ProviderInfo
from orchestrator_grok.models import ALL, MODELS

# https://docs.x.ai/docs/guides/reasoning: every model reasons but grok-2, grok-3 without `mini`, and those that say so
# in their name.
REASONING_MODELS = r"grok-(?!2|3(-fast)?(-latest|-beta)?$|beta)(?!.*non-reasoning).*"

# The same page, and "does not support parameter reasoningEffort" (400); of that generation only grok-3-mini takes it.
WITHOUT_EFFORT = r"grok-(2|3(-fast)?(-latest|-beta)?$|4(-\d{4}|-latest)?$|4(-1)?-fast|code-).*"


class GrokProvider(OpenAICompatibleProvider):
    """xAI's Chat Completions and models."""

    info = ProviderInfo(
        name="grok",
        title="Grok (xAI)",
        capabilities=ALL,
        default_model="grok-4.3",
        models=MODELS,
        env_prefixes=("GROK",),
        key_env=("GROK_API_KEY", "XAI_API_KEY"),
        key_formats=(KeyFormat(r"xai-[A-Za-z0-9_-]{40,250}", "`xai-` and 40 characters or more", "xai-"),),
        foreign_keys=(r"^sk-", r"^AIza", r"^AQ\.", r"^gsk_"),
        otel_name="x_ai",
        price_id="x-ai",
    )
    dialect = Dialect(
        base_url="https://api.x.ai/v1",
        limits=("max_tokens", "max_completion_tokens"),
        # The same page: "Adding them in the request would result in an error."
        refused=(
            Refused(
                models=REASONING_MODELS,
                parameters=dict.fromkeys(("presence_penalty", "frequency_penalty", "stop")),
                reason="reasoning models of xAI do not take it",
            ),
            Refused(models=WITHOUT_EFFORT, parameters={"reasoning_effort": None}),
        ),
        developer=False,
        openai_tools=False,
        spoken_answers=False,
        media=("image",),
        json_arguments=True,
        reasoning_outside=True,
        replay_reasoning="tool_turn",
        thinking=(
            # The same page: `low`, `medium` and `high`, and for some models `none`.
            Thinking(
                models=REASONING_MODELS,
                efforts={
                    "minimal": {"reasoning_effort": "low"},
                    "xhigh": {"reasoning_effort": "high"},
                    "max": {"reasoning_effort": "high"},
                },
                rough=("minimal", "xhigh", "max"),
            ),
        ),
        embeddings=False,
    )
