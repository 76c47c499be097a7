"""Everything that is checked before a gateway serves, in the order in which it is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from orchestrator_core.config import Config
from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.security.startup import (
    capacity,
    clients,
    files,
    interpreter,
    keys,
    monitoring,
    names,
    network,
    origins,
    plugins,
    processes,
    transport,
    unsupported,
)
from orchestrator_core.security.startup.report import StartupReport, describe
from orchestrator_core.security.startup.runtime import Runtime
from orchestrator_core.security.startup.subject import StartingRegistry, Subject

Outcome = Literal["refuse", "wait", "warn", "pass"]
"""What a finding does: keep the gateway from starting, keep it as long as the store is away, be logged, or nothing."""


class Check(NamedTuple):
    """A check, and what its findings do in each environment.

    Attributes:
        find: Yields a sentence for each finding: where it is, what is wrong, what to do, and no value.
        production: What a finding does in production.
        staging: What it does in staging.
        development: What it does in development.
    """

    find: Callable[[Subject], Iterable[str]]
    production: Outcome
    staging: Outcome
    development: Outcome


CHECKS = (
    #     what is looked for               production staging  development
    Check(unsupported.settings,            "refuse", "refuse", "refuse"),
    Check(network.unreadable_countries,    "refuse", "refuse", "refuse"),
    Check(network.countries_unknown,       "refuse", "refuse", "refuse"),
    Check(network.everybody_trusted,       "refuse", "warn",   "warn"),
    Check(processes.alone,                 "refuse", "refuse", "refuse"),
    Check(clients.no_key,                  "refuse", "pass",   "pass"),
    Check(clients.unknown_keys,            "wait",   "warn",   "warn"),
    Check(clients.open_to_the_network,     "pass",   "warn",   "warn"),
    Check(clients.weak_key,                "refuse", "warn",   "warn"),
    Check(clients.shared_key,              "refuse", "warn",   "warn"),
    Check(origins.unsafe,                  "refuse", "warn",   "warn"),
    Check(transport.plain_upstreams,       "refuse", "warn",   "warn"),
    Check(transport.users_of_upstreams,    "refuse", "refuse", "refuse"),
    Check(transport.plain_proxy,           "refuse", "warn",   "warn"),
    Check(transport.unknown_sslmode,       "refuse", "refuse", "refuse"),
    Check(transport.plain_database,        "refuse", "warn",   "pass"),
    Check(transport.unverified_database,   "warn",   "warn",   "pass"),
    Check(transport.plain_redis,           "warn",   "warn",   "pass"),
    Check(transport.plain_telemetry,       "refuse", "warn",   "warn"),
    Check(interpreter.readable_tls,        "refuse", "warn",   "warn"),
    Check(interpreter.lost_authorities,    "refuse", "warn",   "warn"),
    Check(interpreter.debugging,           "refuse", "pass",   "pass"),
    Check(interpreter.python_parser,       "refuse", "warn",   "warn"),
    Check(interpreter.superuser,           "warn",   "pass",   "pass"),
    Check(processes.forgetful_database,    "refuse", "pass",   "pass"),
    Check(processes.one_process_database,  "refuse", "warn",   "pass"),
    Check(processes.network_file_system,   "refuse", "warn",   "warn"),
    Check(processes.separate_limits,       "refuse", "warn",   "pass"),
    Check(files.unwritable_database,       "wait",   "wait",   "wait"),
    Check(files.writable,                  "refuse", "warn",   "pass"),
    Check(files.readable,                  "refuse", "warn",   "pass"),
    Check(files.readable_mounted,          "warn",   "warn",   "pass"),
    Check(plugins.outside,                 "refuse", "warn",   "warn"),
    Check(keys.no_provider,                "refuse", "pass",   "pass"),
    Check(keys.malformed,                  "refuse", "warn",   "warn"),
    Check(keys.malformed_but_tolerated,    "warn",   "warn",   "warn"),
    Check(capacity.few_connections,        "warn",   "warn",   "warn"),
    Check(names.unserved,                  "warn",   "warn",   "warn"),
    Check(names.passed_over,               "warn",   "warn",   "warn"),
    Check(names.mistyped,                  "warn",   "warn",   "warn"),
    Check(monitoring.off,                  "warn",   "pass",   "pass"),
)  # fmt: skip


def check(
    config: Config,
    registry: StartingRegistry | None,
    runtime: Runtime | None = None,
    *,
    stored_keys: bool | None = False,
) -> StartupReport:
    """Look at everything that makes a gateway unsafe.

    Args:
        config: The configuration.
        registry: The providers, with their keys judged; None where they could not be made, so that everything else
            is still said.
        runtime: The process that is to serve; this one where None.
        stored_keys: Whether the store has a client key that is taken; None where it could not be asked.
    """
    subject = Subject(config, registry, runtime or Runtime.current(), stored_keys)
    found: Mapping[Outcome, list[str]] = {"refuse": [], "wait": [], "warn": [], "pass": []}
    for each in CHECKS:
        found[getattr(each, config.settings.environment)].extend(map(REDACTOR.redact, each.find(subject)))
    return StartupReport(
        lines=list(describe(config.settings, subject.providers)),
        problems=found["refuse"],
        warnings=found["warn"],
        undecided=found["wait"],
    )
