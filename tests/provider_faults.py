"""What must become of every fault of a provider: written down from what is wanted, and held against what is seen.

The names are those of `fake_upstreams.behaviours`; another upstream with the same names may stand for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from surfaces import CHAT, CONNECTOR, Read, Surface

KEY = "sk-proj-" + "Ab1" * 20
"""The server's key of the provider."""

MARGIN = 1.0
"""Seconds that a busy machine may take beyond what a deadline says."""

JITTER = 0.5
"""Seconds that the gateway waits at most before it asks the last provider again, where that one does not say when."""


@dataclass(frozen=True)
class Limits:
    """The deadlines of a gateway, and what it takes of an answer.

    Attributes:
        first_event: Seconds until the first event of a streamed answer.
        idle: Seconds that a stream may be silent.
        total: Seconds for a request.
    """

    first_event: float
    idle: float
    total: float

    @property
    def environ(self) -> Mapping[str, str]:
        """The settings of a gateway that every fault is to be seen at: its breakers would hide some."""
        return {
            "ORCHESTRATOR_FIRST_EVENT_TIMEOUT": str(self.first_event),
            "ORCHESTRATOR_IDLE_TIMEOUT": str(self.idle),
            "ORCHESTRATOR_TOTAL_TIMEOUT": str(self.total),
            "ORCHESTRATOR_MAX_RESPONSE_BYTES": "4000000",
            "ORCHESTRATOR_MAX_STREAM_BYTES": "4000000",
            "ORCHESTRATOR_BREAKER_ENABLED": "false",
            "MONITORING_ENABLED": "false",
        }


Until = Literal["", "first_event", "idle", "total"]


@dataclass(frozen=True)
class Expected:
    """What becomes of a fault.

    Attributes:
        status: The HTTP status, where nobody else is left.
        code: The code of the error; with 200, of the event that ends the stream. Empty is a complete answer.
        calls: The calls to the provider, where nobody else is left.
        wait: Seconds that the provider asks for; where they do not fit into the request there is one call.
        retry_after: The header of that name, where nobody else is left; `...` is any.
        fallback: Whether another provider answers, where there is one.
        until: The deadline that ends it.
        says: What a complete answer holds.
    """

    status: int = 200
    code: str = ""
    calls: int = 1
    wait: float = 0.0
    retry_after: Any = None
    fallback: bool = False
    until: Until = ""
    says: str = "世界"

    def calls_within(self, limits: Limits) -> int:
        """Return how often the provider is asked, where nobody else is left."""
        return self.calls if self.wait < limits.total else 1

    def __str__(self) -> str:
        if not self.code:
            return "complete"
        again = f", {self.calls} calls" if self.calls > 1 else ""
        return f"{self.status} {self.code}{again}" if self.status != 200 else f"begins, then {self.code}"


HEALTHY = Expected()
BAD = Expected(502, "provider_bad_response", 2, retry_after="1", fallback=True)
TOO_LARGE = Expected(502, "provider_bad_response", fallback=True)
FAILED = Expected(502, "provider_failed", 2, retry_after="1", fallback=True)
UNREACHABLE = Expected(502, "provider_unreachable", 2, retry_after="1", fallback=True)
UNAVAILABLE = Expected(503, "provider_unavailable", 2, retry_after="1", fallback=True)
REDIRECT = Expected(502, "provider_redirect", fallback=True)
LIMITED = Expected(429, "provider_rate_limited", 2, fallback=True)
SILENT = Expected(504, "provider_timeout", fallback=True)


def breaks_off(code: str, until: Until = "") -> Expected:
    """Return what becomes of a stream that has begun: nobody else is asked, and it ends with one error."""
    return Expected(200, code, until=until)


ALWAYS: Mapping[str, Expected] = {
    **dict.fromkeys(("ok", "slow-headers", "slow-body", "dup-header"), HEALTHY),
    "http-400": Expected(400, "provider_refused"),
    "http-404": Expected(404, "provider_refused"),
    "http-401": Expected(502, "provider_auth_failed", fallback=True),
    "quota": Expected(429, "provider_quota_exhausted", fallback=True),
    "rate-limit": replace(LIMITED, wait=2.0, retry_after="2"),
    "rate-limit-date": replace(LIMITED, wait=3.0, retry_after=...),
    "rate-limit-long": replace(LIMITED, wait=86400.0, retry_after="86400"),
    "rate-limit-bad": replace(LIMITED, retry_after="1"),
    **dict.fromkeys(("http-500", "http-502", "html-502"), FAILED),
    "http-503": replace(UNAVAILABLE, wait=1.0),
    "http-529": UNAVAILABLE,
    **dict.fromkeys(("reset-before", "close-before"), UNREACHABLE),
    **dict.fromkeys(("json-truncated", "json-invalid", "json-array", "json-null-fields", "no-choices"), BAD),
    **dict.fromkeys(("error-200", "html-200", "wrong-type", "status-204", "empty", "not-utf8"), BAD),
    **dict.fromkeys(("bad-gzip", "gzip-bomb", "no-http"), BAD),
    **dict.fromkeys(("redirect", "redirect-loop"), REDIRECT),
}
"""Whether a stream was asked for or not."""

WHOLE: Mapping[str, Expected] = {
    **ALWAYS,
    **dict.fromkeys(("hang", "slow-stall"), replace(SILENT, until="total")),
    **dict.fromkeys(("reset-body", "short-body"), FAILED),
    **dict.fromkeys(("huge", "endless-body"), TOO_LARGE),
}
"""Of answers that are not streamed."""

