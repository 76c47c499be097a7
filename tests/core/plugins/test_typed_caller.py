from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from structlog.testing import capture_logs

from fake_providers.instances import card, provided
from orchestrator_core.plugins import Provider, provider
from orchestrator_core.provider_api import (
    ChatEvent,
    ChatRequest,
    Deadline,
    EmbeddingRequest,
    EmbeddingResponse,
    Finish,
    GatewayError,
    HealthReport,
    HealthRequest,
    KeyFormat,
    KeyRequest,
    KeyVerdict,
    ModelInfo,
    NotSupported,
    PluginError,
    ProviderHooks,
    ProviderRateLimited,
    ProviderTimeout,
    ReasoningDelta,
    Secret,
    Start,
    SummarizeRequest,
    Summary,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    WholePart,
    hookimpl,
    one_by_one,
    text_message,
)

ANYTHING = [
    ValueError,
    SystemExit,
    KeyboardInterrupt,
    GeneratorExit,
    asyncio.CancelledError,
    TimeoutError,
    BaseException,
]
KEY = "acme-0123456789abcdef"


def raising(error: BaseException) -> Callable[..., Any]:
    def hook(self: Any, request: Any) -> Any:
        raise error

    return hook


def awaiting(result: Any) -> Callable[..., Any]:
    async def hook(self: Any, request: Any) -> Any:
        if isinstance(result, BaseException):
            raise result
        return result

    return hook


def yielding(*steps: Any) -> Callable[..., Any]:
    async def hook(self: Any, request: Any) -> AsyncGenerator[Any, None]:
        for step in steps:
            if isinstance(step, BaseException):
                raise step
            yield step

    return hook


def acme(keys: Any = (), info: Any = None, **hooks: Callable[..., Any]) -> Provider:
    marked = {name: hookimpl(hook) for name, hook in hooks.items()}
    cls = type("Acme", (ProviderHooks,), {"info": info or card("acme"), **marked})
    return provided(cls, keys=keys)


def chat_request(seconds: float = 5) -> ChatRequest:
    return ChatRequest(model="m", messages=[text_message("user", "hi")], deadline=Deadline.after(seconds))


def embed_request(seconds: float = 5) -> EmbeddingRequest:
    return EmbeddingRequest(model="m", input=["one", "two"], deadline=Deadline.after(seconds))


def summary_request() -> SummarizeRequest:
    async def no_chat(*_: Any, **__: Any) -> Any:
        raise AssertionError

    return SummarizeRequest(messages=[], chat=no_chat, deadline=Deadline.after(5))


async def said(found: Provider, request: ChatRequest | None = None) -> list[ChatEvent]:
    async with aclosing(one_by_one(found.chat(request or chat_request()))) as events:
        return [event async for event in events]


async def test_events_pass_as_they_are() -> None:
    events = [Start(model="m"), ChatEvent(), TextDelta(text="hi"), UsageReport(usage=Usage()), Finish()]
    passed = await said(acme(chat=yielding(*events)))
    assert all(mine is theirs for mine, theirs in zip(passed, events, strict=True))


async def test_events_that_come_together_pass_together() -> None:
    start, text, end = Start(model="m"), TextDelta(text="hi"), Finish()
    found = acme(chat=yielding([], (start, text), [], UsageReport(), [end]))
    async with aclosing(found.chat(chat_request())) as batches:
        assert [events async for events in batches] == [[start, text], [UsageReport()], [end]]


async def test_what_came_before_a_broken_event_passes() -> None:
    found = acme(chat=yielding([Start(model="m"), TextDelta(text="hi"), None, TextDelta(text="!")]))
    async with aclosing(found.chat(chat_request())) as batches:
        assert await anext(batches) == [Start(model="m"), TextDelta(text="hi")]
        with pytest.raises(PluginError, match="NoneType"):
            await anext(batches)


