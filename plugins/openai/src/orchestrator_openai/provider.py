"""OpenAI: the protocol itself, so nearly everything here is data."""

from __future__ import annotations

from orchestrator_core.openai_compatible import Dialect, OpenAICompatibleProvider, Refused
from orchestrator_core.provider_api import KeyFormat, ProviderInfo
from orchestrator_openai.models import MODELS

# Fine-tuned models keep the name of their base: `ft:o4-mini:...`.
REASONING_MODELS = r"(ft:)?(o\d|gpt-([5-9]|\d\d)).*"

# https://platform.openai.com/docs/guides/reasoning: these sample in one way only. From gpt-5.1 on it depends on
# the effort, which OpenAI itself must judge.
FIXED_SAMPLING = r"(ft:)?(o\d.*|gpt-5(-mini|-nano|-pro|-codex)?(-\d{4}-\d\d-\d\d)?(:.*)?)"


class OpenAIProvider(OpenAICompatibleProvider):
    """OpenAI's Chat Completions, embeddings and models."""

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
                },
                reason="this reasoning model has fixed sampling",
            ),
        ),
        refusal_field=True,
    )
