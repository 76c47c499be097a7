"""Names that stand for nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from orchestrator_core.config.load import SECRETS
from orchestrator_core.config.messages import nearest
from orchestrator_core.config.provider import key_names, prefixes, with_files
from orchestrator_core.config.settings import SPECIFIED, Settings, environment_names
from orchestrator_core.config.sources import DOTENV, PROCESS, Variable
from orchestrator_core.security.startup.subject import StartingProvider, Subject

_MISTYPED = 0.9
"""How alike two names are, of 1, where one is taken for the other with a typing error."""


def unserved(subject: Subject) -> Iterator[str]:
    """Yield each fallback, alias and default that leads to no provider which is served."""
    if subject.registry is None:
        return
    settings, providers = subject.settings, subject.providers
    known = {name for provider in providers for name in (provider.id, provider.info.name, *provider.info.aliases)}
    targets = {f"fallbacks: entry {number}": target for number, target in enumerate(settings.fallbacks, start=1)}
    if settings.default_model is not None:
        targets["default_model"] = settings.default_model
    targets = {place: target for place, target in targets.items() if target not in settings.aliases}
    for alias, entry in settings.aliases.items():
        several = len(entry.targets) > 1
        for number, target in enumerate(entry.targets, start=1):
            targets[f"aliases.{alias}: target {number}" if several else f"aliases.{alias}"] = target
    for place, target in targets.items():
        name = target.partition("/")[0]
        if name not in known:
            yield f"{place} names no provider that is served.{nearest(name, known)}"


def mistyped(subject: Subject) -> Iterator[str]:
    """Yield each variable whose name is almost that of a setting without a prefix, or that lacks the prefix of one.

    Others' variables cannot be told from mistyped ones for certain; but `ENVIROMENT=production` starts a gateway for
    developers, and `DATABASE_URL` one that stores elsewhere. Vendors' SDKs have settings of their own that begin as
    those of a provider do, so these are not asked after unless they are almost one.
    """
    known = {name for names in SPECIFIED.values() for name in names}
    for provider in subject.providers:
        known |= _names_of(provider)
    variables = {variable.name for variable in subject.config.variables}
    for name in sorted(variables - known):
        if name.lower() in Settings.model_fields:
            near = [meant for meant in environment_names(name.lower()) if meant not in variables]
        else:
            near = difflib.get_close_matches(name, known, n=1, cutoff=_MISTYPED)
        yield from (f"{name}: there is no such setting. Did you mean {each}?" for each in near)


def passed_over(subject: Subject) -> Iterator[str]:
    """Yield each variable that has no effect, since another one of the same setting counts.

    The process wins over `.env` on purpose, so that only those of one source are looked at.
    """
    variables = {variable.name: variable for variable in subject.config.variables}
    spellings: list[Sequence[str]] = [
        environment_names(setting) for setting in Settings.model_fields if setting not in SECRETS
    ]
    spellings += [with_files([name]) for name in SECRETS.values()]
    spellings += [names for provider in subject.providers for names in _spellings(provider)]
    for names in spellings:
        yield from _beside([variables[name] for name in names if name in variables])


def _beside(found: Sequence[Variable]) -> Iterator[str]:
    for source in (PROCESS, DOTENV):
        of_source = [variable for variable in found if variable.source == source]
        for other in of_source[1:]:
            if other.value != of_source[0].value:
                yield f"{other.name}: it has no effect, since {of_source[0].name} counts; set one of them."


def _names_of(provider: StartingProvider) -> AbstractSet[str]:
    """Return the variables that a provider reads."""
    return {name for names in _spellings(provider) for name in names}


def _spellings(provider: StartingProvider) -> Iterator[Sequence[str]]:
    """Yield the variables of each of a provider's settings, in order of precedence."""
    yield with_files(key_names(provider.info, provider.id))
    for field in type(provider.settings).model_fields:
        yield [f"{prefix}_{field.upper()}" for prefix in prefixes(provider.info, provider.id)]
