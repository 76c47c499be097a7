"""Who a client is behind proxies."""

from __future__ import annotations

import io
import ipaddress
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from orchestrator_core.config import Settings
from orchestrator_core.security.proxies import MAX_HOPS, Client, TrustedProxies
from orchestrator_core.telemetry.logging import configure

PROXY, INNER, OUTSIDE = "10.0.0.1", "10.0.0.2", "203.0.113.7"


def client(
    *forwarded_for: str,
    peer: str | None = PROXY,
    trusted: tuple[str, ...] = ("10.0.0.0/8", "2001:db8:1::/48"),
    header: str = "x-forwarded-for",
    tls: bool = False,
    **headers: str,
) -> Client:
    given = CIMultiDict([(header, line) for line in forwarded_for])
    given.update({name.replace("_", "-"): value for name, value in headers.items()})
    return TrustedProxies(trusted, header, "CF-IPCountry").client(peer, given, tls=tls)


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        ((), PROXY),
        (("203.0.113.7",), OUTSIDE),
        ((f"203.0.113.7, {INNER}",), OUTSIDE),
        (("198.51.100.9, 203.0.113.7",), OUTSIDE),  # what stands before the last stranger, the stranger wrote
        (("198.51.100.9", "203.0.113.7", INNER), OUTSIDE),
        (("203.0.113.7:4711",), OUTSIDE),
        (("  203.0.113.7  ,  10.9.9.9  ",), OUTSIDE),
        (("::ffff:203.0.113.7",), OUTSIDE),
        (("2001:db8::7",), "2001:db8::7"),
        (("[2001:db8::7]",), "2001:db8::7"),
        (("[2001:db8::7]:443, 2001:db8:1::5",), "2001:db8::7"),
        (("2001:0DB8:0:0:0:0:0:7",), "2001:db8::7"),
        ((f"{INNER}",), INNER),  # the client is a machine of ours
        (("garbage",), PROXY),
        (("unknown",), PROXY),
        ((f"203.0.113.7, unknown, {INNER}",), INNER),
        (("203.0.113.7, ",), PROXY),
        (("203.0.113.7:port",), PROXY),
        (("203.0.113.7:123456",), PROXY),
        (("[203.0.113.7]",), PROXY),
        (("[2001:db8::7",), PROXY),
        (("203.0.113.07",), PROXY),
        (("203.0.113.7\u0660",), PROXY),
        ((", ".join([OUTSIDE, *[INNER] * MAX_HOPS]),), INNER),
        ((", ".join([OUTSIDE, *[INNER] * (MAX_HOPS - 1)]),), OUTSIDE),
    ],
)
def test_the_list_is_read_from_its_end(lines: tuple[str, ...], address: str) -> None:
    assert client(*lines).address == address


@pytest.mark.parametrize(
    ("lines", "address", "tls"),
    [
        (("for=203.0.113.7",), OUTSIDE, False),
        (("for=203.0.113.7;proto=https;by=10.0.0.1",), OUTSIDE, True),
        (('For="203.0.113.7:4711" ; PROTO=HTTPS',), OUTSIDE, True),
        (('for="[2001:db8::7]:4711";proto=http',), "2001:db8::7", False),
        (("for=198.51.100.9, for=203.0.113.7;proto=https", f"for={INNER};proto=http"), OUTSIDE, True),
        (("for=_hidden;proto=https",), PROXY, False),
        (("for=unknown",), PROXY, False),
        (("proto=https",), PROXY, False),
        (("203.0.113.7",), PROXY, False),
        # A client opens quotes, so that a reader from the left would take the proxy's own word for a part of its own.
        (('for=198.51.100.9;x="', 'for="203.0.113.7"'), OUTSIDE, False),
        (('for="198.51.100.9, for=203.0.113.7',), OUTSIDE, False),
    ],
)
def test_the_standard_header(lines: tuple[str, ...], address: str, tls: bool) -> None:
    found = client(*lines, header="forwarded")
    assert (found.address, found.tls) == (address, tls)


def test_only_the_header_that_the_proxy_writes_is_read() -> None:
    assert client(OUTSIDE, Forwarded="for=198.51.100.9;proto=https") == Client(OUTSIDE)
    assert client(f"for={OUTSIDE}", header="forwarded", X_Forwarded_For="198.51.100.9", X_Forwarded_Proto="https") == (
        Client(OUTSIDE)
    )


