"""What is counted, and how it is shown."""

from __future__ import annotations

import re

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

from orchestrator_core.provider_api import Usage
from orchestrator_core.telemetry.instruments import COUNTERS, GAUGES, HISTOGRAMS
from orchestrator_core.telemetry.metrics import MAX_CODES, Metrics
from orchestrator_core.telemetry.model_names import MAX_MODELS, OTHER
from orchestrator_core.telemetry.process_figures import BUILD, UPTIME, WANTED
from orchestrator_core.telemetry.request_record import RequestRecord


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def samples(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(label for _, label in sorted(sample.labels.items())): sample.value
        for family in parse_prometheus(metrics.render()[0].decode())
        for sample in family.samples
        if sample.name == name
    }


def test_nothing_has_happened_yet() -> None:
    metrics = Metrics()
    figures = metrics.figures()
    assert (figures.requests_total, figures.errors_rate, figures.providers) == (0, 0.0, {})


def test_calls_are_counted_with_their_tokens_and_cost() -> None:
    metrics = Metrics()
    metrics.observe_call("openai", "m", "chat", 1.0, None, Usage(1, 2, 3, 4, 5), 0.25)
    metrics.observe_call("openai", "m", "chat", 3.0, "provider_timeout")
    metrics.observe_call("openai", "m", "chat", 2.0, None, Usage(1), None)
    assert metrics.figures().providers == {"openai": {"requests": 3, "avg_latency": 2.0, "success_rate": 0.6667}}
    tokens = {labels[0]: value for labels, value in samples(metrics, "orchestrator_tokens_total").items()}
    assert tokens == {"input": 2, "cached_input": 2, "cache_write": 3, "output": 4, "reasoning": 5}
    assert list(samples(metrics, "orchestrator_cost_usd_total").values()) == [0.25]
    codes = {labels[1]: value for labels, value in samples(metrics, "orchestrator_attempts_total").items()}
    assert codes == {"ok": 2, "provider_timeout": 1}


def test_requests_are_counted_by_surface_and_status() -> None:
    metrics = Metrics()
    for status in (200, 201, 404, 500):
        metrics.observe_request("api", status, 0.1)
    assert (metrics.figures().requests_total, metrics.figures().errors_rate) == (4, 0.25)
    counted = samples(metrics, "orchestrator_http_requests_total")
    assert {frozenset(labels): value for labels, value in counted.items()}[frozenset({"api", "500"})] == 1


def durations(metrics: Metrics) -> dict[str, float]:
    """Return how many calls there were, by the name of the model."""
    found: dict[str, float] = {}
    for labels, value in samples(metrics, "gen_ai_client_operation_duration_seconds_count").items():
        found[labels[3]] = found.get(labels[3], 0) + value
    return found


def test_models_that_callers_invent_do_not_fill_the_memory() -> None:
    metrics = Metrics()
    for number in range(MAX_MODELS + 50):
        metrics.observe_call("openai", f"model-{number}", "chat", 1.0)
    counted = durations(metrics)
    assert len(counted) == MAX_MODELS + 1
    assert counted[OTHER] == 50
    metrics.observe_call("openai", "model-0", "chat", 1.0)
    assert metrics.figures().providers["openai"]["requests"] == MAX_MODELS + 51


@pytest.mark.parametrize("code", ["provider_refused", "provider_timeout", "provider_failed", "cancelled"])
def test_names_that_never_answered_do_not_take_the_places_of_models(code: str) -> None:
    metrics = Metrics()
    for number in range(MAX_MODELS):
        metrics.observe_call("openai", f"typo-{number}", "chat", 1.0, code)
        metrics.observe_circuit("openai", f"typo-{number}", "open")
    metrics.observe_call("openai", "gpt", "chat", 1.0)
    metrics.observe_call("openai", "gpt", "chat", 1.0, code)
    assert durations(metrics) == {OTHER: MAX_MODELS, "gpt": 2}


