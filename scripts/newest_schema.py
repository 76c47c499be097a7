"""Writes the newest schema of SQLite as the migrations make it, for files that are new.

Usage: python scripts/newest_schema.py
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from alembic import command

from orchestrator_core.sessions.migrate import configuration
from orchestrator_core.sessions.schema import NEWEST


def dumped() -> str:
    """Return the statements that make what all migrations together make."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "newest.db"
        command.upgrade(configuration(f"sqlite:///{path}"), "head")
        with closing(sqlite3.connect(path)) as connection:
            lines = "\n".join(connection.iterdump()).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines if line.strip())


if __name__ == "__main__":
    NEWEST.write_text(f"-- Written by scripts/newest_schema.py after every new migration.\n{dumped()}")
