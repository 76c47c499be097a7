"""What is wanted of the gateway, and what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.gateway.report import FLOOR, GATEWAY, Results, Run, added, facts, ratios, spread, table
from benchmarks.gateway.scenarios import STREAMS

_PACED = f"paced streams, {max(STREAMS)}"
_KB_OF_EACH = 1024 / max(STREAMS)


@dataclass(frozen=True)
class Goal:
    """Something that is wanted.

    Attributes:
        name: What.
        wanted: How much.
        scenario: The load that tells.
        found: Gives the values of the rounds.
    """

    name: str
    wanted: str
    scenario: str
    found: Callable[[Results], Sequence[float]]


def _ratio(scenario: str, measure: str, to: str, subject: str = GATEWAY) -> Callable[[Results], Sequence[float]]:
    return lambda results: ratios(results, scenario, subject, measure, to)


def _times_the_floors(scenario: str, measure: str) -> Callable[[Results], Sequence[float]]:
    """Return how many times as much as the bare proxy the gateway adds to what the vendor itself takes."""

    def found(results: Results) -> Sequence[float]:
        mine, floor = added(results, scenario, measure), added(results, scenario, measure, FLOOR)
        return [one / other for one, other in zip(mine, floor, strict=False) if other > 0]

    return found


def _milliseconds(scenario: str, measure: str) -> Callable[[Results], Sequence[float]]:
    return lambda results: added(results, scenario, measure)


def _most(scenario: str, measure: str, scale: float = 1.0) -> Callable[[Results], Sequence[float]]:
    """Return the most of all rounds."""

    def found(results: Results) -> Sequence[float]:
        values = [getattr(cell, measure) * scale for cell in results.cells[scenario].get(GATEWAY, ())]
        return [max(values)] if values else []

    return found


def _goals() -> Iterator[Goal]:
    for load, measure, whose, wanted in (
        ("chat, c=16", "rate", FLOOR, ">= 0.75"),
        ("chat, c=64", "rate", FLOOR, ">= 0.75"),
        ("chat, c=16", "rate", "LiteLLM", ">= 30"),
        ("turn of a session, c=64", "rate", FLOOR, ">= 0.5"),
        ("stream, c=16", "events", FLOOR, ">= 0.6"),
        ("stream, c=16", "events", "LiteLLM", ">= 50"),
    ):
        yield Goal(f"{load}: {measure} to that of {whose}", wanted, load, _ratio(load, measure, whose))
        yield Goal(f"{load}: the same, by processor time", wanted, load, _ratio(load, "capacity", whose))
    for load, measure, name in (("chat, c=1", "p50", "p50"), ("stream, c=1", "first", "time to the first word")):
        yield Goal(f"{load}: added {name} to the pass-through's", "<= 1.4", load, _times_the_floors(load, measure))
        yield Goal(f"{load}: added {name}, milliseconds", "", load, _milliseconds(load, measure))
    yield Goal(f"{_PACED}: processor time to the pass-through's", "<= 1.6", _PACED, _ratio(_PACED, "processor", FLOOR))
    yield Goal(
        f"{_PACED}: KB each above idle memory, the most of the rounds",
        "< 50",
        _PACED,
        _most(_PACED, "memory", _KB_OF_EACH),
    )
    yield Goal(f"{_PACED}: errors, the most of the rounds", "0", _PACED, _most(_PACED, "errors"))
    for load in ("workers: chat, c=64", "workers: turn of a session, c=64"):
        two, one = "2 workers", "1 worker"
        yield Goal(f"{load}: processor time to one worker's", "<= 1.1", load, _ratio(load, "processor", one, two))
        yield Goal(f"{load}: rate to one worker's", ">= 1.5", load, _ratio(load, "rate", one, two))
    for load in ("crowd: chat by alias, c=16", "crowd: first turn, c=16", "crowd: turn of any session, c=16"):
        yield Goal(f"{load}: processor time to that of few", "1", load, _ratio(load, "processor", "few", "many"))


def goals(found: Sequence[Results]) -> Iterator[str]:
    """Yield the lines of a table of the goals, as far as they were measured."""
    yield "## Goals"
    yield ""
    yield "| Goal | Wanted | Found: median (least to most) |"
    yield "|---|---|---|"
    by_scenario = {name: results for results in found for name in results.cells}
    for goal in _goals():
        if goal.scenario in by_scenario:
            values = spread(goal.found(by_scenario[goal.scenario]))
            yield f"| {goal.name} | {goal.wanted} | {values or 'not measured'} |"


def document(found: Sequence[Results], run: Run) -> str:
    """Return everything that was found, as a page: the goals first, then a table for each comparison."""
    lines = ["# Figures", "", *facts(run), "", *goals(found)]
    return "\n".join([*lines, *(line for each in found for line in ["", *table(each)]), ""])
