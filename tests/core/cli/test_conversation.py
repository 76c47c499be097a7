"""`orchestrator chat`, with piped input, over the offline provider."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from processes import COMMAND, RunCommand, inherited_environment


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


class Terminal:
    """`orchestrator chat` on a terminal of its own."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.screen = ""
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            # Whoever runs the tests in the background has them inherit an interrupt that is ignored.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execve(COMMAND, ["orchestrator", "chat", *arguments], inherited_environment())  # noqa: S606 - pty.fork

    def wait_for(self, text: str, within: float = 15.0) -> None:
        end = time.monotonic() + within
        while text not in self.screen:
            assert time.monotonic() < end, self.screen
            if select.select([self._master], [], [], 0.1)[0]:
                self.screen += os.read(self._master, 4096).decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self, within: float = 5.0) -> int:
        """Return the exit code, of a process that ends by itself."""
        end = time.monotonic() + within
        try:
            while not (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
                assert time.monotonic() < end, self.screen
                if select.select([self._master], [], [], 0.05)[0]:
                    with suppress(OSError):  # Linux: the last process has closed the terminal
                        self.screen += os.read(self._master, 4096).decode(errors="replace")
        except BaseException:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise
        with suppress(OSError):
            while piece := os.read(self._master, 4096):
                self.screen += piece.decode(errors="replace")
        os.close(self._master)
        return os.waitstatus_to_exitcode(ended[1])


@pytest.mark.parametrize(("key", "code"), [("\x03", 130), ("\x04", 0)])
def test_ctrl_c_and_ctrl_d_end_it_at_the_prompt(tmp_path: Path, key: str, code: int) -> None:
    terminal = Terminal(tmp_path, "--provider", "echo")
    terminal.wait_for("> ")
    terminal.type("Grüße an Ada\n")
    terminal.wait_for("echo/")
    terminal.wait_for("\n> ")
    terminal.type(key)
    assert terminal.end() == code
    assert len(re.findall(r"Go on with: orchestrator chat --session sess_[0-9a-f]{32}", terminal.screen)) == 1
    assert terminal.screen.count("Grüße an Ada") == 2
    assert "Aborted" not in terminal.screen
    assert "Traceback" not in terminal.screen


def test_ctrl_c_before_anything_was_said_has_nothing_to_go_on_with(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "--provider", "echo")
    terminal.wait_for("> ")
    terminal.type("half a line\x03")
    assert terminal.end() == 130
    assert "Go on with" not in terminal.screen


def test_a_session_that_is_not_there_is_nothing_to_go_on_with(orchestrator: RunCommand) -> None:
    done = orchestrator("chat", "--provider", "echo", "--session", "sess_" + "0" * 32, said="Hello\n")
    assert done.returncode == 1
    assert "Go on with" not in done.stderr
