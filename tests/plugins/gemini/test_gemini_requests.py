"""Parameters, tools and Gemini's own fields in a request, and what is said about them."""

from __future__ import annotations

from typing import Any

import pytest

from fake_upstreams.gemini_calls import ask
from fake_upstreams.strict_gemini import StrictGemini
from orchestrator_core.provider_api import (
    AdjustmentReport,
    InvalidRequest,
    NamedTool,
    ProviderSettings,
    ResponseFormat,
    Tool,
    UnsupportedParameter,
)
from orchestrator_gemini.request import compile_chat

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": False}
WEATHER = Tool(name="weather", description="Of a city.", parameters=SCHEMA)


def compiled(
    *, settings: ProviderSettings | None = None, strict: bool = False, **fields: Any
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The body, which breaks no rule, and the subjects and actions of the report."""
    report = AdjustmentReport(strict=strict)
    body = compile_chat(ask(**fields), provider_id="gemini", settings=settings or ProviderSettings(), report=report)
    problems = [each for rule in StrictGemini().rules for each in rule.check(body, {"x-goog-api-key": "k"})]
    assert problems == []
    return body, [(each.subject, each.action) for each in report.adjustments]


def test_nothing_is_added() -> None:
    assert compiled() == ({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}, [])


def test_parameters() -> None:
    body, report = compiled(
        temperature=0.5,
        top_p=0.9,
        max_tokens=10,
        stop=("a", "b"),
        seed=7,
        n=2,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        parallel_tool_calls=True,
    )
    assert body["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "maxOutputTokens": 10,
        "stopSequences": ("a", "b"),
        "seed": 7,
        "candidateCount": 2,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
    }
    assert report == []


def test_defaults_of_the_operator_give_way_to_the_caller() -> None:
    settings = ProviderSettings(default_temperature=0.1, default_max_tokens=50)
    assert compiled(settings=settings, temperature=0.9)[0]["generationConfig"] == {
        "temperature": 0.9,
        "maxOutputTokens": 50,
    }


def test_a_seed_of_more_than_32_bits() -> None:
    body, report = compiled(seed=2**40 + 3, strict=True)
    assert body["generationConfig"] == {"seed": 3}
    assert report == [("seed", "mapped")]


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "report"),
    [
        ("gemini-3.8-flash", "low", {"thinkingLevel": "low", "includeThoughts": True}, []),
        ("gemini-flash-latest", "HIGH", {"thinkingLevel": "high", "includeThoughts": True}, []),
        ("gemini-4-carbon", "minimal", {"thinkingLevel": "minimal", "includeThoughts": True}, []),
        ("gemini-3.8-flash", "none", {"thinkingLevel": "minimal"}, [("reasoning_effort", "downgraded")]),
        ("gemini-3.1-pro-preview", "none", {"thinkingLevel": "low"}, [("reasoning_effort", "downgraded")]),
        (
            "gemini-3-pro",
            "minimal",
            {"thinkingLevel": "low", "includeThoughts": True},
            [("reasoning_effort", "downgraded")],
        ),
        (
            "gemini-3.8-flash",
            "xhigh",
            {"thinkingLevel": "high", "includeThoughts": True},
            [("reasoning_effort", "downgraded")],
        ),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}, []),
        ("models/gemini-2.5-flash", "medium", {"thinkingBudget": 8192, "includeThoughts": True}, []),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 24576, "includeThoughts": True}, []),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 1024}, [("reasoning_effort", "downgraded")]),
        ("gemini-2.0-flash", "none", None, []),
        ("gemini-2.0-flash", "high", None, [("reasoning_effort", "dropped")]),
        ("gemma-3-27b-it", "low", None, [("reasoning_effort", "dropped")]),
    ],
)
def test_how_much_to_think(
    model: str, effort: str, thinking: dict[str, Any] | None, report: list[tuple[str, str]]
) -> None:
    body, said = compiled(model=model, reasoning_effort=effort)
    assert body.get("generationConfig", {}).get("thinkingConfig") == thinking
    assert said == report


BUDGET = "reasoning_budget"


@pytest.mark.parametrize(
    ("model", "thinking", "report"),
    [
        ("gemini-2.5-flash", {"thinkingBudget": 3000}, [(BUDGET, "mapped")]),
        ("gemini-3.8-flash", {"thinkingLevel": "low"}, [(BUDGET, "downgraded")]),
    ],
)
def test_a_budget_is_kept_where_the_model_takes_one(
    model: str, thinking: dict[str, Any], report: list[tuple[str, str]]
) -> None:
    body, said = compiled(model=model, reasoning_effort="low", reasoning_budget=3000)
    assert body["generationConfig"]["thinkingConfig"] == {**thinking, "includeThoughts": True}
    assert said == report


def test_a_budget_stays_within_what_the_model_takes() -> None:
    body, said = compiled(model="gemini-2.5-pro", reasoning_effort="high", reasoning_budget=60_000)
    assert body["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 32_768
    assert said == [(BUDGET, "downgraded")]
    with pytest.raises(UnsupportedParameter, match="reasoning_budget"):
        compiled(model="gemini-2.5-pro", reasoning_effort="high", reasoning_budget=60_000, strict=True)


def test_tools() -> None:
    bare = Tool(name="now", parameters={"type": "object", "properties": {}})
    own = Tool(name="later", provider_metadata={"gemini": {"behavior": "NON_BLOCKING"}, "anthropic": {"x": 1}})
    body, report = compiled(tools=(WEATHER, bare, own))
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "weather", "description": "Of a city.", "parametersJsonSchema": SCHEMA},
                {"name": "now", "description": ""},
                {"name": "later", "description": "", "behavior": "NON_BLOCKING"},
            ]
        }
    ]
    assert "toolConfig" not in body
    assert report == []


@pytest.mark.parametrize(
    ("choice", "strict_tool", "calling"),
    [
        ("auto", False, {"mode": "AUTO"}),
        ("none", False, {"mode": "NONE"}),
        ("required", True, {"mode": "ANY"}),
        ("auto", True, {"mode": "VALIDATED"}),
        (None, True, {"mode": "VALIDATED"}),
        (NamedTool(name="weather"), False, {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_the_choice_of_a_tool(choice: Any, strict_tool: bool, calling: dict[str, Any]) -> None:
    tool = WEATHER.model_copy(update={"strict": strict_tool})
    body, report = compiled(tools=(tool,), tool_choice=choice, strict=True)
    assert body["toolConfig"] == {"functionCallingConfig": calling}
    assert report == []


@pytest.mark.parametrize(("mode", "wire"), [("required", "ANY"), ("auto", "VALIDATED")])
def test_several_allowed_tools(mode: str, wire: str) -> None:
    allowed = {"mode": mode, "tools": [{"type": "function", "function": {"name": "weather"}}]}
    extra = {"tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}}
    body, report = compiled(tools=(WEATHER,), tool_choice=mode, extra=extra)
    assert body["toolConfig"]["functionCallingConfig"] == {"mode": wire, "allowedFunctionNames": ["weather"]}
    assert report == []


def test_tools_of_the_server() -> None:
    tools = [{"type": "google_search"}, {"type": "fileSearch", "fileSearch": {"x": 1}}, {"type": "web_search"}]
    body, report = compiled(extra={"tools": tools, "tool_config": {"includeServerSideToolInvocations": True}})
    assert body["tools"] == [{"googleSearch": {}}, {"fileSearch": {"x": 1}}]
    assert body["toolConfig"] == {"includeServerSideToolInvocations": True}
    assert report == [("tools", "dropped")]


@pytest.mark.parametrize(
    ("form", "config"),
    [
        (ResponseFormat(type="text"), None),
        (ResponseFormat(type="json_object"), {"responseMimeType": "application/json"}),
        (
            ResponseFormat(type="json_schema", name="a", json_schema=SCHEMA, strict=True),
            {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
        ),
        (
            ResponseFormat(type="json_schema", name="a", description="An answer.", json_schema={"type": "array"}),
            {
                "responseMimeType": "application/json",
                "responseJsonSchema": {"description": "An answer.", "type": "array"},
            },
        ),
    ],
)
def test_the_form_of_the_answer(form: ResponseFormat, config: dict[str, Any] | None) -> None:
    body, report = compiled(response_format=form, strict=True)
    assert body.get("generationConfig") == config
    assert report == ([("response_format", "mapped")] if form.name else [])


def test_tools_as_gemini_has_them() -> None:
    tools = [{"google_search": {}}, {"urlContext": {"a": 1}}, {"type": "code_execution"}]
    body, report = compiled(extra={"tools": tools})
    assert body["tools"] == [{"googleSearch": {}}, {"urlContext": {"a": 1}}, {"codeExecution": {}}]
    assert report == []
    _, report = compiled(extra={"tools": [{}, "text", {"unknown": {}}, {"type": 1}]})
    assert set(report) == {("tools", "dropped")}


def test_own_fields_pass_through() -> None:
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    body, report = compiled(
        reasoning_effort="high",
        temperature=0.5,
        extra={
            "safety_settings": safety,
            "cachedContent": "cachedContents/a",
            "serviceTier": "flex",
            "top_k": 3,
            "thinking_config": {"thinkingBudget": -1},
            "generationConfig": {"media_resolution": "MEDIA_RESOLUTION_LOW"},
        },
        strict=True,
    )
    assert body["safetySettings"] == safety
    assert (body["cachedContent"], body["serviceTier"]) == ("cachedContents/a", "flex")
    assert body["generationConfig"] == {
        "temperature": 0.5,
        "topK": 3,
        "thinkingConfig": {"thinkingBudget": -1},
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
    }
    assert report == []


def test_log_probabilities() -> None:
    body, report = compiled(extra={"logprobs": True, "top_logprobs": 0})
    assert body["generationConfig"] == {"responseLogprobs": True, "logprobs": 0}
    assert report == []
    assert compiled(extra={"logprobs": False})[1] == []


@pytest.mark.parametrize("name", ["user", "service_tier", "store", "safe_prompt"])
def test_fields_of_others_are_left_out(name: str) -> None:
    body, report = compiled(extra={name: "x"})
    assert set(body) == {"contents"}
    assert report == [(name, "dropped")]
    with pytest.raises(UnsupportedParameter) as caught:
        compiled(extra={name: "x"}, strict=True)
    assert caught.value.param == name


def test_calls_cannot_be_kept_apart() -> None:
    assert compiled(parallel_tool_calls=False)[1] == [("parallel_tool_calls", "dropped")]


@pytest.mark.parametrize("name", ["generation_config", "toolConfig"])
def test_own_fields_that_are_no_objects(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        compiled(extra={name: "x"})
    assert caught.value.param == name
