"""Every metric: its name, its labels, and what it means. The reference in the documentation is made from this list.

Names of OpenTelemetry's conventions for generative AI are kept where they exist, in the spelling of Prometheus; all
others begin with `orchestrator_`. Labels are bounded: providers are configured, codes of errors are a closed list, and
names of models, which callers choose, are cut off at `model_names.MAX_MODELS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 300.0, 600.0)
"""Buckets of durations in seconds: those of the conventions, and two for the longest calls that are allowed here."""

SHORT: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Buckets of what should take a few milliseconds, in seconds."""

PER_TOKEN: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
"""Buckets of the time between two tokens in seconds, by the conventions."""

TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
"""Buckets of tokens, by the conventions."""

Together = Literal["livesum", "livemin", "livemax", "livemostrecent", "mostrecent"]
"""How the values of several processes become one: the sum, the least, the most or the newest of those that live, or the
newest of all. Of the newest, a process takes back by NaN what it has set itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A metric.

    Attributes:
        name: Without the `_total` of counters.
        meaning: One sentence, with its unit.
        labels: What it is told apart by.
        buckets: The upper bounds of a histogram.
        together: How a gauge is put together from several processes.
    """

    name: str
    meaning: str
    labels: Sequence[str] = ()
    buckets: Sequence[float] = ()
    together: Together = "livesum"


_CALL = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "provider")
_SERVED = _CALL[:3]

CALL_SECONDS = Spec(
    name="gen_ai_client_operation_duration_seconds",
    meaning="Seconds of a try at a provider, to the end of its answer; `error_type` is empty where it answered.",
    labels=(*_CALL, "error_type"),
    buckets=SECONDS,
)
CALL_TOKENS = Spec(
    name="gen_ai_client_token_usage",
    meaning="Tokens of a call: `gen_ai_token_type` is input (cached input among it) or output (reasoning among it).",
    labels=(*_CALL, "gen_ai_token_type"),
    buckets=TOKENS,
)
FIRST_CHUNK_SECONDS = Spec(
    name="gen_ai_client_operation_time_to_first_chunk_seconds",
    meaning="Seconds from asking a provider for a stream to its first content.",
    labels=_CALL,
    buckets=SECONDS,
)
SERVED_SECONDS = Spec(
    name="gen_ai_server_request_duration_seconds",
    meaning="Seconds of a request that a model answered, or should have, as its client sees it.",
    labels=(*_SERVED, "error_type"),
    buckets=SECONDS,
)
FIRST_TOKEN_SECONDS = Spec(
    name="gen_ai_server_time_to_first_token_seconds",
    meaning="Seconds from the arrival of a request to the head of its stream, which is sent with the first content.",
    labels=_SERVED,
    buckets=SECONDS,
)
OUTPUT_TOKEN_SECONDS = Spec(
    name="gen_ai_server_time_per_output_token_seconds",
    meaning="Seconds for each further token of a stream, where the provider counts them.",
    labels=_SERVED,
    buckets=PER_TOKEN,
)

REQUESTS = Spec(
    name="orchestrator_http_requests",
    meaning="Requests served, by the convention of their surface and their status; 499 is a client that left.",
    labels=("surface", "status"),
)
REQUEST_SECONDS = Spec(
    name="orchestrator_http_request_duration_seconds",
    meaning="Seconds of requests, streams to their end.",
    labels=("surface",),
    buckets=SECONDS,
)
PROCESSES = Spec(name="orchestrator_processes", meaning="Processes that serve, on this machine.")
REQUESTS_IN_FLIGHT = Spec(name="orchestrator_http_requests_in_flight", meaning="Requests under way.")
STREAMS_IN_FLIGHT = Spec(name="orchestrator_streams_in_flight", meaning="Streams under way, whose head was sent.")
ERRORS = Spec(
    name="orchestrator_errors",
    meaning="Answers that are an error, by its code; `overloaded` and `rate_limited` are refusals of the gateway.",
    labels=("surface", "code"),
)
OVERHEAD = Spec(
    name="orchestrator_overhead_seconds",
    meaning="Seconds in the gateway until the head of an answer was sent, without waiting for providers and for the "
    "client's body; of requests that called a provider.",
    labels=("surface",),
    buckets=SHORT,
)

