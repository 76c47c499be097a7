"""`orchestrator plugins doctor` over plugins that are broken in many ways, as real installed distributions."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fake_packages import install_plugin
from orchestrator_core.cli.group import cli
from processes import COMMAND, RunCommand, inherited_environment

HEAD = """
import re
from orchestrator_core.openai_compatible import OpenAICompatibleProvider
from orchestrator_core.provider_api import *
from orchestrator_core.provider_api import hookimpl

def info(**fields):
    return ProviderInfo(**{"name": "ill", "title": "Ill", "capabilities": ("chat",), "default_model": "m", **fields})
"""
NO_GENERATOR = """
class Provider(ProviderHooks):
    info = info()
    @hookimpl
    async def chat(self, request):
        return 1
"""
WRONG_PARAMETER = """
class Provider(ProviderHooks):
    info = info()
    @hookimpl
    async def chat(self, req):
        yield 1
"""
FAULTS = {
    NO_GENERATOR: ("loading", "must be an async generator"),
    WRONG_PARAMETER: ("loading", "exactly one argument, named request"),
    "Proviedr = 7": ("loading", "AttributeError"),
    "raise RuntimeError('no licence')": ("loading", "RuntimeError: no licence"),
    "import nothing_of_this_name": ("loading", "ModuleNotFoundError"),
    "Provider = 7": ("loading", "no subclass of ProviderHooks"),
    "class Provider(ProviderHooks): pass": ("loading", "has no info"),
    "class Provider(OpenAICompatibleProvider): info = info(contract_version='2.0')": ("loading", "version 2.0"),
    "class Provider(OpenAICompatibleProvider): info = info(capabilities=('chatting',))": ("loading", "'chatting'"),
    "class Provider(ProviderHooks): info = info()": ("hooks", "has no hook chat"),
    "class Provider(OpenAICompatibleProvider): info = info(capabilities=('chat', 'chat'))": ("card", "doubles"),
    "class Provider(OpenAICompatibleProvider): info = info(default_model=None)": ("models", "default_model"),
    "class Provider(OpenAICompatibleProvider): info = info(models=(ModelInfo(id='x'),))": ("models", "'m'"),
    "class Provider(OpenAICompatibleProvider): info = info(key_formats=(KeyFormat('ill-(', 'x'),))": ("keys", "ill-("),
    "class Provider(OpenAICompatibleProvider): info = info()": ("base_url", "asks '/chat/completions'"),
    """
from orchestrator_core.openai_compatible import Dialect
class Provider(OpenAICompatibleProvider): info, dialect = info(), Dialect(base_url="api.ill.example/v1")
""": ("base_url", "asks 'api.ill.example/v1/chat/completions'"),
    """
class Settings(ProviderSettings):
    region: str
class Provider(OpenAICompatibleProvider):
    info, settings_model = info(), Settings
""": ("settings", "region"),
    """
class Provider(OpenAICompatibleProvider):
    info = info()
    @hookimpl
    def validate_key(self, request):
        return KeyVerdict("malformed", "****", request.credential.reveal())
""": ("keys", "shows the key"),
    """
from orchestrator_core.upstream import ClientFactory
class Provider(OpenAICompatibleProvider): info = info()
""": ("import", "orchestrator_core.upstream"),
    """
class Provider(OpenAICompatibleProvider):
    info = info()
    def __init__(self, context):
        raise OSError("no disk")
