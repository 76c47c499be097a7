"""What the Dockerfile says, and what is sent to a build."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dockerfile import read_stages

ROOT = Path(__file__).parents[2]
BUILD, FINAL = read_stages(ROOT / "deploy/Dockerfile")
CORE = tomllib.loads((ROOT / "orchestrator-core/pyproject.toml").read_text())["project"]


def test_the_health_check_is_the_specified_one() -> None:
    check = FINAL.one("HEALTHCHECK")
    assert check.options == {"interval": "30s", "timeout": "10s", "start-period": "5s", "retries": "3"}
    assert check.command[0] == "python"
    assert '"/api/health"' in (ROOT / "deploy/healthcheck.py").read_text()


def test_it_runs_as_user_1000_on_port_8000_without_a_shell() -> None:
    assert FINAL.one("USER").value == "1000:1000"
    assert FINAL.one("EXPOSE").value == FINAL.one("ENV").pairs["SERVER_PORT"] == "8000"
    assert FINAL.one("ENV").pairs["SERVER_HOST"] == "0.0.0.0"
    assert [*FINAL.one("ENTRYPOINT").command, *FINAL.one("CMD").command] == ["orchestrator", "serve"]
    assert FINAL.one("STOPSIGNAL").value == "SIGTERM"


def test_the_working_directory_is_the_one_volume() -> None:
    assert FINAL.one("VOLUME").command == [FINAL.one("WORKDIR").value]


def test_nothing_of_the_configuration_is_decided_by_the_image() -> None:
    # What the image sets wins over `.env`: it must be nothing that an operator chooses there.
    assert set(FINAL.one("ENV").pairs) == {"PATH", "PYTHONDONTWRITEBYTECODE", "SERVER_HOST", "SERVER_PORT"}


def test_both_stages_begin_with_one_slim_python_of_an_exact_version() -> None:
    assert BUILD.base == FINAL.base
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", BUILD.base)


def test_every_provider_is_in_it_unless_some_are_chosen() -> None:
    folders = sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml"))
    (chosen,) = [each.pairs["PROVIDERS"] for each in BUILD.all("ARG")]
    assert chosen.split() == folders


def test_everything_of_others_is_installed_by_its_hash() -> None:
    for step in BUILD.all("RUN"):
        for command in re.findall(r"pip (?:--python \S+ )?(?:install|wheel) .*?(?=&&|$)", step.value):
            assert "--require-hashes" in command or "--no-index" in command, command


def test_the_labels_name_the_version_of_core() -> None:
    (version,) = [each.pairs["VERSION"] for each in FINAL.all("ARG") if "VERSION" in each.pairs]
    labels = FINAL.one("LABEL").pairs
    assert version == CORE["version"]
    assert labels["org.opencontainers.image.description"] == CORE["description"]
    assert labels["org.opencontainers.image.licenses"] == CORE["license"]
    assert labels["org.opencontainers.image.version"] == "${VERSION}"


def test_a_build_gets_what_it_copies_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    copied = {
        source
        for stage in (BUILD, FINAL)
        for each in stage.all("COPY")
        if "from" not in each.options
        for source in each.arguments[:-1]
    }
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert {"**/.env", "**/__pycache__"} <= set(lines)
    assert all((ROOT / source).exists() for source in copied)


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml"])
def test_how_to_build_is_said_where_it_is_read(name: str) -> None:
    assert f"orchestrator:{CORE['version']}" in (ROOT / "deploy" / name).read_text()


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    if hadolint is None:
        pytest.skip("hadolint comes with the dependency group `deploy`")
    command = [hadolint, "--failure-threshold=style", str(ROOT / "deploy/Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
