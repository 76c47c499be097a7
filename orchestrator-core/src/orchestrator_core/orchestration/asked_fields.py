"""The fields of a request that are not core's own, wherever a provider may look for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from orchestrator_core.provider_api import ChatRequest, EmbeddingRequest, Json

_CONTAINERS: Final = frozenset(
    ("extrabody", "generationconfig", "inferenceconfig", "options", "parameters", "samplingparams")
)
"""The objects in which providers look for more fields."""


def asked_fields(request: ChatRequest | EmbeddingRequest) -> Iterator[tuple[str, str, Json]]:
    """Yield the fields with what the caller sent, those within others too: their dotted places, names and values.

    What is null is among them: it may undo what another field says.
    """
    native = request.native_options if isinstance(request, ChatRequest) else request.native
    left: list[tuple[str, Mapping[str, Json]]] = [("", request.extra)]
    if native is not None:
        # Of a field that core understood in part, `extra` has the rest, and what is sent may be the whole.
        rest = {name: value for name, value in request.extra.items() if native.body.get(name) is not value}
        left = [("", native.body), ("", rest)]
    while left:
        place, fields = left.pop()
        for name, value in fields.items():
            yield f"{place}{name}", name, value
            if isinstance(value, Mapping) and squeezed(name) in _CONTAINERS:
                left.append((f"{place}{name}.", value))


def squeezed(name: str) -> str:
    """Return a name without case, `_` and `-`: the same field has several spellings, and some servers take them all."""
    return name.casefold().replace("_", "").replace("-", "")
