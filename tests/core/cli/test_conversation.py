"""`orchestrator chat`, with piped input, over the offline provider."""

from __future__ import annotations

import re

from processes import RunCommand


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
    assert "/history" in orchestrator("chat", said="/help\n").stderr


def test_nothing_said_is_no_history(orchestrator: RunCommand) -> None:
    done = orchestrator("chat", said="/history\n")
    assert done.stdout == ""
    assert "Nothing has been said" in done.stderr


def test_instructions_hold_for_every_turn(orchestrator: RunCommand) -> None:
    done = orchestrator("chat", "--provider", "echo", "--system", "Be brief.", said="Hello\n")
    assert done.returncode == 0, done.stderr
