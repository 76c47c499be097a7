"""What GitHub runs: the sessions of `.ci/run` on every supported Python, of actions that nobody can exchange."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
USES = re.compile(r"uses: (?P<action>[\w.-]+/[\w./-]+)@(?P<commit>\S+)(?: # (?P<version>\S+))?$", re.MULTILINE)


def workflow(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())
    return read


def matrix(job: str) -> dict[str, Any]:
    found: dict[str, Any] = workflow("checks")["jobs"][job]["strategy"]["matrix"]
    return found


def test_every_session_of_ci_is_run_there() -> None:
    script = (ROOT / ".ci/run").read_text()
    (listed,) = re.findall(r"^for session in (.+); do$", script, re.MULTILINE)
    here = {*listed.split(), *re.findall(r"nox -s (\w+)", script)}
    there = {*matrix("sessions")["session"], *(each["session"] for each in matrix("tests")["include"]), "deploy"}
    assert here <= there
    assert "nox -s deploy" in (ROOT / ".github/workflows/checks.yml").read_text()


def test_the_tests_run_on_every_python_that_the_distributions_name() -> None:
    classifiers = tomllib.loads((ROOT / "orchestrator-core/pyproject.toml").read_text())["project"]["classifiers"]
    named = [each.rpartition(" ")[2] for each in classifiers if re.search(r":: 3\.\d+$", each)]
    first, *others = matrix("tests")["include"]
    assert [first["python"], *(each["python"] for each in others)] == named
    assert first["session"] == "tests", "over what is locked"
    assert [each["session"] for each in others] == [f"matrix-{python}" for python in named[1:]]


def test_every_action_is_pinned_to_one_commit_of_which_the_version_is_said() -> None:
    commits: dict[str, set[tuple[str, str]]] = {}
    for path in FILES:
        text = path.read_text()
        found = list(USES.finditer(text))
        assert len(found) == len(re.findall(r"uses: (?!\$/)", text)), path.name
        for each in found:
            assert re.fullmatch(r"[0-9a-f]{40}", each["commit"]), each[0]
            assert re.fullmatch(r"v\d+\.\d+\.\d+", each["version"] or ""), each[0]
            commits.setdefault(each["action"], set()).add((each["commit"], each["version"]))
    assert {action for action, pinned in commits.items() if len(pinned) > 1} == set()


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_nothing_may_be_done_but_what_a_job_asks_for(path: Path) -> None:
    found = workflow(path.stem)
    assert found["permissions"] == {}
    assert all("permissions" in job for job in found["jobs"].values())
    assert "secrets" not in re.sub(r"secrets\.GITHUB_TOKEN", "", path.read_text()), "there is none to lose"


def test_one_job_knows_of_all_the_others() -> None:
    jobs = workflow("checks")["jobs"]
    assert {*jobs["passed"]["needs"], "passed"} == set(jobs)


def test_a_release_is_built_once_and_published_after_all_checks() -> None:
    jobs = workflow("release")["jobs"]
    built = [name for name, job in jobs.items() if "nox -s release" in str(job)]
    assert built == ["build"]
    assert jobs["attest"]["needs"] == ["checks", "build"]
    for name in ("pypi", "image"):
        assert jobs[name]["needs"] == "attest"
    assert jobs["github"]["needs"] == ["attest", "pypi", "image"]
    assert jobs["pypi"]["environment"] == "pypi"
    assert not any("with" in step and "password" in step["with"] for step in jobs["pypi"]["steps"])


@pytest.mark.parametrize("form", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_links_into_the_repository_lead_somewhere(form: Path) -> None:
    for target in re.findall(r"\.\./blob/main/([^)#\s]+)", form.read_text()):
        assert (ROOT / target).exists(), target