@pytest.mark.parametrize(
    ("hook", "what"),
    [
        (yielding(TextDelta(text="x")), "TextDelta where Start was due"),
        (yielding("x"), "str where Start was due"),
        (yielding(Start(), None), "NoneType where ChatEvent was due"),
        (yielding([TextDelta(text="x"), Start()]), "TextDelta where Start was due"),
        (yielding((Start(), None)), "NoneType where ChatEvent was due"),
        (yielding(Start(), [[Finish()]]), "list where ChatEvent was due"),
        (yielding({Start: 1}), "dict where Start was due"),
        (yielding([Start(), TextDelta(text=None)]), "TextDelta is empty or of the wrong type"),  # type: ignore[arg-type]
        (yielding(Start(), TextDelta(text=None)), "TextDelta is empty or of the wrong type"),  # type: ignore[arg-type]
        (yielding(Start(), ReasoningDelta(text=b"x")), "ReasoningDelta"),  # type: ignore[arg-type]
        (yielding(Start(), ToolCallDelta(arguments={})), "ToolCallDelta"),  # type: ignore[arg-type]
        (yielding(Start(), ToolCallDelta(name=3)), "ToolCallDelta"),  # type: ignore[arg-type]
        (yielding(Start(), UsageReport(usage={"total": 3})), "UsageReport"),  # type: ignore[arg-type]
        (yielding(Start(), Finish(reason="done")), "Finish"),  # type: ignore[arg-type]
        (yielding(Start(), WholePart()), "WholePart"),
        (yielding(Start(), TextDelta(choice=None, text="x")), "TextDelta"),  # type: ignore[arg-type]
        (lambda self, request: None, "NoneType, not an async generator"),
        (lambda self, request: [], "list, not an async generator"),
        (lambda self, request: iter(()), "not an async generator"),
        (awaiting(Start()), "coroutine, not an async generator"),
    ],
)
async def test_what_chat_must_not_give_is_a_plugin_error(hook: Callable[..., Any], what: str) -> None:
    with capture_logs() as logged, pytest.raises(PluginError) as raised:
        await said(acme(chat=hook))
    assert what in raised.value.message
    assert raised.value.provider == "acme"
    assert (logged[0]["log_level"], logged[0]["provider"], logged[0]["hook"]) == ("error", "acme", "chat")


@pytest.mark.parametrize("kind", ANYTHING)
@pytest.mark.parametrize("early", [True, False])
async def test_whatever_chat_raises_is_a_plugin_error(kind: type[BaseException], early: bool) -> None:
    hook = raising(kind("the reason")) if early else yielding(Start(), kind("the reason"))
    with capture_logs() as logged, pytest.raises(PluginError) as raised:
        await said(acme(chat=hook))
    assert kind.__name__ in raised.value.message
    assert "the reason" not in raised.value.message
    assert (logged[0]["event"], logged[0]["hook"]) == ("plugin failed", "chat")


@pytest.mark.parametrize("kind", ANYTHING)
async def test_events_that_cannot_be_read_are_a_plugin_error(kind: type[BaseException]) -> None:
    closed = asyncio.Event()

    class Broken(list[ChatEvent]):
        def __iter__(self) -> Any:
            yield Start()
            raise kind("the reason")

    async def chat(self: Any, request: Any) -> AsyncGenerator[Any, None]:
        try:
            yield Broken([Start()])
        finally:
            closed.set()

    with capture_logs() as logged, pytest.raises(PluginError) as raised:
        await said(acme(chat=chat))
    assert kind.__name__ in raised.value.message
    assert "the reason" not in raised.value.message
    assert (logged[0]["event"], logged[0]["hook"]) == ("plugin failed", "chat")
    assert closed.is_set()


@pytest.mark.parametrize("kind", ANYTHING)
@pytest.mark.parametrize("early", [True, False])
async def test_whatever_embed_raises_is_a_plugin_error(kind: type[BaseException], early: bool) -> None:
    error = kind("the reason")
    with capture_logs() as logged, pytest.raises(PluginError, match=kind.__name__):
        await acme(embed=raising(error) if early else awaiting(error)).embed(embed_request())
    assert (logged[0]["event"], logged[0]["provider"], logged[0]["hook"]) == ("plugin failed", "acme", "embed")


