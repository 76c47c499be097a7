"""`orchestrator chat`, with piped input and on a terminal, over the offline provider."""

from __future__ import annotations

import json
import re
from pathlib import Path

from orchestrator_core.cli.conversation import COMMANDS
from processes import COMMAND, RunCommand
from terminal import Terminal


def test_each_line_is_a_turn_and_the_conversation_can_be_continued(orchestrator: RunCommand) -> None:
    first = orchestrator("chat", "--provider", "echo", said="My name is Ada.\nHello again.\n")
    assert first.returncode == 0, first.stderr
    assert len(first.stdout.splitlines()) == 2
    found = re.search(r"--session (sess_[0-9a-f]+)", first.stderr)
    assert found is not None
    second = orchestrator("chat", "--session", found[1], said="/history\n")
    shown = second.stdout.splitlines()
    assert [line.partition(":")[0] for line in shown] == ["user", "echo", "user", "echo"]
    assert shown[0] == "user: My name is Ada."


def test_it_ends_at_quit(orchestrator: RunCommand) -> None:
    done = orchestrator("chat", "--provider", "echo", said="Hello\n/quit\nNot said\n")
    assert len(done.stdout.splitlines()) == 1


def test_the_provider_and_the_model_can_be_changed(orchestrator: RunCommand) -> None:
    done = orchestrator("chat", said="/provider echo\n/model other\nHello\n")
    assert done.returncode == 0, done.stderr
    assert "echo/other" in done.stderr


def test_a_failed_turn_is_said_and_counts(orchestrator: RunCommand) -> None:
    done = orchestrator("chat", said="/provider nobody\n/provider echo\nHello\n")
    assert done.returncode == 1
    assert "not_found" in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_an_unknown_command_lists_the_known_ones(orchestrator: RunCommand) -> None:
    assert "There is no /hepl. There are: /provider /model" in orchestrator("chat", said="/hepl\n").stderr


def test_help_says_what_each_command_does(orchestrator: RunCommand) -> None:
    shown = orchestrator("chat", said="/help\n").stderr.splitlines()
    assert [line.split()[0] for line in shown] == list(COMMANDS)


def test_nothing_said_is_no_history(orchestrator: RunCommand) -> None:
    done = orchestrator("chat", said="/history\n")
    assert done.stdout == ""
    assert "Nothing has been said" in done.stderr


def test_instructions_hold_for_every_turn(orchestrator: RunCommand) -> None:
    done = orchestrator("chat", "--provider", "echo", "--system", "Be brief.", said="Hello\n")
    assert done.returncode == 0, done.stderr


def talking(directory: Path, *arguments: str, **environ: str) -> Terminal:
    terminal = Terminal(directory, COMMAND, "chat", *arguments, **environ)
    terminal.wait_for("> ")
    return terminal


def test_ctrl_d_ends_it_at_the_prompt(tmp_path: Path) -> None:
    terminal = talking(tmp_path, "--provider", "echo")
    terminal.type("Grüße an Ada\n")
    terminal.wait_for("echo/")
    terminal.wait_for("\n> ", times=2)
    terminal.type("\x04")
    assert terminal.end() == 0
    assert len(re.findall(r"Go on with: orchestrator chat --session sess_[0-9a-f]{32}", terminal.screen)) == 1
    assert terminal.screen.count("Grüße an Ada") == 2
    assert "Traceback" not in terminal.screen


def test_ctrl_c_discards_a_line_and_ends_it_the_second_time(tmp_path: Path) -> None:
    terminal = talking(tmp_path, "--provider", "echo")
    terminal.type("half a line")
    terminal.wait_for("half a line")
    terminal.wait_until_it_waits()  # a signal before that is heard by readline with the next key alone
    terminal.type("\x03")
    terminal.wait_for("Once more ends.")
    terminal.wait_for("\n> ", times=2)
    terminal.wait_until_it_waits()
    terminal.type("\x03")
    assert terminal.end() == 130
    assert "Go on with" not in terminal.screen
    assert "Aborted" not in terminal.screen
    assert "Traceback" not in terminal.screen


