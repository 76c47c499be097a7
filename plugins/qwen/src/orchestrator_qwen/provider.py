"""Qwen on Alibaba Cloud Model Studio (DashScope), by its OpenAI-compatible API: everything here is data."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator_core.openai_compatible import Dialect, OpenAICompatibleProvider, Thinking
from orchestrator_core.provider_api import Json, KeyFormat, ProviderInfo
from orchestrator_qwen.models import ALL, MODELS, PRICES

BUDGET = "thinking_budget"

# https://www.alibabacloud.com/help/en/model-studio/deep-thinking: a switch, and a budget in tokens where less than
# everything is wanted. How many tokens stand for a word is our own choice.
EFFORTS: Mapping[str, Mapping[str, Json] | None] = {
    "none": {"enable_thinking": False},
    "minimal": {"enable_thinking": True, BUDGET: 1_024},
    "low": {"enable_thinking": True, BUDGET: 4_096},
    "medium": {"enable_thinking": True, BUDGET: 16_384},
    "high": {"enable_thinking": True},
    "xhigh": {"enable_thinking": True},
    "max": {"enable_thinking": True},
}
ALWAYS_THINKING = r"(qwq|qvq).*|.*-thinking(-\d.*)?"
THINKING_BY_DEFAULT = r"qwen(3\.[5-9]|3\.\d\d|[4-9]).*"


class QwenProvider(OpenAICompatibleProvider):
    """Model Studio's Chat Completions, embeddings and models."""

    info = ProviderInfo(
        name="qwen",
        title="Qwen (Alibaba Cloud Model Studio)",
        capabilities=(*ALL, "embeddings"),
        default_model="qwen3.8-flash",
        default_embedding_model="text-embedding-v4",
        models=MODELS,
        env_prefixes=("QWEN",),
        key_env=("QWEN_API_KEY", "DASHSCOPE_API_KEY"),
        key_formats=(
            KeyFormat(r"sk-[A-Za-z0-9]{32,250}", "`sk-` and 32 letters and digits or more", "sk-"),
            KeyFormat(r"sk-(ws|sp)-[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", "`sk-ws-` or `sk-sp-` and its parts", "sk-"),
        ),
        foreign_keys=(r"T3BlbkFJ", r"^sk-(ant|or|kimi|proj|svcacct|admin)-", r"^xai-", r"^AIza", r"^AQ\.", r"^gsk_"),
        prices=PRICES,
    )
    dialect = Dialect(
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        developer=False,
        openai_tools=False,
        spoken_answers=False,
        json_arguments=True,
        media=("image", "audio", "video"),
        audio_uri=True,
        replay_reasoning="tool_turn",
        # "The tool_choice parameter does not support being set to required or object in thinking mode" (400).
        thinking=(
            Thinking(models=ALWAYS_THINKING, efforts={**EFFORTS, "none": None}, budget=BUDGET, forced=()),
            Thinking(
                models=THINKING_BY_DEFAULT, efforts=EFFORTS, budget=BUDGET, off={"enable_thinking": False}, forced=()
            ),
            Thinking(efforts=EFFORTS, budget=BUDGET, off={"enable_thinking": False}, default=False, forced=()),
        ),
        embedding_batch=10,
    )
