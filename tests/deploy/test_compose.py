"""What Compose is told. Compose itself is not asked: its format is, by a library, and every value by what it is for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator_core.config import load
from orchestrator_core.security.startup import check
from start_configurations import MINIMUM

FILE = Path(__file__).parents[2] / "deploy/compose.yaml"
COMPOSE: Mapping[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
OURS = {"gateway": "8000:8000", "mistral-connector": "8005:8000", "openai-connector": "8006:8000"}
PASSWORD = "b7e23ec29af22b0b4e41da31e868d572"


def interpolated(value: str, variables: Mapping[str, str]) -> str:
    """Do what Compose does with `${NAME:-default}` and `${NAME:?message}`."""

    def put(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if name in variables:
            return variables[name]
        assert kind == ":-", f"{name} is required: {rest}"
        return str(rest)

    return re.sub(r"\$\{(\w+)(:[-?])?([^}]*)\}", put, value)


def environment(name: str, variables: Mapping[str, str]) -> Mapping[str, str]:
    return {key: interpolated(str(value), variables) for key, value in SERVICES[name]["environment"].items()}


def test_the_services_are_the_specified_ones_on_their_ports() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        name: [ports] for name, ports in OURS.items()
    }
    for provider in ("mistral", "openai"):
        assert SERVICES[f"{provider}-connector"]["command"] == ["serve", "--providers", provider]


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_can_do_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert not service.get("privileged")
    assert re.fullmatch(r"[a-z]+:\d+(\.\d+)+(-[a-z]+)?", service["image"]), "an exact version"


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("dotenv", [{}, {"ORCHESTRATOR_WORKERS": "4"}])
def test_a_gateway_starts_in_production_with_a_minimal_dotenv(
    name: str, dotenv: Mapping[str, str], tmp_path: Path
) -> None:
    variables = {**MINIMUM, **dotenv, "POSTGRES_PASSWORD": PASSWORD}
    tmp_path.chmod(0o700)
    (tmp_path / ".env").write_text("".join(f"{key}={value}\n" for key, value in variables.items()))
    config = load({"SERVER_HOST": "0.0.0.0", "SERVER_PORT": "8000", **environment(name, variables)}, tmp_path)
    report = check(config, None)
    assert report.problems == []
    settings = config.settings
    if name == "gateway":
        workers = int(dotenv.get("ORCHESTRATOR_WORKERS", "1"))
        assert (settings.workers, settings.expected_processes) == (workers, workers)
        assert settings.database_url == f"postgresql://orchestrator:{PASSWORD}@postgres/orchestrator"
        assert settings.redis_url == "redis://redis:6379/0"
    else:
        assert (settings.workers, settings.redis_url) == (1, None)
        assert settings.database_url == "sqlite:///orchestrator.db"


@pytest.mark.parametrize("name", OURS)
def test_the_gateway_reads_dotenv_itself_where_it_works(name: str) -> None:
    dotenv, *rest = SERVICES[name]["volumes"]
    assert (FILE.parent / dotenv["source"]).resolve() == FILE.parents[1] / ".env"
    assert dotenv["target"] == "/var/lib/orchestrator/.env"
    assert dotenv["read_only"]
    kept = [volume.partition(":") for volume in rest]
    assert all(source in COMPOSE["volumes"] and target == "/var/lib/orchestrator" for source, _, target in kept)


def test_who_stops_has_longer_than_the_gateways_grace() -> None:
    for name in OURS:
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > load({}).settings.shutdown_grace + 10


def test_the_gateway_waits_for_databases_that_nobody_else_reaches() -> None:
    assert SERVICES["gateway"]["depends_on"] == {
        name: {"condition": "service_healthy"} for name in ("postgres", "redis")
    }
    assert COMPOSE["networks"]["store"] == {"internal": True}
    for name in ("postgres", "redis"):
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD", "no shell"
        assert SERVICES[name]["networks"] == ["store"]
        assert "ports" not in SERVICES[name]


def test_the_password_is_needed() -> None:
    with pytest.raises(AssertionError, match="POSTGRES_PASSWORD is required"):
        environment("gateway", {})


def test_the_format_is_that_of_compose() -> None:
    library = pytest.importorskip("compose_spec", reason="it comes with the dependency group `deploy`")
    options = library.PyOptions(apply_merge=True)
    parsed = options.from_yaml(FILE.read_text())
    parsed.validate()
    assert set(parsed.service_names()) == set(SERVICES)
