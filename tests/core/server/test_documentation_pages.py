"""The documentation pages: whole, and without any network."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fake_providers.scripted import ScriptedProvider
from orchestrator_core.server.documentation import OWN
from scripted_gateway import Served, served


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, [ScriptedProvider]) as gateway:
        yield gateway


async def test_the_pages_need_no_network(gateway: Served) -> None:
    for page in ("/docs", "/redoc"):
        reply = await gateway.get(page)
        text = reply.body.decode()
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "http://" not in text
        assert "https://" not in text
        assert "<script>" not in text
        links = re.findall(r'(?:src|href)="([^"]+)"', text)
        assert len(links) >= 3
        for link in links:
            asset = await gateway.get(link)
            assert asset.status == 200, link
            assert len(asset.body) > 100
    for script in OWN.glob("*.js"):
        assert "://" not in script.read_text()


FETCHED = re.compile(
    rb"""https?://[^\s"'`<>()\\]+\.(?:svg|png|ico|gif|jpe?g|webp|js|mjs|css|woff2?|ttf|wasm)(?=["'`\s)?#\\]|$)"""
    rb"""|(?:url\(|@import\s+|(?:src|href)=)\s*["']?(?:https?:)?//[^\s"')>]+"""
)
"""Addresses of other hosts that a browser would load by itself."""


async def test_nothing_that_is_served_asks_another_host(gateway: Served) -> None:
    seen: set[str] = set()
    waiting = ["/docs", "/redoc", "/openapi.json"]
    while waiting:
        path = waiting.pop()
        seen.add(path)
        reply = await gateway.get(path)
        assert reply.status == 200, path
        assert not FETCHED.findall(reply.body), path
        found = re.findall(rb"/docs/assets/[\w./-]+\.(?:js|css|png)", reply.body)
        waiting += {name.decode() for name in found} - seen
    assert len(seen) >= 9, seen


async def test_assets_are_those_of_the_pages_alone(gateway: Served) -> None:
    for name in (
        "../__init__.py",
        "..%2f__init__.py",
        "swagger_ui/../swagger.py",
        "swagger_ui/LICENSE",
        "rapidoc_ui/rapidoc-min.js",
        "nothing.js",
        "redoc_ui/nothing.js",
        "%00.js",
    ):
        assert (await gateway.get(f"/docs/assets/{name}")).status == 404, name
