"""Where settings come from, and what is said of wrong ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator_core.config import Config, ConfigError, Settings, load
from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.config.settings import SPECIFIED, AliasEntry


def problems(environ: dict[str, str], directory: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(environ, directory)
    return caught.value.problems


def test_defaults_are_those_of_the_specification(tmp_path: Path) -> None:
    settings = load({}, tmp_path).settings
    assert settings == Settings()
    assert (settings.environment, settings.host, settings.server_port) == ("development", "127.0.0.1", 8000)
    assert (settings.log_level, settings.monitoring_enabled) == ("INFO", True)
    assert settings.session_summarization_threshold == 20
    assert settings.session_max_duration_minutes == 180
    assert settings.metrics_collection_interval == 30
    assert (settings.client_limit, settings.session_limit) == (None, None)
    assert settings.database_url == "sqlite:///orchestrator.db"


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_limits_and_address_depend_on_the_environment(tmp_path: Path, environment: str) -> None:
    settings = load({"ENVIRONMENT": environment}, tmp_path).settings
    assert (settings.host, settings.client_limit, settings.session_limit) == ("0.0.0.0", 100, 50)
    assert settings.production == (environment == "production")


def test_limits_hold_in_development_when_they_are_set(tmp_path: Path) -> None:
    settings = load({"ORCHESTRATOR_MAX_REQUESTS_PER_MINUTE": "7"}, tmp_path).settings
    assert (settings.client_limit, settings.session_limit) == (7, None)


def test_the_environment_wins_over_dotenv_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SERVER_PORT=2000\nLOG_LEVEL=error\n")
    (tmp_path / "orchestrator.toml").write_text('server_port = 3000\nlog_level = "DEBUG"\nsession_wait = 4\n')
    settings = load({"SERVER_PORT": "1000"}, tmp_path).settings
    assert (settings.server_port, settings.log_level, settings.session_wait) == (1000, "ERROR", 4)


def test_an_empty_value_is_not_set(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SERVER_PORT=2000\nSERVER_PORT=\nLOG_LEVEL=ERROR\n")
    settings = load({"SERVER_PORT": "", "LOG_LEVEL": "  ", "ENVIRONMENT": ""}, tmp_path).settings
    assert (settings.server_port, settings.log_level, settings.environment) == (8000, "ERROR", "development")


def test_of_a_name_that_dotenv_sets_twice_the_last_line_counts_and_nothing_is_interpolated(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "export SERVER_PORT=1\nSERVER_PORT='2' # two\nORCHESTRATOR_DEFAULT_PROVIDER=${SERVER_PORT}\n"
    )
    settings = load({}, tmp_path).settings
    assert (settings.server_port, settings.default_provider) == (2, "${SERVER_PORT}")


def test_dotenv_is_read_anew_by_every_load(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SERVER_PORT=1")
    assert load({}, tmp_path).settings.server_port == 1
    (tmp_path / ".env").write_text("SERVER_PORT=2")
    assert load({}, tmp_path).settings.server_port == 2


@pytest.mark.parametrize("name", ["CORS_ALLOWED_ORIGINS", "CORS_ORIGINS"])
def test_lists_are_separated_by_commas(tmp_path: Path, name: str) -> None:
    settings = load({name: " https://a.example , https://b.example,,"}, tmp_path).settings
    assert settings.cors_allowed_origins == ("https://a.example", "https://b.example")


def test_quotes_that_docker_leaves_around_a_value_do_not_belong_to_it(tmp_path: Path) -> None:
    environ = {"CORS_ORIGINS": '"https://a.example,https://b.example"', "SERVER_HOST": "'::1'", "SERVER_PORT": '"80"'}
    settings = load(environ, tmp_path).settings
    assert settings.cors_allowed_origins == ("https://a.example", "https://b.example")
    assert (settings.server_host, settings.server_port) == ("::1", 80)


def test_mappings_are_json_in_the_environment_and_tables_in_the_file(tmp_path: Path) -> None:
    aliases = {"fast": "openai/gpt-6-luna"}
    (tmp_path / "orchestrator.toml").write_text(
        '[aliases]\nfast = "openai/gpt-6-luna"\n[servers.ollama]\nbase_url = "http://127.0.0.1:1/v1"\n'
    )
    from_file = load({}, tmp_path).settings
    from_environment = load({"ORCHESTRATOR_ALIASES": json.dumps(aliases)}, tmp_path / "none").settings
    assert from_file.aliases == from_environment.aliases == {"fast": AliasEntry(targets=("openai/gpt-6-luna",))}
    assert from_file.servers["ollama"].values == {"base_url": "http://127.0.0.1:1/v1"}


@pytest.mark.parametrize("where", ["argument", "variable"])
def test_the_file_may_be_another_one(tmp_path: Path, where: str) -> None:
    other = tmp_path / "other.toml"
    other.write_text("session_wait = 3")
    environ = {"ORCHESTRATOR_CONFIG": "other.toml"} if where == "variable" else {}
    config = load(environ, tmp_path, other if where == "argument" else None)
    assert config.settings.session_wait == 3


def test_all_problems_are_reported_at_once_by_name_and_without_values(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.toml").write_text('session_wiat = 1\nclient_key = "VALUE"\nidle_timeout = "VALUE"\n')
    found = problems(
        {
            "SERVER_PORT": "VALUE",
            "LOG_LEVEL": "VALUE",
            "ENVIRONMENT": "VALUE",
            "ORCHESTRATOR_ALIASES": "VALUE",
            "ORCHESTRATOR_MAX_REQUESTS_PER_MINUT": "VALUE",
            "ORCHESTRATOR_SERVER_PORT": "VALUE",
            "ORCHESTRATOR_BLOCKED_COUNTRIES": "VALUE",
            "ORCHESTRATOR_SUSPICIOUS_PATTERNS": "(VALUE",
            "ORCHESTRATOR_UPSTREAM_PROXY": "VALUE",
        },
        tmp_path,
    )
    text = "\n".join(found)
    assert "VALUE" not in text
    for expected in (
        "session_wiat: the configuration file has no such setting. Did you mean session_wait?",
        "client_key: a key does not belong into the file.",
        "idle_timeout (in the file): expected a valid number",
        "SERVER_PORT: expected a valid integer",
        "LOG_LEVEL: expected 'DEBUG', 'INFO'",
        "ENVIRONMENT: expected 'development', 'staging' or 'production'",
        "ORCHESTRATOR_ALIASES: expected a JSON object",
        "Did you mean ORCHESTRATOR_MAX_REQUESTS_PER_MINUTE?",
        "ORCHESTRATOR_SERVER_PORT: there is no such setting. Did you mean SERVER_PORT?",
        "ORCHESTRATOR_BLOCKED_COUNTRIES: expected two-letter country codes",
        "ORCHESTRATOR_SUSPICIOUS_PATTERNS: pattern 1 is no regular expression",
        "ORCHESTRATOR_UPSTREAM_PROXY: expected a URL",
    ):
        assert expected in text
    assert len(found) == 12


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVER_PORT", "65536"),
        ("SERVER_PORT", "-1"),
        ("SESSION_SUMMARIZATION_THRESHOLD", "0"),
        ("METRICS_COLLECTION_INTERVAL", "nan"),
        ("METRICS_COLLECTION_INTERVAL", "inf"),
        ("MONITORING_ENABLED", "perhaps"),
        ("ORCHESTRATOR_ALIASES", '{"fast": "openai"}'),
        ("ORCHESTRATOR_ALIASES", '["fast"]'),
        ("ORCHESTRATOR_ALIASES", "[" * 5000),
        ("ORCHESTRATOR_CLIENT_KEY", "one,two"),
        ("ORCHESTRATOR_UPSTREAM_PROXY", "http://proxy.example.com:99999"),
        ("ORCHESTRATOR_UPSTREAM_PROXY", "http://proxy.example.com:3128?x=1"),
        ("ORCHESTRATOR_CONFIG", "absent.toml"),
        ("ORCHESTRATOR_CLIENT_KEY_FILE", "absent"),
    ],
)
def test_a_wrong_value_is_one_problem_that_names_its_setting(tmp_path: Path, name: str, value: str) -> None:
    (only,) = problems({name: value}, tmp_path)
    assert only.startswith(f"{name}")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"server_port = sk-secret", "it is not TOML (at line 1"),
        (b'a = "\xff"', "it is not UTF-8"),
        (b"provider = 1", "expected one table for each provider"),
        (b"[provider]\nopenai = 1", "expected one table for each provider"),
    ],
)
def test_a_broken_file_is_a_problem(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "orchestrator.toml").write_bytes(content)
    (only,) = problems({}, tmp_path)
    assert expected in only
    assert "secret" not in only


def test_a_dotenv_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe")
    assert problems({}, tmp_path) == (".env: it is not UTF-8.",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORCHESTRATOR_AGENT_SERVICE_HOST", "10.0.0.1"),
        ("ORCHESTRATOR_AGENT_SERVICE_PORT", "8000"),
        ("ORCHESTRATOR_AGENT_SERVICE_PORT_HTTP", "8000"),
        ("ORCHESTRATOR_AGENT_PORT", "tcp://10.0.0.1:8000"),
        ("ORCHESTRATOR_AGENT_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("ORCHESTRATOR_AGENT_PORT_8000_TCP_PROTO", "tcp"),
        ("ORCHESTRATOR_AGENT_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("ORCHESTRATOR_PORT", "tcp://10.0.0.1:8000"),
        ("ORCHESTRATOR_SERVICE_HOST", "10.0.0.1"),
    ],
)
def test_what_kubernetes_puts_into_the_environment_is_no_setting(tmp_path: Path, name: str, value: str) -> None:
    assert load({name: value}, tmp_path).settings == Settings()


def test_a_port_that_an_operator_wrote_is_not_taken_for_kubernetes(tmp_path: Path) -> None:
    (only,) = problems({"ORCHESTRATOR_PORT": "8000"}, tmp_path)
    assert only.startswith("ORCHESTRATOR_PORT: there is no such setting.")


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_the_client_key_may_be_in_a_file(tmp_path: Path, ending: str) -> None:
    (tmp_path / "key").write_bytes(b"secret-of-the-client" + ending.encode())
    config = load({"ORCHESTRATOR_CLIENT_KEY_FILE": "key"}, tmp_path)
    direct = load({"ORCHESTRATOR_CLIENT_KEY": "secret-of-the-client"}, tmp_path)
    assert config.settings.client_key == direct.settings.client_key
    assert config.secret_files == (("ORCHESTRATOR_CLIENT_KEY_FILE", tmp_path / "key"),)


def test_passwords_in_urls_are_masked(tmp_path: Path) -> None:
    config = load({"ORCHESTRATOR_DATABASE_URL": "postgresql://u:p%40ssword-1@db/x"}, tmp_path)
    assert REDACTOR.redact("p%40ssword-1 p@ssword-1") == "**** ****"
    assert "ssword" not in repr(config.settings)


def test_deadline_is_bounded_by_the_configured_one() -> None:
    settings = Settings(total_timeout=10, connect_timeout=1, first_event_timeout=2, idle_timeout=3)
    assert 9 < settings.deadline().remaining() <= 10
    assert 9 < settings.deadline(99).remaining() <= 10
    assert settings.deadline(1).remaining() <= 1
    assert (settings.deadline().connect, settings.deadline().first_event, settings.deadline().idle) == (1, 2, 3)


def test_the_example_starts_as_it_stands_in_development(tmp_path: Path) -> None:
    example = Path(__file__).parents[3] / ".env.example"
    (tmp_path / ".env").write_text(example.read_text())
    config: Config = load({}, tmp_path)
    assert config.settings == Settings()


def test_the_example_names_everything_that_the_specification_names() -> None:
    text = (Path(__file__).parents[3] / ".env.example").read_text()
    names = {line.lstrip("#").partition("=")[0] for line in text.splitlines() if "=" in line}
    expected: set[Any] = {variables[0] for variables in SPECIFIED.values()}
    for prefix in ("OPENAI", "ANTHROPIC", "GEMINI", "MISTRAL", "GROK", "QWEN", "DEEPSEEK", "KIMI"):
        expected |= {f"{prefix}_{field}" for field in ("BASE_URL", "DEFAULT_MODEL", "DEFAULT_TEMPERATURE")}
        key = "KIMI_K2" if prefix == "KIMI" else prefix
        expected |= {f"{prefix}_DEFAULT_MAX_TOKENS", f"{key}_API_KEY", f"{key}_API_KEY_FILE"}
    assert expected <= names
    assert "CORS_ORIGINS" in text


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///:memory:", "in memory"),
        ("sqlite://", "sqlite:///file"),
        ("sqlite:///", "in memory"),
        ("sqlite:///x.db?mode=ro", "no parameters"),
        ("postgresql+asyncpg://u:hunter2@h/db", "expected sqlite:///file"),
        ("mysql://u:hunter2@h/db", "expected sqlite:///file"),
    ],
)
def test_other_databases_are_refused_without_their_values(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load({"ORCHESTRATOR_DATABASE_URL": url}, tmp_path)
    assert "hunter2" not in str(caught.value)


def test_what_can_be_read_of_a_wrong_configuration_comes_with_the_error(tmp_path: Path) -> None:
    environ = {"ENVIRONMENT": "production", "SERVER_PORT": "many", "ORCHESTRATOR_NONSENSE": "1", "LOG_LEVEL": "DEBUG"}
    with pytest.raises(ConfigError) as raised:
        load(environ, tmp_path)
    assert len(raised.value.problems) == 2
    assert raised.value.rest is not None
    settings = raised.value.rest.settings
    assert (settings.environment, settings.log_level, settings.server_port) == ("production", "DEBUG", 8000)


def test_a_file_with_a_password_in_a_url_counts_as_one_with_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "orchestrator.toml"
    path.write_text("total_timeout = 300\n")
    config = load({}, tmp_path)
    assert (config.file, config.secret_files) == (path, ())
    path.write_text('upstream_proxy = "https://gateway:canary-word@proxy.example.com"\n')
    assert load({}, tmp_path).secret_files == (("orchestrator.toml", path),)
