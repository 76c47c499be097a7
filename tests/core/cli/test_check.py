"""`orchestrator check`, and the same configurations as real starts."""

from __future__ import annotations

import json
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import RunCommand, StartGateway, run_command
from start_configurations import MINIMUM, SAFE, UNSAFE, Configuration

STARTED = [configuration for configuration in UNSAFE if not configuration.runtime][::9]
"""A sample: a start takes a second. The checks themselves are tested with all of them."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that others can enter; those of pytest cannot be."""
    made = Path(tempfile.mkdtemp(prefix="orchestrator-check-"))
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("configuration", STARTED, ids=lambda configuration: configuration.name)
def test_a_start_and_a_check_say_the_same(configuration: Configuration, folder: Path) -> None:
    configuration.write_files(folder)
    served = run_command(folder, "serve", "--port", "0", **configuration.variables)
    assert served.returncode == 78
    reasons = [line for line in served.stderr.splitlines() if line.startswith("  - ")]
    assert len(reasons) == len(configuration.reasons)
    for value in configuration.values:
        assert value not in served.stdout.replace("https://app.example.com", "") + served.stderr
    checked = run_command(folder, "check", **configuration.variables)
    assert checked.returncode == 78
    said = checked.stdout.partition("Reasons not to start:\n")[2].splitlines()
    assert said[: len(reasons)] == reasons


def test_what_would_start_is_said_and_nothing_is_started(folder: Path) -> None:
    checked = run_command(folder, "check", **SAFE[0].variables)
    assert checked.returncode == 0
    assert checked.stdout.splitlines()[-1] == "The gateway would start in production."
    assert "CORS: https://app.example.com" in checked.stdout
    assert not list(folder.iterdir())


def test_production_can_be_asked_for_from_elsewhere(orchestrator: RunCommand) -> None:
    assert orchestrator("check").returncode == 0
    checked = orchestrator("check", "--environment", "production")
    assert checked.returncode == 78
    assert "ORCHESTRATOR_CLIENT_KEY" in checked.stdout


AWAY = {
    **{name: value for name, value in MINIMUM.items() if name != "ORCHESTRATOR_CLIENT_KEY"},
    "ORCHESTRATOR_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/canary",
}


@pytest.mark.parametrize("options", ["", "?sslmode=verify-full&sslrootcert=/nowhere"])
def test_a_store_that_cannot_be_asked_for_keys_is_no_key(orchestrator: RunCommand, options: str) -> None:
    environ = {**AWAY, "ORCHESTRATOR_DATABASE_URL": AWAY["ORCHESTRATOR_DATABASE_URL"] + options}
    checked = orchestrator("check", **environ)
    assert checked.returncode == 78
    assert "The gateway would not start in production." in checked.stdout
    assert "  - ORCHESTRATOR_DATABASE_URL: the database could not be asked for client keys" in checked.stdout
    assert "canary" not in checked.stdout
    found = json.loads(orchestrator("check", "--json", **environ).stdout)
    assert (found["starts"], len(found["problems"])) == (False, 1)
    assert orchestrator("check", **environ, ORCHESTRATOR_CLIENT_KEY=MINIMUM["ORCHESTRATOR_CLIENT_KEY"]).returncode == 0
    staging = orchestrator("check", **{**environ, "ENVIRONMENT": "staging"})
    assert staging.returncode == 0
    assert "could not be asked for client keys" in staging.stdout.partition("Warnings:")[2]


def test_a_start_says_it_with_its_other_reasons_and_else_why_the_store_is_away(orchestrator: RunCommand) -> None:
    refused = orchestrator("serve", "--port", "0", **{**AWAY, "LOG_LEVEL": "DEBUG"})
    assert refused.returncode == 78
    assert [line[4:].partition(":")[0] for line in refused.stderr.splitlines() if line.startswith("  - ")] == [
        "LOG_LEVEL",
        "ORCHESTRATOR_DATABASE_URL",
    ]
    away = orchestrator("serve", "--port", "0", **AWAY)
    assert away.returncode == 1, "it may be back in a moment, so that trying again is right"
    assert "PostgreSQL cannot be used" in away.stderr


def test_a_database_that_cannot_be_made_is_said_before_a_start_ends_of_it(orchestrator: RunCommand) -> None:
    environ = {**MINIMUM, "ORCHESTRATOR_DATABASE_URL": "sqlite:////nowhere/canary/orchestrator.db"}
    checked = orchestrator("check", **environ)
    assert checked.returncode == 78
    assert "  - ORCHESTRATOR_DATABASE_URL: its file cannot be made or written" in checked.stdout
    assert "canary" not in checked.stdout
    started = orchestrator("serve", "--port", "0", **environ)
    assert started.returncode == 1, "its disk may be there in a moment, so that trying again is right"
    assert "The database's directory cannot be written" in started.stderr


def test_json_for_programs(orchestrator: RunCommand) -> None:
    good = orchestrator("check", "--json", **MINIMUM)
    found = json.loads(good.stdout)
    assert good.returncode == 0
    assert (found["environment"], found["starts"], found["problems"]) == ("production", True, [])
    assert found["report"][0].startswith("openai: sk-****")
    wrong = {
        **MINIMUM,
        "SERVER_PORT": "many",
        "LOG_LEVEL": "DEBUG",
        "ORCHESTRATOR_ALLOWED_PLUGINS": "orchestrator-echo",
    }
    bad = orchestrator("check", "--json", **wrong)
    found = json.loads(bad.stdout)
    assert bad.returncode == 78
    assert found["starts"] is False
    assert {"SERVER_PORT", "LOG_LEVEL", "ORCHESTRATOR_ALLOWED_PLUGINS"} <= {
        problem.partition(":")[0] for problem in found["problems"]
    }


def test_the_minimum_serves_and_its_documentation_and_metrics_ask(gateway_process: StartGateway) -> None:
    gateway = gateway_process(environ=MINIMUM)

    def status(path: str, credential: str | None = None) -> int:
        request = urllib.request.Request(gateway.url + path)
        if credential:
            request.add_header("Authorization", f"Bearer {credential}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            refused.close()
            return refused.code

    assert status("/api/health") == 200
    for path in ("/metrics", "/api/metrics", "/docs", "/redoc", "/openapi.json"):
        assert status(path) == 401, path
        assert status(path, MINIMUM["ORCHESTRATOR_CLIENT_KEY"]) == 200, path
    assert gateway.stop() == 0
    for secret in (MINIMUM["OPENAI_API_KEY"], MINIMUM["ORCHESTRATOR_CLIENT_KEY"]):
        assert secret not in gateway.output()