""": ("instance", "no disk"),
}


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Mapping[str, Any]]:
    """What the doctor says of all of them at once."""
    directory = tmp_path_factory.mktemp("ill")
    sites = []
    for number, code in enumerate(FAULTS):
        head = HEAD.replace('"ill"', f'"ill-{number}"')
        sites.append(install_plugin(directory, f"orchestrator-ill-{number}", f"ill-{number}", f"{head}\n{code}\n"))
    done = subprocess.run(
        [COMMAND, "plugins", "doctor", "--json"],
        cwd=directory,
        env={**inherited_environment(), "PYTHONPATH": os.pathsep.join(sites)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    rows: Sequence[Mapping[str, Any]] = json.loads(done.stdout)
    return rows


CURES = {
    "raise RuntimeError('no licence')": "`python -c 'import orchestrator_ill_",
    "Provider = 7": "derive the class from ProviderHooks",
    "Proviedr = 7": "can be imported: mend what the entry point names in it, 'Provider'",
    "class Provider(ProviderHooks): pass": "Write `info = ProviderInfo(",
    "class Provider(OpenAICompatibleProvider): info = info(contract_version='2.0')": "Update orchestrator-core.",
    "class Provider(OpenAICompatibleProvider): info = info(capabilities=('chatting',))": "Name in info.capabilities",
    NO_GENERATOR: "Write the hook as docs/reference/hooks.md",
    WRONG_PARAMETER: "Write the hook as docs/reference/hooks.md",
}


@pytest.mark.parametrize("code", CURES)
def test_each_cause_has_its_own_advice(examined: Sequence[Mapping[str, Any]], code: str) -> None:
    [row] = [row for row in examined if row["name"] == f"ill-{list(FAULTS).index(code)}"]
    [found] = [found for found in row["problems"] if found["check"] == "loading"]

    assert CURES[code] in found["cure"]
    assert ("python -c" in found["cure"]) is ("raised RuntimeError" in found["problem"])


@pytest.mark.parametrize("number", range(len(FAULTS)))
def test_what_is_wrong_is_said_with_what_to_do(examined: Sequence[Mapping[str, Any]], number: int) -> None:
    check, words = list(FAULTS.values())[number]
    [row] = [row for row in examined if row["name"] == f"ill-{number}"]

    assert row["distribution"] == f"orchestrator-ill-{number}"
    assert [found for found in row["problems"] if found["check"] == check and words in found["problem"]], row
    assert all(found["cure"] for found in row["problems"])


def test_the_others_are_sound_all_the_same(examined: Sequence[Mapping[str, Any]]) -> None:
    assert {row["name"] for row in examined if row["sound"]} >= {"echo", "openai", "openai-compatible"}


def test_sound_plugins_are_said_to_be(orchestrator: RunCommand) -> None:
    done = orchestrator("plugins", "doctor")

    assert done.returncode == 0, done.stdout
    assert "echo (orchestrator-echo" in done.stdout
    assert "note: it has no key: set OPENAI_API_KEY" in done.stdout


def test_an_ill_formed_key_is_a_problem_and_is_not_shown(orchestrator: RunCommand) -> None:
    key = "sk-tooshort-zzzz9"
    done = orchestrator("plugins", "doctor", "openai", OPENAI_API_KEY=key)

    assert done.returncode == 1
    assert "key: the key sk-****zzz9 is malformed" in done.stdout
    assert "  -> " in done.stdout
    assert key not in done.stdout + done.stderr


def test_a_name_that_two_claim_is_a_problem_of_both(orchestrator: RunCommand, tmp_path: Path) -> None:
    code = f"{HEAD}\nclass Provider(OpenAICompatibleProvider): info = info(name='echo')\n"
    site = install_plugin(tmp_path, "orchestrator-pirate", "pirate", code)
    rows = json.loads(orchestrator("plugins", "doctor", "echo", "--json", PYTHONPATH=site).stdout)

    assert {row["distribution"] for row in rows} >= {"orchestrator-echo", "orchestrator-pirate"}
    assert all(row["problems"] for row in rows)


@pytest.mark.parametrize("name", ["entry", "card", "alias", "orchestrator-entry", "Orchestrator_Entry"])
def test_a_plugin_is_found_by_each_of_its_names(orchestrator: RunCommand, tmp_path: Path, name: str) -> None:
    code = f"{HEAD}\nclass Provider(OpenAICompatibleProvider): info = info(name='card', aliases=('alias',))\n"
    site = install_plugin(tmp_path, "orchestrator-entry", "entry", code)
    [row] = json.loads(orchestrator("plugins", "doctor", name, "--json", PYTHONPATH=site).stdout)

    assert row["distribution"] == "orchestrator-entry"
    [found] = [found for found in row["problems"] if found["check"] == "name"]
    assert "its entry point is called 'entry', its card 'card'" in found["problem"]


def test_that_no_plugin_is_installed_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("orchestrator_core.cli.doctor.find_plugins", lambda timeout, allowed: ())
    monkeypatch.delenv("ORCHESTRATOR_RECORDINGS", raising=False)  # of the tests, and no setting of the gateway
    done = CliRunner().invoke(cli, ["plugins", "doctor"])

    assert done.exit_code == 1
    assert "No provider plugin is installed" in done.output


def test_a_plugin_that_is_not_installed_is_said_to_be_so(orchestrator: RunCommand) -> None:
    done = orchestrator("plugins", "doctor", "sk-canary")

    assert done.returncode == 1
    assert "No installed plugin has this name" in done.stderr
    assert "canary" not in done.stderr
