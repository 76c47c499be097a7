"""A canonical or native request as the body of Anthropic's `POST /v1/messages`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import pydantic_core

from orchestrator_anthropic.messages import Block, Conversation
from orchestrator_anthropic.models import Traits, traits_of
from orchestrator_anthropic.native import fit, is_prompt, is_sound
from orchestrator_anthropic.thinking import ask_for_thought, config_of, limit_sampling, thinks
from orchestrator_core.provider_api import (
    ANTHROPIC_MESSAGES,
    OPENAI_CHAT,
    AdjustmentReport,
    ChatRequest,
    Json,
    NamedTool,
    ProviderSettings,
    ResponseFormat,
    Tool,
    taken_notes,
)

DEFAULT_MAX_TOKENS = 32_000
"""The wire demands a limit. Where nobody sets one it is this, or less where the model's own is lower: enough for a long
answer with thought, and what is not used costs nothing."""

FILES_BETA = "files-api-2025-04-14"
BINDING_BETA = "thinking-binding-controls-2026-08-01"

# https://platform.claude.com/docs/en/api/messages/create; an unknown field is refused with 400.
_OWN = (
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "mcp_servers",
    "output_config",
    "output_format",
    "speed",
    "thinking",
    "top_k",
)
_NOT_OPTIONS = ("model", "messages", "system", "stream")
_NOT_HERE = ("seed", "presence_penalty", "frequency_penalty")
_AS_IT_IS: Mapping[str, Json] = {"store": False, "logprobs": False, "top_logprobs": 0, "modalities": ["text"]}
"""Fields of OpenAI's with which a caller asks for what Anthropic does anyway."""

_NOTHING: tuple[Json, ...] = (None, "", [], {})
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_SERVICE_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_TOOL_MARKS = ("cache_control", "defer_loading", "allowed_callers", "input_examples", "eager_input_streaming")


@dataclass(slots=True)
class Compiled:
    """What to send.

    Attributes:
        body: The body.
        betas: What stands in `anthropic-beta`.
        names: Names of tools that had to be changed: Anthropic's to the caller's.
    """

    body: dict[str, Json]
    betas: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)


def compile_chat(
    request: ChatRequest, settings: ProviderSettings, provider_id: str, report: AdjustmentReport
) -> Compiled:
    """Return what to send.

    The body of a client of the same dialect is kept as it is, but for the model's name and what the model refuses; a
    conversation that Anthropic would refuse is compiled anew.

    Raises:
        UnsupportedParameter: Something would get lost, and the caller is strict.
    """
    traits, native = traits_of(request.model), request.native
    if (
        native is None
        or native.dialect != ANTHROPIC_MESSAGES
        or not is_prompt(native.body.get("system"))
        or not is_sound(native.body.get("messages") or (), traits)
    ):
        return _Compiler(request, traits, settings, provider_id, report).compile()
    body: dict[str, Json] = {**native.body, "model": request.model}
    if request.stream or body.get("stream"):
        body["stream"] = request.stream
    body.setdefault("max_tokens", _limit(settings, traits))
    fit(body, request.reasoning_effort, traits, report)
    return Compiled(body)


def _limit(settings: ProviderSettings, traits: Traits) -> int:
    return settings.default_max_tokens or min(traits.max_output, DEFAULT_MAX_TOKENS)


