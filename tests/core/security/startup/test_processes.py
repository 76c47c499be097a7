from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_core.config import extras, load
from orchestrator_core.security.startup import processes, unsupported
from orchestrator_core.security.startup.subject import Subject


def subject(folder: Path, **environ: str) -> Subject:
    return Subject(load(environ, folder))


def test_a_database_on_a_network_file_system_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(processes, "on_network", lambda path: asked.append(path) or True)
    (found,) = processes.network_file_system(subject(tmp_path, ORCHESTRATOR_DATABASE_URL="sqlite:///data/canary.db"))
    assert asked == [tmp_path.resolve() / "data" / "canary.db"]
    assert "network file system" in found
    assert "canary" not in found
    elsewhere = subject(tmp_path, ORCHESTRATOR_DATABASE_URL="postgresql://gateway@127.0.0.1/db")
    assert list(processes.network_file_system(elsewhere)) == []


def test_the_number_of_processes_counts_where_the_operator_states_it(tmp_path: Path) -> None:
    assert list(processes.one_process_database(subject(tmp_path))) == []
    assert list(processes.one_process_database(subject(tmp_path, ORCHESTRATOR_EXPECTED_PROCESSES="1"))) == []
    assert len(list(processes.one_process_database(subject(tmp_path, ORCHESTRATOR_EXPECTED_PROCESSES="2")))) == 1


def test_limits_that_are_off_need_no_store(tmp_path: Path) -> None:
    several = {"ORCHESTRATOR_EXPECTED_PROCESSES": "2"}
    assert list(processes.separate_limits(subject(tmp_path, **several))) == []
    limited = {**several, "ORCHESTRATOR_RATE_LIMIT_PER_SESSION": "5"}
    assert len(list(processes.separate_limits(subject(tmp_path, **limited)))) == 1


@pytest.mark.parametrize(
    ("environ", "package"),
    [
        ({"ORCHESTRATOR_DATABASE_URL": "postgresql://gateway@127.0.0.1/db"}, "asyncpg"),
        ({"ORCHESTRATOR_REDIS_URL": "redis://127.0.0.1"}, "redis"),
    ],
)
def test_a_package_that_a_setting_needs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], package: str
) -> None:
    assert list(unsupported.settings(subject(tmp_path, **environ))) == []
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    (found,) = unsupported.settings(subject(tmp_path, **environ))
    assert f"needs the package {package}" in found
