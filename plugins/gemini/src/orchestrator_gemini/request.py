"""Canonical requests as the bodies of `generateContent` (https://ai.google.dev/api/generate-content)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    OPENAI_CHAT,
    AdjustmentReport,
    ChatRequest,
    InvalidRequest,
    Json,
    NamedTool,
    ProviderSettings,
    Tool,
    taken_notes,
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
# Gemini takes each of its names in snake case too. What is not here can go into `generationConfig`.
_TOP = {"safetySettings", "cachedContent"}
_CONFIG = {"topK", "thinkingConfig", "responseModalities", "responseSchema", "speechConfig", "imageConfig"}
_SERVER_TOOLS = {"codeExecution", "computerUse", "fileSearch", "googleMaps", "googleSearch", "urlContext"}
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_NO_PARAMETERS = {"type": "object", "properties": {}}

# https://ai.google.dev/gemini-api/docs/openai#thinking gives the budgets for OpenAI's words.
_LIMITS = {"-pro": (128, 32_768), "-flash-lite": (512, 24_576), "flash": (1, 24_576)}
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}


def compile_chat(
    request: ChatRequest, *, provider_id: str, settings: ProviderSettings, report: AdjustmentReport
) -> Wire:
    """Return the body of `generateContent`.

    Raises:
        UnsupportedParameter: Something would get lost, and the caller is strict.
        InvalidRequest: A field of Gemini's own is no object.
    """
    compiler = ContentsCompiler(provider_id, generation(request.model), report)
    body: Wire = {"contents": compiler.compile(request.messages)}
    if system := compiler.system(request.messages):
        body["systemInstruction"] = {"parts": system}
    config = _config(request, settings, report)
    extra = dict(request.extra)
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
    if request.seed is not None and not -(2**31) <= request.seed < 2**31:
        config["seed"] = request.seed % 2**31
        report.mapped("seed", "a seed has 32 bits here")
    form = request.response_format
    if form is not None and form.type != "text":
        config["responseMimeType"] = "application/json"
        if form.json_schema is not None:
            described = {"description": form.description} if form.description else {}
            config["responseJsonSchema"] = {**described, **form.json_schema}
        if form.name:
            report.mapped("response_format", "the name of a schema has no place here")
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
    always = re.search(r"-pro\b", request.model) is not None  # these cannot stop thinking
    level = effort if effort in _BUDGETS else "high"
    if age < 3 and request.reasoning_budget is not None and effort != "none":
        return {"thinkingBudget": _budget(request.model, request.reasoning_budget, report), "includeThoughts": True}
    if request.reasoning_budget is not None:
        reason = f"this model takes no number of tokens: the level {level} stands for it"
        report.downgraded("reasoning_budget", reason)
    if age < 3:
        level = "minimal" if always and level == "none" else level
        thinking: Wire = {"thinkingBudget": _BUDGETS[level]}
    else:
        level = "low" if always and level in {"none", "minimal"} else "minimal" if level == "none" else level
        thinking = {"thinkingLevel": level}
    if effort != level:
        report.downgraded("reasoning_effort", "this model cannot think exactly so much: the nearest was chosen")
    return thinking if effort == "none" else {**thinking, "includeThoughts": True}


def _budget(model: str, asked: int, report: AdjustmentReport) -> int:
    """Return a budget that the model takes (ai.google.dev/gemini-api/docs/thinking#set-budget)."""
    least, most = next((limits for name, limits in _LIMITS.items() if name in model), _LIMITS["flash"])
    budget = min(max(asked, least), most)
    if budget != asked:
        report.downgraded("reasoning_budget", f"this model takes {least} to {most}")
    else:
        report.mapped("reasoning_budget", "said here as thinkingBudget")
    return budget


def _tools(
    body: Wire, request: ChatRequest, provider_id: str, extra: dict[str, Json], report: AdjustmentReport
) -> None:
    tools: list[Wire] = []
    if request.tools:
        tools.append({"functionDeclarations": [_declaration(tool, provider_id, report) for tool in request.tools]})
    for other in extra.pop("tools", ()):  # Gemini's own are named by their type: `{"type": "google_search"}`
        fields = other if isinstance(other, Mapping) else {}
        kind = fields.get("type") or next(iter(fields), None)  # or as Gemini has them: `{"google_search": {}}`
        name = _camel_name(kind) if isinstance(kind, str) else ""
        if name in _SERVER_TOOLS:
            tools.append({name: fields.get(kind) or {}})
        else:
            report.dropped("tools", f"Gemini has no tool of the type {kind}")
    if tools:
        body["tools"] = tools
    calling = _calling(request, extra)
    config = _fields("toolConfig", extra.pop("toolConfig", None) or extra.pop("tool_config", None) or {})
    if calling:
        config.setdefault("functionCallingConfig", calling)
    if config:
        body["toolConfig"] = config


def _declaration(tool: Tool, provider_id: str, report: AdjustmentReport) -> Wire:
    for dialect in (OPENAI_CHAT, ANTHROPIC_MESSAGES):
        taken_notes(tool.provider_metadata, dialect, report)
    declared: Wire = {"name": tool.name, "description": tool.description or ""}
    # A function without parameters is declared without a schema.
    if tool.parameters and tool.parameters != _NO_PARAMETERS:
        declared["parametersJsonSchema"] = tool.parameters
    return {**declared, **(tool.provider_metadata or {}).get(provider_id, {})}


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
        if name == "serviceTier" or wire in _TOP:  # `service_tier` is OpenAI's, with words of its own
            body[wire] = value
        elif wire == "generationConfig":
            config.update(_fields(name, value))
        elif wire in _CONFIG:
            config[wire] = value
        elif name == "top_logprobs":
            config["logprobs"] = value
        elif name == "logprobs":
            if value is not False:
                config["responseLogprobs"] = True
        else:
            report.dropped(name, "Gemini does not know it")


def _fields(name: str, value: Json) -> Wire:
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"Invalid value at '{name}': expected an object.", param=name)
    return {_camel_name(field): inner for field, inner in value.items()}


def _camel_name(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
