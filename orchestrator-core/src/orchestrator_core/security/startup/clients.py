"""The credential of the clients."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator_core.provider_api import KeyFormat, check_key
from orchestrator_core.security.loopback import is_loopback
from orchestrator_core.security.startup.subject import Subject

CLIENT_KEY = "ORCHESTRATOR_CLIENT_KEY"
MIN_CLIENT_KEY = 32
"""Characters: 128 bits where they are hexadecimal digits."""

MIN_VARIETY = 10
"""Different characters; 32 random hexadecimal digits have 14 on average, and fewer than 10 once in some 1,500."""

MIN_UNGUESSABLE = 20
"""Characters beside words, rows and repeats."""

_WORDS = (
    "admin|api|change|client|default|demo|dev|gateway|key|letmein|llm|local|login|master|me|orchestrator|passwor[dt]|passw0rd|"
    "prod|production|qwerty|root|sample|secret|server|staging|test|token|user|welcome|(?:19|20)[0-9]{2}"
)
_ROWS = ("01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "qwertzuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = "|".join(
    row[start : start + 4] for each in _ROWS for row in (each, each[::-1]) for start in range(len(row) - 3)
)
_REPEATS = r"(?P<unit>.{5,40}?)(?P=unit)+"

# A lookahead is not tried again another way, so that the time is bounded: skip all that does not count, then take one
# character that does. Possessive repeats would say the same, but Python 3.11.2, that of Debian 12, misreads those in
# which a group is captured.
STRONG = KeyFormat(
    rf"(?=.{{{MIN_CLIENT_KEY},}})"
    rf"(?=(?:(?=(?P<again>(?:(?P<one>.)(?=.*(?P=one)))*))(?P=again).){{{MIN_VARIETY}}})"
    rf"(?:(?=(?P<skipped>(?i:{_WORDS}|{_NEIGHBOURS}|{_REPEATS})*))(?P=skipped).){{{MIN_UNGUESSABLE}}}.*",
    f"{MIN_CLIENT_KEY} characters or more, {MIN_VARIETY} of them different, and {MIN_UNGUESSABLE} beside usual words, "
    "rows such as 1234 and repeats",
)
"""What a client key has to be like in production."""

_EXAMPLE = r"(?i)^(?:your[_-]|change[_-]?me|example|placeholder|dummy|test[_-])|[_-]here$|\.\.\."
_MAKE_ONE = "Make one with `openssl rand -hex 32`."


def no_key(subject: Subject) -> Iterator[str]:
    """Yield that nothing asks clients for a credential."""
    if subject.settings.client_key is None and subject.stored_keys is False:
        yield (
            f"{CLIENT_KEY}: production needs a client key, or anybody may spend the providers'. Make one with "
            "`orchestrator clients create NAME`, or set this to one of `openssl rand -hex 32`."
        )


def unknown_keys(subject: Subject) -> Iterator[str]:
    """Yield that nobody knows whether there is a client key, since the database could not be asked."""
    if subject.settings.client_key is None and subject.stored_keys is None:
        yield (
            "ORCHESTRATOR_DATABASE_URL: the database could not be asked for client keys, and there is no "
            f"{CLIENT_KEY}. `orchestrator serve` says why it cannot be used."
        )


def open_to_the_network(subject: Subject) -> Iterator[str]:
    """Yield that nothing asks clients for a credential, and that other machines reach the gateway."""
    settings = subject.settings
    if settings.client_key is None and subject.stored_keys is False and not is_loopback(settings.host):
        yield (
            "ANYBODY who reaches this address may use the gateway and spend the providers' keys: it listens beyond "
            "this machine and there is no client key. Make one with `orchestrator clients create NAME`, or set "
            f"{CLIENT_KEY} or SERVER_HOST=127.0.0.1."
        )


def weak_key(subject: Subject) -> Iterator[str]:
    """Yield that the client key can be guessed."""
    if subject.settings.client_key is None:
        return
    verdict = check_key(subject.settings.client_key, (STRONG,), foreign=(_EXAMPLE,))
    if not verdict.valid:
        reason = "it is an example" if verdict.status == "foreign" else verdict.reason
        yield f"{CLIENT_KEY}: the client key is weak: {reason}. {_MAKE_ONE}"


def shared_key(subject: Subject) -> Iterator[str]:
    """Yield that the clients' key is one of a provider's, so that every client has that."""
    own = subject.settings.client_key
    for provider in subject.providers:
        if own is not None and own in provider.keys:
            yield f"{CLIENT_KEY}: it is the key of {provider.id}, which no client may know. {_MAKE_ONE}"
