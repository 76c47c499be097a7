"""Lines of the log on their way to whoever reads them, written by a thread.

A pipe takes 64 KiB and then blocks its writer: without the thread, a reader who hangs would stop the event loop, and
with it every answer.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque

import structlog

MAX_BYTES = 8 * 1024 * 1024
"""Bytes that wait to be written. Further lines are dropped and counted."""

GATHER = 0.02
"""Seconds for which lines are gathered before they are written: to wake a thread for each costs more than the line."""

CLOSE_TIMEOUT = 2.0
"""Seconds that the end of a process waits for its last lines to be taken."""

_logger = structlog.get_logger(__name__)


class LogQueue:
    """A stream that writes to a file descriptor without waiting.

    Attributes:
        dropped: Lines that were dropped since nobody took those before them.
    """

    def __init__(self, descriptor: int, limit: int = MAX_BYTES) -> None:
        """Begin to write.

        Args:
            descriptor: Where lines go.
            limit: Bytes that may wait.
        """
        self.dropped = 0
        self._descriptor = descriptor
        self._limit = limit
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._closing = False
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """Take a line to be written soon, or drop it where too much waits already."""
        data = text.encode(errors="backslashreplace")
        with self._lock:
            if self._size + len(data) > self._limit:
                self.dropped += 1
                return 0
            self._size += len(data)
            self._waiting.append(data)
            if len(self._waiting) == 1:
                self._changed.notify()
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread writes soon."""

    def close(self) -> bool:
        """Write what waits, within `CLOSE_TIMEOUT`; return whether all of it was taken."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT)
        return not self._thread.is_alive()

    def _run(self) -> None:
        told = 0
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return
                if not self._closing:
                    self._changed.wait(GATHER)
                data = b"".join(self._waiting)
                self._waiting.clear()
            with contextlib.suppress(OSError):  # whoever read the lines has left; there is nowhere to say so
                _write_all(self._descriptor, data)
            with self._changed:
                self._size -= len(data)
                missing, told = self.dropped - told, self.dropped
            if missing:
                _logger.warning("Log lines dropped: nobody took those before them", lines=missing)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
