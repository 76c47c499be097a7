"""`orchestrator status`, beside real gateways."""

from __future__ import annotations

import asyncio
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
from orchestrator_core.cli.answers import Calls, Circuit, Health, ProviderRow, Step
from orchestrator_core.cli.asking import AskedTooOften, NoAnswer, running_gateway, url_of
from orchestrator_core.cli.gateway_status import report
from orchestrator_core.cli.looks import SLOW_EVERY, TOTALS_EVERY, Look, Watcher
from orchestrator_core.cli.status_view import draw
from orchestrator_core.config import load
from orchestrator_core.provider_api import Secret
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


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("interval", [1.0, 2.0])
def test_a_view_keeps_within_what_a_gateway_takes_in_a_minute(interval: float, gateway_process: StartGateway) -> None:
    gateway = gateway_process({"ORCHESTRATOR_CLIENT_KEY": KEY, "ORCHESTRATOR_MAX_REQUESTS_PER_MINUTE": "100"})
    time = Time()

    async def look_for_a_minute() -> None:
        async with running_gateway(gateway.url, Secret(KEY)) as asked:
            watcher = Watcher(asked, time)
            while time.now < 60:
                await watcher.look()
                time.now += interval

    asyncio.run(look_for_a_minute())


def test_what_changes_slowly_is_seen_too_after_a_while(gateway_process: StartGateway) -> None:
    gateway, time = gateway_process(), Time()

    async def look_twice() -> tuple[Look, Look]:
        async with running_gateway(gateway.url, None) as asked:
            watcher = Watcher(asked, time)
            before = await watcher.look()
            await asyncio.to_thread(ask, gateway)
            time.now += max(SLOW_EVERY, TOTALS_EVERY)
            return before, await watcher.look()

    before, after = asyncio.run(look_twice())
    assert before.totals is not None
    assert after.totals is not None
    assert (before.totals.active, after.totals.active) == (0, 1)


def test_who_was_refused_is_not_refused_again_at_each_look(
    orchestrator: RunCommand, gateway_process: StartGateway
) -> None:
    gateway, time = gateway_process({"ORCHESTRATOR_CLIENT_KEY": KEY}), Time()
    key = orchestrator("clients", "create", "app").stdout.strip()

    async def look_for_a_minute() -> list[str | None]:
        async with running_gateway(gateway.url, Secret(key)) as asked:
            watcher, refusals = Watcher(asked, time), []
            for time.now in range(60):
                refusals.append((await watcher.look()).refusal)
            return refusals

    refusals = asyncio.run(look_for_a_minute())
    assert all(refusal and "--role admin" in refusal for refusal in refusals)
    found = orchestrator("status", "--url", gateway.url, "--json", ORCHESTRATOR_CLIENT_KEY=KEY)
    assert json.loads(found.stdout)["limits"] == {"permission_denied": 60 / TOTALS_EVERY}


def test_a_gateway_that_is_asked_too_often_is_waited_for(tmp_path: Path, gateway_process: StartGateway) -> None:
    gateway = gateway_process({"ORCHESTRATOR_CLIENT_KEY": KEY, "ORCHESTRATOR_MAX_REQUESTS_PER_MINUTE": "5"})
    arguments = ("status", "--url", gateway.url, "--interval", "0.5")
    terminal = Terminal(tmp_path, COMMAND, *arguments, columns=250, ORCHESTRATOR_CLIENT_KEY=KEY)
    terminal.wait_for("takes no more requests for now: ask again in ")
    assert "--interval" in terminal.text
    assert "is no gateway" not in terminal.text
    assert "● no answer" not in terminal.text

    async def ask_too_often() -> float:
        async with running_gateway(gateway.url, Secret(KEY)) as asked:
            with pytest.raises(AskedTooOften) as caught:
                await Watcher(asked).look()
        return caught.value.wait

    assert 1 < asyncio.run(ask_too_often()) <= 60
    terminal.type("\x03")
    assert terminal.end() == 0


HEALTH = '{"status": "healthy", "version": "1", "timestamp": "2026-11-28T21:14:26.555Z"}'
ONE = '{"calls": %s, "failed": 0, "seconds": 0, "cost": 0}'
STEPS = '{"step": 15, "steps": [{"at": 15, "refused": 0, "providers": {"echo": %s}}]}'
STRANGE = {
    "page": {"/api/health": "<html>"},
    "other": {"/api/health": '{"status": "ok"}'},
    "list": {"/api/health": "[]"},
    "deep": {"/api/health": "[" * 100_000},
    "rows": {"/api/providers": '{"providers": [{"name": "echo", "state": null}]}'},
    "text": {"/metrics": "<html>"},
    "text2": {"/metrics": '_total{x="1", ="2"} 1 1\n'},
    "steps": {"/api/activity": '{"steps": [1]}'},
    "below": {"/api/activity": STEPS % ONE % -1000},
    "huge": {"/api/activity": STEPS % ONE % "1e400"},
    "totals": {"/api/metrics": "{}"},
}
"""What is other than a gateway's own answers, by the place of the server and the path."""

