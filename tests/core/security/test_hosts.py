"""Under which names the gateway is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.config import ConfigError, Settings, load
from orchestrator_core.security.hosts import HostPolicy

LOCAL = ["localhost", "LOCALHOST:8000", "localhost.", "app.localhost:8000", "127.0.0.1", "127.9.9.9:8000", "[::1]:8000"]
FOREIGN = [
    "attacker.example",
    "attacker.example:8000",
    "localhost.attacker.example",
    "127.0.0.1.attacker.example",
    "attacker.example:localhost",
    "localhost@attacker.example",
    "notlocalhost",
    "0.0.0.0",
    "192.0.2.7:8000",
    "[2001:db8::1]",
    "[::1",
    "::1",
    "[]",
    ":8000",
    "",
]


def allows(host: str | None, *, asks: bool = False, **settings: object) -> bool:
    return HostPolicy(Settings.model_validate(settings)).allows(host, asks=asks)


@pytest.mark.parametrize("host", LOCAL)
def test_this_machine_may_be_called_by_its_own_names(host: str) -> None:
    assert allows(host)
    assert allows(host, asks=True, allowed_hosts=("gateway.example.com",))


@pytest.mark.parametrize("host", FOREIGN)
def test_another_name_is_refused_where_nobody_is_asked_for_a_credential(host: str) -> None:
    assert not allows(host)
    assert not allows(host, server_host="::1")
    assert allows(host, asks=True), "what a page cannot send is asked for"
    assert allows(host, server_host="0.0.0.0"), "nobody knows the names of this machine"


def test_a_client_that_names_no_host_is_no_browser() -> None:
    assert allows(None)


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("listens", ["127.0.0.1", "0.0.0.0"])
def test_listed_names_and_no_other(asks: bool, listens: str) -> None:
    settings = {"allowed_hosts": ("Gateway.Example.com", "192.0.2.7", "2001:DB8:0::1"), "server_host": listens}
    for host in ("gateway.example.com", "gateway.example.com.:443", "192.0.2.7:80", "[2001:db8::1]:443"):
        assert allows(host, asks=asks, **settings)
    for host in ("example.com", "gateway.example.com.attacker.example", "192.0.2.8", ""):
        assert not allows(host, asks=asks, **settings)


@pytest.mark.parametrize(
    "value", ["https://gateway.example.com", "gateway.example.com:443", "*.example.com", "a b", "a/b", "-", "[::1", "*"]
)
def test_what_is_no_name_is_refused_unseen(value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"ORCHESTRATOR_ALLOWED_HOSTS": f"localhost,{value}"}, tmp_path)
    (problem,) = caught.value.problems
    assert problem.startswith("ORCHESTRATOR_ALLOWED_HOSTS: entry 2 ")
    assert value not in problem.partition(" ")[2] or value in ("-", "*")


@given(st.text())
def test_any_text_is_read(host: str) -> None:
    allows(host)
