"""`sessions`, `usage` and `db`, as processes of their own, beside a gateway that serves and without one."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from orchestrator_core.cli import progress, usage_report
from orchestrator_core.cli.stored import stored
from orchestrator_core.config import load
from orchestrator_core.provider_api import StorageError
from orchestrator_core.sessions.bills import CallKind, CallTotal
from orchestrator_core.sessions.schema import HEAD
from processes import GatewayProcess, RunCommand, StartGateway


def post(gateway: GatewayProcess, path: str, body: Any) -> Any:
    request = urllib.request.Request(
        gateway.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


async def test_what_takes_long_says_that_it_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "REPORT_EVERY", 0.01)
    done = asyncio.Event()

    async def work() -> None:
        await done.wait()
        raise StorageError("no space")

    reported = asyncio.create_task(progress.reported(work(), "Upgrading"))
    while "Still at work" not in capsys.readouterr().err:
        await asyncio.sleep(0.01)
    done.set()
    with pytest.raises(StorageError, match="no space"):
        await reported


def test_the_life_of_sessions_in_the_terminal(
    orchestrator: RunCommand, gateway_process: StartGateway, tmp_path: Path
) -> None:
    gateway = gateway_process()
    ask = {"message": "hello", "user_id": "ada", "metadata": {"topic": "looms"}, "agent_config": {"provider": "echo"}}
    session = post(gateway, "/api/orchestrate", ask)["session_id"]
    post(gateway, "/api/sessions", {"user_id": "bob"})

    listed = json.loads(orchestrator("sessions", "list", "--user", "ada", "-m", "topic=looms", "--json").stdout)
    assert [row["session_id"] for row in listed] == [session]
    (turn,) = json.loads(orchestrator("sessions", "show", session, "--json").stdout)
    assert (turn["state"], turn["provider"], turn["messages"][0]["text"]) == ("complete", "echo", "hello")
    (tmp_path / "out.jsonl.part").touch(0o644)  # of an export that was killed
    exported = orchestrator("sessions", "export", session, "-o", "out.jsonl")
    assert exported.returncode == 0
    assert (tmp_path / "out.jsonl").stat().st_mode & 0o777 == 0o600
    (used,) = json.loads(orchestrator("usage", "--by", "provider", "--user", "ada", "--json").stdout)
    assert (used["provider"], used["calls"]) == ("echo", 1)
    current = orchestrator("db", "current")
    as_json = json.loads(orchestrator("db", "current", "--json").stdout)
    assert as_json == {"schema": HEAD, "needed": HEAD, "newest": True}
    assert (current.returncode, HEAD in current.stdout) == (0, True)
    for refused in (("sessions", "import", "out.jsonl"), ("sessions", "purge", "--user", "ada", "--yes")):
        done = orchestrator(*refused)
        assert done.returncode == 1
        assert "Another process serves" in done.stderr

    gateway.process.terminate()
    gateway.process.wait(20)

    made = orchestrator("sessions", "import", "out.jsonl")
    assert made.returncode == 0, made.stderr
    assert len(json.loads(orchestrator("sessions", "list", "--user", "ada", "--json").stdout)) == 2
    assert orchestrator("sessions", "purge", "--user", "ada", said="n\n").returncode == 1
    assert "Deleted 2 sessions." in orchestrator("sessions", "purge", "--user", "ada", "--yes").stderr
    assert "No session matches" in orchestrator("sessions", "purge", "--older-than", "1d", "--yes").stderr
    assert len(json.loads(orchestrator("sessions", "list", "--json").stdout)) == 1
    assert orchestrator("sessions", "show", session).returncode == 1
    assert "hello" not in (tmp_path / "orchestrator.db").read_bytes().decode("latin-1")


def test_a_database_is_made_and_upgraded(orchestrator: RunCommand) -> None:
    assert orchestrator("db", "current").returncode == 1
    assert "no database yet" in orchestrator("sessions", "list").stderr
    assert f"has {HEAD}" in orchestrator("db", "upgrade").stdout
    assert "nothing to do" in orchestrator("db", "upgrade").stdout
    assert orchestrator("sessions", "list", "--json").stdout == "[]\n"


def test_what_cannot_be_asked(orchestrator: RunCommand) -> None:
    assert orchestrator("sessions", "purge", "--yes").returncode == 2
    assert orchestrator("sessions", "purge", "--older-than", "soon").returncode == 2
    assert orchestrator("usage", "--by", "colour").returncode == 2
    assert orchestrator("usage", "--since", "2026-02-02", "--until", "2026-02-01").returncode == 2
    plain = orchestrator("sessions", "list", "-m", "topic")
    assert (plain.returncode, "NAME=VALUE" in plain.stderr) == (2, True)
    assert orchestrator("sessions", "list", ORCHESTRATOR_DATABASE_URL="memory:").returncode == 78


async def test_rows_that_are_not_shown_are_spoken_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_report, "LIMIT", 1)
    config = load(environ={}, directory=tmp_path)
    monkeypatch.setattr(usage_report, "read_config", lambda _: config)
    kinds = [CallKind("default", 1, "", "", "one", model, "chat") for model in ("a", "b")]
    async with stored(config, "serve") as store:
        await store.add_usage({kind: CallTotal() for kind in kinds})
    rows, more = await usage_report._rows(None, ("model",), {})
    assert (len(rows), more) == (1, True)
