"""A gateway over all eight providers, each with its strict server, and the sessions that are held through it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from fake_upstreams.strict import Asked, StrictVendor
from fake_upstreams.strict_anthropic import StrictAnthropic
from fake_upstreams.strict_gemini import StrictGemini
from family import VENDORS
from orchestrator_anthropic import AnthropicProvider
from orchestrator_core.config import load
from orchestrator_core.orchestration import Gateway, Selection, TurnRequest
from orchestrator_core.plugins import Provider, Registry
from orchestrator_core.provider_api import (
    ChatRequest,
    ImagePart,
    Message,
    ProviderBadResponse,
    ProviderContext,
    ProviderHooks,
    Secret,
    TextPart,
    Tool,
    ToolResultPart,
    text_message,
)
from orchestrator_core.security.principal import ANONYMOUS
from orchestrator_core.telemetry.metrics import Metrics
from orchestrator_core.upstream import ClientFactory, UpstreamLimits
from orchestrator_gemini import GeminiProvider
from pairs.script import IMAGE, NAMES, SYSTEM, Call, Turn
from pairs.wires import WIRES
from stores import plain_store

PROVIDERS: Mapping[str, type[ProviderHooks]] = {
    **{name: vendor.provider for name, vendor in VENDORS.items()},
    "anthropic": AnthropicProvider,
    "gemini": GeminiProvider,
}
STRICT: Mapping[str, type[StrictVendor]] = {
    **{name: vendor.strict for name, vendor in VENDORS.items()},
    "anthropic": StrictAnthropic,
    "gemini": StrictGemini,
}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [
    Tool(name=name, description=f"Says {name}.", parameters=CITY)
    for name in ("get_weather", "get_time", "get_ferry", "get_train")
]


@dataclass(frozen=True)
class Held:
    """What one turn was.

    Attributes:
        by: Who was asked.
        asked: The request that its server got.
        report: The lines of the turn's report, sorted.
        before: The rows of the history as the turn began.
        after: The rows as it had ended.
    """

    by: str
    asked: Asked
    report: Sequence[tuple[str, str]]
    before: Sequence[tuple[Any, ...]]
    after: Sequence[tuple[Any, ...]]


class Dialogue:
    """Holds sessions through a gateway."""

    def __init__(self, gateway: Gateway, servers: Mapping[str, StrictVendor], database: Path) -> None:
        self._gateway = gateway
        self._servers = servers
        self._database = database

    async def hold(self, turns: Sequence[Turn], between: Mapping[str, str]) -> list[Held]:
        """Hold a conversation; `between` names who is A and who is B."""
        session: str | None = None
        ids: dict[Call, str] = {}
        held: list[Held] = []
        for turn in turns:
            name = between[turn.to]
            server = self._servers[name]
            server.asked.clear()
            answer = WIRES[name].give(turn.answer, stream=turn.stream)
            server.give(answer) if isinstance(server, StrictGemini) else server.answers.append(answer)
            before = self._rows(session)
            opened = await self._gateway.turn(ANONYMOUS, self._request(turn, name, session, ids))
            session = opened.session_id
            try:
                await opened.result()
            except ProviderBadResponse:
                assert turn.answer.breaks
            else:
                assert not turn.answer.breaks
            ids |= dict(zip(turn.answer.calls, (call.id for call in _calls(opened.folded.message)), strict=True))
            report = sorted((each.subject, each.action) for each in opened.adjustments)
            held.append(Held(name, server.asked[-1], report, before, self._rows(session)))
            assert len(server.asked) == 1
        return held

    def _request(self, turn: Turn, name: str, session: str | None, ids: Mapping[Call, str]) -> TurnRequest:
        template = ChatRequest(
            model="",
            messages=[text_message("system", SYSTEM)],
            tools=TOOLS,
            stream=turn.stream,
            deadline=self._gateway.deadline(10),
        )
        if isinstance(turn.asked, str):
            image = (ImagePart(data=IMAGE, media_type="image/png"),) if turn.image else ()
            message = Message(role="user", parts=(TextPart(text=turn.asked), *image))
        else:
            results = [ToolResultPart(tool_call_id=ids[call], content=call.result or "") for call in turn.asked]
            message = Message(role="tool", parts=tuple(results))
        selection = Selection(provider=name, fallbacks=())
        return TurnRequest(selection=selection, messages=[message], template=template, session_id=session)

    def _rows(self, session: str | None) -> list[tuple[Any, ...]]:
        """The stored messages, as the database has them."""
        with closing(sqlite3.connect(self._database)) as connection:
            query = "SELECT * FROM messages WHERE session_id = ? ORDER BY sequence"
            return connection.execute(query, (session,)).fetchall()


def _calls(message: Message) -> Sequence[Any]:
    return message.tool_calls


@asynccontextmanager
async def dialogues(database: Path) -> AsyncIterator[Dialogue]:
    """Start the eight servers, and a gateway over them, with the real client between."""
    factory = ClientFactory(UpstreamLimits())
    async with AsyncExitStack() as stack:
        stack.push_async_callback(factory.close)
        servers: dict[str, StrictVendor] = {}
        providers: list[Provider] = []
        for name in NAMES:
            servers[name] = await stack.enter_async_context(STRICT[name]())
            kind = PROVIDERS[name]
            settings = kind.settings_model.model_validate({"base_url": servers[name].url})
            instance = kind(ProviderContext(name, settings, factory.client(kind.info.auth)))
            key = "sk-ant-api03-" + "k" * 93 + "AA" if name == "anthropic" else "k" * 40
            providers.append(Provider(instance, [Secret(key)]))
        config = load(environ={}, directory=database.parent)
        store = plain_store(database, max_idle=timedelta(hours=1))
        gateway = Gateway(config, Registry(providers), store, Metrics())
        await gateway.start()
        stack.push_async_callback(gateway.close)
        yield Dialogue(gateway, servers, database)