def test_a_circuit_keeps_its_name_until_it_is_closed() -> None:
    metrics = Metrics()
    metrics.observe_circuit("one", "late", "open")
    metrics.observe_call("two", "late", "chat", 1.0)
    metrics.observe_circuit("one", "late", "half_open")
    metrics.observe_circuit("one", "late", "closed")
    assert samples(metrics, "orchestrator_circuit_state") == {(OTHER, "one"): 0}


def test_a_model_that_is_known_has_its_name_before_it_answered() -> None:
    metrics = Metrics()
    metrics.models.know(lambda provider, model: (provider, model) == ("openai", "gpt"))
    metrics.observe_call("openai", "gpt", "chat", 1.0, "provider_timeout")
    metrics.observe_call("other", "typo", "chat", 1.0, "provider_timeout")
    assert durations(metrics) == {OTHER: 1, "gpt": 1}


def test_codes_that_a_plugin_invents_do_not_fill_the_memory() -> None:
    metrics = Metrics()
    for number in range(MAX_CODES + 50):
        metrics.observe_call("acme", "m", "chat", 1.0, f"code-{number}")
        metrics.observe_request("api", 502, 1.0, None, f"code-{number}")
    assert len(samples(metrics, "orchestrator_attempts_total")) == MAX_CODES + 1
    errors = samples(metrics, "orchestrator_errors_total")
    assert len(errors) == MAX_CODES + 1
    assert errors[OTHER, "api"] == 50


def test_calls_have_the_names_of_the_conventions() -> None:
    metrics = Metrics()
    metrics.name_providers({"mistral": "mistral_ai"})
    metrics.observe_call("mistral", "m", "summarize", 1.5, None, Usage(1, 2, 3, 4, 5), None, 0.5)
    metrics.observe_call("ollama", "m", "embeddings", 1.5, "provider_timeout")
    text = metrics.render()[0].decode()
    call = 'gen_ai_operation_name="chat",gen_ai_provider_name="mistral_ai",gen_ai_request_model="m"'
    duration = "gen_ai_client_operation_duration_seconds"
    assert f'{duration}_sum{{error_type="",{call},provider="mistral"}} 1.5' in text
    other = 'gen_ai_operation_name="embeddings",gen_ai_provider_name="ollama",gen_ai_request_model="m"'
    assert f'{duration}_sum{{error_type="provider_timeout",{other},provider="ollama"}} 1.5' in text
    for kind, tokens in (("input", 6.0), ("output", 9.0)):
        labels = f'{call},gen_ai_token_type="{kind}",provider="mistral"'
        assert f"gen_ai_client_token_usage_sum{{{labels}}} {tokens}" in text
    assert f'gen_ai_client_operation_time_to_first_chunk_seconds_sum{{{call},provider="mistral"}} 0.5' in text
    assert 'orchestrator_attempts_total{operation="summarize",outcome="ok",provider="mistral"} 1.0' in text


def test_a_call_that_its_client_gave_up_says_nothing_of_the_provider() -> None:
    metrics = Metrics()
    metrics.observe_call("openai", "m", "chat", 1.0)
    metrics.observe_call("openai", "m", "chat", 100.0, "cancelled")
    assert metrics.figures().providers == {"openai": {"requests": 1, "avg_latency": 1.0, "success_rate": 1.0}}


def test_a_stream_has_the_times_that_its_client_sees() -> None:
    metrics, record = Metrics(), RequestRecord(0.0, "req_1")
    record.add_call("chat", "openai", "openai", "m", Usage(1, 0, 0, 11), 0.5)
    record.head_after, record.overhead, record.called = 2.0, 0.25, True
    metrics.observe_request("openai", 200, 12.0, record, streamed=True)
    values = {
        name: list(samples(metrics, f"{name}_sum").values())
        for name in (
            "gen_ai_server_request_duration_seconds",
            "gen_ai_server_time_to_first_token_seconds",
            "gen_ai_server_time_per_output_token_seconds",
            "orchestrator_overhead_seconds",
        )
    }
    assert list(values.values()) == [[12.0], [2.0], [1.0], [0.25]]