class _Compiler:
    """Compiles what is in canonical form."""

    def __init__(
        self,
        request: ChatRequest,
        traits: Traits,
        settings: ProviderSettings,
        provider_id: str,
        report: AdjustmentReport,
    ) -> None:
        self._request = request
        self._traits = traits
        self._settings = settings
        self._provider_id = provider_id
        self._report = report
        self._out = Compiled({})

    def compile(self) -> Compiled:
        request, body, options = self._request, self._out.body, self._request.native_options
        own = options.body if options is not None and options.dialect == ANTHROPIC_MESSAGES else None
        conversation = Conversation(
            self._provider_id,
            self._traits,
            self._report,
            tool_name=self._tool_name,
            connects=bool((request.extra if own is None else own).get("mcp_servers")),
        )
        conversation.compile(request.messages)
        body |= {"model": request.model, "messages": conversation.turns}
        if own is not None:
            body |= {name: value for name, value in own.items() if name not in _NOT_OPTIONS}
            body.setdefault("max_tokens", _limit(self._settings, self._traits))
            fit(body, request.reasoning_effort, self._traits, self._report)
        else:
            self._parameters(conversation)
        if conversation.system:
            body["system"] = conversation.system
        if request.stream:
            body["stream"] = True
        if conversation.has_files:
            self._out.betas.append(FILES_BETA)
        if self._traits.bound_thoughts and conversation.has_thoughts:
            self._bind()
        return self._out

    def _parameters(self, conversation: Conversation) -> None:
        """Say what the caller asked for in canonical form."""
        request, body = self._request, self._out.body
        self._extra()
        body["max_tokens"] = request.max_tokens or _limit(self._settings, self._traits)
        for name in ("temperature", "top_p"):
            if getattr(request, name) is not None:
                body[name] = getattr(request, name)
        self._stop()
        self._tools()
        if request.response_format is not None:
            self._format(request.response_format, conversation.system)
        for name in _NOT_HERE:
            if getattr(request, name):
                self._report.dropped(name, "this provider does not have it")
        if (request.n or 1) > 1:
            self._report.dropped("n", "this provider gives one answer a call")
        resumes = conversation.resumes_without_thought
        effort, budget = request.reasoning_effort, request.reasoning_budget
        ask_for_thought(effort, budget, body, self._traits, self._report, resumes=resumes)
        default = self._settings.default_temperature
        if default is not None and self._traits.sampling != "fixed" and not thinks(body):
            body.setdefault("temperature", default)
        limit_sampling(body, self._traits, self._report)

    def _extra(self) -> None:
        """Take the fields that Anthropic has, and report the others."""
        extra, body = self._request.extra, self._out.body
        for name, value in extra.items():
            if name in _OWN:
                body[name] = value
            elif name == "betas" and (betas := _betas(value)) is not None:
                self._out.betas += betas
            elif name in ("user", "metadata") and (user := _user(value)) is not None:
                body["metadata"] = {"user_id": user}
            elif name == "service_tier" and isinstance(value, str) and value in _SERVICE_TIERS:
                body[name] = _SERVICE_TIERS[value]
            elif name in _AS_IT_IS and value == _AS_IT_IS[name]:
                self._report.mapped(name, "it is so at this provider without being asked for")
            elif name not in ("tools", "tool_choice") and value not in _NOTHING:
                self._report.dropped(name, "this provider does not know it")

    def _stop(self) -> None:
        stops = self._request.stop or ()
        if kept := [stop for stop in stops if stop.strip()]:
            self._out.body["stop_sequences"] = kept
        if len(kept) < len(stops):
            self._report.dropped("stop", "this provider does not stop at white space")

    def _tools(self) -> None:
        request, body = self._request, self._out.body
        allowed = _allowed(request.extra.get("tool_choice"))
        if allowed is not None:
            self._report.mapped("tool_choice", "only the tools that may be called are given to this provider")
        tools = [self._tool(tool) for tool in request.tools if allowed is None or ("function", tool.name) in allowed]
        for tool in request.extra.get("tools") or ():  # Anthropic's own, such as `web_search_20250305`
            if isinstance(tool, Mapping) and ("name" in tool or "mcp_server_name" in tool):
                if allowed is None or _called(tool) in allowed:
                    tools.append(dict(tool))
            else:
                kind = tool.get("type") if isinstance(tool, Mapping) else None
                self._report.dropped("tools", f"this provider has no tools of the kind {kind}")
        asked = (request.extra.get("tool_choice") if allowed is None else None) or request.tool_choice
        if not tools:
            if asked not in (None, "auto", "none"):
                self._report.dropped("tool_choice", "no tool is left of which one could be chosen")
            return
        body["tools"] = tools
        choice = self._choice()
        if request.parallel_tool_calls is False and (choice or {}).get("type") != "none":
            choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
        if choice is not None:
            body["tool_choice"] = choice

    def _choice(self) -> Block | None:
        asked, theirs = self._request.tool_choice, self._request.extra.get("tool_choice")
        choice: Block | None = None
        if isinstance(theirs, Mapping):
            if theirs.get("type") in ("auto", "any", "tool", "none"):
                choice = dict(theirs)
            elif _allowed(theirs) is None:
                kind = theirs.get("type")
                self._report.downgraded("tool_choice", f"this provider has no choice of the kind {kind}")
        if choice is None and asked is not None:
            if isinstance(asked, NamedTool):
                choice = {"type": "tool", "name": self._tool_name(asked.name)}
            else:
                choice = {"type": _CHOICES[asked]}
        if choice is not None and choice["type"] in ("any", "tool") and not self._traits.forced_tools:
            self._report.downgraded("tool_choice", "this model always thinks, and then decides by itself")
            choice = {"type": "auto"}
        return choice

    def _tool(self, tool: Tool) -> Block:
        schema = dict(tool.parameters or {"type": "object", "properties": {}})
        if "type" not in schema:
            schema = {"type": "object", **schema}
        wire: Block = {"name": self._tool_name(tool.name), "input_schema": schema}
        if tool.description:
            wire["description"] = tool.description
        if tool.strict and self._traits.schemas:
            wire["strict"] = True
        elif tool.strict:
            self._report.downgraded("tools", "this model does not hold itself strictly to a schema")
        noted = tool.provider_metadata or {}
        marks = taken_notes(noted, OPENAI_CHAT, self._report, known=_TOOL_MARKS)
        return {**wire, **marks, **noted.get(ANTHROPIC_MESSAGES, {}), **noted.get(self._provider_id, {})}

    def _tool_name(self, canonical: str) -> str:
        if _TOOL_NAME.fullmatch(canonical):
            return canonical
        digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
        name = f"{re.sub(r'[^a-zA-Z0-9_-]', '_', canonical)[:119]}_{digest}"
        self._out.names[name] = canonical
        self._report.mapped("tools", "names have only letters, digits, _ and - at this provider")
        return name

    def _format(self, form: ResponseFormat, system: list[Block]) -> None:
        """Ask for a form: with a schema where the model follows it, else in words."""
        body = self._out.body
        if form.type == "text":
            return
        described = {"description": form.description} if form.description else {}
        if form.name:
            self._report.mapped("response_format", "the name of a schema has no place at this provider")
        schema = {**described, **form.json_schema} if form.json_schema else {}
        if form.type == "json_schema" and self._traits.schemas:
            wanted = {"type": "json_schema", "schema": schema or {**described, "type": "object"}}
            if form.strict is False:
                self._report.mapped("response_format", "a schema is always followed strictly at this provider")
            body["output_config"] = {**config_of(body), "format": wanted}
            return
        self._report.downgraded("response_format", "it is asked for in words: this model cannot be held to it")
        words = "Answer with one JSON object, and with nothing before or after it."
        if schema:
            words += f" It follows this JSON Schema: {pydantic_core.to_json(schema).decode()}"
        system.append({"type": "text", "text": words})

    def _bind(self) -> None:
        """Let Anthropic leave out thoughts before which something has changed, instead of refusing the request.

        Summaries, and models of other vendors that took part, do change it.
        """
        thinking = self._out.body.setdefault("thinking", {"type": "adaptive"})
        if isinstance(thinking, Mapping) and thinking.get("type") == "adaptive" and "block_binding" not in thinking:
            binding = {"prefix_mismatch_behavior": "drop_block"}
            self._out.body["thinking"] = {**thinking, "block_binding": binding}
            self._out.betas.append(BINDING_BETA)


