"""What stops a start, what is only said, and what is printed."""

from __future__ import annotations

import random
import re
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator_core.config import load
from orchestrator_core.provider_api import (
    KeyFormat,
    KeyVerdict,
    ProviderInfo,
    ProviderSettings,
    Secret,
    check_key,
)
from orchestrator_core.security.startup import StartupReport, check
from orchestrator_core.security.startup.checks import CHECKS
from orchestrator_core.security.startup.clients import STRONG, weak_key
from orchestrator_core.security.startup.runtime import Runtime
from orchestrator_core.security.startup.subject import SetAside, Subject

CLIENT = "b7e23ec29af22b0b4e41da31e868d57226121c84a9f3e6d5"
GOOD = "sk-" + "aB3dE6gH" * 6
FORMATS = (KeyFormat("sk-[A-Za-z0-9]{40,}", "`sk-` and 40 characters or more", "sk-"),)
SAFE = {
    "ENVIRONMENT": "production",
    "CORS_ALLOWED_ORIGINS": "https://app.example.com",
    "OPENAI_API_KEY": GOOD,
    "ORCHESTRATOR_CLIENT_KEY": CLIENT,
}


@dataclass
class Provider:
    info: ProviderInfo
    settings: ProviderSettings
    verdicts: Sequence[KeyVerdict]
    id: str = "openai"
    keys: Sequence[Secret] = ()

    @property
    def configured(self) -> bool:
        return any(verdict.valid for verdict in self.verdicts) or not self.info.requires_key


@dataclass
class Registry:
    providers: dict[str, Provider] = field(default_factory=dict)
    quarantined: Sequence[SetAside] = ()


OPENAI = ProviderInfo(
    name="openai", title="OpenAI", capabilities=(), key_formats=FORMATS, foreign_keys=("^sk-ant-",), aliases=("gpt",)
)
ECHO = ProviderInfo(name="echo", title="Echo", capabilities=(), requires_key=False, embedded_default=True)
SERVER = ProviderInfo(name="openai-compatible", title="Any", capabilities=(), requires_key=False, named_servers=True)


def start(
    environ: dict[str, str],
    directory: Path,
    infos: Sequence[ProviderInfo] = (OPENAI, ECHO),
    *,
    stored_keys: bool = False,
) -> StartupReport:
    config = load(environ, directory)
    registry = Registry()
    for info in infos:
        found = config.provider(info, ProviderSettings)
        verdicts = [check_key(key, info.key_formats, foreign=info.foreign_keys) for key in found.keys]
        registry.providers[info.name] = Provider(info, found.settings, verdicts, info.name, found.keys)
    return check(config, registry, Runtime(), stored_keys=stored_keys)


def test_no_environment_is_stricter_than_production() -> None:
    grave = ("pass", "warn", "wait", "refuse")
    for each in CHECKS:
        strictest = max(grave.index(each.staging), grave.index(each.development))
        # Who listens beyond this machine without a key is refused by another check there.
        assert grave.index(each.production) >= strictest or each.find.__name__ == "open_to_the_network"


def test_production_starts_with_exactly_four_settings(tmp_path: Path) -> None:
    report = start(SAFE, tmp_path)
    assert report.problems == []
    assert report.warnings == []
    assert report.lines == [f"openai: sk-****{GOOD[-4:]} valid", "CORS: https://app.example.com"]


