"""Metrics for OpenTelemetry: those of its conventions, and what they have no name for."""

from __future__ import annotations

from opentelemetry.metrics import Meter

from orchestrator_core.provider_api import Usage
from orchestrator_core.telemetry import instruments as names


class Meters:
    """Takes what `Metrics` counts."""

    def __init__(self, meter: Meter) -> None:
        """Make the instruments."""
        self._call_seconds = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "Duration of a call.", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens of a call.",
            explicit_bucket_boundaries_advisory=names.TOKENS,
        )
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "Time to the first content of a stream.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._request_seconds = meter.create_histogram(
            "http.server.request.duration",
            "s",
            "Duration of a request.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._overhead = meter.create_histogram(
            "orchestrator.overhead",
            "s",
            "Time in the gateway until the head of an answer was sent.",
            explicit_bucket_boundaries_advisory=names.SHORT,
        )
        self._cost = meter.create_counter("orchestrator.cost", "{USD}", "Cost of calls with a known price.")

    def observe_call(
        self,
        call: tuple[str, str, str, str],
        seconds: float,
        error_code: str | None,
        usage: Usage | None,
        cost: float | None,
        first_chunk: float | None,
    ) -> None:
        """Take a try at a provider; see `Metrics.observe_call`. `call` has its labels."""
        operation, gen_ai_provider, model, provider = call
        attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": gen_ai_provider,
            "gen_ai.request.model": model,
            "orchestrator.provider": provider,
        }
        self._call_seconds.record(seconds, {**attributes, "error.type": error_code} if error_code else attributes)
        if first_chunk is not None:
            self._first_chunk.record(first_chunk, attributes)
        if usage is not None:
            self._tokens.record(usage.total_input, {**attributes, "gen_ai.token.type": "input"})
            if usage.total_output:
                self._tokens.record(usage.total_output, {**attributes, "gen_ai.token.type": "output"})
        if cost:
            self._cost.add(cost, attributes)

    def observe_request(
        self,
        method: str,
        route: str | None,
        status: int,
        seconds: float,
        error_code: str | None,
        overhead: float | None,
    ) -> None:
        """Take a request that was served; see `Metrics.observe_request`."""
        attributes: dict[str, str | int] = {"http.request.method": method, "http.response.status_code": status}
        if route is not None:
            attributes["http.route"] = route
        if error_code is not None and status >= 500:
            attributes["error.type"] = error_code
        self._request_seconds.record(seconds, attributes)
        if overhead is not None:
            self._overhead.record(overhead, attributes)


_SECONDS = list(names.SECONDS)
