"""The settings and keys of a provider."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import Field, field_validator

from orchestrator_core.config import ConfigError, ProviderConfig, load
from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.provider_api import ProviderInfo, ProviderSettings, Secret

OPENAI = ProviderInfo(name="openai", title="OpenAI", capabilities=())
KIMI = ProviderInfo(
    name="kimi",
    title="Kimi",
    capabilities=(),
    env_prefixes=("KIMI", "KIMI_K2"),
    key_env=("KIMI_K2_API_KEY", "MOONSHOT_API_KEY"),
)
COMPATIBLE = ProviderInfo(name="openai-compatible", title="Any", capabilities=(), named_servers=True)


class OwnSettings(ProviderSettings):
    organization: str | None = None
    regions: tuple[str, ...] = ()
    headers: dict[str, str] = Field(default_factory=dict)

    @field_validator("organization")
    @classmethod
    def check(cls, value: str | None) -> str | None:
        if value == "wrong":
            raise ValueError(f"{value} is wrong")
        return value


def read(
    environ: dict[str, str],
    directory: Path,
    info: ProviderInfo = OPENAI,
    model: type[ProviderSettings] = ProviderSettings,
    name: str | None = None,
) -> ProviderConfig:
    return load(environ, directory).provider(info, model, name)


def secrets(*values: str) -> tuple[Secret, ...]:
    return tuple(Secret(value) for value in values)


def test_every_field_of_the_settings_model_is_read(tmp_path: Path) -> None:
    found = read(
        {
            "OPENAI_BASE_URL": "https://x.example/v1",
            "OPENAI_DEFAULT_MODEL": "gpt-6-luna",
            "OPENAI_DEFAULT_TEMPERATURE": "0.5",
            "OPENAI_DEFAULT_MAX_TOKENS": "100",
            "OPENAI_ORGANIZATION": "acme",
            "OPENAI_REGIONS": "eu, us",
            "OPENAI_HEADERS": '{"a": "b"}',
        },
        tmp_path,
        model=OwnSettings,
    )
    assert found.settings == OwnSettings(
        base_url="https://x.example/v1",
        default_model="gpt-6-luna",
        default_temperature=0.5,
        default_max_tokens=100,
        organization="acme",
        regions=("eu", "us"),
        headers={"a": "b"},
    )
    assert found.keys == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_DEFAULT_MAX_TOKENS", "-1000000"),
        ("OPENAI_DEFAULT_MAX_TOKENS", "0"),
        ("OPENAI_DEFAULT_MAX_TOKENS", "1.5"),
        ("OPENAI_DEFAULT_TEMPERATURE", "-0.1"),
        ("OPENAI_DEFAULT_TEMPERATURE", "99"),
        ("OPENAI_DEFAULT_TEMPERATURE", "nan"),
        ("OPENAI_DEFAULT_TEMPERATURE", "inf"),
        ("OPENAI_BASE_URL", "canary"),
        ("OPENAI_BASE_URL", "ftp://canary.example/v1"),
        ("OPENAI_BASE_URL", "https://"),
        ("OPENAI_BASE_URL", "https://:443/v1"),
        ("OPENAI_BASE_URL", "https://u:p@/v1"),
        ("OPENAI_BASE_URL", "https://canary.example:99999/v1"),
        ("OPENAI_BASE_URL", "https://canary.example:0/v1"),
        ("OPENAI_BASE_URL", "https://canary.example:port/v1"),
        ("OPENAI_BASE_URL", "https://canary..example/v1"),
        ("OPENAI_BASE_URL", "https://[::1/v1"),
        ("OPENAI_BASE_URL", "https://[::1]canary/v1"),
        ("OPENAI_BASE_URL", "https://canary.example/v 1"),
        ("OPENAI_BASE_URL", "https://canary.example/v1?x=1"),
        ("OPENAI_BASE_URL", "https://canary.example/v1?"),
        ("OPENAI_BASE_URL", "https://canary.example/v1#x"),
        ("OPENAI_BASE_URL", "https://canary.example/v1#"),
    ],
)
def test_what_no_call_could_be_made_with_is_a_problem_that_says_what_is_expected(
    tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read({name: value}, tmp_path)
    (only,) = caught.value.problems
    assert only.startswith(f"{name}: expected ")
    assert "canary" not in only


@pytest.mark.parametrize(
    "value",
    [
        "http://127.0.0.1:11434",
        "https://[::1]:8443/v1/",
        "https://user:word@canary.example/v1",
        "https://\u00e4.canary.example:443/v1",
        "http://my_server:8000/openai/v1",
    ],
)
def test_addresses_that_can_be_called(tmp_path: Path, value: str) -> None:
    assert read({"OPENAI_BASE_URL": value}, tmp_path).settings.base_url == value


def test_the_file_has_a_table_for_each_provider(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.toml").write_text(
        '[provider.openai]\ndefault_model = "a"\ndefault_max_tokens = 5\n[provider.kimi]\ndefault_model = "k"\n'
    )
    config = load({"OPENAI_DEFAULT_MODEL": "b"}, tmp_path)
    assert config.provider(OPENAI, ProviderSettings).settings == ProviderSettings(
        default_model="b", default_max_tokens=5
    )
    assert config.provider(KIMI, ProviderSettings).settings.default_model == "k"
    assert config.provider_tables == ("openai", "kimi")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"KIMI_DEFAULT_MODEL": "a", "KIMI_K2_DEFAULT_MODEL": "b"}, "a"),
        ({"KIMI_K2_DEFAULT_MODEL": "b"}, "b"),
    ],
)
def test_the_first_prefix_that_is_set_counts(tmp_path: Path, environ: dict[str, str], expected: str) -> None:
    assert read(environ, tmp_path, KIMI).settings.default_model == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"OPENAI_API_KEY": "one-key-0001"}, ["one-key-0001"]),
        ({"OPENAI_API_KEY": " b-key-00002, a-key-0001 ,,"}, ["b-key-00002", "a-key-0001"]),
        ({"OPENAI_API_KEY": "same,same"}, ["same"]),
        ({"OPENAI_API_KEY": ""}, []),
        ({"OPENAI_API_KEY": " , "}, []),
        ({"OPENAI_API_KEY": '"quoted-key"'}, ['"quoted-key"']),
        ({"OPENAI_API_KEY_FILE": "key"}, ["from-the-file"]),
        ({"OPENAI_API_KEY_FILE": "key", "OPENAI_API_KEY": "direct-key"}, ["direct-key"]),
    ],
)
def test_keys(tmp_path: Path, environ: dict[str, str], expected: Sequence[str]) -> None:
    (tmp_path / "key").write_text("from-the-file\n")
    assert read(environ, tmp_path).keys == secrets(*expected)


def test_keys_have_the_names_that_the_provider_says_in_its_order(tmp_path: Path) -> None:
    assert read({"KIMI_API_KEY": "not-a-name-of-it"}, tmp_path, KIMI).keys == ()
    assert read({"MOONSHOT_API_KEY": "second-key"}, tmp_path, KIMI).keys == secrets("second-key")
    both = {"MOONSHOT_API_KEY": "second-key", "KIMI_K2_API_KEY": "first-key-0"}
    assert read(both, tmp_path, KIMI).keys == secrets("first-key-0")


def test_a_placeholder_in_dotenv_does_not_hide_a_mounted_key_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KIMI_K2_API_KEY=your_key_here\n")
    (tmp_path / "key").write_text("mounted-key")
    assert read({"MOONSHOT_API_KEY_FILE": str(tmp_path / "key")}, tmp_path, KIMI).keys == secrets("mounted-key")


def test_files_that_held_keys_are_remembered(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY_FILE=key\n")
    (tmp_path / "key").write_text("mounted-key")
    config = load({}, tmp_path)
    config.provider(OPENAI, ProviderSettings)
    assert config.secret_files == ((".env", tmp_path / ".env"), ("OPENAI_API_KEY_FILE", tmp_path / "key"))


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n"])
def test_the_newline_at_the_end_of_a_key_file_is_no_part_of_the_key(tmp_path: Path, ending: str) -> None:
    (tmp_path / "key").write_bytes(f"mounted-key{ending}".encode())
    assert read({"OPENAI_API_KEY_FILE": "key"}, tmp_path).keys == secrets("mounted-key")


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", "is empty"), (b" \n", "is empty"), (b"\xff", "is not UTF-8"), (b"x" * 70_000, "is larger")],
)
def test_a_key_file_without_a_key_is_a_problem(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read({"OPENAI_API_KEY_FILE": "key"}, tmp_path)
    (only,) = caught.value.problems
    assert only.startswith("OPENAI_API_KEY_FILE: its file")
    assert expected in only


def test_bytes_that_are_no_text_are_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY: it is not UTF-8"):
        read({"OPENAI_API_KEY": "sk-\udcff" + "a" * 40}, tmp_path)


def test_all_problems_of_a_provider_are_reported_at_once_without_values(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.toml").write_text(
        '[provider.openai]\napi_key = "VALUE"\ndefault_modl = "VALUE"\nbase_url = 5\n'
    )
    environ = {
        "OPENAI_DEFAULT_TEMPERATURE": "VALUE",
        "OPENAI_ORGANIZATION": "wrong",
        "OPENAI_HEADERS": "VALUE",
        "OPENAI_API_KEY_FILE": "VALUE",
    }
    with pytest.raises(ConfigError) as caught:
        read(environ, tmp_path, model=OwnSettings)
    text = str(caught.value)
    assert "VALUE" not in text
    assert "wrong" not in text
    for expected in (
        "provider.openai.api_key: a key does not belong into the file. Set OPENAI_API_KEY",
        "provider.openai.default_modl: there is no such setting. Did you mean default_model?",
        "provider.openai.base_url: expected a valid string",
        "OPENAI_DEFAULT_TEMPERATURE: expected a valid number",
        "OPENAI_ORGANIZATION: this provider does not accept the value",
        "OPENAI_HEADERS: expected a JSON object",
        "OPENAI_API_KEY_FILE: its file cannot be read",
    ):
        assert expected in text
    assert len(caught.value.problems) == 7


def test_a_named_server_has_its_own_table_and_its_own_key(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.toml").write_text(
        '[servers.my-llm]\nplugin = "openai-compatible"\nbase_url = "http://127.0.0.1:1/v1"\n'
    )
    environ = {"MY_LLM_API_KEY": "key-of-my-llm", "MY_LLM_DEFAULT_MODEL": "m", "OPENAI_COMPATIBLE_API_KEY": "no"}
    found = read(environ, tmp_path, COMPATIBLE, name="my-llm")
    assert found.settings == ProviderSettings(base_url="http://127.0.0.1:1/v1", default_model="m")
    assert found.keys == secrets("key-of-my-llm")


def test_keys_are_masked_from_then_on_the_longest_first(tmp_path: Path) -> None:
    read({"OPENAI_API_KEY": "sk-part-of,sk-part-of-another"}, tmp_path)
    assert REDACTOR.redact("sk-part-of-another sk-part-of") == "**** ****"


def test_nothing_of_a_configuration_shows_a_key(tmp_path: Path) -> None:
    config = load({"OPENAI_API_KEY": "sk-canary-0001", "ORCHESTRATOR_CLIENT_KEY": "canary-client"}, tmp_path)
    found = config.provider(OPENAI, ProviderSettings)
    for shown in (repr(config), repr(config.settings), str(found), repr(config._environ), repr(vars(found.settings))):
        assert "canary" not in shown


keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","), min_size=1)


@given(st.lists(keys, min_size=1, max_size=5, unique=True), st.sampled_from([",", ", ", " ,", ",,"]))
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_keys_are_read_back_from_the_environment_as_they_are(
    tmp_path: Path, values: list[str], separator: str
) -> None:
    assert read({"OPENAI_API_KEY": separator.join(values)}, tmp_path).keys == secrets(*values)


@given(st.dictionaries(st.sampled_from(["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_REGIONS"]), st.text()))
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_read_or_refused_by_name(tmp_path: Path, environ: dict[str, str]) -> None:
    problems: Sequence[str] = ()
    try:
        read(environ, tmp_path, model=OwnSettings)
    except ConfigError as error:
        problems = error.problems
    assert all(problem.startswith("OPENAI_") for problem in problems)
