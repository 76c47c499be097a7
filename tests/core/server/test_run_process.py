"""The process: from the start to the exit code."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command

from orchestrator_core.sessions.migrate import configuration

KEY = "sk-proj-" + "Ab1" * 20
OTHER = "sk-proj-" + "Cd2" * 20
SAFE = {
    "ENVIRONMENT": "production",
    "CORS_ALLOWED_ORIGINS": "https://app.example.com",
    "OPENAI_API_KEY": KEY,
    "ORCHESTRATOR_CLIENT_KEY": "9f2c4b7a1d3e5f60718293a4b5c6d7e8",
    "SERVER_HOST": "127.0.0.1",
    "MONITORING_ENABLED": "false",
}


def serve(folder: Path, environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a gateway that is expected to end by itself."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("orchestrator")), "serve", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environ},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def get(url: str, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


def test_the_report_at_the_start(gateway_process: Callable[..., Any]) -> None:
    gateway = gateway_process(environ={"OPENAI_API_KEY": KEY, "MONITORING_ENABLED": "false"})
    lines = gateway.output().splitlines()
    key, cors, address = (
        next(index for index, line in enumerate(lines) if begin in line)
        for begin in (f"openai: sk-****{KEY[-4:]} valid", "CORS: ", f"Listening on {gateway.url}")
    )
    assert key < cors < address
    assert KEY not in gateway.output()
    assert gateway.stop() == 0


def test_production_starts_with_what_it_needs_and_asks(gateway_process: Callable[..., Any]) -> None:
    gateway = gateway_process(environ=SAFE)
    assert get(f"{gateway.url}/api/health")[0] == 200
    assert get(f"{gateway.url}/api/providers")[0] == 401
    known = {"Authorization": f"Bearer {SAFE['ORCHESTRATOR_CLIENT_KEY']}"}
    assert get(f"{gateway.url}/api/providers", **known)[0] == 200
    assert gateway.stop() == 0


def test_production_names_every_reason_and_no_value(tmp_path: Path) -> None:
    refused = serve(
        tmp_path,
        {
            "ENVIRONMENT": "production",
            "CORS_ALLOWED_ORIGINS": "http://plain.example.com",
            "ORCHESTRATOR_CLIENT_KEY": "too-short-a-key",
            "OPENAI_API_KEY": "your-key-here",
        },
    )
    assert refused.returncode == 78
    printed = refused.stdout + refused.stderr
    for name in ("CORS_ALLOWED_ORIGINS", "ORCHESTRATOR_CLIENT_KEY", "OPENAI_API_KEY"):
        assert name in refused.stderr
    for value in ("plain.example.com", "too-short-a-key", "your-key-here"):
        assert value not in refused.stderr, value
    assert "too-short-a-key" not in printed
    assert not (tmp_path / "orchestrator.db").exists()


def test_an_address_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = serve(tmp_path, {}, "--port", str(port))
    assert refused.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in refused.stdout + refused.stderr


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_clean(gateway_process: Callable[..., Any], sign: signal.Signals) -> None:
    gateway = gateway_process(environ={"MONITORING_ENABLED": "true", "METRICS_COLLECTION_INTERVAL": "1"})
    begun = time.monotonic()
    assert gateway.stop(sign) == 0
    assert time.monotonic() - begun < 3
    assert "Traceback" not in gateway.output()
    assert "never retrieved" not in gateway.output()


def test_requests_under_way_are_finished(gateway_process: Callable[..., Any]) -> None:
    gateway = gateway_process(environ={"ORCHESTRATOR_SHUTDOWN_GRACE": "5", "MONITORING_ENABLED": "false"})
    host, port = gateway.url.removeprefix("http://").split(":")
    body = b'{"message": "hello"}'
    head = (
        "POST /api/orchestrate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        slow.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:5])
        time.sleep(0.3)
        stopped: list[int] = []
        stopper = threading.Thread(target=lambda: stopped.append(gateway.stop()))
        stopper.start()
        time.sleep(0.3)
        assert get(f"{gateway.url}/health/ready")[0] == 503
        assert get(f"{gateway.url}/health/live")[0] == 200
        assert get(f"{gateway.url}/api/sessions")[1]["code"] == "shutting_down"
        slow.sendall(body[5:])
        answer = b"".join(iter(lambda: slow.recv(65536), b""))
    stopper.join()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"hello" in answer
    assert stopped == [0]


def test_new_keys_are_taken_without_a_restart(gateway_process: Callable[..., Any], tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.touch(0o600)
    dotenv.write_text("OPENAI_API_KEY=your-key-here\n")
    gateway = gateway_process(environ={"MONITORING_ENABLED": "false"})
    assert get(f"{gateway.url}/health")[1]["openai_configured"] is False
    dotenv.write_text(f"OPENAI_API_KEY={OTHER}\n")
    gateway.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 5
    while not get(f"{gateway.url}/health")[1]["openai_configured"]:
        assert time.monotonic() < end
        time.sleep(0.05)
    dotenv.write_text("ORCHESTRATOR_NONSENSE=1\n")
    gateway.process.send_signal(signal.SIGHUP)
    while "Keys not reloaded" not in gateway.output():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert get(f"{gateway.url}/health")[1]["openai_configured"] is True
    assert OTHER not in gateway.output()
    assert gateway.stop() == 0


def test_reasons_of_the_providers_settings_and_of_the_gateway_come_together(tmp_path: Path) -> None:
    refused = serve(tmp_path, {"ENVIRONMENT": "production", "OPENAI_DEFAULT_TEMPERATURE": "warm", "LOG_LEVEL": "DEBUG"})

    assert refused.returncode == 78
    for name in ("OPENAI_DEFAULT_TEMPERATURE", "LOG_LEVEL", "ORCHESTRATOR_CLIENT_KEY"):
        assert name in refused.stderr + refused.stdout
    assert "warm" not in refused.stderr + refused.stdout


@pytest.mark.parametrize("key_check", ["strict", "warn"])
def test_a_malformed_key_does_not_replace_a_good_one_where_the_check_is_strict(
    gateway_process: Callable[..., Any], tmp_path: Path, key_check: str
) -> None:
    dotenv = tmp_path / ".env"
    dotenv.touch(0o600)
    dotenv.write_text(f"OPENAI_API_KEY={KEY}\n")
    environ = {name: value for name, value in SAFE.items() if name != "OPENAI_API_KEY"}
    gateway = gateway_process(environ={**environ, "ORCHESTRATOR_KEY_CHECK": key_check})
    before = len(gateway.output())
    dotenv.write_text("OPENAI_API_KEY=your-key-here\n")
    gateway.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 5
    while '"provider":"openai"' not in gateway.output()[before:]:
        assert time.monotonic() < end, gateway.output()
        time.sleep(0.05)
    said = gateway.output()[before:].splitlines()
    assert any(line.startswith("openai: ") and " not valid: " in line for line in said)
    records = [json.loads(line) for line in said if line.startswith("{")]
    (refused,) = [record for record in records if record.get("provider") == "openai"]
    assert refused["level"] == ("ERROR" if key_check == "strict" else "WARNING")
    assert refused["problems"]
    assert any(record["event"] == "Keys reloaded" for record in records) is (key_check == "warn")
    assert get(f"{gateway.url}/health")[1]["openai_configured"] is (key_check == "strict")
    assert "your-key-here" not in gateway.output()
    assert gateway.stop() == 0


def test_a_stop_for_the_whole_group_during_a_migration(tmp_path: Path) -> None:
    command.upgrade(configuration(f"sqlite:///{tmp_path}/orchestrator.db"), "0001")
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("orchestrator")), "serve", "--port", "0"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MONITORING_ENABLED": "false"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        # The line before the store is opened; the migration, a process of its own, then takes a while.
        printed = next(line for line in process.stdout if line.startswith("CORS: "))
        end = time.monotonic() + 15
        while not Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text():
            assert time.monotonic() < end
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGTERM)
        printed += process.communicate(timeout=15)[0]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, printed
    assert "Error" not in printed
    assert "Listening" not in printed
