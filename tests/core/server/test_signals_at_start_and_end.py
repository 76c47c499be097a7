"""What a process is told while it starts and while it ends, at whatever moment."""

from __future__ import annotations

import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from databases import PostgresServer
from processes import COMMAND, find_free_port, inherited_environment

WITHIN = 30.0
"""Seconds for whatever is waited for; it takes one or two."""
LISTENING = "Listening on "
REPORTED = "CORS: "
"""How the line begins that is printed when the configuration is checked, before the store is opened."""
KEY = "sk-proj-" + "Ab1" * 20


class Starting:
    """A gateway that was just begun."""

    def __init__(self, folder: Path, workers: str, url: str) -> None:
        folder.mkdir()
        self.dotenv = folder / ".env"
        self.dotenv.touch(0o600)
        self.port = find_free_port()
        self.log = folder / "gateway.log"
        self.begun = time.monotonic()
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [COMMAND, "serve", "--port", str(self.port), "--workers", workers],
                cwd=folder,
                env={**inherited_environment(), "ORCHESTRATOR_DATABASE_URL": url, "MONITORING_ENABLED": "false"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def minds(self, sign: signal.Signals) -> bool:
        """Whether a signal no longer ends the process at once: it is caught or waits."""
        return self.has("SigCgt", sign) or self.has("SigBlk", sign)

    def has(self, mask: str, sign: signal.Signals) -> bool:
        """Whether a signal is in a mask that Linux shows of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return bool(int(status.partition(f"{mask}:")[2].split()[0], 16) >> (sign - 1) & 1)

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + WITHIN
        while not condition():
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.output()}"
            assert time.monotonic() < end, self.output()
            time.sleep(0.001)

    def tell(self, sign: signal.Signals) -> None:
        self.process.send_signal(sign)

    def ended(self) -> int:
        return self.process.wait(WITHIN)


@contextmanager
def starting(folder: Path, workers: str, url: str) -> Iterator[Starting]:
    gateway = Starting(folder, workers, url)
    try:
        yield gateway
    finally:
        if gateway.process.poll() is None:
            gateway.process.terminate()
            try:
                gateway.process.wait(WITHIN)
            except subprocess.TimeoutExpired:
                gateway.process.kill()
                gateway.process.wait()


@pytest.fixture
async def url(postgres: PostgresServer) -> str:
    return await postgres.migrated()


@pytest.mark.parametrize(("workers", "starts"), [("1", 4), ("2", 8)])
def test_a_stop_is_orderly_and_a_hangup_no_end_at_any_moment_of_the_start(
    tmp_path: Path, url: str, workers: str, starts: int
) -> None:
    with starting(tmp_path / "measured", workers, url) as gateway:
        gateway.until(lambda: gateway.minds(signal.SIGHUP))
        assert gateway.minds(signal.SIGTERM)
        heard = time.monotonic()
        gateway.until(lambda: LISTENING in gateway.output())
        duration = time.monotonic() - heard

    # From when it hears until a while after it listens, and some times right when it says that it listens.
    moments = [duration * 1.4 * number / starts for number in range(starts)] + [None] * (starts // 2)
    for number, moment in enumerate(moments):
        with starting(tmp_path / str(number), workers, url) as gateway:
            gateway.until(lambda: gateway.minds(signal.SIGHUP))
            gateway.tell(signal.SIGHUP)
            if moment is None:
                gateway.until(lambda: LISTENING in gateway.output())
            else:
                time.sleep(moment)
            gateway.tell(signal.SIGHUP)
            if number % 2:
                time.sleep(duration / 20)
            gateway.tell(signal.SIGTERM)
            gateway.tell(signal.SIGHUP)
            assert gateway.ended() == 0, f"told after {moment} of {duration} s:\n{gateway.output()}"
            assert "Traceback" not in gateway.output()


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("printed", [REPORTED, LISTENING])
def test_keys_that_come_while_it_starts_are_taken(tmp_path: Path, url: str, workers: str, printed: str) -> None:
    with starting(tmp_path / "told", workers, url) as gateway:
        gateway.until(lambda: printed in gateway.output())
        gateway.dotenv.write_text(f"OPENAI_API_KEY={KEY}\n")
        gateway.tell(signal.SIGHUP)
        gateway.until(lambda: gateway.output().count("Keys reloaded") == int(workers))
        with urllib.request.urlopen(f"http://127.0.0.1:{gateway.port}/health", timeout=WITHIN) as answer:
            assert b'"openai_configured":true' in answer.read()
        gateway.tell(signal.SIGTERM)
        assert gateway.ended() == 0, gateway.output()


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_no_signal_ends_what_has_stopped_in_another_way(
    tmp_path: Path, url: str, workers: str, sign: signal.Signals
) -> None:
    with starting(tmp_path / "told", workers, url) as gateway:
        gateway.until(lambda: LISTENING in gateway.output())
        gateway.tell(signal.SIGTERM)
        end = time.monotonic() + WITHIN
        while gateway.process.poll() is None:
            gateway.tell(sign)
            assert time.monotonic() < end, gateway.output()
            time.sleep(0.002)
        assert gateway.ended() == 0, gateway.output()
