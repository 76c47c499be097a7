"""The command and the gateway as real processes: what the fixtures in `conftest` give to tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

COMMAND = Path(sys.executable).with_name("orchestrator")
READY_WITHIN = 30.0
PASSED_ON = ("PATH", "HOME", "TMPDIR", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "PYTHONDONTWRITEBYTECODE")
"""What a process takes from the environment of the tests. No keys, no settings."""


@dataclass
class GatewayProcess:
    """A running `orchestrator serve`.

    Attributes:
        url: Where it listens, without a slash at the end.
        process: The process.
        directory: Its working directory, with its database.
        log: What it printed.
    """

    url: str
    process: subprocess.Popen[bytes]
    directory: Path
    log: Path

    @property
    def port(self) -> int:
        """The port at which it listens."""
        return int(self.url.rpartition(":")[2])

    def output(self) -> str:
        """Return what it printed so far."""
        return self.log.read_text(errors="replace")

    def stop(self, sign: signal.Signals = signal.SIGTERM, within: float = 15.0) -> int:
        """End it and return its exit code; kill it where it does not end in time."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        try:
            return self.process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the gateway did not stop within {within} s:\n{self.output()}") from None


RunCommand: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]
StartGateway: TypeAlias = Callable[..., GatewayProcess]


def inherited_environment() -> dict[str, str]:
    """Return the names and values that every process is given."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


def run_command(
    directory: Path, *arguments: str, said: str | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end.

    Args:
        directory: Where it works.
        arguments: Its arguments.
        said: Its standard input.
        environ: Names and values of its environment.
    """
    done = subprocess.run(
        [COMMAND, *arguments],
        input=said or "",
        cwd=directory,
        env={**inherited_environment(), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


def find_free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running_gateways(folder: Path, environ: Mapping[str, str], count: int = 1) -> Iterator[list[GatewayProcess]]:
    """Run gateways, each in a folder of its own, outside of pytest."""
    started: list[GatewayProcess] = []
    try:
        for number in range(count):
            directory = folder / f"gateway-{number}"
            directory.mkdir(parents=True)
            started.append(start_gateway(directory, environ))
        yield started
    finally:
        for gateway in started:
            gateway.stop()


def start_gateway(
    directory: Path,
    environ: Mapping[str, str],
    *,
    arguments: Sequence[str] = (),
    port: int | None = None,
    log: str = "gateway.log",
    wrapped: Sequence[str] = (),
) -> GatewayProcess:
    """Start a gateway in a folder, and wait until it is ready.

    Args:
        directory: Where it works, and logs.
        environ: Names and values of its environment.
        arguments: More of its command line.
        port: Where it listens; None is a free one.
        log: The name of what it prints.
        wrapped: A command that runs it, such as a tracer.
    """
    chosen, path = port or find_free_port(), directory / log
    with path.open("ab") as output:
        process = subprocess.Popen(
            [*wrapped, COMMAND, "serve", "--port", str(chosen), *arguments],
            cwd=directory,
            env={**inherited_environment(), **environ},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    gateway = GatewayProcess(f"http://127.0.0.1:{chosen}", process, directory, path)
    wait_until_ready(gateway)
    return gateway


def wait_until_ready(gateway: GatewayProcess) -> None:
    """Wait for `/health/ready`; fail the test with the log where it does not come."""
    end = time.monotonic() + READY_WITHIN
    while time.monotonic() < end:
        if gateway.process.poll() is not None:
            pytest.fail(f"the gateway ended with {gateway.process.returncode}:\n{gateway.output()}")
        try:
            with urllib.request.urlopen(f"{gateway.url}/health/ready", timeout=2):
                return
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        time.sleep(0.05)
    gateway.process.kill()
    gateway.process.wait()
    pytest.fail(f"the gateway was not ready within {READY_WITHIN} s:\n{gateway.output()}")
