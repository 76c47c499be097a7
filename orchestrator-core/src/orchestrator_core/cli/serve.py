"""`orchestrator serve`."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from orchestrator_core.cli.options import config_option, read_config
from orchestrator_core.cli.usage import Command


@contextmanager
def _imported_quickly() -> Iterator[None]:
    """Import without an eighth of the time, and without 4 MiB.

    Imports leave little garbage to look for. structlog would import rich for tracebacks that are never shown, and
    greenlet for loggers that nobody makes. frozenlist's compiled class, of which a request needs next to nothing, would
    load the library of C++, which nothing else does.
    """
    absent = [name for name in ("frozenlist._frozenlist", "greenlet", "rich") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None is how Python marks what is not there
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        for name in absent:
            del sys.modules[name]


@click.command(cls=Command)
@click.option("--host", help="The address to listen on.  [default: SERVER_HOST, else 127.0.0.1 in development]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port.  [default: SERVER_PORT, else 8000]")
@click.option("--providers", help="Serve these providers alone, separated by commas.")
@click.option("--workers", type=click.IntRange(1), help="Processes that serve; several need PostgreSQL.  [default: 1]")
@config_option
def serve(
    host: str | None, port: int | None, providers: str | None, workers: int | None, config_file: Path | None
) -> None:
    """Run the gateway.

    It runs until SIGTERM, SIGINT or Ctrl+C, and takes new keys at SIGHUP. Several workers need PostgreSQL and
    `pip install 'orchestrator-core[workers]'`; one that dies or hangs is replaced.

    \b
    Examples:
      orchestrator serve
      orchestrator serve --host 0.0.0.0 --port 8080
      orchestrator serve --providers openai --port 8006
      orchestrator serve --workers 4

    Exit codes: 0 stopped as told, 1 could not listen, 2 wrong usage, 78 wrong configuration.
    """
    with _imported_quickly():  # `serve --help` does without the server
        from orchestrator_core.server.signals import EARLY, hold_back

        hold_back(EARLY)
        from orchestrator_core.config import ConfigError
        from orchestrator_core.server.run import serve as run
        from orchestrator_core.server.starting import examine_rest

    overrides = {
        "SERVER_HOST": host,
        "SERVER_PORT": None if port is None else str(port),
        "ORCHESTRATOR_PROVIDERS": providers,
        "ORCHESTRATOR_WORKERS": None if workers is None else str(workers),
    }
    read = partial(read_config, config_file, overrides)
    try:
        config = read()
    except ConfigError as error:
        raise ConfigError(asyncio.run(examine_rest(error)).reasons) from None
    sys.exit(run(config, reload=read))
