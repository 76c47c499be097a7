"""Prints which capabilities the suite has proven. It is loaded in every run of pytest, so it imports nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

PROPERTY: Final = "orchestrator_conformance"
"""The name of what is noted with the report of each check; it reaches the terminal from workers of xdist too."""

_BY_WORD: Final = "by its author's word: no check shows it"


@dataclass
class _Tally:
    """What the checks of one provider came to."""

    title: str
    declared: tuple[str, ...] = ()
    outcomes: Counter[str] = field(default_factory=Counter)
    proven: Counter[str] = field(default_factory=Counter)
    failed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    checked: set[str] = field(default_factory=set)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Note with each check which provider it is about, and what it proves."""
    suite: type | None = getattr(item, "cls", None)
    info = getattr(getattr(suite, "provider", None), "info", None)
    if suite is None or info is None or not hasattr(suite, "bench"):
        return
    noted = {
        "provider": info.name,
        "suite": suite.__name__,
        "contract": info.contract_version,
        "declared": list(info.capabilities),
        "proves": list(getattr(getattr(item, "function", None), "proves", ())),
        "provable": sorted({name for check in _defined(suite) for name in getattr(check, "proves", ())}),
    }
    item.user_properties.append((PROPERTY, noted))


def _defined(suite: type) -> Iterator[object]:
    """Yield what a class and its bases define."""
    return (value for kind in suite.__mro__ for value in vars(kind).values())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write a table for each provider."""
    tallies: dict[str, _Tally] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, ()):
            noted = dict(getattr(report, "user_properties", ())).get(PROPERTY)
            if noted is not None and (report.when == "call" or outcome != "passed"):
                _count(tallies, noted, outcome, report.nodeid.rpartition("::")[2])
    for tally in tallies.values():
        terminalreporter.write_sep("-", tally.title)
        for line in _table(tally):
            terminalreporter.write_line(line)


def _count(tallies: dict[str, _Tally], noted: Mapping[str, Any], outcome: str, check: str) -> None:
    title = f"conformance of {noted['provider']} ({noted['suite']}), contract {noted['contract']}"
    tally = tallies.setdefault(title, _Tally(title, tuple(noted["declared"])))
    tally.outcomes[outcome] += 1
    tally.checked.update(noted["provable"])
    for capability in noted["proves"]:
        if outcome == "passed":
            tally.proven[capability] += 1
        elif outcome != "skipped":
            tally.failed[capability].append(check)


def _table(tally: _Tally) -> Iterator[str]:
    names = [*tally.declared, *sorted(tally.checked - set(tally.declared))]
    width = max(map(len, [*names, "capability"]))
    yield f"{'capability':<{width}}  declared  proven"
    for name in names:
        declared = name in tally.declared
        if not declared:
            proven = "-"
        elif tally.failed[name]:
            more = f" and {len(tally.failed[name]) - 1} more" if len(tally.failed[name]) > 1 else ""
            proven = f"NO: {tally.failed[name][0]}{more}"
        elif tally.proven[name]:
            proven = f"yes, by {tally.proven[name]} checks"
        else:
            proven = "NO: its checks were not run" if name in tally.checked else _BY_WORD
        yield f"{name:<{width}}  {'yes' if declared else 'no':<8}  {proven}"
    yield ", ".join(f"{tally.outcomes[outcome]} {outcome}" for outcome in tally.outcomes)