@pytest.mark.parametrize(
    ("hook", "what"),
    [
        (awaiting(None), "NoneType, not EmbeddingResponse"),
        (awaiting([[1.0], [2.0]]), "list, not EmbeddingResponse"),
        (awaiting(EmbeddingResponse(vectors=[[1.0]])), "another number of vectors"),
        (awaiting(EmbeddingResponse(vectors=None)), "wrong type"),  # type: ignore[arg-type]
        (awaiting(EmbeddingResponse(vectors=[None, None])), "wrong type"),  # type: ignore[list-item]
        (awaiting(EmbeddingResponse(vectors=[[1.0], []])), "empty"),
        (awaiting(EmbeddingResponse(vectors=[[1.0], [2.0]], usage=3)), "wrong type"),  # type: ignore[arg-type]
        (lambda self, request: None, "NoneType, not an awaitable"),
        (lambda self, request: EmbeddingResponse(vectors=[]), "EmbeddingResponse, not an awaitable"),
        (yielding(Start()), "async_generator, not an awaitable"),
        (awaiting(asyncio.sleep), "not EmbeddingResponse"),
    ],
)
async def test_what_embed_must_not_give_is_a_plugin_error(hook: Callable[..., Any], what: str) -> None:
    with pytest.raises(PluginError) as raised:
        await acme(embed=hook).embed(embed_request())
    assert what in raised.value.message


async def test_a_coroutine_in_the_place_of_a_result_is_closed() -> None:
    async def inner() -> None: ...

    with pytest.raises(PluginError, match="coroutine"):
        await acme(embed=awaiting(inner())).embed(embed_request())


@pytest.mark.parametrize(
    "result",
    [None, "text", Summary(text=""), Summary(text=None), Summary(text="x", usage=1)],  # type: ignore[arg-type]
)
async def test_what_summarize_must_not_give_is_a_plugin_error(result: Any) -> None:
    with pytest.raises(PluginError):
        await acme(summarize=awaiting(result)).summarize(summary_request())


async def test_an_error_of_the_tree_passes_as_it_is() -> None:
    error = ProviderRateLimited("Slow down.", retry_after=3)
    for call in (
        said(acme(chat=yielding(error))),
        said(acme(chat=raising(error))),
        acme(embed=awaiting(error)).embed(embed_request()),
        acme(embed=raising(error)).embed(embed_request()),
        acme(summarize=awaiting(error)).summarize(summary_request()),
    ):
        with pytest.raises(ProviderRateLimited) as raised:
            await call
        assert raised.value is error


async def test_what_a_provider_has_not_is_said() -> None:
    with pytest.raises(NotSupported, match="does not chat"):
        await said(acme())
    with pytest.raises(NotSupported, match="does not embed"):
        await acme().embed(embed_request())


