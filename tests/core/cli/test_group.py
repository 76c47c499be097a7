from __future__ import annotations

import io
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from orchestrator_core.cli import group
from orchestrator_core.cli.group import COMMANDS, HELP, cli
from orchestrator_core.config import ConfigError
from orchestrator_core.provider_api import NotFound

COMMAND = Path(sys.executable).with_name("orchestrator")


def test_every_command_can_be_imported_and_says_what_the_list_says() -> None:
    context = click.Context(cli)
    assert list(HELP) == list(COMMANDS) == sorted(COMMANDS)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str(200) == HELP[name]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_help_of_a_command_has_an_example(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    while isinstance(command, click.Group):
        command = next(iter(command.commands.values()))
    assert command is not None
    assert "Examples:" in (command.help or "")


def test_help_is_quick() -> None:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([COMMAND, "--help"], check=True, capture_output=True, timeout=10)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.3


def test_the_version_is_the_distributions() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"orchestrator, version {version('orchestrator-core')}\n"


def test_an_unknown_command_is_wrong_usage() -> None:
    result = CliRunner().invoke(cli, ["server"])
    assert result.exit_code == 2
    assert "No such command. Did you mean serve?" in result.output


@pytest.mark.parametrize(("typed", "meant"), [("serv", "serve"), ("provider", "providers"), ("kyes", "keys")])
def test_the_nearest_command_is_named(typed: str, meant: str) -> None:
    result = CliRunner().invoke(cli, [typed])
    assert result.exit_code == 2
    assert f"No such command. Did you mean {meant}?" in result.output


@pytest.mark.parametrize("typed", ["", *sorted(COMMANDS), "keys check"])
def test_what_is_typed_in_the_wrong_place_is_not_repeated(typed: str) -> None:
    result = CliRunner().invoke(cli, [*typed.split(), "sk-canary-one", "sk-canary-two"])
    assert result.exit_code == 2
    assert "canary" not in result.output
    assert any(said in result.output for said in (" too many", "No such command.", "expected one of"))


@click.command()
@click.argument("kind")
def failing(kind: str) -> None:
    """Fail in a chosen way."""
    errors: dict[str, Exception] = {
        "configuration": ConfigError(["SERVER_PORT: expected a number.", "FOO: there is no such setting."]),
        "gateway": NotFound("There is no session sess_1."),
        "system": PermissionError(13, "Permission denied", "orchestrator.db"),
        "unknown": RuntimeError("secret details"),
    }
    raise errors[kind]


@pytest.fixture
def failing_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "failing", f"{__name__}:failing")
    monkeypatch.setitem(HELP, "failing", "Fail in a chosen way.")
    monkeypatch.setattr(group.LazyGroup, "get_command", lambda self, ctx, name: failing)


@pytest.mark.usefixtures("failing_command")
@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("configuration", 78, ["SERVER_PORT: expected a number.", "FOO: there is no such setting."]),
        ("gateway", 1, ["not_found", "There is no session sess_1."]),
        ("system", 1, ["Permission denied", "orchestrator.db"]),
        ("unknown", 1, ["RuntimeError", "--debug"]),
    ],
)
def test_an_error_is_a_message_and_an_exit_code(kind: str, code: int, said: list[str]) -> None:
    result = CliRunner().invoke(cli, ["failing", kind])
    assert result.exit_code == code
    assert all(text in result.output for text in said)
    assert "Traceback" not in result.output
    assert "secret details" not in result.output


@pytest.mark.usefixtures("failing_command")
def test_debug_shows_the_error_itself() -> None:
    result = CliRunner().invoke(cli, ["--debug", "failing", "unknown"])
    assert isinstance(result.exception, RuntimeError)


def test_a_sign_that_the_terminal_does_not_have_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    cli.main(["--version"], standalone_mode=False)
    sys.stdout.write("\u25cf healthy\n")  # as rich does
    sys.stdout.flush()
    assert raw.getvalue().endswith(b"? healthy\n")
