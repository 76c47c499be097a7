"""The health check of the image: the program itself, beside a gateway and beside none."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from processes import StartGateway, find_free_port

PROGRAM = Path(__file__).parents[2] / "deploy/healthcheck.py"


def check(port: int, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", str(PROGRAM)],
        env={"SERVER_PORT": str(port), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


class Failing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(500)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Print nothing."""


def test_a_gateway_that_serves_is_healthy(gateway_process: StartGateway) -> None:
    gateway = gateway_process()
    port = int(gateway.url.rpartition(":")[2])
    done = check(port, http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nobody_who_listens_is_not() -> None:
    done = check(find_free_port())
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("The gateway does not answer:")


def test_an_error_is_not() -> None:
    with HTTPServer(("127.0.0.1", 0), Failing) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        done = check(server.server_address[1])
        thread.join()
    assert (done.returncode, done.stdout) == (1, "The gateway answers 500.\n")


def test_one_who_is_silent_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), Failing) as server:  # which accepts nobody
        program = PROGRAM.read_text().replace("WITHIN = 9.0", "WITHIN = 0.2")
        done = subprocess.run(
            [sys.executable, "-I", "-c", program],
            env={"SERVER_PORT": str(server.server_address[1])},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert (done.returncode, done.stderr) == (1, "")
    assert "timed out" in done.stdout