OWN = {
    "/api/health": HEALTH,
    "/api/providers": '{"providers": [{"name": "echo", "state": "healthy"}]}',
    "/metrics": "orchestrator_uptime_seconds 1\n",
    "/api/activity": '{"step": 15, "steps": []}',
    "/api/metrics": '{"sessions": {"active": 0}}',
}


class Stranger(BaseHTTPRequestHandler):
    """A server that is no gateway, or a newer one."""

    def do_GET(self) -> None:
        place, _, path = self.path[1:].partition("/")
        path = f"/{path.partition('?')[0]}"
        self.send_response({"moved": 302, "gone": 404}.get(place, 200))
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write({**OWN, **STRANGE.get(place, {})}[path].encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def stranger() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("place", "got"),
    [
        ("page", "it gave no JSON"),
        ("other", "it gave no JSON of a gateway"),
        ("moved", "it gave a redirect"),
        ("gone", "it gave status 404"),
    ],
)
def test_what_is_no_gateway_is_named_so(place: str, got: str, orchestrator: RunCommand) -> None:
    with stranger() as url:
        done = orchestrator("status", "--url", f"{url}/{place}")
    assert done.returncode == 1
    assert "is no gateway" in done.stderr
    assert got in done.stderr


def test_each_answer_has_to_be_that_of_a_gateway() -> None:
    async def look(url: str) -> Look:
        async with running_gateway(url, None) as asked:
            return await Watcher(asked).look()

    with stranger() as url:
        assert asyncio.run(look(f"{url}/own")).health.status == "healthy"
        for place in STRANGE:
            with pytest.raises(NoAnswer, match=r"is no gateway.* it gave no (JSON|metrics)"):
                asyncio.run(look(f"{url}/{place}"))


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


def step(calls: int, failed: int, seconds: float, refused: int = 0) -> Step:
    return Step(0, refused, {"echo": Calls(calls, failed, seconds, 0.01)})


def look(steps: Sequence[Step], *rows: ProviderRow, version: str = "1", samples: Sequence[Sample] = ()) -> Look:
    shown = [
        Sample("orchestrator_uptime_seconds", {}, 700),
        Sample("orchestrator_processes", {}, 2),
        Sample("orchestrator_calls_in_flight", {"provider": "echo"}, 2),
        Sample("orchestrator_calls_in_flight", {"provider": "other"}, 3),
        Sample("orchestrator_security_events_total", {"event": "rate_limited"}, 3),
        Sample("orchestrator_security_events_total", {"event": "host_refused"}, 0),
        Sample("orchestrator_calls_refused_total", {"reason": "full"}, 2),
        *samples,
    ]
    health = Health("healthy", version, "2026-11-28T21:14:26.555Z")
    return Look(health, rows or [ProviderRow("echo", "healthy")], shown, None, steps, 15, None)


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
    row = ProviderRow("echo", "healthy", circuits=[Circuit("echo-1")])
    found = report("http://host", look([step(4, 4, 1)], row))
    assert found["providers"][0]["state"] == "degraded"
    shown = drawn(found)
    assert "echo  left alone for a while: echo-1" in shown
    assert "100.0%" in shown
    assert "rate limited 3" in " ".join(shown.split())


def test_a_state_that_only_a_newer_gateway_knows_comes_first() -> None:
    rows = [ProviderRow("echo", "healthy"), ProviderRow("acme", "resting"), ProviderRow("bad", "quarantined")]
    found = report("http://host", look([], *rows))
    assert [row["name"] for row in found["providers"]] == ["acme", "bad", "echo"]
    assert "resting" in drawn(found)


def test_nothing_that_a_gateway_says_reaches_the_terminal_as_a_command() -> None:
    evil = "\x1b]0;title\x07[/red]\x9b2J"
    event = Sample("orchestrator_security_events_total", {"event": evil}, 1)
    rows = [
        ProviderRow(evil, evil, error=evil, circuits=[Circuit(evil)]),
        ProviderRow(evil, "healthy"),
        ProviderRow(evil, "not_configured"),
    ]
    found = report("http://host", look([step(1, 0, 1)], *rows, version=evil, samples=[event]))
    shown = drawn(found)
    assert "[/red]" in shown
    assert not {sign for sign in shown if sign < " " or "\x7f" <= sign <= "\x9f"} - {"\n"}
    assert found["version"] == evil, "for programs, JSON has it as it is"


def drawn(found: Mapping[str, Any]) -> str:
    console = Console(width=200, file=StringIO())
    console.print(draw(found))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_an_interval_is_a_number_of_seconds(orchestrator: RunCommand) -> None:
    done = orchestrator("status", "--interval", "nan", "--once")
    assert (done.returncode, "must be a number of seconds" in done.stderr) == (2, True)
