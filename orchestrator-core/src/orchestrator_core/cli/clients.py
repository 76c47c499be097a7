"""`orchestrator clients`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import click

from orchestrator_core.cli.offered import client_names
from orchestrator_core.cli.options import config_option, json_option, read_config, span
from orchestrator_core.cli.output import show as show_rows
from orchestrator_core.cli.output import show_json
from orchestrator_core.cli.usage import Group

COLUMNS = {
    "id": "Id",
    "name": "Name",
    "role": "Role",
    "tenant": "Tenant",
    "status": "Status",
    "providers": "Providers",
    "models": "Models",
    "requests_per_minute": "A minute",
    "budget": "Budget",
    "expires_at": "Expires, UTC",
}
NONE = "none"
"""What takes a limit away."""


def _names(_context: click.Context, param: click.Parameter, value: str | None) -> Any:
    """Read names separated by commas."""
    from orchestrator_core.config.grants import check_model, check_provider

    if value is None or value == NONE:
        return value
    names = [name.strip() for name in value.split(",") if name.strip()]
    try:
        if not names:
            raise ValueError("expected names separated by commas")
        return [(check_model if param.name == "models" else check_provider)(name) for name in names]
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


class _Number(click.ParamType[Any]):
    """A number above 0, or `none`."""

    def __init__(self, kind: type[int] | type[float], most: float) -> None:
        self.kind, self.most = kind, most
        self.name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == NONE:
            return NONE
        try:
            number = self.kind(value)
        except ValueError:
            number = self.kind(0)
        if not 0 < number <= self.most:
            self.fail(f"expected a number above 0, or {NONE}.", param, ctx)
        return number


def _expiry(_context: click.Context, _param: click.Parameter, value: str | None) -> datetime | str | None:
    """Read a day, a time, or a span from now."""
    if value is None or value == NONE:
        return value
    now = datetime.now(UTC)
    found = span(value)
    try:
        moment = now + found if found is not None else datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        raise click.BadParameter("expected a day such as 2027-01-31 (UTC), or a span such as 90d.") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if moment <= now:
        raise click.BadParameter("expected a time to come.")
    return moment


def _overlap(_context: click.Context, _param: click.Parameter, value: str | None) -> timedelta:
    from orchestrator_core.orchestration.clients import MAX_OVERLAP

    found = timedelta(0) if value is None else span(value)
    if found is None or found > MAX_OVERLAP:
        raise click.BadParameter(f"expected a span up to {MAX_OVERLAP.days}d, such as 1h.")
    return found


_OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option("--role", type=click.Choice(["admin", "client"]), help="Admins manage clients and see all usage."),
    click.option("--providers", callback=_names, metavar="NAMES", help="The only providers, separated by commas."),
    click.option(
        "--models", callback=_names, metavar="PATTERNS", help="The only models: provider/model, * for anything."
    ),
    click.option("--requests-per-minute", type=_Number(int, 1_000_000), help="In place of the configured limit."),
    click.option("--session-requests-per-minute", type=_Number(int, 1_000_000), help="The same for each session."),
    click.option("--budget-usd", type=_Number(float, 1e9), help="US dollars in a period."),
    click.option("--budget-tokens", type=_Number(int, 2**53), help="Tokens in a period, input and output together."),
    click.option(
        "--budget-period", type=click.Choice(["day", "month", "total"]), help="Of the budget, UTC.  [default: month]"
    ),
    click.option("--expires", callback=_expiry, metavar="WHEN", help="A day, UTC, or a span such as 90d."),
)


def grant_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of what a client may do."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), command)


@click.group(cls=Group)
def clients() -> None:
    """Make, change and revoke the keys of clients.

    All of it works while a gateway serves, which takes it within seconds. A key is printed once, as it is made: only
    a hash of it is kept.
    """


@clients.command()
@click.argument("name")
@click.option("--tenant", help="Whose sessions and usage it shares.  [default: a tenant of its own]")
@grant_options
@click.option("--json", "as_json", is_flag=True, help="Print the client with its key as JSON.")
@config_option
def create(name: str, tenant: str | None, as_json: bool, config_file: Path | None, **given: Any) -> None:
    """Make a client named NAME, and print its key.

    \b
    Examples:
      orchestrator clients create "billing service"
      orchestrator clients create operator --role admin
      orchestrator clients create app --models 'openai/*,mistral/mistral-small*' --budget-usd 50 --expires 90d

    Exit codes: 0 done, 1 the name is taken, no client can be so, or the database cannot be used, 2 wrong usage, 78
    wrong configuration.
    """
    from orchestrator_core.cli.client_work import create as make

    _print_key(asyncio.run(make(read_config(config_file), name, tenant, given)), as_json=as_json)


@clients.command("list")
@click.option("--revoked", is_flag=True, help="Those too that are revoked.")
@json_option
@config_option
def list_(revoked: bool, as_json: bool, config_file: Path | None) -> None:
    """List clients, oldest first.

    \b
    Examples:
      orchestrator clients list
      orchestrator clients list --revoked --json

    Exit codes: 0 done, 1 the database cannot be read, 78 wrong configuration.
    """
    from orchestrator_core.cli.client_work import rows

    _show(asyncio.run(rows(read_config(config_file), revoked=revoked)), "Clients", as_json=as_json)


@clients.command()
@click.argument("client", shell_complete=client_names)
@json_option
@config_option
def show(client: str, as_json: bool, config_file: Path | None) -> None:
    """Show a CLIENT, by its id or name.

    \b
    Examples:
      orchestrator clients show "billing service"

    Exit codes: 0 done, 1 there is none, 78 wrong configuration.
    """
    from orchestrator_core.cli.client_work import row

    _show([asyncio.run(row(read_config(config_file), client))], "Client", as_json=as_json)


@clients.command()
@click.argument("client", shell_complete=client_names)
@click.option("--name", help="Another name.")
@grant_options
@json_option
@config_option
def update(client: str, name: str | None, as_json: bool, config_file: Path | None, **given: Any) -> None:
    """Change what a CLIENT may do, by its id or name.

    What is not named stays; `none` takes a limit away. The tenant never changes.

    \b
    Examples:
      orchestrator clients update app --requests-per-minute 60
      orchestrator clients update app --providers none --budget-usd none

    Exit codes: 0 done, 1 there is none, 2 wrong usage, 78 wrong configuration.
    """
    if name is None and all(value is None for value in given.values()):
        raise click.UsageError("Say what is to change.")
    from orchestrator_core.cli.client_work import update as change

    _show([asyncio.run(change(read_config(config_file), client, name, given))], "Client", as_json=as_json)


@clients.command()
@click.argument("client", shell_complete=client_names)
@click.option("--overlap", callback=_overlap, metavar="SPAN", help="Take the present key too for so long, such as 1h.")
@click.option("--json", "as_json", is_flag=True, help="Print the client with its key as JSON.")
@config_option
def rotate(client: str, overlap: timedelta, as_json: bool, config_file: Path | None) -> None:
    """Give a CLIENT, by its id or name, a new key, and print it.

    \b
    Examples:
      orchestrator clients rotate app --overlap 1h

    Exit codes: 0 done, 1 there is none or it is revoked, 2 wrong usage, 78 wrong configuration.
    """
    from orchestrator_core.cli.client_work import rotate as replace

    _print_key(asyncio.run(replace(read_config(config_file), client, overlap)), as_json=as_json)


@clients.command()
@click.argument("client", shell_complete=client_names)
@config_option
def revoke(client: str, config_file: Path | None) -> None:
    """Refuse the keys of a CLIENT, by its id or name, for good.

    Every process of the gateway does so within seconds. Its sessions and its usage stay.

    \b
    Examples:
      orchestrator clients revoke app

    Exit codes: 0 done, 1 there is none, 78 wrong configuration.
    """
    from orchestrator_core.cli.client_work import revoke as end

    revoked = asyncio.run(end(read_config(config_file), client))
    click.echo(f"Revoked {revoked['name']} ({revoked['id']}).", err=True)


def _show(found: list[Mapping[str, Any]], title: str, *, as_json: bool) -> None:
    show_rows(
        found,
        title=title,
        columns=COLUMNS,
        as_json=as_json,
        empty="There is no client yet. `orchestrator clients create NAME` makes one.",
        whole=("id",),
        spare=("expires_at", "models", "requests_per_minute", "tenant"),
    )


def _print_key(issued: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a key alone to standard output, for scripts, and what a person should know of it beside."""
    if as_json:
        show_json(issued)
        return
    click.echo(f"The key of {issued['name']} ({issued['id']}). It is not kept, and shown this once:", err=True)
    click.echo(issued["key"])
