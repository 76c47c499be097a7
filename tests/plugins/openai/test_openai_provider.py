"""OpenAI's own differences: names of limits, fixed sampling, keys, retired models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.metadata import entry_points

import pytest

from fake_upstreams.openai_calls import ask, events_of, folded
from fake_upstreams.openai_server import OpenAIServer, chunk, completion
from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    AdjustmentReport,
    Message,
    NativeRequest,
    ProviderContext,
    ProviderRefused,
    ProviderSettings,
    RefusalPart,
    Secret,
    Start,
    UnsupportedParameter,
    check_key,
)
from orchestrator_core.upstream import ClientFactory, UpstreamLimits
from orchestrator_openai import OpenAIProvider

REASONING = [
    "o1",
    "o3-mini",
    "o4-mini-2025-04-16",
    "gpt-5",
    "gpt-5-nano",
    "gpt-5.6-luna",
    "gpt-6.1-terra",
    "ft:o4-mini:a::b",
]
OTHERS = ["gpt-4o", "gpt-4.1-nano", "chatgpt-4o-latest", "gpt-oss-20b", "omni"]


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
async def provider(server: OpenAIServer) -> AsyncIterator[OpenAIProvider]:
    factory = ClientFactory(UpstreamLimits())
    settings = ProviderSettings(base_url=server.base_url + "/")
    yield OpenAIProvider(ProviderContext("openai", settings, factory.client(OpenAIProvider.info.auth)))
    await factory.close()


def test_it_is_found_by_its_entry_point() -> None:
    (entry,) = [e for e in entry_points(group="orchestrator.providers") if e.name == "openai"]
    assert entry.load() is OpenAIProvider
    assert OpenAIProvider.dialect.base_url == "https://api.openai.com/v1"


def test_defaults_are_models_that_are_not_retired() -> None:
    retired = {model.id for model in OpenAIProvider.info.models if model.replacement}
    known = {model.id for model in OpenAIProvider.info.models}
    assert {OpenAIProvider.info.default_model, OpenAIProvider.info.default_embedding_model} <= known - retired
    assert {model.replacement for model in OpenAIProvider.info.models} - {None} <= known - retired


@pytest.mark.parametrize("model", REASONING)
async def test_reasoning_models_have_their_own_limit(
    server: OpenAIServer, provider: OpenAIProvider, model: str
) -> None:
    server.answers(completion())
    events = await events_of(provider, ask(model=model, max_tokens=50))
    assert server.body["max_completion_tokens"] == 50
    assert "max_tokens" not in server.body
    assert isinstance(events[0], Start)
    assert not events[0].adjustments


@pytest.mark.parametrize("model", OTHERS)
async def test_other_models_keep_the_old_one(server: OpenAIServer, provider: OpenAIProvider, model: str) -> None:
    server.answers(completion())
    await events_of(provider, ask(model=model, max_tokens=50))
    assert server.body["max_tokens"] == 50
    native = NativeRequest(OPENAI_CHAT, {"messages": [], "max_completion_tokens": 7})
    server.answers(completion())
    await events_of(provider, ask(model=model, native=native))
    assert server.body["max_completion_tokens"] == 7


async def test_a_clients_own_spelling_is_mapped_and_reported(server: OpenAIServer, provider: OpenAIProvider) -> None:
    server.streams([chunk(content="a"), chunk(finish="stop")])
    native = NativeRequest(OPENAI_CHAT, {"messages": [], "max_tokens": 7, "stream": True})
    events = await events_of(provider, ask(model="gpt-5.6-luna", stream=True, strict=True, native=native))
    assert server.body["max_completion_tokens"] == 7
    assert isinstance(events[0], Start)
    assert [(a.subject, a.action) for a in events[0].adjustments] == [("max_tokens", "mapped")]


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        ("o3", False),
        ("gpt-5", False),
        ("gpt-5-mini-2025-08-07", False),
        ("gpt-5.4", True),
        ("gpt-6-luna", True),
        ("gpt-4o", True),
    ],
)
def test_sampling_is_left_out_where_it_is_fixed(provider: OpenAIProvider, model: str, sent: bool) -> None:
    report = AdjustmentReport(strict=False)
    body = provider.compile(ask(model=model, temperature=0.5), report)
    assert ("temperature" in body) is sent
    assert [a.subject for a in report.adjustments] == ([] if sent else ["temperature"])
    assert provider.compile(ask(model=model, temperature=1), AdjustmentReport(strict=True))["temperature"] == 1
    if not sent:
        with pytest.raises(UnsupportedParameter):
            provider.compile(ask(model=model, temperature=0.5), AdjustmentReport(strict=True))


async def test_a_retired_model(server: OpenAIServer, provider: OpenAIProvider) -> None:
    message = "The model `gpt-3.5-turbo` has been deprecated."
    for stream in (False, True):
        server.answers({"error": {"message": message, "code": "model_not_found"}}, 404)
        with pytest.raises(ProviderRefused) as caught:
            await events_of(provider, ask(model="gpt-3.5-turbo", stream=stream))
        assert caught.value.message == f"{message} (gpt-3.5-turbo is retired: use gpt-5.6-luna.)"
        assert caught.value.status == 404


async def test_a_refusal_stays_one_in_the_next_turn(server: OpenAIServer, provider: OpenAIProvider) -> None:
    server.answers(completion(None, refusal="No."))
    answer = await folded(provider, ask())
    assert answer.message.parts == (RefusalPart(text="No."),)
    server.answers(completion())
    await events_of(provider, ask([Message(role="user", parts=()), answer.message]))
    assert server.body["messages"][1] == {"role": "assistant", "content": None, "refusal": "No."}


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("sk-" + "a" * 48, "valid"),
        ("sk-proj-" + "aB3_-" * 30, "valid"),
        ("sk-svcacct-" + "a" * 60, "valid"),
        ("sk-" + "a" * 20, "malformed"),
        ("sk-ant-api03-" + "a" * 95, "foreign"),
        ("sk-or-v1-" + "a" * 64, "foreign"),
        ("xai-" + "a" * 80, "foreign"),
        ("AIza" + "a" * 35, "foreign"),
        ("sk-admin-" + "a" * 60, "foreign"),
        ("sk-your_api_key_here...", "placeholder"),
        ("sk-" + "a" * 48 + " ", "malformed"),
    ],
)
def test_keys(key: str, status: str) -> None:
    info = OpenAIProvider.info
    verdict = check_key(Secret(key), info.key_formats, foreign=info.foreign_keys)
    assert verdict.status == status


async def test_the_key_travels_as_bearer(server: OpenAIServer, provider: OpenAIProvider) -> None:
    server.answers(completion())
    await events_of(provider, ask(credential=Secret("sk-" + "a" * 48)))
    assert server.asked[0].headers["authorization"] == "Bearer sk-" + "a" * 48
