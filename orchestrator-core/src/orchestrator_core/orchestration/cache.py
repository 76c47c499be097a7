"""Answers that are kept for a while, for a request that comes again exactly as it was."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Self, TypeAlias

from pydantic_core import to_json

from orchestrator_core.config import Settings
from orchestrator_core.orchestration.call import Call
from orchestrator_core.orchestration.recording import Recording
from orchestrator_core.orchestration.routing import Target
from orchestrator_core.provider_api import ChatEvent, ChatRequest, EmbeddingRequest, EmbeddingResponse
from orchestrator_core.telemetry.metrics import Metrics
from orchestrator_core.telemetry.request_record import current_record

Kept: TypeAlias = Sequence[ChatEvent] | EmbeddingResponse
"""An answer: the events of a chat, or vectors."""

LARGEST: Final = 1 / 8
"""The share of the cache's bytes above which an answer is not kept: it would push out too many others."""

_NOT_SEEN: Final = frozenset({"deadline", "credential", "request_id", "model"})
"""Fields of a request that the provider does not see, or that the target says."""

_SEEN: Final = {
    kind: tuple(field.name for field in fields(kind) if field.name not in _NOT_SEEN)
    for kind in (ChatRequest, EmbeddingRequest)
}
_NUMBER: Final = 32
"""Bytes of a number in a vector, as Python keeps it."""

_VECTORS: Final = 700
"""Bytes of an answer with vectors beside its numbers: what it is found by, and the objects that hold it."""


def key_of(tenant: str, target: Target, request: ChatRequest | EmbeddingRequest) -> bytes:
    """Return what an answer is kept under: the tenant, the target, and every field that the provider sees."""
    kind = type(request)
    seen = [getattr(request, name) for name in _SEEN[kind]]
    whole = (kind.__name__, tenant, target.provider.id, target.model, seen)
    return hashlib.blake2b(to_json(whole, bytes_mode="base64", fallback=list), digest_size=32).digest()


@dataclass(frozen=True, slots=True)
class _Entry:
    answer: Kept
    size: int
    until: float


class AnswerCache:
    """Keeps answers of one process, by their time and up to so many bytes; those asked for least recently go first.

    Used on the event loop only.
    """

    def __init__(
        self,
        ttl: float,
        max_bytes: int,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing.

        Args:
            ttl: Seconds for which an answer is kept.
            max_bytes: Bytes of all answers, about.
            metrics: Count what was found, and the bytes.
            clock: Monotonic seconds.
        """
        self._ttl = ttl
        self._max_bytes = max_bytes
        self._metrics = metrics
        self._clock = clock
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._size = 0

    @classmethod
    def from_settings(cls, settings: Settings, metrics: Metrics) -> Self | None:
        """Make the cache that the operator asks for; None where none is."""
        return None if settings.cache_ttl is None else cls(settings.cache_ttl, settings.cache_max_bytes, metrics)

    def __len__(self) -> int:
        """Return how many answers are kept."""
        return len(self._entries)

    def find_events(self, call: Call[ChatRequest], operation: str) -> Sequence[ChatEvent] | None:
        """Return the answer to a call, if one is kept that may be given to it."""
        kept = self._find(call, operation)
        return None if isinstance(kept, EmbeddingResponse) else kept

    def find_vectors(self, call: Call[EmbeddingRequest], operation: str) -> EmbeddingResponse | None:
        """Return the vectors that a call asks for, if they are kept and may be given to it."""
        kept = self._find(call, operation)
        return kept if isinstance(kept, EmbeddingResponse) else None

    def _find(self, call: Call[Any], operation: str) -> Kept | None:
        if not _applies(call):
            return None
        key = key_of(call.tenant, call.target, call.request)
        kept = self.get(key) if call.cache == "use" else None
        result = "miss" if kept is None else "hit"
        self._metrics.observe_cache(operation, result)
        record = current_record()
        if record is not None:
            record.cache = result
        return kept

    def keep(self, call: Call[Any], answer: Kept, size: int) -> None:
        """Keep the answer to a call, for whoever asks the target that gave it."""
        if _applies(call):
            self.put(key_of(call.tenant, call.target, call.request), answer, size)

    def recording(self, call: Call[Any]) -> Recording | None:
        """Return what collects the events of a call, if its answer may be kept."""
        return Recording(int(self._max_bytes * LARGEST)) if _applies(call) else None

    def get(self, key: bytes) -> Kept | None:
        """Return an answer, unless there is none or its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.answer

    def put(self, key: bytes, answer: Kept, size: int) -> None:
        """Keep an answer that is complete, in place of the one before.

        Args:
            key: What it is found by.
            answer: The answer; nobody changes it from now on.
            size: Its bytes, about.
        """
        self._drop(key)
        if size <= self._max_bytes * LARGEST:
            self._entries[key] = _Entry(answer, size, self._clock() + self._ttl)
            self._size += size
            while self._size > self._max_bytes:
                self._drop(next(iter(self._entries)))
        self._metrics.cache_bytes.set(self._size)

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= entry.size
            self._metrics.cache_bytes.set(self._size)


def _applies(call: Call[Any]) -> bool:
    """Whether a call has to do with the cache: what a key of the caller's own paid for is nobody else's."""
    return call.cache != "off" and call.credential is None


def size_of_vectors(response: EmbeddingResponse) -> int:
    """Return the bytes of an answer with vectors, about."""
    native = len(response.native.data) if response.native is not None else 0
    return _VECTORS + native + _NUMBER * sum(len(vector) for vector in response.vectors)
