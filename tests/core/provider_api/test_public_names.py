"""What plugins rely on, name by name: whoever changes this list changes the contract."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from orchestrator_core import provider_api
from orchestrator_core.provider_api import CONTRACT_VERSION, HOOKS, PROJECT, ProviderHooks

NAMES = [
    "ANTHROPIC_MESSAGES",
    "CHOOSING_FIELDS",
    "CONTRACT_VERSION",
    "ENTRY_POINT_GROUP",
    "FIELDS",
    "FREE_TOOLS",
    "HOOKS",
    "MASK",
    "MAX_MESSAGE",
    "MESSAGE",
    "OPENAI_CHAT",
    "OPENAI_EMBEDDINGS",
    "PARTS",
    "PRICING_FIELDS",
    "THOUGHT",
    "PROJECT",
    "REFUSALS",
    "Action",
    "Adjustment",
    "AdjustmentReport",
    "AnswerTooLarge",
    "Auth",
    "Capability",
    "ChatEvent",
    "ChatEvents",
    "ChatRequest",
    "ChatResponse",
    "Choice",
    "BudgetExceeded",
    "CircuitOpen",
    "Conflict",
    "ContentBlocked",
    "ContextTooLong",
    "Deadline",
    "DeadlineExceeded",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "FilePart",
    "Finish",
    "FinishReason",
    "GatewayError",
    "HeaderAuth",
    "HealthReport",
    "HealthRequest",
    "IdempotencyMismatch",
    "ImagePart",
    "InternalError",
    "InvalidRequest",
    "Json",
    "KeyFormat",
    "KeyRequest",
    "KeyStatus",
    "KeyVerdict",
    "Logprobs",
    "Message",
    "MethodNotAllowed",
    "ModelInfo",
    "ModelPrice",
    "NO_DETAILS",
    "NamedTool",
    "NativeEvent",
    "NativeOnly",
    "NativeRequest",
    "NotFound",
    "NotSupported",
    "OpaquePart",
    "Overloaded",
    "Part",
    "PayloadTooLarge",
    "PermissionDenied",
    "PluginError",
    "ProviderAuthFailed",
    "ProviderBadResponse",
    "ProviderContext",
    "ProviderError",
    "ProviderFailed",
    "ProviderHooks",
    "ProviderInfo",
    "ProviderKeyMalformed",
    "ProviderMetadata",
    "ProviderNotConfigured",
    "ProviderQuotaExhausted",
    "ProviderRateLimited",
    "ProviderRedirect",
    "ProviderRefused",
    "ProviderSettings",
    "ProviderTimeout",
    "ProviderUnavailable",
    "ProviderUnreachable",
    "RateLimited",
    "ReasoningDelta",
    "ReasoningPart",
    "RefusalDelta",
    "RefusalPart",
    "RequestError",
    "RequestInFlight",
    "RequestTimeout",
    "ResponseFormat",
    "Role",
    "Secret",
    "ServerSentEvent",
    "SessionBusy",
    "SessionEnded",
    "ShuttingDown",
    "Start",
    "StorageBusy",
    "StorageError",
    "StorageFull",
    "SummarizeRequest",
    "Summary",
    "SummaryChat",
    "TextDelta",
    "TextPart",
    "Tool",
    "ToolCallDelta",
    "ToolCallPart",
    "ToolChoice",
    "ToolResultPart",
    "Unauthenticated",
    "UnsupportedMediaType",
    "UnsupportedParameter",
    "UpstreamClient",
    "UpstreamResponse",
    "UpstreamStream",
    "Usage",
    "UsageDetails",
    "UsageReport",
    "WholePart",
    "check_key",
    "error_for_status",
    "hookimpl",
    "fields_of",
    "is_http_url",
    "is_message_note",
    "last_answer",
    "mask_key",
    "message_notes",
    "noted_message",
    "one_by_one",
    "report_note",
    "retry_after_seconds",
    "taken_notes",
    "text_message",
]

ROOT = Path(__file__).parents[3]


def test_the_contract_has_exactly_these_names() -> None:
    assert sorted(provider_api.__all__) == sorted(NAMES)
    assert CONTRACT_VERSION == "1.1"


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_specified_documented_and_tested(hook: str) -> None:
    specification = getattr(ProviderHooks, hook)
    reference = (ROOT / "docs/reference/hooks.md").read_text(encoding="utf-8")
    called = {
        node.func.attr
        for path in (ROOT / "tests/core/plugins").glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }

    assert getattr(specification, f"{PROJECT}_spec")["firstresult"]
    assert len(inspect.getdoc(specification) or "") > 60
    assert hook in reference
    assert hook in called


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_without_the_mark_is_refused_by_name(hook: str) -> None:
    with pytest.raises(TypeError, match=rf"Forgetful\.{hook} .*@hookimpl"):
        type("Forgetful", (ProviderHooks,), {hook: lambda self, request: None})
