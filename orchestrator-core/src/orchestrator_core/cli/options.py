"""What several commands take, and how they read the configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from orchestrator_core.config import Config

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

config_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The configuration file.  [default: orchestrator.toml in the working directory, where there is one]",
)

json_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for programs."
)


def read_config(config_file: Path | None, overrides: Mapping[str, str | None] | None = None) -> Config:
    """Read the configuration; options of the command line count as the environment.

    Args:
        config_file: The file; None is the default one.
        overrides: Environment names and what the command line sets them to; None leaves them as they are.

    Raises:
        ConfigError: Something in it cannot be used.
    """
    from orchestrator_core.config import load  # `--help` does without pydantic

    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    return load(environ={**os.environ, **given}, config_file=config_file)


def span(text: str) -> timedelta | None:
    """Return a span of time, such as 30d; None where a text is none."""
    if text[:-1].isdecimal() and text[-1:] in _UNITS and len(text) < 8:
        return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
    return None
