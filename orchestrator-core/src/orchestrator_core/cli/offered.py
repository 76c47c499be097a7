"""What a shell is offered to complete: names and ids that exist here. Where they cannot be read, nothing is offered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from orchestrator_core.config import Config

OFFERED = 50
"""Sessions, newest first."""

WITHIN = 2.0
"""Seconds that a database may take; whoever presses Tab waits."""

_Found: TypeAlias = list[tuple[str, str]]
"""What may be inserted, and what is told of it."""


def provider_names(_context: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the installed providers by the names of their entry points: none of their code is run."""
    from importlib.metadata import entry_points

    from orchestrator_core.provider_api import ENTRY_POINT_GROUP

    names = {each.name for each in entry_points(group=ENTRY_POINT_GROUP)}
    return _matching(((name, "") for name in sorted(names)), incomplete)


def session_ids(context: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the newest sessions."""
    from orchestrator_core.cli.session_work import session_rows

    async def read(config: Config) -> _Found:
        rows = await session_rows(config, context.params.get("tenant") or "default", None, None, {}, OFFERED)
        return [(row["session_id"], f"{row['message_count']} messages, {row['created_at'][:16]}") for row in rows]

    return _matching(_read(context, read), incomplete)


def client_names(context: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the clients whose keys are not revoked."""
    from orchestrator_core.cli.client_work import rows

    async def read(config: Config) -> _Found:
        found = await rows(config, revoked=False)
        # The script of bash does not quote what it inserts.
        return [(row["id"], row["name"]) if " " in row["name"] else (row["name"], row["id"]) for row in found]

    return _matching(_read(context, read), incomplete)


def _read(context: click.Context, read: Callable[[Config], Coroutine[Any, Any, _Found]]) -> _Found:
    from orchestrator_core.cli.options import read_config
    from orchestrator_core.config import ConfigError
    from orchestrator_core.provider_api import GatewayError

    async def within() -> _Found:
        work = read(read_config(context.params.get("config_file")))
        async with asyncio.timeout(WITHIN):
            return await work

    try:
        return asyncio.run(within())
    except (ConfigError, GatewayError, OSError):  # TimeoutError is an OSError
        return []


def _matching(found: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name, help=told or None) for name, told in found if name.startswith(incomplete)]
