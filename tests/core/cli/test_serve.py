from __future__ import annotations

import socket

from click.testing import CliRunner

from orchestrator_core.cli.group import cli
from processes import RunCommand, StartGateway


def test_more_than_one_worker_is_refused_with_the_reason() -> None:
    result = CliRunner().invoke(cli, ["serve", "--workers", "2"])
    assert result.exit_code == 2
    assert "SQLite" in result.output


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
