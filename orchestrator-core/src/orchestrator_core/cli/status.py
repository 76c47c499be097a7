"""`orchestrator status`."""

from __future__ import annotations

import asyncio
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator_core.cli.options import config_option, json_option, read_config
from orchestrator_core.cli.output import show_json, terminal
from orchestrator_core.cli.usage import Command

if TYPE_CHECKING:
    from orchestrator_core.config import Config

EXIT_OF = {"healthy": 0, "degraded": 3}
"""Whatever else a gateway says of itself ends with 1, as no answer does."""


def _url(context: click.Context, param: click.Parameter, value: str | None) -> str | None:
    from orchestrator_core.cli.asking import check_url  # `--help` does without the client

    return value if value is None else check_url(context, param, value)


def _finite(_context: click.Context, _param: click.Parameter, value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter("it must be a number of seconds")
    return value


@click.command(cls=Command)
@click.option("--url", callback=_url, help="Where the gateway runs.  [default: SERVER_HOST and SERVER_PORT, here]")
@click.option("--once", is_flag=True, help="Look once; the default where standard output is no terminal.")
@click.option(
    "--interval",
    type=click.FloatRange(0.5, 3600),
    callback=_finite,
    default=2.0,
    show_default=True,
    help="Seconds between two looks.",
)
@json_option
@config_option
def status(url: str | None, once: bool, interval: float, as_json: bool, config_file: Path | None) -> None:
    """Show how a running gateway is.

    On a terminal it goes on looking until Ctrl+C: at providers, traffic, cost, sessions, and limits that were hit.
    ORCHESTRATOR_CLIENT_KEY (or ORCHESTRATOR_CLIENT_KEY_FILE) is the credential that it sends; all but the providers is
    for admins. Figures are of the machine that answers, with all its processes; rates are those of the last five
    minutes.

    \b
    Examples:
      orchestrator status
      orchestrator status --url https://gateway.example.com
      orchestrator status --json | jq -r '.providers[] | select(.state != "healthy") | .name'

    Exit codes: 0 healthy, 1 unhealthy or no answer, 2 wrong usage, 3 degraded, 78 wrong configuration. Ctrl+C ends a
    view with the code of its last look.
    """
    config = read_config(config_file)
    view = not (once or as_json) and sys.stdout.isatty()
    found = _view(config, url, interval) if view else asyncio.run(_look(config, url, as_json=as_json))
    if code := EXIT_OF.get(found, 1):
        raise click.exceptions.Exit(code)


async def _look(config: Config, url: str | None, *, as_json: bool) -> str:
    from orchestrator_core.cli.asking import running_gateway, url_of
    from orchestrator_core.cli.gateway_status import report
    from orchestrator_core.cli.looks import Watcher

    async with running_gateway(url or url_of(config.settings), config.settings.client_key) as gateway:
        found = report(gateway.url, await Watcher(gateway).look())
    if as_json:
        show_json(found)
    else:
        from orchestrator_core.cli.status_view import draw

        terminal().print(draw(found))
    return str(found["status"])


def _view(config: Config, url: str | None, interval: float) -> str:
    from orchestrator_core.cli.status_live import LiveStatus

    live = LiveStatus(interval)
    try:
        asyncio.run(live.run(config.settings, url))
    except KeyboardInterrupt:
        if not live.leave():
            raise
    return live.status
