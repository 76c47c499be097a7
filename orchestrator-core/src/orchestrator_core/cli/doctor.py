"""What is wrong with the installed plugins, and what to do; for `orchestrator plugins doctor`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator_core.cli.inspection import claimed_names, clashing_names
from orchestrator_core.cli.parts import discovered
from orchestrator_core.config import Config, ConfigError
from orchestrator_core.config.settings import canonical_name
from orchestrator_core.plugins import Registry
from orchestrator_core.plugins.loading import FoundPlugin, Isolated, find_plugins
from orchestrator_core.testing.essentials import Finding, findings
from orchestrator_core.testing.import_work import import_faults

CONFIGURATION = "configuration"


async def diagnose(config: Config, name: str | None) -> Sequence[Mapping[str, Any]]:
    """Look at every installed plugin, or at one.

    Args:
        config: The configuration.
        name: The name, an alias, the entry point or the distribution of the one.

    Returns:
        A row for each plugin with its problems and notes, and one for a configuration that keeps all from starting.
    """
    found = await asyncio.to_thread(find_plugins, config.settings.plugin_load_timeout, config.settings.allowed_plugins)
    meant = [plugin for plugin in found if name is None or _is_called(plugin, name)]
    try:
        async with discovered(config, found) as registry:
            return [await asyncio.to_thread(_row, config, plugin, found, registry) for plugin in meant]
    except ConfigError as error:
        # Nobody is made then; made alone, each says what is its own.
        left, rows = list(error.problems), []
        for plugin in meant:
            alone: Registry | None = None
            own: list[str] = []
            try:
                async with discovered(config, [plugin]) as registry:
                    alone = registry
            except ConfigError as lone:
                own = [problem for problem in lone.problems if problem in left]
            left = [problem for problem in left if problem not in own]
            rows.append(await asyncio.to_thread(_row, config, plugin, found, alone, own))
        return [*rows, _made(CONFIGURATION, None, _configuration(left), [])] if left else rows


def _is_called(plugin: FoundPlugin, name: str) -> bool:
    """Say whether a plugin is meant by a name; that of a distribution may be written in any of its forms."""
    distributions = set(map(canonical_name, (plugin.distribution, name)))
    return len(distributions) == 1 or name in {plugin.name, *claimed_names(plugin)}


def _row(
    config: Config,
    plugin: FoundPlugin,
    found: Sequence[FoundPlugin],
    registry: Registry | None,
    configuration: Sequence[str] = (),
) -> Mapping[str, Any]:
    problems = [*_loading(plugin), *_names(plugin), *_clashes(plugin, found), *_configuration(configuration)]
    notes: list[str] = []
    if plugin.cls is not None:
        cls = plugin.cls
        looked: Isolated[list[Finding]] = Isolated(lambda: list(findings(cls)), "looking at it")
        looked.run(config.settings.plugin_load_timeout)
        problems += looked.result or ()
        if looked.fault is not None:
            problems.append(
                Finding("class", looked.fault, "Let __init__ and validate_key do nothing that waits or fails.")
            )
        problems += [
            Finding("import", fault, "Import names only; do the work in the hooks.") for fault in import_faults(cls)
        ]
    if registry is not None and plugin.fault is None:
        problems += _in_use(plugin, registry)
        notes += _notes(plugin, registry)
    return _made(plugin.name, plugin, problems, notes)


def _made(
    name: str, plugin: FoundPlugin | None, problems: Sequence[Finding], notes: Sequence[str]
) -> Mapping[str, Any]:
    return {
        "name": name,
        "distribution": plugin.distribution if plugin else None,
        "version": plugin.version if plugin else None,
        "sound": not problems,
        "problems": [
            {"check": finding.check, "problem": finding.problem, "cure": finding.cure} for finding in problems
        ],
        "notes": list(notes),
    }


def _loading(plugin: FoundPlugin) -> Iterator[Finding]:
    if plugin.fault is not None:
        yield Finding("loading", plugin.fault, plugin.cure or "Update or remove it.")


def _configuration(problems: Sequence[str]) -> Sequence[Finding]:
    cure = "Change the configuration; the gateway does not start with it."
    return [Finding(CONFIGURATION, problem, cure) for problem in problems]


def _names(plugin: FoundPlugin) -> Iterator[Finding]:
    if plugin.cls is not None and plugin.cls.info.name != plugin.name:
        problem = f"its entry point is called {plugin.name!r}, its card {plugin.cls.info.name!r}"
        yield Finding("name", problem, "Give the entry point the card's name, which callers use.")


def _clashes(plugin: FoundPlugin, found: Sequence[FoundPlugin]) -> Iterator[Finding]:
    if clashing := clashing_names(plugin, found):
        problem = f"another distribution claims {', '.join(clashing)} too"
        yield Finding("name", problem, "Uninstall one, or name its distribution in ORCHESTRATOR_DISABLED_PROVIDERS.")


def _in_use(plugin: FoundPlugin, registry: Registry) -> Iterator[Finding]:
    """Yield what keeps the instances of a plugin from working with this configuration."""
    names = claimed_names(plugin)
    for quarantined in registry.quarantined:
        if quarantined.name in names:
            yield Finding("instance", quarantined.reason, "Mend what it says, then restart the gateway.")
    for provider in registry.providers.values():
        if provider.id not in names:
            continue
        for verdict in provider.verdicts:
            if not verdict.valid:
                problem = f"the key {verdict.masked} is {verdict.status}: {verdict.reason}"
                yield Finding("key", problem, "Set the vendor's own key; `orchestrator keys check` looks again.")


def _notes(plugin: FoundPlugin, registry: Registry) -> Iterator[str]:
    names = claimed_names(plugin)
    made = [provider for provider in registry.providers.values() if provider.id in names]
    if plugin.cls is not None and not made:
        served = plugin.cls.info.named_servers
        yield "it serves servers that [servers] names" if served else "the configuration does not use it"
    for provider in made:
        if not provider.configured:
            prefix = next(iter(provider.info.env_prefixes), provider.info.name.upper().replace("-", "_"))
            variable = next(iter(provider.info.key_env), f"{prefix}_API_KEY")
            yield f"it has no key: set {variable}"
