"""Lines that a thread writes: nobody waits for a reader who does not read."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import structlog

from orchestrator_core.config import Settings
from orchestrator_core.telemetry.log_queue import LogQueue
from orchestrator_core.telemetry.logging import configure, written_aside
from processes import COMMAND, GatewayProcess, find_free_port, inherited_environment, wait_until_ready


def read_all(reader: int) -> tuple[threading.Thread, list[bytes]]:
    found: list[bytes] = []

    def read() -> None:
        while data := os.read(reader, 1 << 20):
            found.append(data)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread, found


def test_lines_arrive_whole_and_in_order() -> None:
    reader, writer = os.pipe()
    thread, found = read_all(reader)
    queue = LogQueue(writer)
    lines = [f"line {number} é \udcff\n" for number in range(20_000)]
    for line in lines:
        queue.write(line)
    assert queue.close()
    os.close(writer)
    thread.join(10)
    os.close(reader)
    assert b"".join(found) == "".join(lines).encode(errors="backslashreplace")
    assert queue.dropped == 0


def test_a_reader_who_does_not_read_costs_lines_and_no_time() -> None:
    reader, writer = os.pipe()
    queue = LogQueue(writer, limit=200_000)
    for _ in range(10_000):
        queue.write("x" * 99 + "\n")
    assert 0 < queue.dropped <= 8_000
    assert queue._size <= 200_000
    thread, found = read_all(reader)
    assert queue.close()
    os.close(writer)
    thread.join(10)
    os.close(reader)
    assert b"".join(found).count(b"x\n") == 10_000 - queue.dropped


def test_what_was_dropped_is_said_when_there_is_room_again() -> None:
    output = io.TextIOWrapper(io.FileIO(os.memfd_create("log"), "w"))
    configure(Settings.model_validate({"log_format": "json"}), output)
    handlers = logging.getLogger().handlers
    try:
        with written_aside() as queue:
            assert queue is not None
            queue._limit = 0
            structlog.get_logger("x").info("lost")
            queue._limit = 10_000
            structlog.get_logger("x").info("kept")
        lines = [json.loads(line) for line in Path(f"/proc/self/fd/{output.fileno()}").read_text().splitlines()]
        assert [line["event"] for line in lines] == ["kept", "Log lines dropped: nobody took those before them"]
        assert (lines[1]["lines"], lines[1]["level"]) == (1, "WARNING")
        structlog.get_logger("x").info("later")
        assert "later" in Path(f"/proc/self/fd/{output.fileno()}").read_text()
    finally:
        handlers.clear()
        structlog.reset_defaults()
        output.close()


def test_a_reader_that_left_is_no_error() -> None:
    reader, writer = os.pipe()
    queue = LogQueue(writer)
    os.close(reader)
    queue.write("nobody reads this\n")
    assert queue.close()
    os.close(writer)


def test_a_gateway_whose_output_nobody_reads_answers_on(tmp_path: Path) -> None:
    port, log = find_free_port(), tmp_path / "unused.log"
    log.touch()
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", str(port)],
        cwd=tmp_path,
        env=inherited_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_until_ready(GatewayProcess(f"http://127.0.0.1:{port}", process, tmp_path, log))
        for _ in range(400):  # more than twice what a pipe takes
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/nothing/{'long/' * 55}", timeout=10)
            assert refused.value.code == 404
            refused.value.close()
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
