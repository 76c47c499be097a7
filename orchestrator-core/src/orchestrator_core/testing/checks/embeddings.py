"""Embeddings: the vectors of all inputs, in their order."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from orchestrator_core.provider_api import (
    Deadline,
    EmbeddingRequest,
    EmbeddingResponse,
    GatewayError,
    ProviderAuthFailed,
    UnsupportedParameter,
)
from orchestrator_core.testing.bench import Bench
from orchestrator_core.testing.checks.fidelity import EXTRA
from orchestrator_core.testing.judge import lost, require
from orchestrator_core.testing.server import EMBEDDING_USAGE, TEXTS, Reply, vector
from orchestrator_core.testing.suite import Suite, proves


class EmbeddingChecks(Suite):
    """The hook `embed`."""

    @proves("embeddings")
    def test_vectors_come_in_the_order_of_their_inputs(self) -> None:
        """Each input has its vector, wherever the upstream puts it."""

        async def work(bench: Bench) -> None:
            one, two = await self._embed(bench, TEXTS), await self._embed(bench, TEXTS[::-1])
            require(isinstance(one, EmbeddingResponse), f"embed gave {type(one).__name__}, not an EmbeddingResponse")
            require(len(one.vectors) == len(TEXTS), f"{len(TEXTS)} inputs have {len(one.vectors)} vectors")
            require(
                [list(found) for found in one.vectors] == [list(found) for found in reversed(two.vectors)],
                "the order of the vectors is not that of the inputs",
            )
            if self.upstream is not None:
                found = [list(found) for found in one.vectors]
                require(found == [vector(text) for text in TEXTS], f"the upstream's vectors came out as {found}")
                require(one.usage in (None, EMBEDDING_USAGE), f"usage is {one.usage}, sent was {EMBEDDING_USAGE}")

        self.run(work)

    @proves("embeddings")
    def test_nothing_of_embeddings_is_dropped_in_silence(self) -> None:
        """`dimensions` and fields that core does not know are sent, or reported; strictly, they are refused."""
        self.fake()

        async def work(bench: Bench) -> None:
            await self._embed(bench, TEXTS)
            without = bench.server.asked[-1].body
            asked: dict[str, dict[str, Any]] = {
                "dimensions": {"dimensions": 3},
                **{key: {"extra": EXTRA} for key in EXTRA},
            }
            for name, fields in asked.items():
                response = await self._embed(bench, TEXTS, **fields)
                missed = name in lost(response.adjustments)
                require(
                    missed or bench.server.asked[-1].body != without,
                    f"{name} is neither in the request nor reported: put it into EmbeddingResponse.adjustments",
                )
                before = len(bench.server.asked)
                try:
                    await self._embed(bench, TEXTS, strict=True, **fields)
                except UnsupportedParameter as error:
                    require(
                        missed and error.param == name, f"strictly, {name} is refused although it is sent otherwise"
                    )
                    require(len(bench.server.asked) == before, f"{name} is refused after the request was sent")
                else:
                    require(not missed, f"strictly, {name} would be lost: pass request.strict on")

        self.run(work)

    @proves("embeddings")
    def test_errors_of_embeddings_have_their_place_in_the_tree(self) -> None:
        """A refused key is told, nonsense is an error, and neither shows the key."""
        status, body = self.fake().error("auth", "KIT-SAID") or (401, {})

        async def work(bench: Bench) -> None:
            for reply in (Reply(status, to_json(body)), Reply(200, b"{}"), Reply(200, b'{"cut')):
                bench.server.script.append(reply)
                try:
                    await self._embed(bench, TEXTS)
                except GatewayError as error:
                    auth = isinstance(error, ProviderAuthFailed)
                    require(auth or reply.status == 200, f"a refused key is {type(error).__name__}")
                    require(bench.key is None or bench.key not in f"{error} {error.message}", "the error holds the key")
                except Exception as error:
                    raise AssertionError(f"{reply.status} {reply.body[:20]!r} raises {error!r}") from error
                else:
                    require(False, f"{reply.status} {reply.body[:20]!r} ends like a good answer")

        self.run(work)

    async def _embed(self, bench: Bench, texts: tuple[str, ...], **fields: Any) -> EmbeddingResponse:
        model = self.embedding_model or self.provider.info.default_embedding_model or "kit-embedding"
        deadline = Deadline.after(10.0)
        request = EmbeddingRequest(model=model, input=texts, deadline=deadline, credential=bench.credential, **fields)
        return await bench.instance.embed(request)