def test_a_request_that_called_nobody_is_no_request_of_a_model() -> None:
    metrics, record = Metrics(), RequestRecord(0.0, "req_1")
    record.sends_head()
    metrics.observe_request("api", 200, 0.1, record)
    assert samples(metrics, "gen_ai_server_request_duration_seconds_count") == {}
    assert samples(metrics, "orchestrator_overhead_seconds_count") == {}


def test_the_store_is_ready_as_its_last_transaction_was() -> None:
    metrics = Metrics()
    metrics.observe_store("write", 0.1, None)
    assert samples(metrics, "orchestrator_store_ready") == {(): 1}
    metrics.observe_store("read", 5.0, "storage_error")
    assert samples(metrics, "orchestrator_store_ready") == {(): 0}
    assert samples(metrics, "orchestrator_store_errors_total") == {("storage_error",): 1}
    assert samples(metrics, "orchestrator_store_duration_seconds_count") == {("write",): 1, ("read",): 1}


def test_the_process_and_the_build_are_shown() -> None:
    metrics = Metrics()
    (build,) = samples(metrics, "orchestrator_build_info")
    assert build[1].count(".") == 2
    assert samples(metrics, "orchestrator_processes_wanted") == {(): 1}
    assert samples(metrics, "process_resident_memory_bytes")[()] > 1e6
    assert samples(metrics, "process_cpu_seconds_total")[()] > 0


def test_every_name_and_label_is_one_of_prometheus_and_in_the_list() -> None:
    listed = (*COUNTERS, *GAUGES, *HISTOGRAMS)
    assert len({spec.name for spec in listed}) == len(listed)
    for spec in listed:
        assert re.fullmatch(r"(?:gen_ai|orchestrator)_[a-z_]+[a-z]", spec.name)
        assert not spec.name.endswith("_total")
        assert spec.meaning.endswith(".")
        assert all(re.fullmatch(r"[a-z_]+", label) for label in spec.labels)
    made = {family.name for family in Metrics().registry.collect()}
    read = {name for name in made if name.startswith("process_")} | {BUILD, UPTIME, WANTED}
    assert made - read == {spec.name for spec in listed}


def test_uptime_is_told_by_the_monotonic_clock() -> None:
    clock = Clock()
    metrics = Metrics(clock)
    clock.now += 60
    assert metrics.figures().uptime == 60
    assert list(samples(metrics, "orchestrator_uptime_seconds").values()) == [60]


@pytest.mark.parametrize(("healthy", "value"), [(True, 1), (False, 0)])
def test_health_is_shown(healthy: bool, value: int) -> None:
    metrics = Metrics()
    metrics.observe_health("openai", healthy)
    assert samples(metrics, "orchestrator_provider_healthy") == {("openai",): value}


def test_both_formats_can_be_parsed() -> None:
    metrics = Metrics()
    metrics.observe_call("openai", 'm"\\\n', "chat", 1.0, None, Usage(1))
    metrics.observe_security_event("rate_limited")
    text, kind = metrics.render()
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    assert list(parse_prometheus(text.decode()))
    text, kind = metrics.render("application/openmetrics-text")
    assert kind.startswith("application/openmetrics-text; version=")
    # prometheus-client leaves the function untyped.
    assert list(parse_openmetrics(text.decode()))  # type: ignore[no-untyped-call]


def test_two_gateways_in_one_process_do_not_share_counts() -> None:
    first, second = Metrics(), Metrics()
    first.observe_request("api", 200, 0.1)
    assert second.figures().requests_total == 0


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "text/plain; version=0.0.4"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4"),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain; version=1.0.0"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text;version=0.0.1", "text/plain; version=0.0.4"),
    ],
)
def test_the_version_that_is_asked_for(accept: str, content_type: str) -> None:
    assert Metrics().render(accept)[1].startswith(f"{content_type}; charset=utf-8")


def test_a_model_whose_stream_its_client_left_has_answered() -> None:
    metrics = Metrics()
    metrics.observe_call("openai", "gpt", "chat", 1.0, "cancelled", first_chunk=0.5)
    assert durations(metrics) == {"gpt": 1}
