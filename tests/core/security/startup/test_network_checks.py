"""What is unsafe, or does nothing, in the settings of where clients come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_core.config import ConfigError, load
from orchestrator_core.security.startup import check

DATABASE = "ORCHESTRATOR_GEOIP_DATABASE"


def about(environ: dict[str, str], directory: Path, setting: str, environment: str = "production") -> list[str]:
    problems = check(load({"ENVIRONMENT": environment, **environ}, directory), None).problems
    return [problem for problem in problems if problem.startswith(f"{setting}: ")]


@pytest.mark.parametrize(
    ("setting", "environ"),
    [
        ("ORCHESTRATOR_BLOCKED_COUNTRIES", {"ORCHESTRATOR_BLOCKED_COUNTRIES": "FR"}),
        ("ORCHESTRATOR_COUNTRY_HEADER", {"ORCHESTRATOR_COUNTRY_HEADER": "CF-IPCountry"}),
        ("ORCHESTRATOR_BLOCK_UNKNOWN_COUNTRIES", {"ORCHESTRATOR_BLOCK_UNKNOWN_COUNTRIES": "true"}),
        (DATABASE, {DATABASE: "nowhere.mmdb"}),
    ],
)
@pytest.mark.parametrize("environment", ["production", "staging", "development"])
def test_what_would_block_nobody_stops_every_start(
    tmp_path: Path, environment: str, setting: str, environ: dict[str, str]
) -> None:
    assert len(about(environ, tmp_path, setting, environment)) == 1


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "0.0.0.0/1", "2000::/8", "::ffff:0:0/96"])
def test_everybody_is_no_proxy(tmp_path: Path, network: str) -> None:
    environ = {"ORCHESTRATOR_TRUSTED_PROXIES": f"10.0.0.1,{network}"}
    (problem,) = about(environ, tmp_path, "ORCHESTRATOR_TRUSTED_PROXIES")
    assert "entry 2" in problem
    assert network not in problem
    assert about(environ, tmp_path, "ORCHESTRATOR_TRUSTED_PROXIES", "development") == []


def test_networks_of_ipv4_that_are_written_as_ipv6_are_those_of_ipv4(tmp_path: Path) -> None:
    written = "::ffff:10.0.0.0/104, ::ffff:192.0.2.1, 10.1.0.0/16, 2001:db8::/32, ::/64"
    settings = load(
        {"ORCHESTRATOR_TRUSTED_PROXIES": written, "ORCHESTRATOR_ALLOWED_ADDRESSES": written}, tmp_path
    ).settings
    read = ("10.0.0.0/8", "192.0.2.1/32", "10.1.0.0/16", "2001:db8::/32", "::/64")
    assert settings.trusted_proxies == settings.allowed_addresses == read


def test_what_is_complete_is_fine(tmp_path: Path) -> None:
    environ = {
        "ORCHESTRATOR_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/16",
        "ORCHESTRATOR_BLOCKED_COUNTRIES": "FR",
        "ORCHESTRATOR_COUNTRY_HEADER": "CF-IPCountry",
        "ORCHESTRATOR_BLOCK_UNKNOWN_COUNTRIES": "true",
    }
    for setting in environ:
        assert about(environ, tmp_path, setting) == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("ORCHESTRATOR_TRUSTED_PROXIES", "proxy.example.com"),
        ("ORCHESTRATOR_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("ORCHESTRATOR_ALLOWED_ADDRESSES", "10.0.0.0/33"),
        ("ORCHESTRATOR_ALLOWED_ADDRESSES", "10.0.0.1-10.0.0.9"),
        ("ORCHESTRATOR_FORWARDED_HEADER", "x-real-ip"),
        ("ORCHESTRATOR_COUNTRY_HEADER", "CF IPCountry"),
    ],
)
def test_values_that_mean_nothing(tmp_path: Path, setting: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({setting: value}, tmp_path)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [setting]
    assert value not in str(caught.value.problems)
