"""Which configurations start, with the plugins that are installed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from canary.leaks import isolated_redactor
from orchestrator_core.config import ConfigError, load
from orchestrator_core.security.startup import StartupReport, checks, processes, unsupported
from orchestrator_core.security.startup.checks import CHECKS, Check
from orchestrator_core.security.startup.runtime import Runtime
from orchestrator_core.security.startup.subject import Subject
from orchestrator_core.server.starting import examine, examine_rest
from start_configurations import SAFE, UNSAFE, Configuration


@pytest.fixture(autouse=True)
def own_redactor() -> Iterator[None]:
    with isolated_redactor():
        yield


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that others can enter; those of pytest cannot be."""
    made = Path(tempfile.mkdtemp(prefix="orchestrator-start-"))
    yield made
    shutil.rmtree(made)


async def judge(configuration: Configuration, folder: Path, monkeypatch: pytest.MonkeyPatch) -> StartupReport:
    configuration.write_files(folder)
    monkeypatch.chdir(folder)  # where the store is looked for
    process = Runtime(environ=configuration.variables, **configuration.runtime)
    monkeypatch.setattr(Runtime, "current", lambda: process)
    try:
        return await examine(load(configuration.variables, folder))
    except ConfigError as error:
        return await examine_rest(error)


def test_there_are_enough_of_both() -> None:
    assert len(UNSAFE) >= 40
    assert len(SAFE) >= 20
    names = [configuration.name for configuration in (*UNSAFE, *SAFE)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("configuration", UNSAFE, ids=lambda configuration: configuration.name)
async def test_what_is_unsafe_does_not_start_and_every_reason_is_said(
    configuration: Configuration, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = await judge(configuration, folder, monkeypatch)
    assert len(report.problems) == len(configuration.reasons), report.problems
    for problem, reason in zip(sorted(report.problems), sorted(configuration.reasons), strict=True):
        assert problem.startswith(reason)
    said = "\n".join([*report.problems, *report.warnings])
    for value in configuration.values:
        assert value not in said


async def test_every_check_that_refuses_is_needed_by_one_of_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found: set[Callable[..., Any]] = set()

    def recorded(each: Check) -> Check:
        def find(subject: Subject) -> Iterator[str]:
            for problem in each.find(subject):
                found.add(each.find)
                yield problem

        return each._replace(find=find)

    monkeypatch.setattr(checks, "CHECKS", tuple(map(recorded, checks.CHECKS)))
    for number, configuration in enumerate(UNSAFE):
        folder = Path(tempfile.mkdtemp(prefix=f"orchestrator-start-{number}-"))
        await judge(configuration, folder, monkeypatch)
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(folder)
    refusing = {each.find for each in CHECKS if each.production == "refuse"}
    assert refusing - found == {unsupported.settings, processes.network_file_system}, "these have tests of their own"


@pytest.mark.parametrize("configuration", SAFE, ids=lambda configuration: configuration.name)
async def test_what_is_safe_starts(configuration: Configuration, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await judge(configuration, folder, monkeypatch)).problems == []


async def test_the_minimum_has_nothing_to_warn_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await judge(SAFE[0], folder, monkeypatch)).warnings == []


async def test_what_cannot_be_read_is_not_judged_by_its_default(folder: Path) -> None:
    environ = {"ENVIRONMENT": "production", "ORCHESTRATOR_CLIENT_KEY_FILE": "nowhere", "LOG_LEVEL": "DEBUG"}
    with pytest.raises(ConfigError) as raised:
        load(environ, folder)
    problems = (await examine_rest(raised.value)).problems
    assert [problem.partition(":")[0] for problem in problems if ":" in problem] == [
        "ORCHESTRATOR_CLIENT_KEY_FILE",
        "LOG_LEVEL",
    ]


async def test_looking_makes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    await examine(load(SAFE[0].variables, folder))
    assert sorted(folder.iterdir()) == before
