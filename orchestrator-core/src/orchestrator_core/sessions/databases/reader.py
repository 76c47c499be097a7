"""The threads that read."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from orchestrator_core.sessions.databases.sqlite_connection import is_locked
from orchestrator_core.sessions.databases.worker import Job, Worker

LOOK_UP = 20_000
"""Steps of SQLite, some milliseconds, after which it looks whether anybody still waits for what it reads."""

PAUSE = 0.005
"""Seconds between two tries at a locked table."""


class Reader(Worker):
    """Does jobs one by one, on connections that cannot write."""

    def _work(self, connection: sqlite3.Connection, jobs: Sequence[Job[Any]]) -> None:
        for job in jobs:
            connection.set_progress_handler(partial(getattr, job, "abandoned"), LOOK_UP)
            while not job.done:
                try:
                    job.succeed(job.run(connection))
                except sqlite3.Error as error:
                    if not (is_locked(error) and time.monotonic() < job.expires):
                        job.fail(error)
                    else:
                        time.sleep(PAUSE)  # SQLITE_LOCKED comes back at once, without waiting as SQLITE_BUSY does
                except Exception as error:  # noqa: BLE001 - handed to the caller, who waits for it
                    job.fail(error)
