"""Embeddings, models and health over real sockets."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from fake_upstreams.misbehaving import MisbehavingUpstream
from fake_upstreams.openai_server import OpenAIServer
from orchestrator_core.openai_compatible import Dialect
from orchestrator_core.provider_api import (
    OPENAI_EMBEDDINGS,
    Deadline,
    EmbeddingRequest,
    GatewayError,
    HealthRequest,
    NativeRequest,
    NotSupported,
    ProviderAuthFailed,
    ProviderBadResponse,
    ProviderRefused,
    Secret,
    Usage,
)


def request(*texts: str, **fields: Any) -> EmbeddingRequest:
    return EmbeddingRequest(model="embed", input=list(texts), deadline=Deadline.after(5), **fields)


def answer(*vectors: Any, **more: Any) -> dict[str, Any]:
    rows = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {
        "object": "list",
        "model": "embed-1",
        "data": rows,
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
        **more,
    }


async def test_vectors_come_in_the_order_of_the_input(server: OpenAIServer, make_provider: Any) -> None:
    body = answer([0.5, 1], [2.0, 3.0])
    body["data"].reverse()
    server.answers(body)
    response = await make_provider().embed(request=request("a", "b", dimensions=2, extra={"user": "u"}))
    assert [list(vector) for vector in response.vectors] == [[0.5, 1], [2.0, 3.0]]
    assert (response.model, response.usage, response.native) == ("embed-1", Usage(input_tokens=4), None)
    assert server.asked[0].path == "/v1/embeddings"
    assert server.body == {"model": "embed", "input": ["a", "b"], "dimensions": 2, "user": "u"}


async def test_token_ids_are_inputs_too(server: OpenAIServer, make_provider: Any) -> None:
    server.answers(answer([1.0]))
    await make_provider().embed(request=EmbeddingRequest(model="embed", input=[[1, 2, 3]], deadline=Deadline.after(5)))
    assert server.body["input"] == [[1, 2, 3]]


async def test_a_native_request_and_its_answer_are_kept(server: OpenAIServer, make_provider: Any) -> None:
    encoded = base64.b64encode(struct.pack("<3f", 0.5, -1.0, 2.0)).decode()
    server.answers(answer(encoded))
    body = {"model": "tested/embed", "input": "a", "encoding_format": "base64", "new": 1}
    response = await make_provider().embed(request=request("a", native=NativeRequest(OPENAI_EMBEDDINGS, body)))
    assert server.body == {**body, "model": "embed"}
    assert [list(vector) for vector in response.vectors] == [[0.5, -1.0, 2.0]]
    assert response.native is not None
    assert json.loads(response.native.data) == answer(encoded)


async def test_many_inputs_are_asked_in_several_calls(server: OpenAIServer, make_provider: Any) -> None:
    server.answers(answer([1.0], [2.0]))
    server.answers(answer([3.0]))
    provider = make_provider(Dialect(embedding_batch=2))
    native = NativeRequest(OPENAI_EMBEDDINGS, {"model": "x", "input": ["a", "b", "c"]})
    response = await provider.embed(request=request("a", "b", "c", native=native))
    assert [asked.body["input"] for asked in server.asked] == [["a", "b"], ["c"]]
    assert [list(vector) for vector in response.vectors] == [[1.0], [2.0], [3.0]]
    assert response.usage == Usage(input_tokens=8)
    assert response.native is None
    assert [adjustment.subject for adjustment in response.adjustments] == ["input"]


async def test_a_vendor_without_embeddings(make_provider: Any) -> None:
    with pytest.raises(NotSupported, match="Tested has no embeddings"):
        await make_provider(Dialect(embeddings=False)).embed(request=request("a"))


@pytest.mark.parametrize(
    "body",
    [
        answer(),
        answer([1.0], [2.0]),
        answer([]),
        answer(None),
        answer(["x"]),
        answer([True]),
        answer("no base64!"),
        answer(base64.b64encode(b"abc").decode()),
        {"data": None},
        {"data": [7]},
        [],
        {"error": {"message": "no"}},
    ],
)
async def test_wrong_vectors(server: OpenAIServer, make_provider: Any, body: Any) -> None:
    server.answers(body)
    with pytest.raises(ProviderBadResponse):
        await make_provider().embed(request=request("a"))


async def test_vectors_of_different_lengths_are_wrong(server: OpenAIServer, make_provider: Any) -> None:
    server.answers(answer([1.0], [1.0, 2.0]))
    with pytest.raises(ProviderBadResponse, match="differ in length"):
        await make_provider().embed(request=request("a", "b"))


@pytest.mark.parametrize(
    "behaviour", ["json-invalid", "html-200", "empty", "http-500", "json-null-fields", "no-choices"]
)
async def test_faulty_embeddings(make_provider: Any, behaviour: str) -> None:
    async with MisbehavingUpstream() as upstream:
        with pytest.raises(GatewayError) as caught:
            await make_provider(base_url=upstream.base_url(behaviour)).embed(request=request("a"))
    assert caught.value.status == 502


async def test_a_refusal_names_the_successor(server: OpenAIServer, make_provider: Any) -> None:
    server.answers({"error": {"message": "gone"}}, 404)
    old = EmbeddingRequest(model="gpt-old", input=["a"], deadline=Deadline.after(5))
    with pytest.raises(ProviderRefused, match="use gpt-new"):
        await make_provider().embed(request=old)


async def test_health_lists_the_models(server: OpenAIServer, make_provider: Any) -> None:
    rows = [
        {"id": "a", "object": "model"},
        {"id": "b", "description": "B", "max_model_len": 4096},
        {"id": 7},
        "c",
    ]
    server.answers({"object": "list", "data": rows})
    asked = HealthRequest(deadline=Deadline.after(5), credential=Secret("sk-test-0123456789"))
    report = await make_provider().health(request=asked)
    assert report.healthy
    assert [(m.id, m.description, m.context_window) for m in report.models] == [("a", None, None), ("b", "B", 4096)]
    assert (server.asked[0].method, server.asked[0].path) == ("GET", "/v1/models")
    assert server.asked[0].headers["authorization"] == "Bearer sk-test-0123456789"
    server.answers(rows)
    assert len((await make_provider().health(request=asked)).models) == 2


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_server_without_a_list_of_models_is_healthy(
    server: OpenAIServer, make_provider: Any, status: int
) -> None:
    server.answers({"error": {"message": "no such path"}}, status)
    report = await make_provider().health(request=HealthRequest(deadline=Deadline.after(5)))
    assert report.healthy
    assert not report.models


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"error": {"message": "no"}}, ProviderAuthFailed),
        (200, {"data": 7}, ProviderBadResponse),
        (200, 7, ProviderBadResponse),
    ],
)
async def test_a_provider_that_is_not_healthy(
    server: OpenAIServer, make_provider: Any, status: int, body: Any, kind: type[GatewayError]
) -> None:
    server.answers(body, status)
    with pytest.raises(kind):
        await make_provider().health(request=HealthRequest(deadline=Deadline.after(5)))
