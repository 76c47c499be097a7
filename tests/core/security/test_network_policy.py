"""Who may come in, by address and country."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from orchestrator_core.config import ConfigError, Settings
from orchestrator_core.security.countries import Countries
from orchestrator_core.security.network_policy import NetworkPolicy
from orchestrator_core.security.networks import client_of, read_address
from orchestrator_core.security.proxies import Client

FRENCH, GERMAN, SWISS, NOWHERE = "203.0.113.7", "198.51.100.7", "2001:db8:5::7", "192.0.2.7"
RECORDS: Mapping[str, Any] = {
    "203.0.113.0/24": {"country": {"iso_code": "FR", "names": {"en": "France"}}},
    "198.51.100.0/24": {"registered_country": {"iso_code": "DE"}, "country": {}},
    "2001:db8:5::/48": {"country": {"iso_code": "CH"}},
    "192.0.2.0/25": {"traits": {"is_anycast": True}},
}


def write_database(path: Path, records: Mapping[str, Any] = RECORDS, version: int = 6) -> Path:
    writer = MMDBWriter(ip_version=version, ipv4_compatible=version == 6, database_type="GeoLite2-Country")
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


@pytest.fixture
def countries(tmp_path: Path) -> Countries:
    return Countries(write_database(tmp_path / "countries.mmdb"))


def event(settings: Mapping[str, Any], client: Client, countries: Countries | None = None) -> str | None:
    refusal = NetworkPolicy(Settings.model_validate(settings), countries).refusal(client)
    return refusal.event if refusal else None


def test_without_settings_everybody_comes_in(countries: Countries) -> None:
    for address in (FRENCH, SWISS, None, "somewhere"):
        assert event({}, Client(address), countries) is None


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("203.0.113.7", True),
        ("203.0.114.7", False),
        ("2001:db8::1", True),
        ("2001:db8::2", False),
        ("127.0.0.1", False),
        ("somewhere", False),
        (None, False),
    ],
)
def test_allowed_addresses(address: str | None, allowed: bool) -> None:
    settings = {"allowed_addresses": ("203.0.113.0/24", "2001:db8::1")}
    assert event(settings, Client(address)) == (None if allowed else "address_refused")


def test_blocked_countries(countries: Countries) -> None:
    settings = {"blocked_countries": ("fr", "DE")}
    seen = [event(settings, Client(address), countries) for address in (FRENCH, GERMAN, SWISS, NOWHERE, "10.0.0.1")]
    assert seen == ["country_refused", "country_refused", None, None, None]
    settings["block_unknown_countries"] = True
    seen = [event(settings, Client(address), countries) for address in (SWISS, NOWHERE, "10.0.0.1", None)]
    assert seen == [None, "country_refused", "country_refused", "country_refused"]


def test_the_country_that_a_proxy_names(countries: Countries) -> None:
    settings = {"blocked_countries": ("FR",)}
    assert event(settings, Client(SWISS, countries=("FR",)), countries) == "country_refused"
    assert event(settings, Client(FRENCH, countries=("CH",)), countries) is None
    for unknown in (("XX",), ("ZZ",), (), ("CH", "XX")):
        assert event(settings, Client(FRENCH, countries=unknown), countries) == "country_refused"
        assert event(settings, Client(FRENCH, countries=unknown)) is None
        strict = settings | {"block_unknown_countries": True}
        assert event(strict, Client(FRENCH, countries=unknown)) == "country_refused"


@pytest.mark.parametrize("named", [("CH", "FR"), ("FR", "CH"), ("FR", "XX"), ("FR", "CH", "CH")])
def test_a_blocked_country_counts_wherever_it_is_named(named: tuple[str, ...]) -> None:
    assert event({"blocked_countries": ("FR",)}, Client(SWISS, countries=named)) == "country_refused"


def test_a_file_that_knows_no_ipv6(tmp_path: Path) -> None:
    only_old = Countries(write_database(tmp_path / "4.mmdb", {"203.0.113.0/24": RECORDS["203.0.113.0/24"]}, version=4))
    settings = {"blocked_countries": ("FR",)}
    assert event(settings, Client(FRENCH), only_old) == "country_refused"
    assert event(settings, Client(SWISS), only_old) is None


def test_the_file_is_read_again_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    path = write_database(tmp_path / "countries.mmdb")
    found, french = Countries(path), read_address(FRENCH)
    assert french is not None
    assert found.of(french) == "FR"
    write_database(path, {"203.0.113.0/24": {"country": {"iso_code": "IT"}}})
    assert found.of(french) == "FR"
    fresh = found.read_again()
    assert found.of(french) == "FR"
    found.use(fresh)
    assert found.of(french) == "IT"
    for damage in (b"", b"no database", path.read_bytes()[: len(path.read_bytes()) // 4]):
        path.write_bytes(damage)
        with pytest.raises(ConfigError):
            found.read_again()
    path.unlink()
    with pytest.raises(ConfigError, match="ORCHESTRATOR_GEOIP_DATABASE") as caught:
        found.read_again()
    assert str(path) not in str(caught.value)
    assert found.of(french) == "IT"


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.7"),
        ("2001:db8:0:1:aaaa::7", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:bbbb::9", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::7", "2001:db8:0:2::/64"),
        ("", ""),
    ],
)
def test_whom_an_address_belongs_to(address: str, client: str) -> None:
    assert client_of(address) == client