def test_it_starts_with_the_four_settings_in_dotenv_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("\n".join(f"{name}={value}" for name, value in SAFE.items()))
    (tmp_path / ".env").chmod(0o600)
    report = start({}, tmp_path)
    assert report.problems == []
    assert report.warnings == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"OPENAI_API_KEY": ""}, "No provider is usable. Set OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": "sk-short"}, "OPENAI_API_KEY: the key is malformed: expected `sk-`"),
        ({"OPENAI_API_KEY": "your_openai_api_key_here"}, "OPENAI_API_KEY: the key is a placeholder"),
        ({"OPENAI_API_KEY": "sk-ant-api03-" + "x1" * 50}, "OPENAI_API_KEY: the key is not this provider's"),
        ({"OPENAI_API_KEY": f"{GOOD},sk-short"}, "OPENAI_API_KEY: key 2 is malformed"),
        ({"ORCHESTRATOR_CLIENT_KEY": ""}, "ORCHESTRATOR_CLIENT_KEY: production needs a client key"),
        ({"ORCHESTRATOR_CLIENT_KEY": CLIENT[:31]}, "the client key is weak: expected 32 characters or more"),
        ({"ORCHESTRATOR_CLIENT_KEY": "abcdefghi" * 9}, "the client key is weak: expected 32 characters or more"),
        ({"ORCHESTRATOR_CLIENT_KEY": "a" * 64}, "the client key is weak"),
        ({"ORCHESTRATOR_CLIENT_KEY": "your-client-key-goes-exactly-here-0123"}, "the client key is weak"),
        ({"ORCHESTRATOR_CLIENT_KEY": "changeme-changeme-0123456789-abcdef"}, "the client key is weak"),
        ({"ORCHESTRATOR_CLIENT_KEY": "k7Qx2mNp9Rw4zTb8" * 2}, "the client key is weak"),
        ({"ORCHESTRATOR_CLIENT_KEY": "abcdefghijklmnopqrstuvwxyz0123456789"}, "the client key is weak"),
        ({"ORCHESTRATOR_CLIENT_KEY": "98765432100123456789qwertyuiopasdf"}, "the client key is weak"),
        ({"ORCHESTRATOR_CLIENT_KEY": "Orchestrator-Admin-Password-Production-2026!"}, "the client key is weak"),
        ({"CORS_ALLOWED_ORIGINS": "*"}, "CORS_ALLOWED_ORIGINS: origin 1 has a wildcard"),
        ({"CORS_ALLOWED_ORIGINS": "https://a.example,null"}, "CORS_ALLOWED_ORIGINS: origin 2 is the opaque one"),
        ({"CORS_ALLOWED_ORIGINS": "http://a.example"}, "CORS_ALLOWED_ORIGINS: origin 1 is plain http"),
        ({"CORS_ALLOWED_ORIGINS": "http://localhost:3000"}, "CORS_ALLOWED_ORIGINS: origin 1 is plain http"),
        ({"CORS_ALLOWED_ORIGINS": "https://a.example/"}, "CORS_ALLOWED_ORIGINS: origin 1 ends with a slash"),
        ({"OPENAI_BASE_URL": "http://api.example/v1"}, "openai: its base URL is neither https nor on this machine"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1.evil.example"}, "openai: its base URL is neither"),
        ({"LOG_LEVEL": "DEBUG"}, "LOG_LEVEL: this level"),
        ({"ORCHESTRATOR_DATABASE_URL": "memory:"}, "ORCHESTRATOR_DATABASE_URL: a database in memory"),
    ],
)
def test_each_unsafe_setting_stops_production_and_is_a_warning_elsewhere(
    tmp_path: Path, change: dict[str, str], expected: str
) -> None:
    report = start({**SAFE, **change}, tmp_path)
    assert any(expected in problem for problem in report.problems), report
    for environment in ("staging", "development"):
        assert start({**SAFE, **change, "ENVIRONMENT": environment}, tmp_path).problems == []


def test_all_reasons_are_named_at_once_and_no_value(tmp_path: Path) -> None:
    values = {
        "ENVIRONMENT": "production",
        "OPENAI_API_KEY": "canary-key-of-openai",
        "ORCHESTRATOR_CLIENT_KEY": "canary-client",
        "CORS_ALLOWED_ORIGINS": "http://canary.example/path,*",
        "OPENAI_BASE_URL": "http://canary.example",
        "ORCHESTRATOR_REDIS_URL": "redis://canary",
        "LOG_LEVEL": "DEBUG",
    }
    report = start(values, tmp_path)
    assert "canary" not in "\n".join([*report.problems, *report.warnings])
    assert len(report.problems) == 8


@pytest.mark.parametrize("value", ["sk-short", "sk-ant-api03-" + "x1" * 50])
def test_the_key_check_can_be_turned_to_warnings(tmp_path: Path, value: str) -> None:
    environ = {**SAFE, "OPENAI_API_KEY": f"{GOOD},{value}", "ORCHESTRATOR_KEY_CHECK": "warn"}
    report = start(environ, tmp_path)
    assert report.problems == []
    assert any(warning.startswith("OPENAI_API_KEY: key 2") for warning in report.warnings)


def test_a_stand_in_is_no_provider_for_production_and_a_named_server_without_a_key_is(tmp_path: Path) -> None:
    environ = {**SAFE, "OPENAI_API_KEY": "", "OPENAI_COMPATIBLE_BASE_URL": "http://127.0.0.1:11434/v1"}
    assert any("No provider is usable" in problem for problem in start(environ, tmp_path).problems)
    assert start(environ, tmp_path, (OPENAI, ECHO, SERVER)).problems == []


@pytest.mark.parametrize(
    "url", ["https://api.example/v1", "http://127.0.0.1:1", "http://localhost/v1", "http://[::1]/"]
)
def test_upstreams_by_https_or_on_this_machine_are_safe(tmp_path: Path, url: str) -> None:
    assert start({**SAFE, "OPENAI_BASE_URL": url}, tmp_path).problems == []


