"""Whatever a plugin yields: the caller gets a classified error, and the session goes on."""

from __future__ import annotations

from typing import Any

import pytest

from fake_providers.scripted import answer
from orchestrator_core.orchestration import Selection, TurnRequest
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    Finish,
    GatewayError,
    NativeEvent,
    NativeOnly,
    PluginError,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    text_message,
)
from orchestrator_core.security.principal import ANONYMOUS

ODD: list[Any] = [
    TextDelta(text="\ud800"),
    TextDelta(text=5),  # type: ignore[arg-type]  # what a plugin without a type checker may do, here and below
    ReasoningDelta(text="\ud800"),
    ReasoningDelta(text="hm", block=[1]),  # type: ignore[arg-type]
    ToolCallDelta(id="c", name="f", arguments="\udfff"),
    TextDelta(text="x", provider_metadata={"one": {"a": object()}}),
    TextDelta(text="x", provider_metadata={"one": {"a": b"\xff"}}),
    TextDelta(text="x", provider_metadata=["one"]),  # type: ignore[arg-type]
    TextDelta(text="x", provider_metadata={"one": "a"}),  # type: ignore[dict-item]
    TextDelta(text="x", native=NativeEvent("openai.chat", "text")),  # type: ignore[arg-type]
    NativeOnly(native=NativeEvent("openai.chat", b"{}", more=None)),  # type: ignore[arg-type]
    NativeOnly(native=NativeEvent("openai.chat", b"{}", more=("{}",))),  # type: ignore[arg-type]
    NativeOnly(native=NativeEvent("openai.chat", b"{}"), text_bytes="5"),  # type: ignore[arg-type]
    NativeOnly(native=NativeEvent("openai.chat", b"{}"), text_bytes=-5),
    NativeOnly(native=NativeEvent("openai.chat", b"{}"), text_bytes=10**400),
    NativeOnly(native=NativeEvent("anthropic.messages", b"{}", event=5)),  # type: ignore[arg-type]
    NativeOnly(native=NativeEvent("anthropic.messages", b"{}", event="ping\ndata: {}")),
    NativeOnly(native=NativeEvent("anthropic.messages", b"{}", event="\ud800")),
    UsageReport(usage=Usage(input_tokens="5")),  # type: ignore[arg-type]
    UsageReport(usage=Usage(output_tokens=10**30)),
    UsageReport(usage=Usage(output_tokens=-1)),
    Start(model="\ud800"),
    Start(model=5),  # type: ignore[arg-type]
    Start(adjustments=None),  # type: ignore[arg-type]
    Start(adjustments=("x",)),  # type: ignore[arg-type]
    Start(created=10**400),
]


@pytest.mark.parametrize("odd", ODD, ids=lambda event: repr(event)[:60].encode("ascii", "replace").decode())
@pytest.mark.parametrize("first", [True, False])
async def test_an_odd_event_is_the_plugins_fault_and_the_session_goes_on(
    start: Any, odd: ChatEvent, first: bool
) -> None:
    bench = await start()
    request = TurnRequest(
        selection=Selection(provider="one", fallbacks=()),
        messages=[text_message("user", "hi")],
        template=ChatRequest(model="", messages=(), deadline=bench.gateway.deadline(10)),
    )
    session = (await (await bench.gateway.turn(ANONYMOUS, request)).result()).session.id
    following = TurnRequest(
        selection=request.selection, messages=request.messages, template=request.template, session_id=session
    )
    beginning = [] if isinstance(odd, Start) else [Start()]
    content = [] if first else [TextDelta(text="well ")]
    bench.one.scripts.append([*beginning, *content, odd, TextDelta(text="more"), Finish()])

    with pytest.raises(PluginError):
        await (await bench.gateway.turn(ANONYMOUS, following)).result()

    bench.one.scripts.append(answer("pong"))
    assert (await (await bench.gateway.turn(ANONYMOUS, following)).result()).message.text == "pong"


async def test_what_the_store_cannot_take_ends_the_turn_all_the_same(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await start()
    finish, calls = bench.gateway.store.finish_turn, []

    async def odd(tenant: str, turn_id: str, outcome: Any) -> Any:
        calls.append(outcome.state)
        if len(calls) == 1:
            raise OverflowError("too large")
        return await finish(tenant, turn_id, outcome)

    monkeypatch.setattr(bench.gateway.store, "finish_turn", odd)
    request = TurnRequest(
        selection=Selection(provider="one", fallbacks=()),
        messages=[text_message("user", "hi")],
        template=ChatRequest(model="", messages=(), deadline=bench.gateway.deadline(10)),
    )
    opened = await bench.gateway.turn(ANONYMOUS, request)
    with pytest.raises(GatewayError) as caught:
        await opened.result()

    assert caught.value.code == "internal_error"
    assert calls == ["complete", "interrupted"]
    page = await bench.gateway.store.history(ANONYMOUS.tenant, opened.session_id, limit=10)
    assert {message.turn_state for message in page.items} == {"interrupted"}