STREAMED: Mapping[str, Expected] = {
    **ALWAYS,
    "hang": replace(SILENT, until="first_event"),
    "slow-stall": breaks_off("provider_timeout", "idle"),
    "reset-body": breaks_off("provider_failed"),
    "short-body": HEALTHY,  # every choice has its finish reason, and even the mark of the end came
    "huge": breaks_off("provider_bad_response"),
    "sse-error-first": FAILED,
    "sse-json": BAD,
    "sse-cut": breaks_off("provider_bad_response"),
    **dict.fromkeys(("sse-cut-reset", "sse-cut-close"), breaks_off("provider_failed")),
    "sse-huge-event": TOO_LARGE,
    "sse-no-finish": breaks_off("provider_bad_response"),
    "sse-error": breaks_off("provider_failed"),
    "sse-error-event": breaks_off("provider_failed"),
    "sse-bad-json": breaks_off("provider_bad_response"),
    "sse-stall": breaks_off("provider_timeout", "idle"),
    "sse-endless": breaks_off("provider_timeout", "total"),
    **dict.fromkeys(("sse-no-done", "sse-comments", "sse-crlf", "sse-cr", "sse-multiline", "sse-nospace"), HEALTHY),
    **dict.fromkeys(("sse-fields", "sse-bom", "sse-split-utf8", "sse-one-segment", "sse-dup"), HEALTHY),
    **dict.fromkeys(("sse-after-done", "sse-trickle", "sse-empty-choices", "sse-usage", "sse-until-close"), HEALTHY),
    "sse-long-event": replace(HEALTHY, says="y" * 100_000),
}
"""Of streams."""

NAMES = frozenset(WHOLE) | frozenset(STREAMED)


@dataclass(frozen=True)
class Seen:
    """What a client and the provider saw of one request.

    Attributes:
        status: The HTTP status.
        headers: The headers of the reply.
        body: The body of the reply.
        seconds: From the request to the end of the reply.
        calls: The calls that the provider had.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    calls: int


@dataclass(frozen=True)
class Case:
    """A fault, and how it is asked for.

    Attributes:
        behaviour: Its name.
        stream: Whether a stream is asked for.
        surface: Where.
    """

    behaviour: str
    stream: bool
    surface: Surface

    @property
    def expected(self) -> Expected:
        """What must become of it."""
        return (STREAMED if self.stream else WHOLE)[self.behaviour]

    @property
    def answered_elsewhere(self) -> bool:
        """Whether a fallback answers, where there is one."""
        in_time = self.expected.until != "total"  # an answer that is not streamed may take all the time that there is
        return self.expected.fallback and self.surface.falls_back and in_time

    def problems(self, seen: Seen, limits: Limits, *, fallback: str | None = None) -> Iterator[str]:
        """Yield what is not as it must be.

        Args:
            seen: What came of it.
            limits: The deadlines of the gateway.
            fallback: The provider to fall back to, where there is one.
        """
        answered_elsewhere = fallback is not None and self.answered_elsewhere
        expected = HEALTHY if answered_elsewhere else self.expected
        told = seen.headers.get("x-orchestrator-provider"), seen.headers.get("x-orchestrator-attempts")
        if answered_elsewhere:
            calls, tries, says, provider = 1, 2, "", fallback
        else:
            may_fall_back = fallback is not None and self.surface.falls_back
            calls = tries = 1 if may_fall_back else expected.calls_within(limits)
            says, provider = expected.says, "openai"
        if seen.calls != calls:
            yield f"{seen.calls} calls"
        if told != (provider, str(tries)):
            yield f"answered by {told[0]} after {told[1]} tries"
        status = 401 if self.surface is CONNECTOR and expected.code == "provider_auth_failed" else expected.status
        if seen.status != status:
            yield f"status {seen.status}"
        if expected.retry_after is not ... and seen.headers.get("Retry-After") != expected.retry_after:
            yield f"Retry-After {seen.headers.get('Retry-After')}"
        if KEY.encode() in seen.body or b"<html" in seen.body:
            yield "shows what it must not"
        yield from self._late(seen.seconds, expected, limits, calls)
        try:
            read = self.surface.read(seen.headers["Content-Type"], seen.body)
        except (ValueError, LookupError) as error:
            yield f"unreadable ({error})"
        else:
            yield from self._misread(read, expected, says)

    def _late(self, seconds: float, expected: Expected, limits: Limits, calls: int) -> Iterator[str]:
        least, most = 0.0, limits.total
        if expected.until:
            least = getattr(limits, expected.until)
            most = min(limits.total, least + (limits.first_event if expected.until == "idle" else 0.0))
        elif expected.code:
            most = (expected.wait or JITTER) if calls > 1 else 0.0
        if not least - 0.1 <= seconds <= most + MARGIN:
            yield f"after {seconds:.1f} s"

    def _misread(self, read: Read, expected: Expected, says: str) -> Iterator[str]:
        if read.endings != 1 or not read.last:
            yield f"{read.endings} endings" if read.endings != 1 else "something after the end"
        if read.failed != bool(expected.code):
            yield f"error {read.code}" if read.failed else "no error"
        own_words = expected.code == "provider_refused" and self.surface is CHAT  # programs compare the provider's code
        if read.failed and self.surface.has_codes and not own_words and read.code != expected.code:
            yield f"code {read.code}"
        if not read.failed and (says not in read.text or "\ufffd" in read.text or "AFTER-DONE" in read.text):
            yield f"says {read.text[:60]!r}"
