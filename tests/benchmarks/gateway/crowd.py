"""A gateway with much of everything, and one with one of each and few sessions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.gateway import subjects
from benchmarks.gateway.scenarios import FRONT
from benchmarks.gateway.subjects import Subject
from fake_packages import install_plugin
from filled import DAYS, Filling, fill_sqlite
from stores import copy_to

FEW_SESSIONS = 20_000
"""So many that turns of any of them leave all as short as they were: what differs is how many there are."""
ALIASES = 100
FURTHER_PLUGINS = 2
"""Beside the ten that are installed."""

_DATABASE = {
    "ORCHESTRATOR_DATABASE_URL": "sqlite:///filled.db",
    "SESSION_MAX_DURATION_MINUTES": str(DAYS * 10 * 1440),  # what it was filled with can be gone on with
}

_PLUGIN = """
from orchestrator_core.provider_api import ProviderHooks, ProviderInfo

class Provider(ProviderHooks):
    info = ProviderInfo(name="{name}", title="{name}", capabilities=("chat",), requires_key=True)
"""


@contextmanager
def uncrowded(folder: Path, upstream_port: int, processors: Sequence[int]) -> Iterator[Subject]:
    """Run a gateway with one alias, one plugin and few sessions."""
    filling = _filled(folder, FEW_SESSIONS)
    environ = {"ORCHESTRATOR_PROVIDERS": "openai", "ORCHESTRATOR_SERVERS": "{}", **_aliases(1), **_DATABASE}
    with subjects.gateway("few", folder, upstream_port, processors, environ) as made:
        made.known = lambda number: filling.session(number % filling.sessions)
        yield made


@contextmanager
def crowded(folder: Path, upstream_port: int, processors: Sequence[int], sessions: int) -> Iterator[Subject]:
    """Run a gateway with many aliases, twelve plugins and as many sessions as are wanted."""
    filling = _filled(folder, sessions)
    names = [f"further-{number}" for number in range(FURTHER_PLUGINS)]
    paths = [install_plugin(folder, f"orchestrator-{name}", name, _PLUGIN.format(name=name)) for name in names]
    environ = {"PYTHONPATH": os.pathsep.join(paths), **_aliases(ALIASES), **_DATABASE}
    with subjects.gateway("many", folder, upstream_port, processors, environ) as made:
        made.known = lambda number: filling.session(number % filling.sessions)
        yield made


def _aliases(count: int) -> dict[str, str]:
    names = [*(f"alias-{number}" for number in range(count - 1)), FRONT]
    return {"ORCHESTRATOR_ALIASES": json.dumps(dict.fromkeys(names, "openai/gpt-6-luna"))}


def _filled(folder: Path, sessions: int) -> Filling:
    folder.mkdir(exist_ok=True)
    filling = Filling(sessions)
    copy_to(folder / "filled.db")
    fill_sqlite(folder / "filled.db", filling)
    return filling
