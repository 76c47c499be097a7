"""Canonical requests as the bodies of `generateContent` (https://ai.google.dev/api/generate-content)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatRequest,
    Json,
    NamedTool,
    ProviderSettings,
    Tool,
)
from orchestrator_gemini.contents import ContentsCompiler, Wire
from orchestrator_gemini.models import generation

_PLAIN = {
    "temperature": "temperature",
    "top_p": "topP",
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
    "seed": "seed",
    "n": "candidateCount",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
# Gemini takes each of its names in snake case too; what is OpenAI's with another meaning (`service_tier`) is not here.
_TOP = {"safetySettings", "cachedContent"}
_CONFIG = {
    "audioTimestamp",
    "enableEnhancedCivicAnswers",
    "imageConfig",
    "mediaResolution",
    "responseJsonSchema",
    "responseLogprobs",
    "responseMimeType",
    "responseModalities",
    "responseSchema",
    "speechConfig",
    "thinkingConfig",
    "topK",
}
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_NO_PARAMETERS = {"type": "object", "properties": {}}

# https://ai.google.dev/gemini-api/docs/openai#thinking gives the budgets for OpenAI's words.
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
_LEVELS = ("minimal", "low", "medium", "high")


def compile_chat(
    request: ChatRequest, *, provider_id: str, settings: ProviderSettings, report: AdjustmentReport
) -> Wire:
    """Return the body of `generateContent`.

    Raises:
        UnsupportedParameter: Something would get lost, and the caller is strict.
    """
    compiler = ContentsCompiler(provider_id, generation(request.model), report)
    body: Wire = {"contents": compiler.compile(request.messages)}
    if system := compiler.system(request.messages):
        body["systemInstruction"] = {"parts": system}
    config = _config(request, settings, report)
    extra = _google_extras(request.extra)
    _tools(body, request, provider_id, extra, report)
    _extras(body, config, extra, report)
    if config:
        body["generationConfig"] = config
    if request.parallel_tool_calls is False:
        report.dropped("parallel_tool_calls", "Gemini decides how many calls come at once")
    return body


def _config(request: ChatRequest, settings: ProviderSettings, report: AdjustmentReport) -> Wire:
    config: Wire = {}
    if settings.default_temperature is not None:
        config["temperature"] = settings.default_temperature
    if settings.default_max_tokens is not None:
        config["maxOutputTokens"] = settings.default_max_tokens
    config |= {wire: getattr(request, name) for name, wire in _PLAIN.items() if getattr(request, name) is not None}
    form = request.response_format
    if form is not None and form.type != "text":
        config["responseMimeType"] = "application/json"
        if form.json_schema is not None:
            described = {"description": form.description} if form.description else {}
            config["responseJsonSchema"] = {**described, **form.json_schema}
    thinking = _thinking(request, report)
    if thinking:
        config["thinkingConfig"] = thinking
    return config


def _thinking(request: ChatRequest, report: AdjustmentReport) -> Wire:
    """Return how much to think: a level, or tokens before generation 3 (ai.google.dev/gemini-api/docs/thinking)."""
    effort, age = request.reasoning_effort, generation(request.model)
    if effort is None:
        return {}
    effort = effort.lower()
    if age < 2.5:
        if effort != "none":
            report.dropped("reasoning_effort", "this model does not think")
        return {}
    unstoppable = re.search(r"-pro\b", request.model) is not None
    level = effort if effort in _BUDGETS else "high"
    if age < 3:
        budget = 128 if level == "none" and unstoppable else _BUDGETS[level]
        thinking: Wire = {"thinkingBudget": budget}
        exact = effort in _BUDGETS and not (level == "none" and unstoppable)
    else:
        level = "low" if unstoppable and level in {"none", "minimal"} else "minimal" if level == "none" else level
        thinking = {"thinkingLevel": level}
        exact = effort == level
    if not exact:
        report.downgraded("reasoning_effort", "this model cannot think exactly so much: the nearest was chosen")
    return thinking if effort == "none" else {**thinking, "includeThoughts": True}


def _tools(
    body: Wire, request: ChatRequest, provider_id: str, extra: dict[str, Json], report: AdjustmentReport
) -> None:
    tools: list[Wire] = []
    if request.tools:
        tools.append({"functionDeclarations": [_declaration(tool, provider_id) for tool in request.tools]})
    for other in extra.pop("tools", ()):
        own = _own_tool(other)
        if own is None:
            report.dropped("tools", "a tool of another provider")
        else:
            tools.append(own)
    if tools:
        body["tools"] = tools
    calling = _calling(request, extra)
    config = _camel(extra.pop("toolConfig", None) or extra.pop("tool_config", None) or {})
    if calling:
        config["functionCallingConfig"] = {**calling, **_camel(config.get("functionCallingConfig") or {})}
    if config:
        body["toolConfig"] = config


def _declaration(tool: Tool, provider_id: str) -> Wire:
    declared: Wire = {"name": tool.name, "description": tool.description or ""}
    # A function without parameters is declared without a schema.
    if tool.parameters and tool.parameters != _NO_PARAMETERS:
        declared["parametersJsonSchema"] = tool.parameters
    return {**declared, **(tool.provider_metadata or {}).get(provider_id, {})}


def _own_tool(tool: Mapping[str, Json]) -> Wire | None:
    """Return a server tool of Gemini's: `{"type": "google_search"}`, or its own form beside such a type."""
    kind = _camel_name(str(tool.get("type") or ""))
    own = {name: value for name, value in _camel(tool).items() if name != "type"}
    if not own and kind in _SERVER_TOOLS:
        return {kind: {}}
    return own if own and own.keys() <= _SERVER_TOOLS else None


