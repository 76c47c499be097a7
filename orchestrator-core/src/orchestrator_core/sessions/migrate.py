"""Bring the database that `ORCHESTRATOR_MIGRATE_URL` names to the newest schema.

It is a process of its own so that serving imports neither SQLAlchemy nor Alembic.
"""

from __future__ import annotations

import os
from pathlib import Path

from alembic import command
from alembic.config import Config

from orchestrator_core.sessions.schema import URL_VARIABLE


def configuration(url: str) -> Config:
    """Return Alembic's configuration for a database.

    Args:
        url: The database: `sqlite:///...` or `postgresql://...`.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["url"] = url
    return config


def main() -> None:
    """Migrate."""
    command.upgrade(configuration(os.environ[URL_VARIABLE]), "head")


if __name__ == "__main__":
    main()
