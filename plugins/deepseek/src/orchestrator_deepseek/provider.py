"""DeepSeek: thinks unless told otherwise, and wants its thoughts back; everything here is data."""

from __future__ import annotations

from orchestrator_core.openai_compatible import Dialect, OpenAICompatibleProvider, Thinking
from orchestrator_core.provider_api import KeyFormat, ProviderInfo
from orchestrator_deepseek.models import ALL, MODELS

# https://api-docs.deepseek.com/guides/thinking_mode: on by default; every other word for the effort is taken.
OFF = {"thinking": {"type": "disabled"}}
EFFORTS = {"none": OFF}
IDLE = ("temperature", "presence_penalty", "frequency_penalty")  # taken while it thinks, "but will also have no effect"


class DeepSeekProvider(OpenAICompatibleProvider):
    """DeepSeek's Chat Completions and models."""

    info = ProviderInfo(
        name="deepseek",
        title="DeepSeek",
        capabilities=ALL,
        default_model="deepseek-flash",
        models=MODELS,
        env_prefixes=("DEEPSEEK",),
        key_env=("DEEPSEEK_API_KEY",),
        key_formats=(KeyFormat(r"sk-[A-Za-z0-9]{32,250}", "`sk-` and 32 letters and digits or more", "sk-"),),
        foreign_keys=(
            r"T3BlbkFJ",
            r"^sk-(ant|or|kimi|proj|svcacct|admin|ws|sp)-",
            r"^xai-",
            r"^AIza",
            r"^AQ\.",
            r"^gsk_",
        ),
        otel_name="deepseek",
        price_id="deepseek",
    )
    dialect = Dialect(
        base_url="https://api.deepseek.com",
        developer=False,
        openai_tools=False,
        spoken_answers=False,
        json_arguments=True,
        media=(),
        json_schema=False,
        # The same page: what was thought in a turn with calls must come back in
        # every later request; elsewhere it is ignored.
        replay_reasoning="all",
        thinking=(
            Thinking(models=r"deepseek-(chat|coder)", efforts=EFFORTS, off=OFF, default=False, forced=(), idle=IDLE),
            # "Thinking mode does not support this tool_choice" (400) is said of any demand for a call.
            Thinking(efforts=EFFORTS, off=OFF, forced=(), calls_need_reasoning=True, idle=IDLE),
        ),
        embeddings=False,
    )
