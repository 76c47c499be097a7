"""Calls through the real client to a strict server: URLs, keys, streams, embeddings, models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import entry_points

import pytest
from aiohttp import web

from fake_upstreams.gemini_calls import HELLO, KEY, ask, events_of, folded, said
from fake_upstreams.strict_gemini import StrictGemini, gemini_answer
from orchestrator_core.provider_api import (
    Deadline,
    EmbeddingRequest,
    Finish,
    HealthRequest,
    InvalidRequest,
    ProviderBadResponse,
    ProviderContext,
    ProviderRefused,
    ProviderSettings,
    Secret,
    Start,
    TextPart,
    Tool,
    ToolResultPart,
    Usage,
    UsageReport,
    check_key,
    text_message,
)
from orchestrator_core.upstream import ClientFactory
from orchestrator_gemini import GeminiProvider

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[GeminiProvider]]


@pytest.fixture
async def serve(clients: ClientFactory) -> AsyncIterator[Serve]:
    """Make a provider of a server that answers as a handler does."""
    runners: list[web.AppRunner] = []

    async def start(handler: Handler) -> GeminiProvider:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, access_log=None)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        settings = ProviderSettings(base_url=f"http://{host}:{port}")
        return GeminiProvider(ProviderContext("gemini", settings, clients.client(GeminiProvider.info.auth)))

    yield start
    for runner in runners:
        await runner.cleanup()


def test_it_is_found_by_its_entry_point() -> None:
    (entry,) = [each for each in entry_points(group="orchestrator.providers") if each.name == "gemini"]
    assert entry.load() is GeminiProvider


def test_defaults_are_models_that_are_not_retired() -> None:
    info = GeminiProvider.info
    retired = {model.id for model in info.models if model.replacement}
    known = {model.id for model in info.models}
    assert {info.default_model, info.default_embedding_model} <= known - retired
    assert {model.replacement for model in info.models} - {None} <= known - retired


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("AIza" + "a" * 33, "valid"),
        ("AIzaSy" + "a-_" * 11, "valid"),
        ("AQ." + "Ab8_-" * 10, "valid"),
        ("AIza" + "a" * 32, "malformed"),
        ("sk-" + "a" * 48, "foreign"),
        ("xai-" + "a" * 80, "foreign"),
        ("your_gemini_key_here", "placeholder"),
    ],
)
def test_keys(key: str, status: str) -> None:
    info = GeminiProvider.info
    assert check_key(Secret(key), info.key_formats, foreign=info.foreign_keys).status == status


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (None, "https://generativelanguage.googleapis.com/v1beta"),
        ("https://a.example/", "https://a.example/v1beta"),
        ("https://a.example/gemini/v1beta/", "https://a.example/gemini/v1beta"),
        ("https://a.example/v1", "https://a.example/v1"),
        ("https://a.example/v1alpha", "https://a.example/v1alpha"),
    ],
)
async def test_base_urls(clients: ClientFactory, base: str | None, url: str) -> None:
    settings = ProviderSettings(base_url=base)
    context = ProviderContext("gemini", settings, clients.client(GeminiProvider.info.auth))
    assert GeminiProvider(context).base_url == url


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call(vendor: StrictGemini, gemini: GeminiProvider, stream: bool) -> None:
    answer = await folded(gemini, ask(stream=stream, extra={"user": "x"}))
    assert (answer.message.text, answer.usage) == ("Hello.", Usage(4, 0, 0, 2, 0))
    assert [each.subject for each in answer.adjustments] == ["user"]
    (asked,) = vendor.asked
    assert asked.path == f"/v1beta/models/gemini-3.8-flash:{'streamGenerateContent' if stream else 'generateContent'}"
    assert asked.query == ({"alt": "sse"} if stream else {})
    assert asked.headers["x-goog-api-key"] == KEY.reveal()
    assert "authorization" not in asked.headers


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-9", "models/gemini-9"),
        ("models/gemini-9", "models/gemini-9"),
        ("tunedModels/mine-1", "tunedModels/mine-1"),
        ("../../x?key=1#", "models/..%2F..%2Fx%3Fkey=1%23"),
        ("a:b", "models/a:b"),
    ],
)
async def test_a_model_is_one_step_of_the_path(serve: Serve, model: str, path: str) -> None:
    asked: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(request.raw_path)
        return web.json_response(gemini_answer([{"text": "a"}]))

    await folded(await serve(handle), ask(model=model))
    assert asked == [f"/v1beta/{path}:generateContent"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_round_trip_with_tools(vendor: StrictGemini, gemini: GeminiProvider, stream: bool) -> None:
    calls = [
        {"text": "Two.", "thought": True},
        {"functionCall": {"name": "add", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "add", "args": {"a": 2}}},
    ]
    last = gemini_answer([{"text": "Done."}, {"text": "", "thoughtSignature": "bGFzdA=="}])
    vendor.give(*([[gemini_answer(calls)], [last]] if stream else [gemini_answer(calls), last]))
    tools = (Tool(name="add", parameters={"type": "object", "properties": {"a": {"type": "integer"}}}),)
    first = await folded(gemini, ask(tools=tools, stream=stream))
    one, two = first.message.tool_calls
    history = [
        *HELLO,
        first.message,
        said("tool", ToolResultPart(tool_call_id=two.id, content="2")),
        said("tool", ToolResultPart(tool_call_id=one.id, content="1")),
    ]
    second = await folded(gemini, ask(history, tools=tools, stream=stream))
    assert vendor.asked[1].body["contents"][1] == {"role": "model", "parts": calls}
    responses = [part["functionResponse"]["response"] for part in vendor.asked[1].body["contents"][2]["parts"]]
    assert responses == [{"result": "1"}, {"result": "2"}]
    await folded(gemini, ask([*history, second.message, *HELLO], tools=tools, stream=stream))
    assert vendor.asked[2].body["contents"][3]["parts"] == [
        {"text": "Done."},
        {"text": "", "thoughtSignature": "bGFzdA=="},
    ]


async def test_a_stream_in_pieces_of_any_size(vendor: StrictGemini, gemini: GeminiProvider) -> None:
    data = b"".join(vendor.frame(gemini_answer([{"text": text}], None)) for text in ("Grüße", " 🙂 ", "aus"))
    data += vendor.frame(gemini_answer([], "STOP"))
    vendor.answers.append([data[at : at + 7] for at in range(0, len(data), 7)])
    assert (await folded(gemini, ask(stream=True))).message.text == "Grüße 🙂 aus"


async def test_the_end_comes_last(vendor: StrictGemini, gemini: GeminiProvider) -> None:
    vendor.give([gemini_answer([{"text": "a"}]), gemini_answer([{"text": "b"}])])
    kinds = [type(event) for event in await events_of(gemini, ask(stream=True))]
    assert kinds[0] is Start
    assert kinds[-1] is Finish
    assert (kinds.count(Finish), kinds.count(UsageReport)) == (1, 2)


async def test_a_stream_that_ends_early(vendor: StrictGemini, gemini: GeminiProvider) -> None:
    vendor.give([gemini_answer([{"text": "a"}], None)])
    with pytest.raises(ProviderBadResponse, match="before it was complete"):
        await folded(gemini, ask(stream=True))


async def test_what_breaks_after_the_last_reason_is_no_failure(serve: Serve) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(StrictGemini().frame(gemini_answer([{"text": "a"}])))
        assert request.transport is not None
        request.transport.abort()
        return response

    answer = await folded(await serve(handle), ask(stream=True))
    assert (answer.message.text, answer.complete) == ("a", True)


@pytest.mark.parametrize("body", [[gemini_answer([{"text": "a"}])], gemini_answer([{"text": "a"}])])
async def test_an_answer_that_is_no_stream(serve: Serve, body: object) -> None:
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.json_response(body)

    with pytest.raises(ProviderBadResponse, match="no stream"):
        await folded(await serve(handle), ask(stream=True))


@pytest.mark.parametrize("stream", [False, True])
async def test_errors_under_a_200(serve: Serve, stream: bool) -> None:
    async def handle(_: web.Request) -> web.StreamResponse:
        error = {"error": {"code": 400, "message": "Not so.", "status": "INVALID_ARGUMENT"}}
        return web.json_response([error] if stream else error)

    with pytest.raises(ProviderRefused, match="Not so"):
        await folded(await serve(handle), ask(stream=stream))


async def test_retired_models_are_named(serve: Serve) -> None:
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"code": 404, "message": "Not found.", "status": "NOT_FOUND"}}, status=404)

    provider = await serve(handle)
    for stream in (False, True):
        with pytest.raises(
            ProviderRefused, match=r"Not found\. \(gemini-1\.5-pro is retired: use gemini-3\.8-flash\.\)"
        ):
            await folded(provider, ask(model="gemini-1.5-pro", stream=stream))
    with pytest.raises(ProviderRefused, match=r"^Not found\.$"):
        await folded(provider, ask(model="gemini-9"))


async def test_embeddings(vendor: StrictGemini, gemini: GeminiProvider) -> None:
    vendor.answers.append({"embeddings": [{"values": [1, 0.5]}], "usageMetadata": {"promptTokenCount": 3}})
    answer = await gemini.embed(request=_embedding(["a"], dimensions=2, extra={"task_type": "RETRIEVAL_QUERY"}))
    assert (answer.vectors, answer.usage) == ([[1, 0.5]], Usage(input_tokens=3))
    assert vendor.asked[0].path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    assert vendor.asked[0].body == {
        "requests": [
            {
                "model": "models/gemini-embedding-001",
                "content": {"parts": [{"text": "a"}]},
                "outputDimensionality": 2,
                "taskType": "RETRIEVAL_QUERY",
            }
        ]
    }


async def test_many_embeddings(vendor: StrictGemini, gemini: GeminiProvider) -> None:
    vendor.answers.append({"embeddings": [{"values": [1.0]}] * 100})
    vendor.answers.append({"embeddings": [{"values": [2.0]}] * 3, "usageMetadata": {"promptTokenCount": 3}})
    answer = await gemini.embed(request=_embedding(["a"] * 103, extra={"user": "x"}))
    assert answer.vectors == [[1.0]] * 100 + [[2.0]] * 3
    assert answer.usage == Usage(input_tokens=3)
    assert [(each.subject, each.action) for each in answer.adjustments] == [("user", "dropped"), ("input", "mapped")]
    assert [len(asked.body["requests"]) for asked in vendor.asked] == [100, 3]


@pytest.mark.parametrize(
    "body", [{}, {"embeddings": []}, {"embeddings": [1]}, {"embeddings": [{}]}, [], {"embeddings": 1}]
)
async def test_embeddings_of_wrong_shapes(vendor: StrictGemini, gemini: GeminiProvider, body: object) -> None:
    vendor.answers.append(body)
    with pytest.raises(ProviderBadResponse):
        await gemini.embed(request=_embedding(["a"]))


async def test_tokens_cannot_be_embedded(vendor: StrictGemini, gemini: GeminiProvider) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await gemini.embed(request=_embedding([[1, 2]]))
    assert caught.value.param == "input"
    assert not vendor.asked


async def test_health(serve: Serve) -> None:
    asked: list[str] = []
    listed = [
        {
            "name": "models/gemini-9",
            "displayName": "Gemini 9",
            "inputTokenLimit": 1048576,
            "outputTokenLimit": 65536,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
            "thinking": True,
        },
        {"name": "models/gemini-embedding-9", "supportedGenerationMethods": ["embedContent"]},
    ]

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(f"{request.method} {request.path_qs}")
        return web.json_response({"models": listed})

    provider = await serve(handle)
    report = await provider.health(request=HealthRequest(deadline=Deadline.after(5), credential=KEY))
    assert report.healthy
    assert asked == ["GET /v1beta/models?pageSize=1000"]
    chat, embedding = report.models
    assert (chat.id, chat.description, chat.context_window, chat.max_output_tokens) == (
        "gemini-9",
        "Gemini 9",
        1048576,
        65536,
    )
    assert (chat.capabilities, embedding.capabilities) == (("chat", "reasoning"), ("embeddings",))
    listed[:] = [{"name": 1}, 5]
    with pytest.raises(ProviderBadResponse):
        await provider.health(request=HealthRequest(deadline=Deadline.after(5), credential=KEY))


async def test_a_conversation_that_another_model_began(vendor: StrictGemini, gemini: GeminiProvider) -> None:
    history = [text_message("system", "Be brief."), *HELLO, text_message("assistant", "Hi."), *HELLO]
    answer = await folded(gemini, ask(history))
    assert answer.message.parts == (TextPart(text="Hello."),)
    assert vendor.asked[0].body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}


def _embedding(texts: list[str] | list[list[int]], **fields: object) -> EmbeddingRequest:
    return EmbeddingRequest(
        model="gemini-embedding-001",
        input=texts,
        deadline=Deadline.after(5),
        credential=KEY,
        **fields,  # type: ignore[arg-type]  # a test's own fields
    )
