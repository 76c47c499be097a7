"""Bring a database to the newest schema: `python -m orchestrator_core.sessions.migrate sqlite:////path/to/file`.

It is a process of its own so that serving imports neither SQLAlchemy nor Alembic.
"""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config


def configuration(url: str) -> Config:
    """Return Alembic's configuration for a database.

    Args:
        url: The database, as SQLAlchemy names it.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["url"] = url
    return config


def main() -> None:
    """Migrate the database that the first argument names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m orchestrator_core.sessions.migrate URL")
    command.upgrade(configuration(sys.argv[1]), "head")


if __name__ == "__main__":
    main()
