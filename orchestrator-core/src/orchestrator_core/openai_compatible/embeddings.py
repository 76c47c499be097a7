"""`POST /embeddings`: what is asked, in how many calls, and the vectors of the answers."""

from __future__ import annotations

import base64
import math
import sys
from array import array
from collections.abc import Iterable, Sequence

import pydantic_core

from orchestrator_core.openai_compatible.dialect import Dialect
from orchestrator_core.openai_compatible.errors import error_in_answer
from orchestrator_core.openai_compatible.usage import count
from orchestrator_core.provider_api import (
    OPENAI_EMBEDDINGS,
    AdjustmentReport,
    EmbeddingRequest,
    EmbeddingResponse,
    Json,
    ProviderBadResponse,
    Usage,
)

MAX_BODY = 64 * 1024 * 1024
"""Bytes of one answer: vectors are much larger than texts."""


def compile_embeddings(request: EmbeddingRequest, dialect: Dialect, report: AdjustmentReport) -> list[dict[str, Json]]:
    """Return the bodies of the calls that are needed, each with as many inputs as the vendor takes.

    Raises:
        UnsupportedParameter: Something would get lost, and the caller is strict.
    """
    native = request.native
    if native is not None and native.dialect == OPENAI_EMBEDDINGS and dialect.native_request:
        body: dict[str, Json] = {**native.body, "model": request.model}
    else:
        body = {**request.extra, "model": request.model, "input": list(request.input)}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
    for name, theirs in dialect.renamed.items():
        if name in body:
            body[theirs] = body.pop(name)
    if dialect.embedding_accepted is not None:
        for name in [name for name in body if name not in dialect.embedding_accepted]:
            report.dropped(name, "this provider does not know it")
            del body[name]
    size = dialect.embedding_batch
    if size is None or len(request.input) <= size:
        return [body]
    report.mapped("input", f"this provider takes {size} inputs a call: several calls were made")
    return [
        {**body, "input": list(request.input[start : start + size])} for start in range(0, len(request.input), size)
    ]


def parse_embeddings(data: bytes, expected: int) -> EmbeddingResponse:
    """Read one answer.

    Args:
        data: The body.
        expected: How many vectors there must be.

    Raises:
        ProviderError: It is an error object, or no list of so many vectors of one length.
    """
    try:
        body = pydantic_core.from_json(data, allow_inf_nan=False)
    except ValueError:
        raise ProviderBadResponse("The provider's answer is no JSON, or was cut off.") from None
    if not isinstance(body, dict):
        raise ProviderBadResponse("The provider's answer is JSON, but no object.")
    if body.get("error") or body.get("object") == "error":
        raise error_in_answer(body, streamed=False)
    rows = body.get("data")
    if not isinstance(rows, list) or len(rows) != expected or not all(isinstance(row, dict) for row in rows):
        raise ProviderBadResponse(f"The provider's answer does not have the {expected} vectors that were asked for.")
    if all(type(row.get("index")) is int for row in rows):
        rows.sort(key=lambda row: row["index"])
    vectors = [_vector(row.get("embedding")) for row in rows]
    if len({len(vector) for vector in vectors}) > 1:
        raise ProviderBadResponse("The provider's vectors differ in length.")
    model = body.get("model")
    return EmbeddingResponse(vectors, model if isinstance(model, str) else None, _usage(body.get("usage")))


def join(parts: Sequence[EmbeddingResponse]) -> EmbeddingResponse:
    """Return one response of several calls, in their order."""
    used = [part.usage for part in parts if part.usage is not None]
    return EmbeddingResponse(
        [vector for part in parts for vector in part.vectors],
        parts[0].model,
        sum(used, Usage()) if used else None,
    )


def _vector(wire: Json) -> Sequence[float]:
    if isinstance(wire, list) and wire:
        if all(type(number) is float or type(number) is int for number in wire) and _finite(wire):
            return wire
    elif isinstance(wire, str) and wire:
        try:
            numbers = array("f", base64.b64decode(wire, validate=True))  # little-endian, as OpenAI sends them
        except ValueError:
            raise ProviderBadResponse("The provider's vectors are no base64 of 32-bit floats.") from None
        if sys.byteorder == "big":
            numbers.byteswap()
        if _finite(numbers):
            return numbers.tolist()
    raise ProviderBadResponse("The provider's vectors are no lists of finite numbers.")


def _finite(numbers: Iterable[float]) -> bool:
    """Say whether JSON and 64-bit floats have room for all of them: `1e999` is JSON, and no number."""
    try:
        return all(map(math.isfinite, numbers))
    except OverflowError:  # an integer beyond the largest float
        return False


def _usage(wire: Json) -> Usage | None:
    if not isinstance(wire, dict):
        return None
    tokens = count(wire, "prompt_tokens") or count(wire, "total_tokens")
    return Usage(input_tokens=tokens) if tokens else None
