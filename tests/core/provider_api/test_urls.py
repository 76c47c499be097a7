"""What can be called is what aiohttp takes for an address."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from orchestrator_core.provider_api import is_http_url

pieces = st.sampled_from(["host", ".", ":", "443", "99999", "[", "]", "::1", "@", "/v1", "?", "#", " ", "\\", "\u00e4"])


@given(st.sampled_from(["http://", "https://"]), st.lists(pieces, max_size=6).map("".join))
@example("https://", "host:0/v1")
@example("https://", "[::1]host/v1")
@example("https://", "host..host/v1")
def test_whatever_can_be_called_has_a_host_a_port_and_no_more_than_a_path(scheme: str, rest: str) -> None:
    if is_http_url(scheme + rest):
        url = URL(f"{scheme}{rest}/chat")
        assert url.host
        assert 0 < (url.port or 0) < 65536
        assert url.path.endswith("/chat")
        assert "" not in url.host.removesuffix(".").split(".")