def test_ctrl_c_stops_an_answer_and_not_the_conversation(tmp_path: Path, orchestrator: RunCommand) -> None:
    terminal = talking(tmp_path, "--provider", "echo", ECHO_DELAY="0.2")
    terminal.type("one two three four five six seven eight nine ten " * 20 + "\n")
    terminal.wait_for("You said: one two")
    terminal.type("\x03")
    terminal.wait_for("Stopped. What had come is kept.")
    terminal.type("/cost\n")
    terminal.wait_for("1 message, answered by echo")
    terminal.type("/quit\n")
    assert terminal.end() == 0
    found = re.search(r"--session (sess_[0-9a-f]+)", terminal.screen)
    assert found is not None
    (turn,) = json.loads(orchestrator("sessions", "show", found[1], "--json").stdout)
    assert turn["state"] == "client_closed"
    assert turn["messages"][-1]["text"].startswith("You said: one")


def test_tab_completes_and_the_arrow_brings_back_what_was_said(tmp_path: Path, orchestrator: RunCommand) -> None:
    said = orchestrator("chat", "--provider", "echo", said="My name is Ada.\n")
    found = re.search(r"--session (sess_[0-9a-f]+)", said.stderr)
    assert found is not None
    terminal = talking(tmp_path, "--session", found[1])
    terminal.type("/pro\tec\t\n")
    terminal.wait_for("echo answers from now on.")
    terminal.wait_for("\n> ", times=2)
    terminal.type("\x1b[A\x1b[A\n")  # over the command, to what was said in the session
    terminal.wait_for("You said: My name is Ada.")
    terminal.type("/quit\n")
    assert terminal.end() == 0


def test_something_moves_until_the_first_word(tmp_path: Path) -> None:
    terminal = talking(tmp_path, "--provider", "echo")
    terminal.type("Hello\n")
    terminal.wait_for("You said: Hello")
    assert terminal.screen.index("Waiting for an answer") < terminal.screen.index("You said: Hello")
    terminal.wait_for("\n> ", times=2)
    terminal.type("\x04")
    assert terminal.end() == 0


def test_a_terminal_says_at_once_that_a_session_is_not_there(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, COMMAND, "chat", "--session", "sess_" + "0" * 32)
    assert terminal.end(within=15) == 1
    assert "not_found" in terminal.screen


def test_the_cost_is_said_and_another_conversation_can_begin(orchestrator: RunCommand) -> None:
    done = orchestrator("chat", "--provider", "echo", said="/cost\nHello\n/cost\n/new\n/cost\n")
    assert done.stderr.count("Nothing has been said yet.") == 2
    assert "1 message, answered by echo: 4 tokens, no price is known." in done.stderr
    assert "Go on with" not in done.stderr


def test_names_are_listed_where_none_is_given(orchestrator: RunCommand) -> None:
    done = orchestrator("chat", said="/model\n/provider echo\n/provider\n/model echo-1\n/model\n")
    assert "Models: echo/echo-1, echo/echo-embed" in done.stderr
    assert "Providers: echo (answers)" in done.stderr
    assert "Models: echo-1 (answers), echo-embed" in done.stderr


def test_a_session_that_is_not_there_is_nothing_to_go_on_with(orchestrator: RunCommand) -> None:
    done = orchestrator("chat", "--provider", "echo", "--session", "sess_" + "0" * 32, said="Hello\n")
    assert done.returncode == 1
    assert "Go on with" not in done.stderr


def test_what_was_said_does_not_speak_to_the_terminal(orchestrator: RunCommand) -> None:
    done = orchestrator("chat", "--provider", "echo", said="hi \x1b]0;title\x07\n/history\n")
    assert done.stdout.count(r"hi \x1b]0;title\x07") == 3
    assert not set(done.stdout + done.stderr) & {"\x1b", "\x07"}
