"""Mistral: a strict server, which refuses fields that it does not know and roles in another order than its own."""

from __future__ import annotations

from itertools import pairwise

from orchestrator_core.openai_compatible import Dialect, OpenAICompatibleProvider, Thinking
from orchestrator_core.provider_api import AdjustmentReport, ChatRequest, Json, KeyFormat, ProviderInfo
from orchestrator_mistral.models import MODELS

# https://docs.mistral.ai/api/endpoint/chat: any other field is answered with 422.
FIELDS = frozenset(
    "model messages temperature top_p max_tokens stream stop random_seed metadata response_format tools tool_choice "
    "presence_penalty frequency_penalty n prediction parallel_tool_calls prompt_mode reasoning_effort guardrails "
    "safe_prompt prompt_cache_key logprobs top_logprobs".split()
)
EMBEDDING_FIELDS = frozenset(("model", "input", "metadata", "output_dimension", "output_dtype", "encoding_format"))

# "Unexpected role 'user' after role 'tool'" (code 3230): the server's own order of roles.
FOLLOWING = {"assistant": {"assistant", "user", "tool"}, "tool": {"assistant", "tool"}}
BRIDGE = "OK."


class MistralProvider(OpenAICompatibleProvider):
    """Mistral's Chat Completions, embeddings and models."""

    info = ProviderInfo(
        name="mistral",
        title="Mistral AI",
        capabilities=(
            "chat",
            "function_calling",
            "vision",
            "reasoning",
            "code_generation",
            "embeddings",
            "structured_output",
        ),
        default_model="mistral-small-latest",
        default_embedding_model="mistral-embed",
        models=MODELS,
        env_prefixes=("MISTRAL",),
        key_env=("MISTRAL_API_KEY",),
        key_formats=(KeyFormat(r"(?!sk-|xai-|AIza|AQ\.)[A-Za-z0-9]{32}", "32 letters and digits"),),
        foreign_keys=(r"^sk-", r"^xai-", r"^AIza", r"^AQ\.", r"^gsk_"),
        otel_name="mistral_ai",
        price_id="mistral",
    )
    dialect = Dialect(
        base_url="https://api.mistral.ai/v1",
        accepted=FIELDS,
        embedding_accepted=EMBEDDING_FIELDS,
        renamed={"seed": "random_seed", "dimensions": "output_dimension"},
        stream_usage=False,
        tool_choices={"required": "any"},
        tool_call_id=r"[A-Za-z0-9]{9}",
        tool_call_id_length=9,
        json_arguments=True,
        media=("image", "audio", "file"),
        document_url=True,
        result_media=True,
        names=False,
        replay_reasoning="all",
        reasoning_parts=True,
        thinking=(
            # https://docs.mistral.ai/capabilities/reasoning: `none` and `high` are all there is.
            Thinking(
                efforts={
                    "minimal": {"reasoning_effort": "none"},
                    "low": {"reasoning_effort": "high"},
                    "medium": {"reasoning_effort": "high"},
                    "xhigh": {"reasoning_effort": "high"},
                },
                rough=("minimal", "low", "medium", "xhigh"),
                off={"reasoning_effort": "none"},
                default=False,
            ),
        ),
        # Messages with a field too many are refused as well, so a client's own are not passed on.
        native_request=False,
    )

    def compile(self, request: ChatRequest, report: AdjustmentReport) -> dict[str, Json]:
        """Return the body to send, with roles in an order that is taken; see the base class."""
        body = super().compile(request, report)
        body["messages"] = _ordered(body["messages"], report)
        for tool in body.get("tools") or ():
            if tool.get("type") == "function":
                tool["function"].setdefault("parameters", {"type": "object", "properties": {}})
        return body


def _ordered(messages: list[dict[str, Json]], report: AdjustmentReport) -> list[dict[str, Json]]:
    """Move system messages behind what was said after them, bridge a result and a user, and mark a prefix."""
    late = [again for before, again in pairwise(messages) if _misplaced(before, again) and again["role"] == "system"]
    if late:
        report.mapped("system", "instructions after the first answer go before the conversation")
    rest = [message for message in messages if not any(message is each for each in late)]
    ordered = late[:0]
    for message in rest:
        if ordered and _misplaced(ordered[-1], message):
            report.mapped("tool_result", "an answer stands between a tool's result and what the user said next")
            ordered.append({"role": "assistant", "content": BRIDGE})
        ordered.append(message)
    first = next((place for place, message in enumerate(ordered) if message["role"] != "system"), len(ordered))
    ordered[first:first] = late
    if ordered and ordered[-1]["role"] == "assistant":
        report.mapped("message", "the answer continues the last message")
        ordered[-1] = {**ordered[-1], "prefix": True}
    return ordered


def _misplaced(before: dict[str, Json], message: dict[str, Json]) -> bool:
    return message["role"] not in FOLLOWING.get(before["role"], {message["role"]})
