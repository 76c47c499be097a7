"""OpenAI's `POST /embeddings` (API reference, Embeddings) to a canonical request, and vectors to its answer."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Literal

from orchestrator_core.provider_api import (
    OPENAI_EMBEDDINGS,
    Deadline,
    EmbeddingRequest,
    EmbeddingResponse,
    Json,
    NativeRequest,
)
from orchestrator_core.server.translate.fields import Fields, invalid

Encoding = Literal["float", "base64"]

_KNOWN = frozenset(("model", "input", "encoding_format", "dimensions"))

_VECTOR = re.compile(rb'"embedding"\s*:\s*(["\[])')


def read_embeddings(
    body: Mapping[str, Json], *, deadline: Deadline, strict: bool = False, request_id: str | None = None
) -> EmbeddingRequest:
    """Read an embeddings request; `model` may be missing.

    Args:
        body: The client's JSON.
        deadline: When the call must end.
        strict: Whether a parameter that would have to be left out is an error.
        request_id: The gateway's id of the request.

    Returns:
        The request, with the body as its `native`.

    Raises:
        InvalidRequest: A field is missing or of the wrong type; `param` is its dotted path.
    """
    fields = Fields(body)
    return EmbeddingRequest(
        model=fields.string("model") or "",
        input=_input(fields),
        deadline=deadline,
        dimensions=fields.integer("dimensions", least=1),
        strict=strict,
        extra={key: value for key, value in body.items() if key not in _KNOWN and value is not None},
        native=NativeRequest(OPENAI_EMBEDDINGS, body),
        request_id=request_id,
    )


def encoding(body: Mapping[str, Json]) -> Encoding:
    """Read how the vectors are to be written.

    Raises:
        InvalidRequest: It is neither `float` nor `base64`.
    """
    fields = Fields(body)
    match fields.string("encoding_format"):
        case None | "float":
            return "float"
        case "base64":
            return "base64"
        case _:
            raise invalid("encoding_format", "expected 'float' or 'base64'")


def has_form(answer: bytes, form: Encoding) -> bool:
    """Say whether an upstream's answer has its vectors in the form that was asked for: not every server heeds it."""
    found = _VECTOR.search(answer)
    return found is None or (found[1] == b'"') == (form == "base64")


def embeddings(response: EmbeddingResponse, form: Encoding, *, model: str) -> dict[str, Json]:
    """Write vectors as OpenAI does.

    Args:
        response: The vectors.
        form: How to write them.
        model: The model that was asked, for providers that do not say which one answered.
    """
    used = response.usage
    tokens = 0 if used is None else used.total_input
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _packed(vector) if form == "base64" else vector,
            }
            for index, vector in enumerate(response.vectors)
        ],
        "model": response.model or model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _packed(vector: Sequence[float]) -> str:
    """Pack a vector as little-endian 32-bit floats in base64, as OpenAI's SDKs unpack it."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _input(fields: Fields) -> Sequence[str] | Sequence[Sequence[int]]:
    """Read a text, texts, the tokens of a text, or the tokens of texts."""
    value = fields.data.get("input")
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise invalid("input", "a string or a list of strings that is not empty is required")
    if _tokens(value):
        return [value]
    if all(isinstance(item, str) for item in value):
        return value
    if isinstance(value[0], list):
        for index, item in enumerate(value):
            if not _tokens(item):
                raise invalid(f"input.{index}", "expected a list of token ids")
        return value
    place = next(index for index, item in enumerate(value) if not isinstance(item, str))
    raise invalid(f"input.{place}", "expected a string")


def _tokens(value: Json) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, int) and not isinstance(item, bool) for item in value)
    )
