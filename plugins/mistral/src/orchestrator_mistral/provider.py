"""Mistral: a strict server, which refuses fields that it does not know and instructions in the middle."""

from __future__ import annotations

from orchestrator_core.openai_compatible import Dialect, OpenAICompatibleProvider, Thinking
from orchestrator_core.provider_api import AdjustmentReport, ChatRequest, Json, KeyFormat, ProviderInfo
from orchestrator_mistral.models import GENERAL, MODELS

# https://docs.mistral.ai/api/endpoint/chat: any other field is answered with 422.
FIELDS = (
    "frequency_penalty guardrails logprobs max_tokens messages metadata model n parallel_tool_calls "
    "prediction presence_penalty prompt_cache_key prompt_mode random_seed reasoning_effort "
    "response_format safe_prompt stop stream temperature tool_choice tools top_logprobs top_p"
)
NONE, HIGH = {"reasoning_effort": "none"}, {"reasoning_effort": "high"}
EMBEDDING_FIELDS = frozenset(("model", "input", "metadata", "output_dimension", "output_dtype", "encoding_format"))


class MistralProvider(OpenAICompatibleProvider):
    """Mistral's Chat Completions, embeddings and models."""

    info = ProviderInfo(
        name="mistral",
        title="Mistral AI",
        capabilities=(*GENERAL, "reasoning", "embeddings"),
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
        accepted=frozenset(FIELDS.split()),
        accepted_inside=("prefix",),
        embedding_accepted=EMBEDDING_FIELDS,
        renamed={"seed": "random_seed", "dimensions": "output_dimension"},
        stream_usage=False,
        tool_choices={"required": "any"},
        openai_tools=False,
        spoken_answers=False,
        tool_kinds=("function",),
        tool_call_id=r"[A-Za-z0-9]{9}",
        tool_call_id_length=9,
        json_arguments=True,
        document_url=True,
        result_media=True,
        names=False,
        replay_reasoning="all",
        reasoning_parts=True,
        thinking=(
            # https://docs.mistral.ai/capabilities/reasoning/adjustable: `none` and `high` are all there is.
            Thinking(
                efforts={"minimal": NONE, **dict.fromkeys(("low", "medium", "xhigh", "max"), HIGH)},
                rough=("minimal", "low", "medium", "xhigh", "max"),
                off=NONE,
                default=False,
            ),
        ),
        # Messages with a field too many are refused as well, so a client's own are not passed on.
        native_request=False,
    )

    def compile(self, request: ChatRequest, report: AdjustmentReport) -> dict[str, Json]:
        """Return the body to send, with roles in an order that is taken; see the base class."""
        body = super().compile(request, report)
        # https://github.com/mistralai/mistral-common, validator.py: "Unexpected role 'system' after role 'assistant'",
        # and "Expected last role User or Tool (or Assistant with prefix True)".
        body["messages"] = _ordered(body["messages"], report)
        for tool in body.get("tools") or ():
            tool["function"].setdefault("parameters", {"type": "object", "properties": {}})
        return body


def _ordered(messages: list[dict[str, Json]], report: AdjustmentReport) -> list[dict[str, Json]]:
    """Move late instructions to the front, and mark an answer that is to be continued."""
    said = next((place for place, message in enumerate(messages) if message["role"] != "system"), 0)
    late: list[dict[str, Json]] = []
    rest: list[dict[str, Json]] = []
    spoke = ""
    for message in messages:
        if message["role"] != "system":
            spoke = message["role"]
        (late if message["role"] == "system" and spoke in ("assistant", "tool") else rest).append(message)
    if late:
        report.mapped("system", "instructions right after an answer or a result go before the conversation")
    ordered = [*rest[:said], *late, *rest[said:]]
    if ordered and ordered[-1]["role"] == "assistant":
        report.mapped("message", "the answer continues the last message")
        ordered[-1] = {**ordered[-1], "prefix": True}
    return ordered
