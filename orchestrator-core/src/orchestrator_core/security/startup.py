"""What is checked when the gateway starts, and what it prints of it."""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from orchestrator_core.config import Config, Settings
from orchestrator_core.config.extras import missing_extra
from orchestrator_core.config.messages import nearest
from orchestrator_core.config.provider import key_names
from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.config.settings import MEMORY, POSTGRES
from orchestrator_core.provider_api import KeyFormat, KeyVerdict, ProviderInfo, ProviderSettings, check_key
from orchestrator_core.security.cors import CorsPolicy, origin_problems

CLIENT_KEY = "ORCHESTRATOR_CLIENT_KEY"
MIN_CLIENT_KEY = 32
"""Characters: 128 bits where they are hexadecimal digits."""

MIN_VARIETY = 10
"""Different characters; 32 random hexadecimal digits have 14 on average, and fewer than 10 once in some 1,500."""

# Possessive, so that the time is bounded: skip every character that comes again, then take one that does not.
_STRONG = KeyFormat(
    rf"(?=.{{{MIN_CLIENT_KEY},}})(?:(?:(.)(?=.*\1))*+.){{{MIN_VARIETY}}}.*",
    f"{MIN_CLIENT_KEY} characters or more, {MIN_VARIETY} of them different",
)
_EXAMPLE = r"(?i)^(?:your[_-]|change[_-]?me|example|placeholder|dummy|test[_-])|[_-]here$|\.\.\."
_JUDGED = {"placeholder": "a placeholder", "malformed": "malformed", "foreign": "not this provider's"}
_MAKE_ONE = "Make one with `openssl rand -hex 32`."


class StartingProvider(Protocol):
    """What is looked at of a provider: `plugins.Provider`."""

    @property
    def id(self) -> str:
        """The name of the instance."""
        ...

    @property
    def info(self) -> ProviderInfo:
        """What it says about itself."""
        ...

    @property
    def settings(self) -> ProviderSettings:
        """What the operator set."""
        ...

    @property
    def verdicts(self) -> Sequence[KeyVerdict]:
        """What was found of each of its keys."""
        ...

    @property
    def configured(self) -> bool:
        """Whether it has a usable key, or needs none."""
        ...


class StartingRegistry(Protocol):
    """What is looked at of the registry: `plugins.Registry`."""

    @property
    def providers(self) -> Mapping[str, StartingProvider]:
        """The instances by name."""
        ...


@dataclass(frozen=True, slots=True)
class StartupReport:
    """What the checks found. Nothing in it holds a key or another value of the configuration.

    Attributes:
        lines: To be printed at every start: one for each key, then CORS.
        problems: Why the gateway must not start.
        warnings: What an operator should look at.
    """

    lines: Sequence[str]
    problems: Sequence[str]
    warnings: Sequence[str]


def check(config: Config, registry: StartingRegistry | None) -> StartupReport:
    """Look at everything that makes a gateway unsafe.

    Args:
        config: The configuration.
        registry: The providers, with their keys judged; None where they could not be made, so that everything else
            is still said.
    """
    settings = config.settings
    providers = list(registry.providers.values()) if registry else []
    keys = list(_key_problems(providers))
    unsafe = [*_client_problems(settings), *_exposure_problems(settings, providers)]
    warnings = list(_unknown_names(config, providers)) if registry else []
    if settings.environment != "development":
        warnings += _file_warnings(config.secret_files)
    problems = list(_unsupported(settings))
    if settings.production:
        problems += [*unsafe, *_writable(config.secret_files)]
        problems += _no_provider(providers) if registry else ()
        (problems if settings.key_check == "strict" else warnings).extend(keys)
    else:
        warnings += [*keys, *unsafe, *_open_to_the_network(settings)]
    return StartupReport(
        lines=[REDACTOR.redact(line) for line in _lines(settings, providers)],
        problems=[REDACTOR.redact(problem) for problem in problems],
        warnings=[REDACTOR.redact(warning) for warning in warnings],
    )


def _lines(settings: Settings, providers: Sequence[StartingProvider]) -> Iterator[str]:
    for provider in providers:
        for verdict in provider.verdicts:
            judged = "valid" if verdict.valid else f"not valid: {verdict.reason or verdict.status}"
            yield f"{provider.id}: {verdict.masked} {judged}"
    without = [provider.id for provider in providers if not provider.verdicts and provider.info.requires_key]
    if without:
        yield f"Without a key: {', '.join(without)}"
    yield CorsPolicy.from_settings(settings).describe()


def _key_problems(providers: Sequence[StartingProvider]) -> Iterator[str]:
    for provider in providers:
        for number, verdict in enumerate(provider.verdicts, start=1):
            if not verdict.valid:
                which = f"key {number} " if len(provider.verdicts) > 1 else "the key "
                reason = verdict.reason or "it has not the form of this provider's keys"
                yield f"{key_names(provider.info, provider.id)[0]}: {which}is {_JUDGED[verdict.status]}: {reason}."


