"""`providers`, `keys check` and `plugins`, as processes of their own over the plugins that are installed."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fake_packages import install_plugin
from orchestrator_core.resilience.shared_circuits import KEY
from processes import RunCommand
from redis_server import RedisServer

GOOD = "sk-proj-" + "a1B2" * 20
BAD = "sk-tooshort-zzzz9"


def rows(done: subprocess.CompletedProcess[str]) -> Mapping[str, Mapping[str, Any]]:
    return {row["name"]: row for row in json.loads(done.stdout)}


def test_providers_says_what_is_configured(orchestrator: RunCommand) -> None:
    found = rows(orchestrator("providers", "--json", OPENAI_API_KEY=GOOD))
    assert found["echo"]["configured"] is True
    assert found["openai"]["configured"] is True
    assert "chat" in found["openai"]["capabilities"]
    assert rows(orchestrator("providers", "--json"))["openai"]["configured"] is False


def test_a_probe_asks_the_provider(orchestrator: RunCommand) -> None:
    done = orchestrator("providers", "--json", "--probe", OPENAI_API_KEY=GOOD, OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    found = rows(done)
    assert found["echo"]["healthy"] is True
    assert found["openai"]["healthy"] is False
    assert done.returncode == 1


def test_providers_says_which_models_the_running_gateways_leave_alone(orchestrator: RunCommand, tmp_path: Path) -> None:
    assert rows(orchestrator("providers", "--json"))["echo"]["left_alone"] is None
    redis = RedisServer(tmp_path / "redis.log")
    try:
        with redis.client() as client:
            client.zadd(KEY, {"echo/org/model": (time.time() + 60) * 1000, "echo/old": (time.time() - 60) * 1000})
        found = rows(orchestrator("providers", "--json", ORCHESTRATOR_REDIS_URL=redis.url))
    finally:
        redis.kill()
    assert found["echo"]["left_alone"] == ["org/model"]
    assert found["openai"]["left_alone"] == []
    assert rows(orchestrator("providers", "--json", ORCHESTRATOR_REDIS_URL=redis.url))["echo"]["left_alone"] is None


@pytest.mark.parametrize(("key", "code", "verdict"), [(GOOD, 0, "valid"), (BAD, 1, "malformed")])
def test_keys_are_checked_and_never_shown(orchestrator: RunCommand, key: str, code: int, verdict: str) -> None:
    done = orchestrator("keys", "check", OPENAI_API_KEY=key)
    assert done.returncode == code
    heading, row = done.stdout.splitlines()
    assert heading.split() == ["PROVIDER", "KEY", "VERDICT", "REASON"]
    assert row.split()[0] == "openai"
    assert "****" in row.split()[1]
    assert row.split()[2] == verdict
    assert key not in done.stdout + done.stderr


def test_keys_as_json(orchestrator: RunCommand) -> None:
    done = orchestrator("keys", "check", "--json", OPENAI_API_KEY=f"{GOOD},{BAD}")
    assert [row["verdict"] for row in json.loads(done.stdout)] == ["valid", "malformed"]
    assert done.returncode == 1


def test_no_key_at_all_is_said(orchestrator: RunCommand) -> None:
    done = orchestrator("keys", "check")
    assert done.returncode == 0
    assert "No provider has a key" in done.stderr
    assert done.stdout == ""


def test_plugins_lists_what_is_installed_without_any_key(orchestrator: RunCommand) -> None:
    done = orchestrator("plugins", "--json")
    found = rows(done)
    assert done.returncode == 0, done.stdout
    assert {"echo", "openai", "openai-compatible"} <= set(found)
    assert found["openai"]["distribution"] == "orchestrator-openai"
    assert found["openai"]["state"] == "usable"
    assert {"chat", "embed", "health"} <= set(found["openai"]["hooks"])


WORKING = """
from orchestrator_core.provider_api import ProviderHooks, ProviderInfo

class Provider(ProviderHooks):
    info = ProviderInfo(name="echo", title="Another echo", capabilities=("chat",))
"""


def test_a_broken_plugin_is_listed_with_the_reason(orchestrator: RunCommand, tmp_path: Path) -> None:
    site = install_plugin(tmp_path, "orchestrator-broken", "broken", "raise RuntimeError('no licence')")
    done = orchestrator("plugins", "--json", PYTHONPATH=site)
    found = rows(done)
    assert done.returncode == 1
    assert found["broken"]["state"] == "quarantined"
    assert found["broken"]["version"] == "1.2.3"
    assert "RuntimeError" in found["broken"]["reason"]
    assert found["echo"]["state"] == "usable"


def test_two_plugins_of_one_name_are_listed_with_both_distributions(orchestrator: RunCommand, tmp_path: Path) -> None:
    site = install_plugin(tmp_path, "orchestrator-pirate", "echo", WORKING)
    done = orchestrator("plugins", "--json", PYTHONPATH=site)
    assert done.returncode == 1
    clashing = [row for row in json.loads(done.stdout) if row["name"] == "echo"]
    assert {row["distribution"] for row in clashing} == {"orchestrator-echo", "orchestrator-pirate"}
    assert all(row["state"] == "clash" for row in clashing)
    refused = orchestrator("serve", "--port", "0", PYTHONPATH=site)
    assert refused.returncode == 78
    assert "orchestrator-pirate" in refused.stderr
