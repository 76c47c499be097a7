"""The unit for systemd, by systemd's own checks where it is installed."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator_core.config import load

FILE = Path(__file__).parents[2] / "deploy/systemd/orchestrator.service"
ANALYZE = shutil.which("systemd-analyze")
PROGRAM = "/opt/orchestrator/bin/orchestrator"


def service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(FILE)
    return unit["Service"]


def test_it_runs_the_command_without_a_shell_and_stops_it_as_it_wants_to_be() -> None:
    found = service()
    assert found["ExecStart"] == f"{PROGRAM} serve"
    assert found["KillMode"] == "mixed"
    assert found["RestartPreventExitStatus"] == "78"
    assert int(found["TimeoutStopSec"].removesuffix("s")) > load({}).settings.shutdown_grace + 10


@pytest.mark.skipif(ANALYZE is None, reason="systemd is not installed")
def test_systemd_takes_it(tmp_path: Path) -> None:
    unit = tmp_path / FILE.name
    unit.write_text(FILE.read_text().replace(PROGRAM, "/bin/true"))
    done = subprocess.run([str(ANALYZE), "verify", str(unit)], capture_output=True, text=True, check=False)
    assert str(unit.name) not in done.stderr + done.stdout, done.stderr
    assert done.returncode == 0


@pytest.mark.skipif(ANALYZE is None, reason="systemd is not installed")
def test_systemd_calls_it_little_exposed() -> None:
    command = [str(ANALYZE), "security", "--offline=true", "--threshold=20", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