async def test_a_hook_that_hangs_ends_at_the_deadline() -> None:
    async def hang(self: Any, request: Any) -> Any:
        await asyncio.sleep(60)

    began = time.monotonic()
    with pytest.raises(ProviderTimeout):
        await acme(embed=hang).embed(embed_request(0.05))
    report = await acme(health=hang).health(HealthRequest(deadline=Deadline.after(0.05)))
    assert (report.healthy, report.detail) == (False, "The provider did not answer in time.")
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("operation", ["chat", "embed"])
async def test_the_cancellation_of_the_caller_is_no_fault_of_the_plugin(operation: str) -> None:
    ended = asyncio.Event()

    async def chat(self: Any, request: Any) -> AsyncGenerator[ChatEvent, None]:
        yield Start()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def embed(self: Any, request: Any) -> Any:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    found = acme(chat=chat, embed=embed)
    with capture_logs() as logged:
        task = asyncio.create_task(said(found) if operation == "chat" else found.embed(embed_request()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert ended.is_set()
    assert logged == []


async def test_a_cancelled_task_of_the_plugin_is_its_own_affair() -> None:
    async def embed(self: Any, request: Any) -> Any:
        mine = asyncio.create_task(asyncio.sleep(60))
        mine.cancel()
        await mine

    with pytest.raises(PluginError, match="CancelledError"):
        await acme(embed=embed).embed(embed_request())


async def test_who_leaves_while_a_plugin_closes_is_not_held_up() -> None:
    async def chat(self: Any, request: Any) -> AsyncGenerator[ChatEvent, None]:
        try:
            yield Start()
        finally:
            await asyncio.sleep(60)

    events = acme(chat=chat).chat(chat_request())
    await anext(events)
    task = asyncio.create_task(events.aclose())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 1)


async def test_closing_reaches_the_plugin() -> None:
    closed: list[str] = []

    async def chat(self: Any, request: Any) -> AsyncGenerator[ChatEvent, None]:
        try:
            yield Start()
            yield TextDelta(text="x")
        except GeneratorExit:
            closed.append("asked")
            raise
        finally:
            closed.append("done")

    events = acme(chat=chat).chat(chat_request())
    await anext(events)
    await events.aclose()
    assert closed == ["asked", "done"]


@pytest.mark.parametrize("how", ["yields", "raises", "exits", "cancels"])
async def test_a_plugin_that_does_not_close_changes_nothing_of_the_call(how: str) -> None:
    async def chat(self: Any, request: Any) -> AsyncGenerator[ChatEvent, None]:
        try:
            yield Start()
        except GeneratorExit:
            if how == "raises":
                raise ValueError from None
            if how == "exits":
                sys.exit(3)
            if how == "cancels":
                raise asyncio.CancelledError from None
        yield TextDelta(text="still here")

    events = acme(chat=chat).chat(chat_request())
    await anext(events)
    with capture_logs() as logged:
        await events.aclose()
    assert [(entry["event"], entry["provider"], entry["hook"]) for entry in logged] == [
        ("plugin does not close its call", "acme", "chat")
    ]


async def test_a_plugin_that_is_slow_to_close_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "CLOSE_TIMEOUT", 0.05)

    async def chat(self: Any, request: Any) -> AsyncGenerator[ChatEvent, None]:
        try:
            yield Start()
        finally:
            await asyncio.sleep(60)

    events = acme(chat=chat).chat(chat_request())
    await anext(events)
    began = time.monotonic()
    with capture_logs() as logged:
        await events.aclose()
    assert time.monotonic() - began < 1
    assert logged[0]["error"] == "TimeoutError"


@pytest.mark.parametrize("kind", ANYTHING)
async def test_health_never_raises(kind: type[BaseException]) -> None:
    found = acme(health=awaiting(kind("why")))
    with capture_logs() as logged:
        report = await found.health(HealthRequest(deadline=Deadline.after(1)))
    assert not report.healthy
    assert kind.__name__ in (report.detail or "")
    assert (found.healthy, found.health_detail) == (False, report.detail)
    assert logged[0]["hook"] == "health"


@pytest.mark.parametrize(
    "result",
    [
        None,
        True,
        HealthReport(healthy="yes"),  # type: ignore[arg-type]
        HealthReport(healthy=True, models=None),  # type: ignore[arg-type]
        HealthReport(healthy=True, models=["m"]),  # type: ignore[list-item]
        HealthReport(healthy=True, detail=3),  # type: ignore[arg-type]
    ],
)
async def test_a_report_of_the_wrong_type_is_a_bad_one(result: Any) -> None:
    report = await acme(health=awaiting(result)).health(HealthRequest(deadline=Deadline.after(1)))
    assert not report.healthy
    assert "broke the contract" in (report.detail or "")


