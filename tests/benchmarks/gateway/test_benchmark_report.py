from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.gateway.goals import document, goals
from benchmarks.gateway.machine import Machine
from benchmarks.gateway.report import Results, Run, Server, added, facts, ratios, series, table, write_json
from benchmarks.gateway.scenarios import Cell
from benchmarks.gateway.subjects import GATEWAY_SETTINGS

MACHINE = Machine(
    "Fox 1", virtual=True, caches=["L1d 48K", "L2 2048K"], memory=2048.0, reads={0.25: 30.4, 16.0: 200.0}, sync=0.42
)


def run_of(load: float = 0.2) -> Run:
    return Run(3, (load, 0.2, 0.1), machine=MACHINE)


def cell(rate: float = 100.0, p50: float = 1.0, processor: float = 50.0, stores: float = 0.0) -> Cell:
    return Cell(rate, 0.0, p50, p50, p50, processor, stores, memory=1.0, errors=0, answers=10)


@pytest.fixture
def results() -> Results:
    """Three rounds, of which the second was slow for everybody."""
    cells = {
        "chat, c=1": {
            "direct": [cell(1000, 0.1), cell(500, 0.2), cell(1000, 0.1)],
            "pass-through": [cell(100, 1.1), cell(50, 2.2), cell(100, 1.1)],
            "gateway": [cell(80, 1.3, 70), cell(40, 2.6, 70), cell(60, 1.5, 60)],
        },
        "chat, c=16": {"pass-through": [cell(100)], "gateway": [cell(75)]},
    }
    return Results("Beside a bare proxy", "pass-through", cells, [Server("gateway", "1", 2, 0.5, 70.0)])


def test_ratios_are_of_one_round(results: Results) -> None:
    assert ratios(results, "chat, c=1", "gateway") == pytest.approx([0.8, 0.8, 0.6])
    assert ratios(results, "chat, c=1", "gateway", "processor") == pytest.approx([1.4, 1.4, 1.2])
    assert ratios(results, "chat, c=1", "nobody") == ratios(results, "nothing", "gateway") == []


def test_what_is_added_is_more_than_the_vendor_takes(results: Results) -> None:
    assert added(results, "chat, c=1", "p50") == pytest.approx([1.2, 2.4, 1.4])
    assert added(results, "chat, c=1", "p50", "pass-through") == pytest.approx([1.0, 2.0, 1.0])


def test_tables_have_a_cell_for_every_heading(results: Results) -> None:
    lines = [line for line in table(results) if line.startswith("|")]
    widths = {line.count("|") for line in lines}
    assert widths == {6, 13}
    assert "| chat, c=1 | gateway | 60 | 0 | 1.50 |" in "\n".join(lines)
    assert lines[-1].endswith("| 0.75 (0.75 to 0.75) | 1.00 (1.00 to 1.00) |")


def test_stores_have_a_column_where_there_are_some() -> None:
    stored = Results("Stored", "one", {"chat": {"one": [cell(stores=7.0)]}})
    assert "| Stores CPU µs |" in "\n".join(table(stored))


def test_a_page_says_where_each_part_runs() -> None:
    servers = [Server("one", "1", 2, 0.5, 70.0, [0], [0, 1]), Server("vendor", "", None, 0.0, 0.0)]
    lines = list(table(Results("Stored", "one", {}, servers)))
    assert "Processors: one on 0, its stores on 0 and 1." in lines


def test_goals_are_shown_as_far_as_they_were_measured(results: Results) -> None:
    lines = list(goals([results]))
    assert "| chat, c=16: rate to that of pass-through | >= 0.75 | 0.75 (0.75 to 0.75) |" in lines
    assert "| chat, c=16: rate to that of LiteLLM | >= 30 | not measured |" in lines
    assert "| chat, c=1: added p50 to the pass-through's | <= 1.4 | 1.20 (1.20 to 1.40) |" in lines
    assert "| chat, c=16: the same, by processor time | >= 0.75 | 1.00 (1.00 to 1.00) |" in lines
    assert not [line for line in lines if "streams" in line]


