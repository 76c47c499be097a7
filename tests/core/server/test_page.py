"""How the page at `/` is served."""

from __future__ import annotations

import asyncio
import gzip
import re
import threading
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.server.page import OWN, files
from scripted_gateway import Served, served

CLIENT_KEY = "9f2c4b7a1d3e5f60718293a4b5c6d7e8"
PRODUCTION = {
    "ENVIRONMENT": "production",
    "CORS_ALLOWED_ORIGINS": "https://app.example.com",
    "ORCHESTRATOR_CLIENT_KEY": CLIENT_KEY,
}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        yield gateway


async def ask(gateway: Served, path: str, method: str = "GET", **headers: str) -> tuple[int, Mapping[str, str], bytes]:
    """Ask as a client that unpacks nothing."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as client,
        client.request(method, URL(gateway.url + path, encoded=True), headers=named) as response,
    ):
        return response.status, response.headers, await response.read()


async def test_the_page_and_all_that_it_names_are_there(gateway: Served) -> None:
    status, headers, body = await ask(gateway, "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    links = re.findall(r'(?:src|href)="(/[^"]+)"', body.decode())
    assert len(links) >= 5
    for link in links:
        status, headers, body = await ask(gateway, link)
        assert (status, len(body) > 100) == (200, True), link
        assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert b"__" not in files().index[True].body


async def test_every_file_is_served_with_its_kind(gateway: Served) -> None:
    kinds = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
    names = [path.relative_to(OWN).as_posix() for path in OWN.rglob("*") if path.suffix in kinds]
    assert "views/overview.js" in names
    for name in names:
        status, headers, body = await ask(gateway, f"/page/{files().version}/{name}")
        assert (status, headers["Content-Type"]) == (200, kinds[Path(name).suffix]), name
        assert body == (OWN / name).read_bytes()


@pytest.mark.parametrize("path", ["/", "/style.css"])
async def test_only_the_page_may_run_scripts_and_none_that_stands_in_it(gateway: Served, path: str) -> None:
    _, headers, _ = await ask(gateway, path if path == "/" else f"/page/{files().version}{path}")
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    _, others, _ = await ask(gateway, "/api/health")
    assert "script-src" not in others["Content-Security-Policy"]
    assert others["Cache-Control"] == "no-store"


async def test_it_is_compressed_for_those_who_can_read_that(gateway: Served) -> None:
    _, headers, plain = await ask(gateway, "/")
    assert "Content-Encoding" not in headers
    assert "Accept-Encoding" in headers["Vary"]
    _, headers, packed = await ask(gateway, "/", Accept_Encoding="br, gzip;q=0.8")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed) == plain
    for refused in ("br", "gzip;q=0", "GZIP ; q = 0.0, br", "xgzip"):
        assert "Content-Encoding" not in (await ask(gateway, "/", Accept_Encoding=refused))[1], refused
    for taken in ("gzip", "deflate, gzip;q=1.0", "gzip;q=0.5, *;q=0"):
        assert "Content-Encoding" in (await ask(gateway, "/", Accept_Encoding=taken))[1], taken


async def test_a_browser_that_has_it_is_told_so(gateway: Served) -> None:
    _, headers, _ = await ask(gateway, "/")
    assert headers["Cache-Control"] == "no-cache"
    status, again, body = await ask(gateway, "/", If_None_Match=f'"other", {headers["ETag"]}')
    assert (status, body, again["ETag"]) == (304, b"", headers["ETag"])
    assert "script-src" in again["Content-Security-Policy"]
    assert (await ask(gateway, "/", If_None_Match='W/"other"'))[0] == 200


async def test_head_is_get_without_the_body(gateway: Served) -> None:
    _, whole, body = await ask(gateway, "/")
    status, headers, nothing = await ask(gateway, "/", "HEAD")
    assert (status, nothing) == (200, b"")
    assert headers["ETag"] == whole["ETag"]
    assert headers["Content-Length"] == str(len(body))
    assert (await ask(gateway, "/", "POST"))[0] == 405


@pytest.mark.parametrize(
    "name", ["../page.py", "..%2fpage.py", "%00.js", "views/../app.js", "index.html", "nothing.js", "views"]
)
async def test_nothing_else_is_a_file_of_it(gateway: Served, name: str) -> None:
    assert (await ask(gateway, f"/page/{files().version}/{name}"))[0] == 404
    assert (await ask(gateway, "/page/0123456789abcdef/app.js"))[0] == 404


async def test_production_serves_it_to_everybody_and_says_that_it_asks_for_a_key(tmp_path: Path) -> None:
    async with served(tmp_path, [ScriptedProvider], PRODUCTION) as gateway:
        status, _, body = await ask(gateway, "/")
        assert status == 200
        assert b'data-asks="true"' in body
        assert (await ask(gateway, f"/page/{files().version}/app.js"))[0] == 200
        assert (await ask(gateway, "/api/providers"))[0] == 401
        counts = gateway.gateway.metrics.render()[0].decode()
        assert 'orchestrator_security_events_total{event="authentication_failed"} 1.0' in counts


async def test_files_that_were_read_need_no_thread(gateway: Served) -> None:
    await ask(gateway, "/")
    release = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        threads.submit(release.wait)
        try:
            async with asyncio.timeout(10):
                assert (await ask(gateway, f"/page/{files().version}/app.js"))[0] == 200
        finally:
            release.set()


async def test_development_says_that_it_asks_for_none(gateway: Served) -> None:
    assert b'data-asks="false"' in (await ask(gateway, "/"))[2]


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async with served(tmp_path, [ScriptedProvider], {"ORCHESTRATOR_PAGE": "false"}) as gateway:
        for path in ("/", f"/page/{files().version}/app.js"):
            status, headers, _ = await ask(gateway, path)
            assert (status, "script-src" in headers["Content-Security-Policy"]) == (404, False)
