"""Names of variables that stand for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator_core.config import load
from orchestrator_core.provider_api import KeyVerdict, ProviderInfo, ProviderSettings, Secret
from orchestrator_core.security.startup import names
from orchestrator_core.security.startup.subject import SetAside, Subject


@dataclass
class Provider:
    info: ProviderInfo
    settings: ProviderSettings = field(default_factory=ProviderSettings)
    keys: Sequence[Secret] = ()
    verdicts: Sequence[KeyVerdict] = ()
    configured: bool = False

    @property
    def id(self) -> str:
        return self.info.name


@dataclass
class Registry:
    providers: dict[str, Provider]
    quarantined: Sequence[SetAside] = ()


OPENAI = ProviderInfo(name="openai", title="OpenAI", capabilities=())
KIMI = ProviderInfo(
    name="kimi",
    title="Kimi",
    capabilities=(),
    env_prefixes=("KIMI_K2", "KIMI"),
    key_env=("KIMI_API_KEY", "MOONSHOT_API_KEY"),
)
REGISTRY = Registry({info.name: Provider(info) for info in (OPENAI, KIMI)})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ENVIROMENT", "ENVIRONMENT"),
        ("CORS_ALLOWED_ORIGIN", "CORS_ALLOWED_ORIGINS"),
        ("SERVER_PORTS", "SERVER_PORT"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("ENV", None),
        ("SERVER_SOFTWARE", None),
        ("OPENAI_API_KEY", None),
        ("LOG_FORMAT", "ORCHESTRATOR_LOG_FORMAT"),
        ("DATABASE_URL", "ORCHESTRATOR_DATABASE_URL"),
        ("CLIENT_KEY", "ORCHESTRATOR_CLIENT_KEY"),
        ("OPENAI_BASE_URI", "OPENAI_BASE_URL"),
        ("OPENAI_BASEURL", "OPENAI_BASE_URL"),
        ("OPENAI_API_KEYS", "OPENAI_API_KEY"),
        ("OPENAI_BASE_URL", None),
        ("OPENAI_API_KEY_FILE", None),
        ("OPENAI_ORGANIZATION", None),
        ("KIMI_DEFAULT_MODL", "KIMI_DEFAULT_MODEL"),
        ("MOONSHOT_API_KEY", None),
    ],
)
def test_a_name_that_is_almost_a_setting_is_pointed_out(tmp_path: Path, name: str, meant: str | None) -> None:
    found = list(names.mistyped(Subject(load({name: "canary"}, tmp_path), REGISTRY)))
    assert found == ([f"{name}: there is no such setting. Did you mean {meant}?"] if meant else [])


def test_a_name_without_the_prefix_is_nobodys_business_where_the_setting_is_there(tmp_path: Path) -> None:
    environ = {"DATABASE_URL": "canary", "ORCHESTRATOR_DATABASE_URL": "sqlite:///canary.db"}
    assert list(names.mistyped(Subject(load(environ, tmp_path)))) == []


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"OPENAI_API_KEY": "a", "OPENAI_API_KEY_FILE": "canary"}, ["OPENAI_API_KEY_FILE", "OPENAI_API_KEY"]),
        ({"KIMI_API_KEY": "a", "MOONSHOT_API_KEY": "b"}, ["MOONSHOT_API_KEY", "KIMI_API_KEY"]),
        ({"KIMI_K2_BASE_URL": "a", "KIMI_BASE_URL": "b"}, ["KIMI_BASE_URL", "KIMI_K2_BASE_URL"]),
        ({"CORS_ALLOWED_ORIGINS": "https://a", "CORS_ORIGINS": "*"}, ["CORS_ORIGINS", "CORS_ALLOWED_ORIGINS"]),
        (
            {"ORCHESTRATOR_CLIENT_KEY": "canary", "ORCHESTRATOR_CLIENT_KEY_FILE": "canary/file"},
            ["ORCHESTRATOR_CLIENT_KEY_FILE", "ORCHESTRATOR_CLIENT_KEY"],
        ),
        ({"KIMI_API_KEY": "a", "MOONSHOT_API_KEY": "a"}, []),
        ({"OPENAI_API_KEY": "a", "KIMI_API_KEY": "b"}, []),
        ({"OPENAI_API_KEY_FILE": "canary"}, []),
        ({"LOG_LEVEL": "INFO", "LOG_LEVEL_FILE": "canary"}, []),
    ],
)
def test_a_name_that_is_passed_over_for_another_one_is_pointed_out(
    tmp_path: Path, environ: dict[str, str], expected: list[str]
) -> None:
    found = list(names.passed_over(Subject(load(environ, tmp_path), REGISTRY)))
    assert found == (["{}: it has no effect, since {} counts; set one of them.".format(*expected)] if expected else [])


def test_the_environment_may_pass_over_what_a_file_says(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=a\nCORS_ORIGINS=*\n")
    environ = {"OPENAI_API_KEY_FILE": "canary", "CORS_ALLOWED_ORIGINS": "https://a"}
    assert list(names.passed_over(Subject(load(environ, tmp_path), REGISTRY))) == []
    (tmp_path / ".env").write_text("OPENAI_API_KEY=a\nOPENAI_API_KEY_FILE=canary\n")
    (found,) = names.passed_over(Subject(load({}, tmp_path), REGISTRY))
    assert found.startswith("OPENAI_API_KEY_FILE: it has no effect")