def test_memory_of_streams_is_the_most_of_the_rounds() -> None:
    cells = {"paced streams, 1000": {"gateway": [replace(cell(), memory=each) for each in (40.0, 1.0, 2.0)]}}
    lines = list(goals([Results("Beside a bare proxy", "pass-through", cells)]))
    assert [line for line in lines if "KB each" in line and line.endswith("| < 50 | 40.96 (40.96 to 40.96) |")]


@pytest.mark.parametrize(("load", "warned"), [(0.5, False), (0.51, True)])
def test_a_machine_that_was_not_idle_is_told(load: float, *, warned: bool) -> None:
    run = run_of(load)
    assert f"load of the machine before {load:.2f}." in next(facts(run))
    assert any("no figures of an idle one" in line for line in facts(run)) == bool(run.warning) == warned


def test_a_page_says_what_the_machine_is_and_what_its_memory_and_its_disk_cost() -> None:
    shown = list(facts(run_of()))
    assert "On a share of the processor Fox 1: L1d 48K, L2 2048K; 2 GiB of memory." in shown
    told = (
        "A read whose place the one before told, by Python where the servers run: 30 ns in 0.25 MiB, 200 ns in 16 MiB."
    )
    assert told in shown
    assert "A write of 4 KiB with its sync, where the databases are: 0.420 ms." in shown


def test_settings_are_shown_without_keys() -> None:
    shown = "\n".join(facts(run_of()))
    assert "total_timeout 600" in shown
    assert "ENVIRONMENT=production" in shown
    assert not [name for name, value in GATEWAY_SETTINGS.items() if "KEY" in name and value in shown]


def test_a_page_has_the_goals_and_every_comparison(results: Results) -> None:
    headings = [line for line in document([results, results], run_of()).splitlines() if line.startswith("#")]
    assert headings == ["# Figures", "## Goals", "## Beside a bare proxy", "## Beside a bare proxy"]


def test_every_figure_is_written(results: Results, tmp_path: Path) -> None:
    write_json(tmp_path / "found.json", [results], run_of(0.7))
    written = json.loads((tmp_path / "found.json").read_text())
    assert written["comparisons"][0]["cells"]["chat, c=1"]["gateway"][2]["rate"] == 60
    assert written["comparisons"][0]["servers"][0]["idle_mib"] == 70
    assert written["on"]["load_before"] == [0.7, 0.2, 0.1]
    assert written["on"]["caches"] == ["L1d 48K", "L2 2048K"]


def test_lines_of_a_picture_go_by_the_number_in_the_name(results: Results) -> None:
    found = series(results.cells, re.compile(r"chat, c=(\d+)"), lambda each: each.rate)
    assert found["gateway"] == [(1, 60), (16, 75)]
    assert "direct" in found


def test_pictures_are_drawn_of_what_there_is(results: Results, tmp_path: Path) -> None:
    plots = pytest.importorskip("benchmarks.gateway.plots", exc_type=ImportError, reason="the group benchmark has it")
    (latency,) = plots.draw(tmp_path, [results])
    assert latency.name == "latency.svg"
    assert "pass-through" in latency.read_text()


def test_every_server_has_a_colour_of_its_own(tmp_path: Path) -> None:
    plots = pytest.importorskip("benchmarks.gateway.plots", exc_type=ImportError, reason="the group benchmark has it")
    servers = ("direct", "pass-through", "gateway", "nginx", "Portkey", "LiteLLM")
    cells = {f"chat, c={clients}": {server: [cell()] for server in servers} for clients in (1, 16)}
    (latency,) = plots.draw(tmp_path, [Results("Beside a bare proxy", "pass-through", cells)])
    lines = re.findall(r"stroke: (#[0-9a-f]{6}); stroke-width: (?:1\.2|2\.4)", latency.read_text())
    assert len({*lines}) == len(servers)
