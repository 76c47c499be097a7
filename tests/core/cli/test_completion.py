"""`orchestrator completion`, in real shells on a terminal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestrator_core.cli.completion import SHELLS, VARIABLE
from processes import COMMAND, RunCommand
from terminal import Terminal

ARGUMENTS = {
    "bash": ("--norc", "--noprofile", "-i"),
    "zsh": ("-f", "-i"),
    "fish": ("--no-config", "-i"),
}
SET_UP = {
    "bash": 'PS1="ready"; eval "$(orchestrator completion bash)"',
    "zsh": 'autoload -Uz compinit; compinit -u; PS1="ready"; eval "$(orchestrator completion zsh)"',
    "fish": 'function fish_prompt; printf "ready"; end; orchestrator completion fish | source',
}


def offered(orchestrator: RunCommand, *words: str) -> list[str]:
    """Ask as the script of bash does; the last word is incomplete."""
    asked = {VARIABLE: "bash_complete", "COMP_WORDS": " ".join(["orchestrator", *words]), "COMP_CWORD": str(len(words))}
    return [line.partition(",")[2] for line in orchestrator(**asked).stdout.split()]


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_in_a_real_shell(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    path = f"{COMMAND.parent}:/usr/bin:/bin"
    terminal = Terminal(tmp_path, Path(program), *ARGUMENTS[shell], PATH=path, HOME=str(tmp_path))
    terminal.type(f"{SET_UP[shell]}\n")
    terminal.wait_for("ready", times=2)  # once as it was typed
    terminal.type("orchestrator compl\t")
    terminal.wait_for("orchestrator completion")
    terminal.type("ba\t; echo $((6 * 7))\n" if shell != "fish" else "ba\t; math 6 x 7\n")
    terminal.wait_for("complete -o nosort -F _orchestrator_completion orchestrator")
    terminal.wait_for("42")
    terminal.type("exit\n")
    assert terminal.end() == 0


def test_commands_and_options_are_offered(orchestrator: RunCommand) -> None:
    assert offered(orchestrator, "c") == ["chat", "check", "clients", "completion"]
    assert offered(orchestrator, "sessions", "p") == ["purge"]
    assert "--debug" in offered(orchestrator, "--")
    assert "--interval" in offered(orchestrator, "status", "--i")
    assert offered(orchestrator, "completion", "") == list(SHELLS)


def test_providers_sessions_and_clients_are_offered_by_name(orchestrator: RunCommand) -> None:
    assert orchestrator("chat", "--provider", "echo", said="Hello\n").returncode == 0
    assert orchestrator("clients", "create", "app").returncode == 0
    spaced = json.loads(orchestrator("clients", "create", "billing service", "--json").stdout)["id"]
    assert offered(orchestrator, "chat", "--provider", "e") == ["echo"]
    (session,) = offered(orchestrator, "sessions", "show", "sess_")
    assert offered(orchestrator, "chat", "--session", session[:12]) == [session]
    assert offered(orchestrator, "sessions", "export", "--tenant", "other", "") == []
    assert sorted(offered(orchestrator, "clients", "revoke", "")) == sorted(["app", spaced])


@pytest.mark.parametrize("url", ["sqlite:///absent.db", "memory:", "postgresql://127.0.0.1:9/none", "nonsense"])
def test_a_database_that_cannot_be_read_offers_nothing(url: str, orchestrator: RunCommand, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"ORCHESTRATOR_DATABASE_URL={url}\n")
    assert offered(orchestrator, "sessions", "show", "") == []
    assert offered(orchestrator, "clients", "show", "") == []
