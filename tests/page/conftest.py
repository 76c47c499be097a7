"""A browser, and a gateway with two vendors, the echo, and a plugin that cannot be used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fake_packages import install_plugin
from page.vendor import environ, vendors
from processes import StartGateway

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from page.browsing import Seen

BROKEN = 'raise RuntimeError("cannot find libacme.so.4")\n'
CHECKED = {"METRICS_COLLECTION_INTERVAL": "1"}


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """The browser."""
    pytest.importorskip("playwright", reason="it comes with the dependency group `page`: nox -s page")
    from page.browsing import CHROMIUM, chromium  # noqa: PLC0415 - the files of the page are checked without a browser

    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    async with chromium() as running:
        yield running


@pytest.fixture
async def environment(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """The environment of a gateway with two vendors, the echo and a broken plugin."""
    async with vendors() as url:
        site = install_plugin(tmp_path, "orchestrator-acme", "acme", BROKEN)
        yield {**environ(url), **CHECKED, "PYTHONPATH": site}


@pytest.fixture
async def seen(browser: Browser, gateway_process: StartGateway, environment: dict[str, str]) -> AsyncIterator[Seen]:
    """A page of a gateway that asks nobody for a key."""
    from page.browsing import browsing  # noqa: PLC0415 - as above

    async with browsing(browser, gateway_process(environment).url) as found:
        yield found