_SERVER_TOOLS = {
    "codeExecution",
    "computerUse",
    "fileSearch",
    "googleMaps",
    "googleSearch",
    "googleSearchRetrieval",
    "urlContext",
}


def _calling(request: ChatRequest, extra: dict[str, Json]) -> Wire:
    choice = request.tool_choice
    strict = any(tool.strict for tool in request.tools)
    if isinstance(choice, NamedTool):
        return {"mode": "ANY", "allowedFunctionNames": [choice.name]}
    allowed = _allowed(extra)
    if allowed:
        return {"mode": "ANY" if choice == "required" else "VALIDATED", "allowedFunctionNames": allowed}
    if choice in {None, "auto"} and strict:
        return {"mode": "VALIDATED"}  # calls follow their schemas, as `strict` asks
    return {"mode": _MODES[choice]} if choice is not None and request.tools else {}


def _allowed(extra: dict[str, Json]) -> Sequence[str]:
    """Take the names out of OpenAI's `tool_choice` of the type `allowed_tools`."""
    choice = extra.get("tool_choice")
    if not isinstance(choice, Mapping) or choice.get("type") != "allowed_tools":
        return ()
    del extra["tool_choice"]
    named = (tool.get("function") or tool for tool in (choice.get("allowed_tools") or {}).get("tools") or ())
    return [tool["name"] for tool in named if isinstance(tool.get("name"), str)]


def _extras(body: Wire, config: Wire, extra: Mapping[str, Json], report: AdjustmentReport) -> None:
    """Put what core does not know where Gemini has it; what Gemini does not know would be an error there."""
    for name, value in extra.items():
        wire = _camel_name(name)
        if name == "serviceTier" or wire in _TOP:
            body[wire] = value
        elif wire == "generationConfig" and isinstance(value, Mapping):
            config.update(_camel(value))
        elif wire == "thinkingConfig" and isinstance(value, Mapping):
            config[wire] = _camel(value)
        elif wire in _CONFIG:
            config[wire] = value
        elif name == "modalities" and isinstance(value, list):
            config["responseModalities"] = [str(each).upper() for each in value]
        elif name in {"logprobs", "top_logprobs"} and (value or value == 0):
            config["responseLogprobs"] = True
            if name == "top_logprobs":
                config["logprobs"] = value
            report.downgraded(name, "log probabilities come in Gemini's own form, beside the answer")
        elif name != "logprobs":
            report.dropped(name, "Gemini does not know it")


def _google_extras(extra: Mapping[str, Json]) -> dict[str, Json]:
    """Return the extra fields, with those that Google's own clients of OpenAI's protocol put into `google`."""
    fields = dict(extra)
    for inner in (fields.pop("google", None), (fields.pop("extra_body", None) or {}).get("google")):
        fields.update(inner or {})
    return fields


def _camel(value: Mapping[str, Json]) -> Wire:
    return {_camel_name(name): inner for name, inner in value.items()}


def _camel_name(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
