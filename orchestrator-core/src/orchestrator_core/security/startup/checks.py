"""Everything that is checked before a gateway serves, in the order in which it is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from orchestrator_core.config import Config
from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.security.startup import clients, exposure, files, keys, names, processes, unsupported
from orchestrator_core.security.startup.report import StartupReport, lines
from orchestrator_core.security.startup.subject import StartingRegistry, Subject

Outcome = Literal["refuse", "warn", "pass"]
"""What a finding does: keep the gateway from starting, be logged, or nothing."""


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
    Check(processes.alone,                 "refuse", "refuse", "refuse"),
    Check(clients.no_key,                  "refuse", "pass",   "pass"),
    Check(clients.open_to_the_network,     "pass",   "warn",   "warn"),
    Check(clients.weak_key,                "refuse", "warn",   "warn"),
    Check(exposure.origins,                "refuse", "warn",   "warn"),
    Check(exposure.plain_upstreams,        "refuse", "warn",   "warn"),
    Check(exposure.debugging,              "refuse", "pass",   "pass"),
    Check(processes.forgetful_database,    "refuse", "pass",   "pass"),
    Check(files.writable,                  "refuse", "pass",   "pass"),
    Check(files.readable,                  "warn",   "warn",   "pass"),
    Check(keys.no_provider,                "refuse", "pass",   "pass"),
    Check(keys.malformed,                  "refuse", "warn",   "warn"),
    Check(keys.malformed_but_tolerated,    "warn",   "warn",   "warn"),
    Check(names.unknown,                   "warn",   "warn",   "warn"),
)  # fmt: skip


def check(config: Config, registry: StartingRegistry | None) -> StartupReport:
    """Look at everything that makes a gateway unsafe.

    Args:
        config: The configuration.
        registry: The providers, with their keys judged; None where they could not be made, so that everything else
            is still said.
    """
    subject = Subject(config, registry)
    found: Mapping[Outcome, list[str]] = {"refuse": [], "warn": [], "pass": []}
    for each in CHECKS:
        found[getattr(each, config.settings.environment)].extend(map(REDACTOR.redact, each.find(subject)))
    return StartupReport(
        lines=list(map(REDACTOR.redact, lines(subject))), problems=found["refuse"], warnings=found["warn"]
    )