@pytest.mark.parametrize("peer", ["198.51.100.1", "2001:db8:2::1", "", None, "somewhere"])
def test_nobody_else_is_believed(peer: str | None) -> None:
    headers = {"X_Forwarded_Proto": "https", "CF_IPCountry": "FR"}
    assert client("203.0.113.7", peer=peer, **headers) == Client(peer)
    assert client("203.0.113.7", peer=peer, tls=True, **headers) == Client(peer, tls=True)
    assert client("203.0.113.7", trusted=(), **headers) == Client(PROXY)


def test_a_proxy_is_known_by_any_form_of_its_address() -> None:
    assert client(OUTSIDE, peer="::ffff:10.0.0.1").address == OUTSIDE
    assert client(OUTSIDE, peer="fe80::1%eth0", trusted=("fe80::/64",)).address == OUTSIDE
    assert client(OUTSIDE, peer="::ffff:198.51.100.1").address == "198.51.100.1"


@pytest.mark.parametrize(
    ("proto", "tls"), [("https", True), ("HTTPS", True), ("http", False), ("http, https", True), ("https,http", False)]
)
def test_tls_at_the_proxy(proto: str, tls: bool) -> None:
    assert client(OUTSIDE, X_Forwarded_Proto=proto).tls is tls
    assert client(OUTSIDE, tls=True).tls


def test_the_country_and_whether_the_proxy_itself_is_meant() -> None:
    assert client(OUTSIDE, CF_IPCountry=" fr ") == Client(OUTSIDE, countries=("FR",))
    assert client().proxy
    assert client("unknown").proxy
    assert not client(OUTSIDE).proxy


def test_every_header_of_the_proxy_is_read_from_its_end() -> None:
    headers = CIMultiDict(
        [
            ("X-Forwarded-For", OUTSIDE),
            ("X-Forwarded-Proto", "https"),  # the client's own line; the proxy added the next
            ("X-Forwarded-Proto", "http"),
            ("CF-IPCountry", "ch"),
            ("CF-IPCountry", ""),
            ("CF-IPCountry", "XX, fr"),
        ]
    )
    found = TrustedProxies([PROXY], country_header="CF-IPCountry").client(PROXY, headers, tls=False)
    assert found == Client(OUTSIDE, tls=False, countries=("CH", "XX", "FR"))


addresses = st.ip_addresses().filter(lambda address: address not in ipaddress.ip_network("10.0.0.0/8"))
written = addresses.flatmap(
    lambda address: st.sampled_from(
        [f"{address}", f"[{address}]", f"[{address}]:443"] if address.version == 6 else [f"{address}", f"{address}:80"]
    ).map(lambda text: (text, address))
)


@given(st.lists(st.text(st.characters(codec="latin-1")), max_size=4), written, st.integers(0, 5))
def test_nothing_that_a_client_writes_changes_who_it_is(
    lies: list[str], truth: tuple[str, ipaddress.IPv4Address | ipaddress.IPv6Address], proxies: int
) -> None:
    text, address = truth
    expected = str(getattr(address, "ipv4_mapped", None) or address)
    honest = [text, *[INNER] * proxies]
    assert client(*lies, ", ".join(honest), trusted=("10.0.0.0/8",)).address == expected
    assert client(", ".join([*lies, *honest]), trusted=("10.0.0.0/8",)).address == expected
    elements = [f'for="{one}";proto=https' for one in honest]
    found = client(*lies, ", ".join(elements), header="forwarded", trusted=("10.0.0.0/8",))
    assert (found.address, found.tls) == (expected, True)
    assert client(", ".join([*lies, *elements]), header="forwarded", trusted=("10.0.0.0/8",)) == found


@given(st.lists(st.text(max_size=9000), max_size=5), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_any_text_is_read(lines: list[str], header: str) -> None:
    found = client(*lines, header=header)
    assert found.address is not None
    ipaddress.ip_address(found.address)


def test_a_proxy_that_nobody_trusts_is_pointed_out_once() -> None:
    output = io.StringIO()
    configure(Settings(log_format="json"), output)
    proxies = TrustedProxies(())
    for _ in range(3):
        proxies.client(PROXY, CIMultiDict({"X-Forwarded-For": OUTSIDE}), tls=False)
    (line,) = output.getvalue().splitlines()
    assert "ORCHESTRATOR_TRUSTED_PROXIES" in json.loads(line)["event"]
    assert OUTSIDE not in line