def _client_problems(settings: Settings) -> Iterator[str]:
    if settings.client_key is None:
        if settings.production:
            yield f"{CLIENT_KEY}: production needs a client key, or anybody may spend the providers'. {_MAKE_ONE}"
        return
    verdict = check_key(settings.client_key, (_STRONG,), foreign=(_EXAMPLE,))
    if not verdict.valid:
        reason = "it is an example" if verdict.status == "foreign" else verdict.reason
        yield f"{CLIENT_KEY}: the client key is weak: {reason}. {_MAKE_ONE}"


def _exposure_problems(settings: Settings, providers: Sequence[StartingProvider]) -> Iterator[str]:
    for number, origin in enumerate(settings.cors_allowed_origins, start=1):
        if settings.environment == "development" and CorsPolicy(frozenset(), local=True).allows(origin):
            continue
        for problem in origin_problems(origin):
            yield f"CORS_ALLOWED_ORIGINS: origin {number} {problem}."
    for provider in providers:
        if provider.settings.base_url is not None and not _is_safe(provider.settings.base_url):
            yield (
                f"{provider.id}: its base URL is neither https nor on this machine, so that keys and conversations "
                "would travel in the clear."
            )
    if settings.production and settings.database_url == MEMORY:
        yield "ORCHESTRATOR_DATABASE_URL: a database in memory loses every conversation; use a file or PostgreSQL."
    if settings.production and settings.log_level == "DEBUG":
        yield "LOG_LEVEL: DEBUG shows more than production may keep; use INFO."


def _no_provider(providers: Sequence[StartingProvider]) -> Iterator[str]:
    if not any(provider.configured and not provider.info.embedded_default for provider in providers):
        names = [key_names(provider.info, provider.id)[0] for provider in providers if provider.info.requires_key]
        yield f"No provider is usable. Set {' or '.join(names) or 'a key of a provider, and install its package'}."


def _unsupported(settings: Settings) -> Iterator[str]:
    if settings.workers > 1:
        yield from _alone(settings)
    if settings.database_url.startswith(POSTGRES) and (
        problem := missing_extra("ORCHESTRATOR_DATABASE_URL", "asyncpg", "postgresql")
    ):
        yield problem
    if settings.redis_url is not None and (problem := missing_extra("ORCHESTRATOR_REDIS_URL", "redis", "redis")):
        yield problem
    if settings.blocked_countries:
        yield (
            "ORCHESTRATOR_BLOCKED_COUNTRIES: this version cannot tell a client's country, so that nothing would be "
            "blocked; remove the setting and block at the proxy."
        )


def _alone(settings: Settings) -> Iterator[str]:
    """Yield what keeps a gateway from running in several processes."""
    if not settings.database_url.startswith(POSTGRES):
        yield (
            f"ORCHESTRATOR_WORKERS: {settings.workers} workers need a database that processes can share, and SQLite "
            "serves one process alone. Set ORCHESTRATOR_DATABASE_URL=postgresql://user:password@host/database, or "
            "leave ORCHESTRATOR_WORKERS and --workers out."
        )
    if problem := missing_extra("ORCHESTRATOR_WORKERS", "gunicorn", "workers"):
        yield problem


def _open_to_the_network(settings: Settings) -> Iterator[str]:
    if settings.client_key is None and not _is_loopback(settings.host):
        yield (
            "ANYBODY who reaches this address may use the gateway and spend the providers' keys: it listens beyond "
            f"this machine and no client key is set. Set {CLIENT_KEY}, or SERVER_HOST=127.0.0.1."
        )


def _file_warnings(paths: Sequence[Path]) -> Iterator[str]:
    # Kubernetes and Docker mount secrets readable by all inside the container, so this alone stops nothing.
    for path in paths:
        if _mode(path) & stat.S_IROTH:
            yield f"{path.name}: every user of this machine can read it; use `chmod 600`."


def _writable(paths: Sequence[Path]) -> Iterator[str]:
    for path in paths:
        if _mode(path) & stat.S_IWOTH:
            yield f"{path.name}: every user of this machine can change it; use `chmod 600`."


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _unknown_names(config: Config, providers: Sequence[StartingProvider]) -> Iterator[str]:
    settings = config.settings
    known = {name for provider in providers for name in (provider.id, provider.info.name, *provider.info.aliases)}
    targets = {f"fallbacks: entry {number}": target for number, target in enumerate(settings.fallbacks, start=1)}
    targets |= {f"aliases.{alias}": target for alias, target in settings.aliases.items()}
    for place, target in targets.items():
        name = target.partition("/")[0]
        if name not in known and not (place.startswith("fallbacks") and target in settings.aliases):
            yield f"{place} names no provider that is served.{nearest(name, known)}"


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