async def test_a_report_is_remembered_until_the_next() -> None:
    reports = [
        HealthReport(healthy=False, detail="down"),
        HealthReport(healthy=True, models=[ModelInfo(id="a"), ModelInfo(id="b")]),
        HealthReport(healthy=True),
    ]

    async def health(self: Any, request: Any) -> HealthReport:
        return reports.pop(0)

    found = acme(info=card("acme", models=(ModelInfo(id="a", description="known"),)), health=health)
    request = HealthRequest(deadline=Deadline.after(1))
    assert found.healthy
    await found.health(request)
    assert (found.healthy, found.health_detail) == (False, "down")
    await found.health(request)
    assert (found.healthy, found.health_detail) == (True, None)
    await found.health(request)
    assert [(model.id, model.description) for model in found.models] == [("a", "known"), ("b", None)]


def test_the_default_model_is_the_operators_or_the_plugins() -> None:
    found = acme(info=card("acme", default_embedding_model="e"))
    assert (found.default_model("chat"), found.default_model("embeddings")) == ("m", "e")


FORMS = (KeyFormat(r"acme-[0-9a-f]{16}", "`acme-` and 16 hex digits", "acme-"),)


def test_a_placeholder_is_not_used_and_an_odd_key_is_used_and_reported() -> None:
    info = card("acme", requires_key=True, key_formats=FORMS)
    found = acme(["your-key-here", "odd-key-of-some-length", KEY], info=info)
    assert [verdict.status for verdict in found.verdicts] == ["placeholder", "malformed", "valid"]
    assert found.keys == [Secret("odd-key-of-some-length"), Secret(KEY)]
    assert found.configured
    assert not acme(["your-key-here"], info=info).configured
    assert acme([], info=card("acme")).configured


def test_a_verdict_never_holds_the_key() -> None:
    def validate_key(self: Any, request: KeyRequest) -> KeyVerdict:
        value = request.credential.reveal()
        return KeyVerdict("malformed", value, f"{value} is odd")

    (verdict,) = acme([KEY], validate_key=validate_key).verdicts
    assert KEY not in f"{verdict.masked} {verdict.reason}"


@pytest.mark.parametrize(
    "result",
    [
        True,
        "valid",
        KeyVerdict("fine", "****"),  # type: ignore[arg-type]
        KeyVerdict("valid", None),  # type: ignore[arg-type]
        KeyVerdict("valid", "****", 3),  # type: ignore[arg-type]
    ],
)
def test_a_verdict_of_the_wrong_type_is_a_plugin_error(result: Any) -> None:
    with pytest.raises(PluginError, match="validate_key"):
        acme([KEY], validate_key=lambda self, request: result)


def test_an_awaited_verdict_is_a_plugin_error_and_its_coroutine_closed() -> None:
    with pytest.raises(PluginError, match="coroutine, not KeyVerdict"):
        acme([KEY], validate_key=awaiting(KeyVerdict("valid", "****")))


def test_without_a_verdict_of_its_own_a_plugin_has_the_default_one() -> None:
    found = acme([KEY], info=card("acme", key_formats=FORMS), validate_key=lambda self, request: None)
    assert found.verdicts[0].status == "valid"


async def test_a_quarantined_plugin_is_not_called() -> None:
    called: list[str] = []
    found = acme(chat=lambda self, request: called.append("chat"), embed=lambda self, request: called.append("embed"))
    found.quarantined = "it blocked"
    for call in (said(found), found.embed(embed_request()), found.summarize(summary_request())):
        with pytest.raises(PluginError, match="quarantined: it blocked"):
            await call
    with pytest.raises(PluginError, match="quarantined"):
        found.validate_key(Secret(KEY))
    assert not (await found.health(HealthRequest(deadline=Deadline.after(1)))).healthy
    assert called == []


async def test_errors_are_of_the_tree_with_502() -> None:
    with pytest.raises(GatewayError) as raised:
        await said(acme(chat=raising(SystemExit(3))))
    assert (raised.value.status, raised.value.code, raised.value.fallback) == (502, "plugin_error", True)
