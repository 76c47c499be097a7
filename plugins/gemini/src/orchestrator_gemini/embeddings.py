"""`batchEmbedContents` (https://ai.google.dev/api/embeddings): what is asked, and the vectors of the answers."""

from __future__ import annotations

from collections.abc import Sequence

import pydantic_core

from orchestrator_core.provider_api import (
    AdjustmentReport,
    EmbeddingRequest,
    InvalidRequest,
    Json,
    ProviderBadResponse,
    Usage,
)
from orchestrator_gemini.errors import error_in_answer
from orchestrator_gemini.models import resource

BATCH = 100
"""Texts of one call."""

MAX_BODY = 64 * 1024 * 1024
"""Bytes of one answer: vectors are much larger than texts."""

_EXTRAS = {"task_type": "taskType", "taskType": "taskType", "title": "title"}


def compile_embeddings(request: EmbeddingRequest, report: AdjustmentReport) -> list[dict[str, Json]]:
    """Return the bodies of the calls that are needed.

    Raises:
        InvalidRequest: The input is tokens, which are another vendor's.
        UnsupportedParameter: Something would get lost, and the caller is strict.
    """
    if not all(isinstance(text, str) for text in request.input):
        raise InvalidRequest("Gemini takes texts, not token ids. Send the text.", param="input")
    shared: dict[str, Json] = {}
    if request.dimensions is not None:
        shared["outputDimensionality"] = request.dimensions
    for name, value in request.extra.items():
        if name in _EXTRAS:
            shared[_EXTRAS[name]] = value
        else:
            report.dropped(name, "Gemini does not know it")
    if len(request.input) > BATCH:
        report.mapped("input", f"Gemini takes {BATCH} texts a call: several calls were made")
    model = resource(request.model)
    asked = [{"model": model, "content": {"parts": [{"text": text}]}, **shared} for text in request.input]
    return [{"requests": asked[start : start + BATCH]} for start in range(0, len(asked), BATCH)]


def parse_embeddings(data: bytes, expected: int) -> tuple[Sequence[Sequence[float]], Usage | None]:
    """Read the vectors of one answer, and its usage where there is one.

    Raises:
        ProviderError: It is an error, or not so many vectors.
    """
    try:
        body = pydantic_core.from_json(data)
    except ValueError:
        raise ProviderBadResponse("The provider's answer is no JSON, or was cut off.") from None
    if isinstance(body, dict) and "error" in body:
        raise error_in_answer(body)
    rows = body.get("embeddings") if isinstance(body, dict) else None
    if not isinstance(rows, list) or len(rows) != expected:
        raise ProviderBadResponse(f"The provider's answer does not have the {expected} vectors that were asked for.")
    vectors = [row["values"] for row in rows if isinstance(row, dict) and isinstance(row.get("values"), list)]
    if len(vectors) != expected:
        raise ProviderBadResponse("The provider's answer has an embedding without a vector.")
    tokens = (body.get("usageMetadata") or {}).get("promptTokenCount")
    return vectors, Usage(input_tokens=tokens) if type(tokens) is int else None
