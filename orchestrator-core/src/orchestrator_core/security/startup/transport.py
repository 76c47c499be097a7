"""Whether anybody on the way can read, or stand in for, what the gateway talks to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from orchestrator_core.config.settings import POSTGRES
from orchestrator_core.security.loopback import is_loopback, is_safe
from orchestrator_core.security.startup.subject import Subject

_OTLP = "OTEL_EXPORTER_OTLP_"
_SIGNALS = ("", "TRACES_", "METRICS_")
_UNPROTECTED = frozenset({"disable", "allow"})
_VERIFIED = frozenset({"verify-ca", "verify-full"})
_PORT = re.compile(r"(?<![:\[]):\d+$")
_MODES = _UNPROTECTED | _VERIFIED | {"require", "prefer", None}


def plain_upstreams(subject: Subject) -> Iterator[str]:
    """Yield each provider that is called over the network without TLS."""
    for provider in subject.providers:
        if provider.settings.base_url is not None and not is_safe(provider.settings.base_url):
            yield (
                f"{provider.id}: its base URL is neither https nor on this machine, so that keys and conversations "
                "would travel in the clear."
            )


def users_of_upstreams(subject: Subject) -> Iterator[str]:
    """Yield each provider whose address has a user: beside a key, which has the same header, no call could be made."""
    for provider in subject.providers:
        address = (provider.settings.base_url or "").partition("://")[2].partition("/")[0]
        if "@" in address and (provider.keys or provider.info.requires_key):
            yield (
                f"{provider.id}: its base URL has a user and a password, which cannot be sent beside a key; leave "
                "them out."
            )


def plain_proxy(subject: Subject) -> Iterator[str]:
    """Yield that a proxy without TLS would see a password, or what goes to a provider.

    A tunnel to a provider over https shows the name of the host alone.
    """
    proxy = subject.settings.upstream_proxy
    if proxy is None or is_safe(proxy):
        return
    if "@" in proxy.partition("://")[2].partition("/")[0]:
        yield (
            "ORCHESTRATOR_UPSTREAM_PROXY: its password would travel in the clear; use https:// or a proxy that needs "
            "none."
        )
    for provider in subject.providers:
        if (provider.settings.base_url or "").startswith("http://"):
            yield (
                f"{provider.id}: ORCHESTRATOR_UPSTREAM_PROXY would read what goes to its base URL, which is not https."
            )


def unknown_sslmode(subject: Subject) -> Iterator[str]:
    """Yield that the database would not be opened, because nobody knows what kind of TLS is asked for."""
    if subject.settings.database_url.startswith(POSTGRES) and _sslmode(subject) not in _MODES:
        stated = "sslmode" in parse_qs(urlsplit(subject.settings.database_url).query)
        yield (
            f"{'ORCHESTRATOR_DATABASE_URL' if stated else 'PGSSLMODE'}: there is no such sslmode; expected "
            "verify-full, verify-ca, require, prefer, allow or disable."
        )


def plain_database(subject: Subject) -> Iterator[str]:
    """Yield that conversations travel to PostgreSQL in the clear because the configuration says so."""
    variable = _elsewhere(subject)
    if variable and _sslmode(subject) in _UNPROTECTED:
        yield (
            f"{variable}: conversations would travel to the database in the clear; set sslmode to verify-full in "
            "place of what ORCHESTRATOR_DATABASE_URL or PGSSLMODE says."
        )


def unverified_database(subject: Subject) -> Iterator[str]:
    """Yield that TLS to PostgreSQL is not asked for, or does not make sure who answers."""
    variable = _elsewhere(subject)
    if variable and _sslmode(subject) not in _UNPROTECTED | _VERIFIED:
        yield (
            f"{variable}: nothing makes sure that the right database answers, over TLS; add ?sslmode=verify-full to "
            "ORCHESTRATOR_DATABASE_URL where the network is not yours alone."
        )


def plain_redis(subject: Subject) -> Iterator[str]:
    """Yield that Redis is spoken to over the network without TLS."""
    url = subject.settings.redis_url
    if url is not None and urlsplit(url).scheme == "redis" and not is_loopback(urlsplit(url).hostname or ""):
        yield (
            "ORCHESTRATOR_REDIS_URL: its password, and who talks when, travel in the clear; use rediss:// where the "
            "network is not yours alone."
        )


def plain_telemetry(subject: Subject) -> Iterator[str]:
    """Yield that traces with conversations, or a credential of the collector, travel in the clear."""
    environ = subject.runtime.environ
    secret = subject.settings.otel_capture_content or any(environ.get(f"{_OTLP}{kind}HEADERS") for kind in _SIGNALS)
    for kind in _SIGNALS:
        endpoint = environ.get(f"{_OTLP}{kind}ENDPOINT")
        if endpoint and secret and not is_safe(endpoint):
            yield (
                f"{_OTLP}{kind}ENDPOINT: it is neither https nor on this machine, so that what is said, or the "
                "collector's credential, would travel in the clear."
            )


def _elsewhere(subject: Subject) -> str | None:
    """Return the variable that names a database on another machine; None where none does.

    The driver's own counts where the address has no host. Several hosts may stand between commas.
    """
    url = urlsplit(subject.settings.database_url)
    if not subject.settings.database_url.startswith(POSTGRES):
        return None
    stated = [url.netloc.rpartition("@")[2], *parse_qs(url.query).get("host", ())]
    for variable, hosts in (
        ("ORCHESTRATOR_DATABASE_URL", ",".join(filter(None, stated))),
        ("PGHOST", subject.runtime.environ.get("PGHOST")),
    ):
        if hosts:
            return None if all(map(_here, hosts.split(","))) else variable
    return None


def _here(address: str) -> bool:
    return address.startswith(("/", "%2F", "%2f")) or is_loopback(_PORT.sub("", address))


def _sslmode(subject: Subject) -> str | None:
    stated = parse_qs(urlsplit(subject.settings.database_url).query).get("sslmode")
    return stated[-1] if stated else subject.runtime.environ.get("PGSSLMODE")
