"""A program on a terminal of its own, with someone who types."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from contextlib import suppress
from pathlib import Path

import psutil

from processes import inherited_environment

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")


class Terminal:
    """A program that runs on a terminal, in a folder, with an environment of its own.

    Attributes:
        screen: All that it printed so far.
    """

    def __init__(self, directory: Path, program: Path, *arguments: str, columns: int = 100, **environ: str) -> None:
        self.screen = ""
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
            os.chdir(directory)
            # Whoever runs the tests in the background has them inherit an interrupt that is ignored.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            environment = {"TERM": "xterm-256color", "LANG": "C.UTF-8", **inherited_environment(), **environ}
            os.execve(program, [program.name, *arguments], environment)  # noqa: S606 - pty.fork

    @property
    def text(self) -> str:
        """What it printed, without colours and movements."""
        return _CONTROL.sub("", self.screen)

    def wait_for(self, text: str, times: int = 1, within: float = 20.0) -> None:
        """Wait until something is printed, so many times since the begin."""
        end = time.monotonic() + within
        while self.text.count(text) < times:
            assert time.monotonic() < end, self.text
            self._read(0.1)

    def wait_until_it_waits(self, within: float = 20.0) -> None:
        """Wait until its main thread waits for keys: it prints nothing, sleeps, and is not woken for a while."""
        process, end = psutil.Process(self.pid), time.monotonic() + within
        before = None
        while True:
            if self._read(0.05):
                before = None
                continue
            seen = process.status(), process.num_ctx_switches().voluntary
            if seen == before and seen[0] == psutil.STATUS_SLEEPING:
                return
            before = seen
            assert time.monotonic() < end, self.text

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._master, text.encode())

    def end(self, within: float = 10.0) -> int:
        """Return the exit code, of a process that ends by itself."""
        end = time.monotonic() + within
        try:
            while not (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
                assert time.monotonic() < end, self.text
                self._read(0.05)
        except BaseException:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise
        while self._read(0):
            pass
        os.close(self._master)
        return os.waitstatus_to_exitcode(ended[1])

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        with suppress(OSError):  # Linux: the last process has closed the terminal
            piece = os.read(self._master, 65536)
            self.screen += piece.decode(errors="replace")
            return bool(piece)
        return False
