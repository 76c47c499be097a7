"""`orchestrator status`, beside real gateways."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.samples import Sample
from rich.console import Console

from fake_packages import install_plugin
from orchestrator_core.cli.asking import url_of
from orchestrator_core.cli.gateway_status import report
from orchestrator_core.cli.looks import Look
from orchestrator_core.cli.status_view import draw
from orchestrator_core.config import load
from processes import COMMAND, GatewayProcess, RunCommand, StartGateway
from terminal import Terminal

KEY = "own-key-0123456789abcdefghijklmnopqrstuv"
MISTRAL = {"MISTRAL_API_KEY": "abcdefghijklmnopqrstuvwxyz012345", "MISTRAL_BASE_URL": "http://127.0.0.1:9/v1"}

END_OF_VIEW = "Ctrl+C ends."


def ask(gateway: GatewayProcess, key: str | None = None) -> None:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    body = json.dumps({"message": "hello", "agent_config": {"provider": "echo"}}).encode()
    request = urllib.request.Request(f"{gateway.url}/api/orchestrate", body, headers, method="POST")
    urllib.request.urlopen(request, timeout=10).close()


def test_json_says_how_a_gateway_is(orchestrator: RunCommand, gateway_process: StartGateway) -> None:
    gateway = gateway_process()
    ask(gateway)
    done = orchestrator("status", "--json", SERVER_PORT=str(gateway.port))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["url"], found["status"], found["refusal"]) == (gateway.url, "healthy", None)
    assert found["since_start"]["requests"] == found["since_start"]["sessions"] == found["active_sessions"] == 1
    assert found["since_start"]["tokens"] > 0
    assert found["traffic"]["in_flight"] == found["traffic"]["waiting"] == found["traffic"]["streams"] == 0
    assert found["limits"] == {}
    assert found["providers"][0]["name"] == "echo"
    assert found["providers"][0]["state"] == "healthy"
    assert found["providers"][-1]["state"] == "not_configured"


def test_what_needs_a_look_comes_first_with_the_reason(
    orchestrator: RunCommand, gateway_process: StartGateway, tmp_path: Path
) -> None:
    site = install_plugin(tmp_path, "orchestrator-broken", "broken", "raise RuntimeError('no licence')")
    gateway = gateway_process({**MISTRAL, "PYTHONPATH": site})
    end = time.monotonic() + 20
    while (done := orchestrator("status", "--url", gateway.url)).returncode != 3:
        assert time.monotonic() < end, done.stdout
    words = done.stdout.split()
    assert words[:2] == ["●", "degraded"]
    assert words.index("quarantined") < words.index("unhealthy") < words.index("healthy")
    assert "RuntimeError" in done.stdout
    assert "Without a key: anthropic" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_gateway_that_is_not_there_is_an_error_that_says_what_to_do(orchestrator: RunCommand, free_port: int) -> None:
    done = orchestrator("status", SERVER_PORT=str(free_port))
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: No gateway answers at http://127.0.0.1:{free_port}. ")
    assert "`orchestrator serve`" in done.stderr
    assert "--url" in done.stderr


def test_the_key_comes_from_the_environment_or_a_file_and_is_never_shown(
    orchestrator: RunCommand, gateway_process: StartGateway, tmp_path: Path
) -> None:
    gateway = gateway_process({"ORCHESTRATOR_CLIENT_KEY": KEY})
    refused = orchestrator("status", "--url", gateway.url)
    assert refused.returncode == 1
    assert "asks for a client key, which is missing: set ORCHESTRATOR_CLIENT_KEY" in refused.stderr
    wrong = orchestrator("status", "--url", gateway.url, ORCHESTRATOR_CLIENT_KEY=KEY[::-1])
    assert "which is wrong" in wrong.stderr
    (tmp_path / "key").write_text(KEY)
    for given in ({"ORCHESTRATOR_CLIENT_KEY": KEY}, {"ORCHESTRATOR_CLIENT_KEY_FILE": str(tmp_path / "key")}):
        done = orchestrator("status", "--url", gateway.url, "--json", **given)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["since_start"]["requests"] == 0
        assert KEY not in done.stdout + done.stderr
    assert KEY[::-1] not in wrong.stdout + wrong.stderr


def test_who_is_no_admin_sees_the_providers_alone(orchestrator: RunCommand, gateway_process: StartGateway) -> None:
    gateway = gateway_process({"ORCHESTRATOR_CLIENT_KEY": KEY})
    key = orchestrator("clients", "create", "app").stdout.strip()
    found = orchestrator("status", "--url", gateway.url, "--json", ORCHESTRATOR_CLIENT_KEY=key)
    assert found.returncode == 0, found.stderr
    assert "traffic" not in json.loads(found.stdout)
    shown = orchestrator("status", "--url", gateway.url, ORCHESTRATOR_CLIENT_KEY=key)
    assert "Traffic, cost and limits are not shown." in shown.stdout
    assert "--role admin" in shown.stdout


class Stranger(BaseHTTPRequestHandler):
    """A server that is no gateway."""

    def do_GET(self) -> None:
        place, _, self.path = self.path[1:].partition("/")
        self.send_response({"moved": 302, "gone": 404}.get(place, 200))
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def stranger() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("place", "got"), [("page", "it gave no JSON"), ("moved", "it gave a redirect"), ("gone", "it gave status 404")]
)
def test_what_is_no_gateway_is_named_so(place: str, got: str, orchestrator: RunCommand) -> None:
    with stranger() as url:
        done = orchestrator("status", "--url", f"{url}/{place}")
    assert done.returncode == 1
    assert "is no gateway" in done.stderr
    assert got in done.stderr


@pytest.mark.parametrize(
    "url",
    ["ftp://sk-canary", "http://", "http://host:sk-canary", "http://u:sk-canary@host", "http://host/?key=sk-canary"],
)
def test_a_url_that_cannot_be_asked_is_not_repeated(url: str, orchestrator: RunCommand) -> None:
    done = orchestrator("status", "--url", url)
    assert done.returncode == 2
    assert "canary" not in done.stderr


def test_a_live_view_goes_on_while_the_gateway_is_away(tmp_path: Path, gateway_process: StartGateway) -> None:
    gateway = gateway_process()
    ask(gateway)
    terminal = Terminal(tmp_path, COMMAND, "status", "--url", gateway.url, "--interval", "0.5")
    terminal.wait_for(f"Every 0.5 s. {END_OF_VIEW}")
    assert "\x1b[?1049h" in terminal.screen
    assert "● healthy" in terminal.text
    gateway.stop()
    terminal.wait_for("No gateway answers at")
    assert "● no answer" in terminal.text
    ask(gateway_process(port=gateway.port))
    for _ in range(60):
        terminal.wait_for(END_OF_VIEW, times=terminal.text.count(END_OF_VIEW) + 1)
        if "No gateway answers" not in terminal.text.split(END_OF_VIEW)[-2]:
            break
    else:
        pytest.fail("the view does not come back")
    terminal.type("\x03")
    assert terminal.end() == 0
    second_screen, _, left = terminal.screen.rpartition("\x1b[?1049l")
    assert second_screen
    assert "healthy" in left
    assert "Traceback" not in terminal.text


def test_a_view_without_a_gateway_does_not_begin(tmp_path: Path, free_port: int) -> None:
    terminal = Terminal(tmp_path, COMMAND, "status", SERVER_PORT=str(free_port))
    assert terminal.end(within=20) == 1
    assert "No gateway answers" in terminal.text
    assert "\x1b[?1049h" not in terminal.screen


def test_no_colour_is_shown_where_none_is_wanted(tmp_path: Path, gateway_process: StartGateway) -> None:
    url = gateway_process().url
    for environ, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        terminal = Terminal(tmp_path, COMMAND, "status", "--once", "--url", url, **environ)
        assert terminal.end(within=20) == 0
        assert ("\x1b[32m" in terminal.screen) is coloured


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("10.0.0.7", "http://10.0.0.7:8000"),
        ("gateway.internal", "http://gateway.internal:8000"),
    ],
)
def test_a_gateway_is_asked_where_it_listens(host: str, url: str) -> None:
    assert url_of(load(environ={"SERVER_HOST": host}).settings) == url


def step(calls: int, failed: int, seconds: float, refused: int = 0) -> dict[str, Any]:
    found = {"calls": calls, "failed": failed, "seconds": seconds, "tokens": 7, "cost": 0.01}
    return {"at": 0, "refused": refused, "providers": {"echo": found}}


def look(steps: Sequence[Mapping[str, Any]], circuits: Sequence[Any] = ()) -> Look:
    samples = [
        Sample("orchestrator_uptime_seconds", {}, 700),
        Sample("orchestrator_processes", {}, 2),
        Sample("orchestrator_calls_in_flight", {"provider": "echo"}, 2),
        Sample("orchestrator_calls_in_flight", {"provider": "other"}, 3),
        Sample("orchestrator_security_events_total", {"event": "rate_limited"}, 3),
        Sample("orchestrator_security_events_total", {"event": "host_refused"}, 0),
        Sample("orchestrator_calls_refused_total", {"reason": "full"}, 2),
    ]
    health = {"status": "healthy", "version": "1", "timestamp": "2026-11-28T21:14:26.555Z"}
    row = {"name": "echo", "title": "Echo", "state": "healthy", "error": None, "circuits": circuits}
    return Look(health, [row], samples, None, steps, 15, None)


def test_rates_are_those_of_the_last_five_minutes() -> None:
    found = report("http://host", look([step(1000, 1000, 9)] * 20 + [step(30, 15, 15, refused=1)] * 20))
    traffic = found["traffic"]
    assert (traffic["over_seconds"], traffic["calls"], traffic["calls_per_second"]) == (300, 600, 2)
    assert (traffic["error_rate"], traffic["average_seconds"], traffic["refused"]) == (0.5, 0.5, 20)
    assert traffic["cost_usd"] == pytest.approx(0.2)
    assert traffic["history"] == [1000] * 20 + [30] * 20
    assert traffic["in_flight"] == 5
    assert found["limits"] == {"rate_limited": 3, "calls_refused": 2}
    assert found["processes"] == 2
    (echo,) = found["providers"]
    assert (echo["calls"], echo["error_rate"], echo["average_seconds"], echo["in_flight"]) == (600, 0.5, 0.5, 2)


def test_a_gateway_that_has_just_started_has_no_rates_yet() -> None:
    found = report("http://host", look([]))
    traffic = found["traffic"]
    assert (traffic["over_seconds"], traffic["calls_per_second"]) == (0, 0.0)
    assert traffic["error_rate"] is traffic["average_seconds"] is None
    assert "not counted yet" in drawn(found)


def test_a_provider_whose_models_are_left_alone_is_degraded() -> None:
    circuits = [{"model": "echo-1", "state": "open", "retry_after": 9.0}]
    found = report("http://host", look([step(4, 4, 1)], circuits))
    assert found["providers"][0]["state"] == "degraded"
    shown = drawn(found)
    assert "echo  left alone for a while: echo-1" in shown
    assert "100.0%" in shown
    assert "rate limited 3" in " ".join(shown.split())


def drawn(found: Mapping[str, Any]) -> str:
    console = Console(width=100, file=StringIO())
    console.print(draw(found))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_an_interval_is_a_number_of_seconds(orchestrator: RunCommand) -> None:
    done = orchestrator("status", "--interval", "nan", "--once")
    assert (done.returncode, "must be a number of seconds" in done.stderr) == (2, True)
