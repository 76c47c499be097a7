from __future__ import annotations

import socket
from pathlib import Path

import pytest

from processes import RunCommand, StartGateway


@pytest.mark.parametrize("url", ["sqlite:///orchestrator.db", "memory:"])
def test_more_than_one_worker_is_refused_without_a_database_to_share(
    orchestrator: RunCommand, url: str, tmp_path: Path
) -> None:
    done = orchestrator("serve", "--workers", "2", ORCHESTRATOR_DATABASE_URL=url, SERVER_PORT="0")
    assert done.returncode == 78
    (reason,) = [line for line in done.stderr.splitlines() if "ORCHESTRATOR_WORKERS" in line]
    assert "postgresql://" in reason
    assert "--workers" in reason
    assert not list(tmp_path.glob("orchestrator.db*"))


def test_the_setting_counts_as_the_option_does(orchestrator: RunCommand) -> None:
    done = orchestrator("serve", ORCHESTRATOR_WORKERS="3")
    assert done.returncode == 78
    assert "ORCHESTRATOR_WORKERS: several workers" in done.stderr


def test_it_serves_until_it_is_told_to_stop(gateway_process: StartGateway) -> None:
    gateway = gateway_process(arguments=["--providers", "echo"])
    assert gateway.url in gateway.output()
    assert gateway.stop() == 0


def test_wrong_configuration_is_listed_and_ends_with_78(orchestrator: RunCommand) -> None:
    done = orchestrator("serve", SERVER_PORT="many", ORCHESTRATOR_FALBACKS="echo")
    assert done.returncode == 78
    assert "SERVER_PORT" in done.stderr
    assert "ORCHESTRATOR_FALLBACKS" in done.stderr, "the nearest name"
    assert "many" not in done.stderr


def test_an_address_in_use_is_said(orchestrator: RunCommand) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = orchestrator("serve", "--port", port)
    assert done.returncode == 1
    assert port in done.stdout + done.stderr