def test_listening_to_the_network_without_a_client_key_is_a_loud_warning(tmp_path: Path) -> None:
    environ = {"ENVIRONMENT": "staging", "OPENAI_API_KEY": GOOD}
    assert any(warning.startswith("ANYBODY") for warning in start(environ, tmp_path).warnings)
    for harmless in ({"SERVER_HOST": "127.0.0.1"}, {"SERVER_HOST": "::1"}, {"ORCHESTRATOR_CLIENT_KEY": CLIENT}):
        assert start({**environ, **harmless}, tmp_path).warnings == []


def test_a_key_that_the_command_made_is_as_good_as_one_of_the_configuration(tmp_path: Path) -> None:
    without = {name: value for name, value in SAFE.items() if name != "ORCHESTRATOR_CLIENT_KEY"}
    (reason,) = start(without, tmp_path).problems
    assert "orchestrator clients create" in reason
    assert start(without, tmp_path, stored_keys=True).problems == []
    open_to_all = {"SERVER_HOST": "0.0.0.0"}
    assert [warning for warning in start(open_to_all, tmp_path).warnings if "ANYBODY" in warning]
    assert not [warning for warning in start(open_to_all, tmp_path, stored_keys=True).warnings if "ANYBODY" in warning]


def test_names_of_providers_that_are_not_served_are_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.toml").write_text(
        'fallbacks = ["opnai/x", "fast", "sk-canary/m"]\n[aliases]\nfast = "openai/x"\nslow = "sk-canary/m"\n'
        'several = { targets = ["openai/x", "opnai/y"] }\n'
    )
    report = start({**SAFE}, tmp_path)
    assert report.problems == []
    assert report.warnings == [
        "fallbacks: entry 1 names no provider that is served. Did you mean openai?",
        "fallbacks: entry 3 names no provider that is served.",
        "aliases.slow names no provider that is served.",
        "aliases.several: target 2 names no provider that is served. Did you mean openai?",
    ]


def test_a_start_prints_a_line_for_each_key(tmp_path: Path) -> None:
    report = start({"OPENAI_API_KEY": f"{GOOD},sk-short"}, tmp_path)
    assert report.lines == [
        f"openai: sk-****{GOOD[-4:]} valid",
        "openai: **** not valid: expected `sk-` and 40 characters or more",
        "CORS: any origin of this machine",
    ]
    assert start({}, tmp_path).lines == ["Without a key: openai", "CORS: any origin of this machine"]


def test_origins_that_are_refused_are_counted_and_not_printed(tmp_path: Path) -> None:
    listed = "https://app.example.com,https://User:CANARY@b.example,http://canary.example,https://canary.example/x,*"
    for environment, first in (("production", ""), ("development", "any origin of this machine, ")):
        report = start({**SAFE, "CORS_ALLOWED_ORIGINS": listed, "ENVIRONMENT": environment}, tmp_path)
        assert report.lines[-1] == f"CORS: {first}https://app.example.com; 4 unsafe or malformed, not shown"
        assert "canary" not in repr(report).lower()


def test_every_python_reads_alike_what_a_strong_key_is() -> None:
    # 3.11.2, which Debian 12 has, gets a possessive repeat wrong in which a group is captured, and an atomic group too.
    assert not re.search(r"[*+?}]\+|\(\?>", STRONG.pattern)


def test_a_random_key_is_strong_whatever_stands_before_it(tmp_path: Path) -> None:
    made = random.Random(5)
    keys = [make for _ in range(200) for make in (made.randbytes(32).hex(), b64encode(made.randbytes(24)).decode())]
    for key in (CLIENT, f"admin-{CLIENT}", f"orchestrator_production_key_{CLIENT[:32]}", *keys):
        assert not list(weak_key(Subject(load({"ORCHESTRATOR_CLIENT_KEY": key}, tmp_path)))), key


@pytest.mark.parametrize("key", ["a" * 4000, "ab" * 2000, "abcdefghi" * 400, "admin1234" * 400])
def test_judging_a_client_key_takes_little_time(tmp_path: Path, key: str) -> None:
    begun = time.perf_counter()
    report = start({**SAFE, "ORCHESTRATOR_CLIENT_KEY": key}, tmp_path)
    assert time.perf_counter() - begun < 2
    assert len(report.problems) == 1


def test_secrets_do_not_show_in_the_report(tmp_path: Path) -> None:
    report = start({**SAFE, "OPENAI_API_KEY": f"{GOOD},sk-canary-canary"}, tmp_path)
    shown = repr(report)
    assert GOOD not in shown
    assert CLIENT not in shown
    assert "canary-can" not in shown
    assert Secret(GOOD).redact(shown) == shown