ATTEMPTS = Spec(
    name="orchestrator_attempts",
    meaning="Tries at providers; `outcome` is `ok`, the code of the error, `interrupted` (it broke off) or "
    "`cancelled` (it was given up: the client left, or another target was quicker).",
    labels=("provider", "operation", "outcome"),
)
RETRIES = Spec(
    name="orchestrator_retries", meaning="Tries after a failed one of the same target.", labels=("provider",)
)
FALLBACKS = Spec(
    name="orchestrator_fallbacks",
    meaning="Tries after a failed one of another target: from whom to whom.",
    labels=("provider", "to"),
)
HEDGES = Spec(
    name="orchestrator_hedges",
    meaning="Streams that were asked of a second target because the first was late; `outcome` is won (the second "
    "began first), lost or failed (neither began).",
    labels=("provider", "to", "outcome"),
)
PASSED_OVER = Spec(
    name="orchestrator_targets_passed_over",
    meaning="Targets that were not asked; `code` is circuit_open, overloaded, provider_unhealthy or "
    "provider_not_configured.",
    labels=("provider", "code"),
)
CIRCUITS = Spec(
    name="orchestrator_circuit_state",
    meaning="0 where a provider and model is asked, 1 where a few calls probe it, 2 where it is left alone.",
    labels=("provider", "model"),
    together="livemax",
)
CALLS_IN_FLIGHT = Spec(name="orchestrator_calls_in_flight", meaning="Calls under way.", labels=("provider",))
CALLS_WAITING = Spec(
    name="orchestrator_calls_waiting", meaning="Calls that wait for one under way to end.", labels=("provider",)
)
CALLS_REFUSED = Spec(
    name="orchestrator_calls_refused",
    meaning="Calls for which there was no place; `reason` is full (none would have come in time), waited (none came in "
    "time) or gave_way (to another client's).",
    labels=("provider", "reason"),
)
CACHE_LOOKUPS = Spec(
    name="orchestrator_cache_lookups",
    meaning="Calls that might be answered from the cache, where there is one; `result` is hit or miss.",
    labels=("operation", "result"),
)
CACHE_BYTES = Spec(name="orchestrator_cache_bytes", meaning="Bytes of the answers that the cache keeps.")
KINDS_OF_TOKENS = Spec(
    name="orchestrator_tokens",
    meaning="Tokens in disjoint kinds: input, cached_input, cache_write, output, reasoning.",
    labels=("provider", "model", "kind"),
)
COST = Spec(
    name="orchestrator_cost_usd", meaning="US dollars, of calls with a known price.", labels=("provider", "model")
)
BUDGET_USED = Spec(
    name="orchestrator_budget_used_ratio",
    meaning="The share of its budget that a client has spent in this period, above 1 where it spent more; of tokens or "
    "money whichever is more. Gone, or NaN where several processes serve, once the period is over or the client has "
    "made no call for a day. What a process showed goes with it, until the next call.",
    labels=("client",),
    together="livemostrecent",
)
HEALTHY = Spec(
    name="orchestrator_provider_healthy",
    meaning="1 where the last look found a provider healthy, NaN where it lost its key and nobody looks any more.",
    labels=("provider",),
    together="mostrecent",
)

TURNS = Spec(
    name="orchestrator_turns",
    meaning="Turns of sessions that ended: complete, interrupted, failed or client_closed.",
    labels=("state",),
)
SESSIONS = Spec(name="orchestrator_sessions_created", meaning="Sessions that began, copies among them.")
SUMMARIES = Spec(
    name="orchestrator_summary_duration_seconds",
    meaning="Seconds of a summary; `outcome` is made or failed.",
    labels=("outcome",),
    buckets=SECONDS,
)

STORE_SECONDS = Spec(
    name="orchestrator_store_duration_seconds",
    meaning="Seconds of transactions of the conversation store: read or write.",
    labels=("kind",),
    buckets=SHORT,
)
STORE_ERRORS = Spec(
    name="orchestrator_store_errors",
    meaning="Transactions that the store could not do, by the code of the error.",
    labels=("code",),
)
STORE_READY = Spec(
    name="orchestrator_store_ready",
    meaning="1 where the last transaction of the store was done; one is tried every 30 seconds at least.",
    together="livemin",
)

SECURITY_EVENTS = Spec(name="orchestrator_security_events", meaning="Security events, by name.", labels=("event",))
ALERTS = Spec(
    name="orchestrator_security_alerts",
    meaning="Security events for the webhook: sent, or dropped.",
    labels=("outcome",),
)
LOOP_LAG = Spec(
    name="orchestrator_event_loop_lag_seconds",
    meaning="Seconds that the event loop was late, looked at twice a second.",
    buckets=SHORT,
)
LINES_DROPPED = Spec(
    name="orchestrator_log_lines_dropped", meaning="Lines of the log that were dropped, since nobody took those before."
)

COUNTERS: Final = (
    REQUESTS,
    ERRORS,
    ATTEMPTS,
    RETRIES,
    FALLBACKS,
    HEDGES,
    PASSED_OVER,
    CALLS_REFUSED,
    CACHE_LOOKUPS,
    KINDS_OF_TOKENS,
    COST,
    TURNS,
    SESSIONS,
    STORE_ERRORS,
    SECURITY_EVENTS,
    ALERTS,
    LINES_DROPPED,
)
GAUGES: Final = (
    PROCESSES,
    REQUESTS_IN_FLIGHT,
    STREAMS_IN_FLIGHT,
    CALLS_IN_FLIGHT,
    CALLS_WAITING,
    CACHE_BYTES,
    CIRCUITS,
    BUDGET_USED,
    HEALTHY,
    STORE_READY,
)
HISTOGRAMS: Final = (
    CALL_SECONDS,
    CALL_TOKENS,
    FIRST_CHUNK_SECONDS,
    SERVED_SECONDS,
    FIRST_TOKEN_SECONDS,
    OUTPUT_TOKEN_SECONDS,
    REQUEST_SECONDS,
    OVERHEAD,
    SUMMARIES,
    STORE_SECONDS,
    LOOP_LAG,
)
