"""Vectors keep the places of their texts, in every form and on both surfaces."""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fake_providers.scripted import ScriptedProvider
from fake_upstreams.openai_server import OpenAIServer
from orchestrator_core.provider_api import EmbeddingRequest, EmbeddingResponse, hookimpl
from orchestrator_openai import OpenAIProvider
from scripted_gateway import Served, served

TEXTS = ["a", "bb", "ccc"]
VECTORS = [[1.0, 0.5], [2.0, 0.5], [3.0, 0.5]]


class Measuring(ScriptedProvider):
    """The vector of a text begins with its length."""

    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        return EmbeddingResponse(vectors=[[float(len(text)), 0.5] for text in request.input])


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def gateway(upstream: OpenAIServer, tmp_path: Path) -> AsyncIterator[Served]:
    environ = {
        "OPENAI_API_KEY": "sk-proj-" + "Ab1" * 20,
        "OPENAI_BASE_URL": upstream.base_url,
        "MONITORING_ENABLED": "false",
    }
    async with served(tmp_path, [Measuring, OpenAIProvider], environ) as gateway:
        yield gateway


def packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def by_index(body: Any) -> list[Any]:
    """Return the vectors by their index, which must be their place too."""
    assert [row["index"] for row in body["data"]] == [0, 1, 2]
    assert {row["object"] for row in body["data"]} == {"embedding"}
    return [row["embedding"] for row in body["data"]]


@pytest.mark.parametrize(("form", "expected"), [("float", VECTORS), ("base64", [packed(v) for v in VECTORS])])
async def test_three_texts_translated(gateway: Served, form: str, expected: list[Any]) -> None:
    body = {"model": "scripted/m", "input": TEXTS, "encoding_format": form}
    assert by_index((await gateway.post("/v1/embeddings", body)).json) == expected


async def test_three_texts_of_the_connector(gateway: Served) -> None:
    reply = await gateway.post("/api/v1/scripted/embeddings", {"input": TEXTS})
    assert reply.json["embeddings"] == VECTORS


def rows(form: str, order: tuple[int, ...]) -> dict[str, Any]:
    """An answer of the upstream with its rows in this order."""
    data = [
        {"object": "embedding", "index": at, "embedding": packed(VECTORS[at]) if form == "base64" else VECTORS[at]}
        for at in order
    ]
    return {"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 6, "total_tokens": 6}}


@pytest.mark.parametrize("form", ["float", "base64"])
async def test_three_texts_passed_through(gateway: Served, upstream: OpenAIServer, form: str) -> None:
    upstream.answers(rows(form, (0, 1, 2)))
    body = {"model": "openai/m", "input": TEXTS, "encoding_format": form}
    reply = await gateway.post("/v1/embeddings", body)
    assert by_index(reply.json) == [packed(v) if form == "base64" else v for v in VECTORS]
    assert upstream.body == {**body, "model": "m"}


@pytest.mark.parametrize("form", ["float", "base64"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
async def test_the_connector_puts_rows_in_the_order_of_the_texts(
    gateway: Served, upstream: OpenAIServer, form: str, order: tuple[int, ...]
) -> None:
    upstream.answers(rows(form, order))
    reply = await gateway.post("/api/v1/openai/embeddings", {"model": "m", "input": TEXTS})
    assert reply.json["embeddings"] == VECTORS


@pytest.mark.parametrize(("asked", "sent"), [("base64", "float"), ("float", "base64")])
async def test_a_server_that_does_not_heed_the_form_is_corrected(
    gateway: Served, upstream: OpenAIServer, asked: str, sent: str
) -> None:
    upstream.answers(rows(sent, (0, 1, 2)))
    body = {"model": "openai/m", "input": TEXTS, "encoding_format": asked}
    reply = await gateway.post("/v1/embeddings", body)
    assert by_index(reply.json) == ([packed(v) for v in VECTORS] if asked == "base64" else VECTORS)
