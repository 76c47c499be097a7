"""Kimi: Moonshot's models sample in one way only, and want their thoughts back; everything here is data."""

from __future__ import annotations

from orchestrator_core.openai_compatible import Dialect, OpenAICompatibleProvider, Refused, Thinking
from orchestrator_core.provider_api import KeyFormat, ProviderInfo
from orchestrator_kimi.models import ALL, MODELS

# https://platform.kimi.ai/docs/api/models-overview: fixed on kimi models, free on moonshot-v1.
SAMPLING = ("temperature", "top_p", "n", "presence_penalty", "frequency_penalty")
ON, OFF = {"thinking": {"type": "enabled"}}, {"thinking": {"type": "disabled"}}


class KimiProvider(OpenAICompatibleProvider):
    """Moonshot's Chat Completions and models."""

    info = ProviderInfo(
        name="kimi",
        title="Kimi (Moonshot AI)",
        capabilities=ALL,
        default_model="kimi-k3",
        models=MODELS,
        aliases=("kimi_k2",),
        env_prefixes=("KIMI_K2", "KIMI"),
        key_env=("KIMI_K2_API_KEY", "KIMI_API_KEY", "MOONSHOT_API_KEY"),
        key_formats=(KeyFormat(r"sk-(kimi-)?[A-Za-z0-9]{40,250}", "`sk-` and 40 letters and digits or more", "sk-"),),
        foreign_keys=(
            r"T3BlbkFJ",
            r"^sk-(ant|or|proj|svcacct|admin|ws|sp)-",
            r"^xai-",
            r"^AIza",
            r"^AQ\.",
            r"^gsk_",
        ),
        price_id="moonshotai",
    )
    dialect = Dialect(
        base_url="https://api.moonshot.ai/v1",
        limits=("max_tokens", "max_completion_tokens"),
        refused=(
            Refused(models=r"kimi-.*", parameters=dict.fromkeys(SAMPLING), reason="Kimi models have fixed sampling"),
            Refused(models=r"kimi-k2-(?!thinking).*|moonshot-.*", parameters={"reasoning_effort": None}),
        ),
        developer=False,
        openai_tools=False,
        spoken_answers=False,
        json_arguments=True,
        media=("image", "video"),
        replay_reasoning="all",
        # "thinking is enabled but reasoning_content is missing in assistant tool call message" and
        # "tool_choice 'specified' is incompatible with thinking enabled" are its 400s.
        thinking=(
            # .../guide/use-kimi-k2-thinking-model: on unless switched off, in one degree.
            Thinking(
                models=r"kimi-k2\.[56].*",
                efforts={"none": OFF, **dict.fromkeys(("minimal", "low", "medium", "high", "xhigh", "max"), ON)},
                rough=("minimal", "low", "medium", "high", "xhigh", "max"),
                off=OFF,
                forced=(),
                calls_need_reasoning=True,
            ),
            # The same page: always on, in one degree.
            Thinking(
                models=r"kimi-k2(\.\d.*|-thinking.*)",
                efforts=dict.fromkeys(("none", "minimal", "low", "medium", "high", "xhigh", "max")),
                forced=(),
                calls_need_reasoning=True,
            ),
            # .../guide/use-thinking-effort: always on, `low`, `high` or `max`; a call can be demanded, one tool cannot.
            Thinking(
                models=r"kimi-(?!k2).*",
                efforts={
                    "none": {"reasoning_effort": "low"},
                    "minimal": {"reasoning_effort": "low"},
                    "medium": {"reasoning_effort": "high"},
                    "xhigh": {"reasoning_effort": "max"},
                },
                rough=("none", "minimal", "medium", "xhigh"),
                forced=("required",),
                calls_need_reasoning=True,
            ),
        ),
        embeddings=False,
    )