def _betas(value: Json) -> list[str] | None:
    """Return what is to stand in `anthropic-beta`; None where a header cannot hold it."""
    named = value if isinstance(value, list) else [value]
    betas = [each for each in named if isinstance(each, str) and each.isascii() and each.isprintable()]
    return betas if len(betas) == len(named) else None


def _user(value: Json) -> str | None:
    """Return the end user of OpenAI's `user`, or of a `metadata` that has Anthropic's form."""
    if isinstance(value, Mapping):
        value = value["user_id"] if set(value) == {"user_id"} else None
    return value if isinstance(value, str) and value else None


def _allowed(choice: Json) -> set[tuple[str | None, str | None]] | None:
    """Return which tools a choice of OpenAI's type `allowed_tools` names; None where it is none.

    Its form is that of https://platform.openai.com/docs/api-reference/chat/create.
    """
    inner = choice.get("allowed_tools") if isinstance(choice, Mapping) else None
    among = inner.get("tools") if isinstance(inner, Mapping) else None
    return {_called(each) for each in among} if isinstance(among, list) else None


def _called(tool: Json) -> tuple[str | None, str | None]:
    """Return the kind and the name of a tool, or of a choice of one; Anthropic's own are named by their kind."""
    kind = tool.get("type") if isinstance(tool, Mapping) else None
    if not isinstance(tool, Mapping) or not isinstance(kind, str):
        return None, None
    inner = tool.get(kind)
    name = inner.get("name") if isinstance(inner, Mapping) else None
    return kind, name if isinstance(name, str) else None
