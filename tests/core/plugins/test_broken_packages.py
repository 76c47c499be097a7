"""Broken plugins as real distributions, installed by pip, in a process beside the echo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fake_providers import broken, use_plugins
from fake_providers.broken import AT_CALLS, AT_LOADING, BLOCKING, Package, install, plain

CANARY = "raises-0123456789-canary"

EXPECTED = {
    "raises": "raised RuntimeError",
    "hangs": "took longer than 1 s",
    "exits": "raised SystemExit",
    "untyped": "subclass of ProviderHooks",
    "cardless": "set the class attribute `info`",
    "futuristic": "version 2.0",
    "newer": "upgrade core",
    "nonsense": "major.minor",
    "boastful": "Did you mean embeddings?",
    "misspelt": "Did you mean chat?",
    "misnamed": "named request",
    "unmarked": "mark it with @hookimpl",
    "awaiting": "must be an async generator",
    "functional": "must be an async generator",
    "unset": "ProviderSettings",
    "stillborn": "raised SystemExit",
    "comatose": "took longer than 1 s",
}
"""What the reason must say."""


def run(site: Path, folder: Path, **environ: str) -> Mapping[str, Any]:
    """Use what is installed in `site`, in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if name.startswith(("COVERAGE", "PATH", "HOME"))}
    done = subprocess.run(
        [sys.executable, use_plugins.__file__],
        cwd=folder,
        env={
            **inherited,
            "PYTHONPATH": str(site),
            "PYTHONDONTWRITEBYTECODE": "1",
            "ORCHESTRATOR_PLUGIN_LOAD_TIMEOUT": "1",
            "RAISES_API_KEY": CANARY,
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # A coroutine that nobody awaited, a task that was lost: Python says so on stderr.
    assert "never awaited" not in done.stderr
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What happened in a process with all broken plugins and the echo."""
    folder = tmp_path_factory.mktemp("broken")
    sources = {**AT_LOADING, **AT_CALLS, "blocking": BLOCKING, "fine": plain("fine")}
    return run(install([Package(name, source) for name, source in sources.items()], folder), folder)


def test_every_broken_plugin_is_tried() -> None:
    assert set(EXPECTED) == set(broken.AT_LOADING)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_cannot_be_loaded_is_set_aside_with_its_distribution_and_a_reason(
    outcome: Mapping[str, Any], name: str
) -> None:
    distribution, version, reason = outcome["quarantined"][name]

    assert (distribution, version) == (f"orchestrator-{name}", "1.2.3")
    assert EXPECTED[name] in reason
    assert name not in outcome["answers"]


@pytest.mark.parametrize("name", AT_CALLS)
def test_what_breaks_in_a_call_is_a_plugin_error(outcome: Mapping[str, Any], name: str) -> None:
    assert outcome["answers"][name] == f"plugin_error 502 {name}"
    assert any(event.get("provider") == name and event.get("hook") == "chat" for event in outcome["logged"])


def test_the_others_answer_on(outcome: Mapping[str, Any]) -> None:
    assert outcome["answers"]["fine"] == "fine"
    assert outcome["echoes"] == ["You said: Hello"] * len(outcome["answers"])
    assert len(outcome["answers"]) >= len(AT_CALLS) + 3


def test_who_blocks_the_loop_is_named_within_a_second_and_set_aside(outcome: Mapping[str, Any]) -> None:
    (event,) = outcome["named"]

    assert (event["provider"], event["hook"]) == ("blocking", "chat")
    assert event["after"] < 1.0
    assert outcome["again"] == "plugin_error 502 blocking"
    assert outcome["quarantined"]["blocking"][0] == "orchestrator-blocking"


def test_an_error_at_import_shows_no_key(outcome: Mapping[str, Any]) -> None:
    assert CANARY not in json.dumps(outcome)


def test_two_distributions_with_one_name_refuse_the_start_unless_one_is_disabled(tmp_path: Path) -> None:
    packages = [
        Package("twin", plain("twin"), "orchestrator-twin-one"),
        Package("twin", plain("twin"), "orchestrator-twin-two"),
        Package("other", plain("other", aliases="('echo',)")),
    ]
    site = install(packages, tmp_path)

    refused = run(site, tmp_path)

    assert refused["error"] == "PluginClash"
    by_name, by_alias = sorted(refused["problems"], key=lambda problem: "twin" not in problem)
    assert "orchestrator-twin-one" in by_name
    assert "orchestrator-twin-two" in by_name
    assert "orchestrator-echo" in by_alias
    assert "orchestrator-other" in by_alias

    served = run(site, tmp_path, ORCHESTRATOR_DISABLED_PROVIDERS="orchestrator-twin-two,other")

    assert served["answers"]["twin"] == "fine"
    assert served["quarantined"] == {}
