"""Traces of requests, as OpenTelemetry's SDK records them, and as a collector receives them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fake_upstreams.openai_server import OpenAIServer, completion
from orchestrator_core.telemetry import traces
from orchestrator_core.telemetry.otel import Exporter
from orchestrator_core.telemetry.traces import record_with
from orchestrator_openai import OpenAIProvider
from processes import StartGateway
from scripted_gateway import Served, served

KEY = "sk-proj-" + "Ab1" * 20
SAID = "a secret of the user"
USER = {"role": "user", "content": SAID}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "prompt_tokens_details": {"cached_tokens": 4}}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


class Recorded:
    """Keeps what is recorded."""

    def __init__(self, **options: bool) -> None:
        self.spans, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.exporter = Exporter(processors=[SimpleSpanProcessor(self.spans)], readers=[self.reader], **options)
        record_with(self.exporter)

    async def finished(self, count: int) -> Sequence[ReadableSpan]:
        """Wait for spans: the one of a request ends after its answer."""
        async with asyncio.timeout(10):
            while len(self.spans.get_finished_spans()) < count:
                await asyncio.sleep(0.005)
        return self.spans.get_finished_spans()


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    made = Recorded()
    yield made
    record_with(None)
    made.exporter.close()


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def gateway(upstream: OpenAIServer, tmp_path: Path) -> AsyncIterator[Served]:
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": upstream.base_url, "OPENAI_DEFAULT_MODEL": "gpt-5-mini"}
    async with served(tmp_path, [OpenAIProvider], environ) as gateway:
        yield gateway


def named(spans: Sequence[ReadableSpan], name: str) -> ReadableSpan:
    (found,) = (span for span in spans if span.name == name)
    return found


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


async def test_a_turn_is_a_tree_of_request_turn_and_call(
    gateway: Served, upstream: OpenAIServer, recorded: Recorded
) -> None:
    upstream.answers({**completion("Hi"), "usage": USAGE})
    reply = await gateway.post("/api/orchestrate", {"message": SAID}, traceparent=TRACEPARENT)
    assert reply.status == 200
    spans = await recorded.finished(3)
    request, turn, call = (named(spans, name) for name in ("POST /api/orchestrate", "turn", "chat gpt-5-mini"))
    assert request.parent is not None
    assert (request.parent.span_id, f"{request.context.trace_id:032x}") == (int(PARENT, 16), TRACE)
    assert (parent(turn), parent(call)) == (request.context.span_id, turn.context.span_id)
    assert attributes(request) == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "http.route": "/api/orchestrate",
        "http.response.status_code": 200,
        "orchestrator.request_id": reply.headers["X-Request-Id"],
        "orchestrator.principal": "anonymous",
        "orchestrator.provider": "openai",
        "orchestrator.attempts": 1,
        "orchestrator.overhead_ms": float(reply.headers["X-Orchestrator-Overhead-Ms"]),
    }
    assert attributes(turn)["gen_ai.conversation.id"] == reply.json["session_id"]
    assert attributes(turn)["orchestrator.turn_state"] == "complete"
    found = attributes(call)
    assert found.pop("orchestrator.cost_usd") > 0
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini",
        "gen_ai.request.stream": False,
        "gen_ai.conversation.id": reply.json["session_id"],
        "gen_ai.response.id": completion("Hi")["id"],
        "gen_ai.response.model": completion("Hi")["model"],
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "orchestrator.provider": "openai",
        "orchestrator.operation": "chat",
        "server.address": "127.0.0.1",
        "server.port": int(upstream.base_url.rpartition(":")[2].partition("/")[0]),
    }
    shown = "".join(span.to_json() for span in spans)
    assert SAID not in shown
    assert KEY not in shown
    assert "traceparent" not in {name.lower() for name in upstream.asked[-1].headers}


async def test_every_try_has_its_span_and_the_failed_one_its_error(
    gateway: Served, upstream: OpenAIServer, recorded: Recorded
) -> None:
    upstream.answers({"error": {"message": "later"}}, 503)
    upstream.answers(completion("Hi"))
    body = {"model": "openai/gpt-5-mini", "messages": [USER]}
    assert (await gateway.post("/v1/chat/completions", body)).status == 200
    first, second, request = await recorded.finished(3)
    assert (first.name, second.name, request.name) == (
        "chat gpt-5-mini",
        "chat gpt-5-mini",
        "POST /v1/chat/completions",
    )
    assert attributes(first)["error.type"] == "provider_unavailable"
    assert not first.status.is_ok
    assert second.status.is_ok or second.status.is_unset
    assert parent(first) == parent(second) == request.context.span_id
    assert attributes(request)["orchestrator.attempts"] == 2


async def test_a_mistake_of_the_client_is_no_failure_of_the_server(gateway: Served, recorded: Recorded) -> None:
    await gateway.post("/v1/chat/completions", {"model": "nobody/x", "messages": [USER]})
    (span,) = await recorded.finished(1)
    assert attributes(span)["http.response.status_code"] == 404
    assert attributes(span)["error.type"]
    assert span.status.is_unset


def test_what_nobody_waited_for_any_more_did_not_fail(recorded: Recorded) -> None:
    for code in ("cancelled", "interrupted"):
        traces.begin(code).end(code)
    spans = recorded.spans.get_finished_spans()
    assert [(span.name, span.status.is_unset) for span in spans] == [("cancelled", True), ("interrupted", False)]
    assert [attributes(span)["error.type"] for span in spans] == ["cancelled", "interrupted"]


async def test_a_stream_ends_its_spans_with_its_last_event(
    gateway: Served, upstream: OpenAIServer, recorded: Recorded
) -> None:
    start = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5-mini"}
    chunks = [
        {**start, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}}]},
        {**start, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**start, "choices": [], "usage": USAGE},
    ]
    data = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    upstream.answers_raw(data.encode(), content_type="text/event-stream")
    body = {"model": "openai/gpt-5-mini", "messages": [USER], "stream": True, "temperature": 0.5}
    assert (await gateway.post("/v1/chat/completions", body)).status == 200
    call, request = await recorded.finished(2)
    found = attributes(call)
    assert found["gen_ai.request.stream"] is True
    assert found["gen_ai.request.temperature"] == 0.5
    assert found["gen_ai.response.time_to_first_chunk"] > 0
    assert found["gen_ai.usage.output_tokens"] == 3
    assert parent(call) == request.context.span_id


async def test_vectors_have_a_span_too(gateway: Served, upstream: OpenAIServer, recorded: Recorded) -> None:
    upstream.answers(
        {
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
            "model": "text-embedding-3-small",
            "usage": {"prompt_tokens": 2, "total_tokens": 2},
        }
    )
    body = {"model": "openai/text-embedding-3-small", "input": "x", "dimensions": 1}
    assert (await gateway.post("/v1/embeddings", body)).status == 200
    call, _ = await recorded.finished(2)
    assert call.name == "embeddings text-embedding-3-small"
    assert attributes(call)["gen_ai.embeddings.dimension.count"] == 1
    assert attributes(call)["gen_ai.usage.input_tokens"] == 2


async def test_probes_leave_no_trace(gateway: Served, recorded: Recorded) -> None:
    await gateway.get("/health/live")
    await gateway.get("/nothing")
    assert [span.name for span in await recorded.finished(1)] == ["GET"]


async def test_what_is_said_and_who_asks_leave_the_gateway_where_the_operator_wants_it(
    gateway: Served, upstream: OpenAIServer
) -> None:
    recorded = Recorded(keeps_content=True, tells_providers=True)
    try:
        upstream.answers(completion("the answer"))
        body = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": f"{SAID} {KEY}"}]}
        assert (await gateway.post("/v1/chat/completions", body)).status == 200
        call, _ = await recorded.finished(2)
    finally:
        record_with(None)
        recorded.exporter.close()
    asked = json.loads(str(attributes(call)["gen_ai.input.messages"]))
    assert asked[0]["role"] == "user"
    assert asked[0]["parts"][0]["content"].startswith(SAID)
    assert KEY not in call.to_json(), "not even where a caller says it"
    (said,) = json.loads(str(attributes(call)["gen_ai.output.messages"]))
    assert said == {
        "role": "assistant",
        "parts": [{"type": "text", "content": "the answer"}],
        "finish_reason": "stop",
    }
    header = {name.lower(): value for name, value in upstream.asked[-1].headers.items()}["traceparent"]
    assert header.startswith(f"00-{call.context.trace_id:032x}-{call.context.span_id:016x}-")


async def test_metrics_have_the_names_of_the_conventions(
    gateway: Served, upstream: OpenAIServer, recorded: Recorded
) -> None:
    gateway.gateway.metrics.export_to(recorded.exporter.meters)
    upstream.answers({**completion("Hi"), "usage": USAGE})
    body = {"model": "openai/gpt-5-mini", "messages": [USER]}
    assert (await gateway.post("/v1/chat/completions", body)).status == 200
    await recorded.finished(2)
    data = json.loads(recorded.reader.get_metrics_data().to_json())
    points = {
        metric["name"]: metric["data"]["data_points"]
        for resource in data["resource_metrics"]
        for scope in resource["scope_metrics"]
        for metric in scope["metrics"]
    }
    assert set(points) == {
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
        "http.server.request.duration",
        "orchestrator.overhead",
        "orchestrator.cost",
    }
    tokens = {point["attributes"]["gen_ai.token.type"]: point["sum"] for point in points["gen_ai.client.token.usage"]}
    assert tokens == {"input": 9, "output": 3}
    assert points["http.server.request.duration"][0]["attributes"] == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
    }


async def test_metrics_lead_to_traces(gateway: Served, upstream: OpenAIServer, recorded: Recorded) -> None:
    upstream.answers(completion("Hi"))
    body = {"model": "openai/gpt-5-mini", "messages": [USER]}
    assert (await gateway.post("/v1/chat/completions", body, traceparent=TRACEPARENT)).status == 200
    await recorded.finished(2)
    text = gateway.gateway.metrics.render("application/openmetrics-text")[0].decode()
    assert text.count(f'# {{trace_id="{TRACE}"}}') == 2


class Collector(ThreadingHTTPServer):
    """Receives OTLP over HTTP; it answers nothing where it hangs."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.headers: list[str | None] = []
        self.release = threading.Event()
        if not hangs:
            self.release.set()
        super().__init__(("127.0.0.1", 0), _Handler)
        self.daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.release.wait(60)
        self.server.headers.append(self.headers.get("x-collector-key"))
        if self.path == "/v1/traces":
            self.server.traces.append(ExportTraceServiceRequest.FromString(body))
        else:
            self.server.metrics.append(ExportMetricsServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(params=[False, True], ids=["answers", "hangs"])
def collector(request: pytest.FixtureRequest) -> Iterator[Collector]:
    server = Collector(hangs=request.param)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_gateway_sends_to_a_collector_and_does_not_wait_for_it_to_answer(
    gateway_process: StartGateway, collector: Collector, tmp_path: Path
) -> None:
    hangs, secret = not collector.release.is_set(), "collector-key-0123456789"
    gateway = gateway_process(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-collector-key={secret}",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "LOG_LEVEL": "DEBUG",
            "ORCHESTRATOR_LOG_FORMAT": "json",
        }
    )
    async with aiohttp.ClientSession() as http:
        for _ in range(20):
            async with http.post(f"{gateway.url}/api/orchestrate", json={"message": SAID}) as reply:
                assert reply.status == 200
    assert gateway.stop(within=20) == 0, "nobody who hangs keeps it from stopping"
    assert secret not in gateway.output()
    lines = [json.loads(line) for line in gateway.output().splitlines() if line.startswith("{")]
    ids = {line["trace_id"] for line in lines if line["event"] == "Request" and line["path"] == "/api/orchestrate"}
    assert len(ids) == 20
    if hangs:
        return
    assert set(collector.headers) == {secret}
    spans = [
        (resource.resource, span)
        for sent in collector.traces
        for resource in sent.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    names = {span.name.partition("-")[0] for _, span in spans}
    assert names == {"POST /api/orchestrate", "turn", "chat echo", "store write"}
    assert {span.trace_id.hex() for _, span in spans} == ids
    about = {each.key: each.value.string_value for each in spans[0][0].attributes}
    assert (about["service.name"], about["deployment.environment.name"]) == ("orchestrator", "test")
    assert about["service.instance.id"]
    assert collector.metrics, "what was counted is sent at the end at the latest"
    assert SAID.encode() not in b"".join(sent.SerializeToString() for sent in collector.traces)
    assert traces.recording() is None
