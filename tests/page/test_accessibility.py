"""The page for those who see it otherwise: axe-core finds nothing in any view, light and dark, wide and narrow."""

from __future__ import annotations

import pytest

from processes import StartGateway

pytest.importorskip("playwright", reason="it comes with the dependency group `page`: nox -s page")
pytest.importorskip("axe_playwright_python", reason="it comes with the dependency group `page`: nox -s page")

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect

from page.browsing import Seen, browsing, say


async def violations(seen: Seen) -> list[str]:
    """Return what axe-core finds."""
    found = (await Axe().run(seen.page)).response["violations"]
    return [f"{each['id']}: {node['target']} {node['failureSummary']}" for each in found for node in each["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
async def test_axe_finds_nothing(
    browser: Browser, gateway_process: StartGateway, environment: dict[str, str], scheme: str, width: int
) -> None:
    gateway = gateway_process(environment)
    size = {"width": width, "height": 800}
    async with browsing(browser, gateway.url, viewport=size, color_scheme=scheme, reduced_motion="reduce") as seen:
        page, found = seen.page, dict[str, list[str]]()
        await page.request.get(f"{gateway.url}/api/sessions/..%2f..%2fetc%2fpasswd")
        await seen.open("/#/playground")
        found["empty playground"] = await violations(seen)
        if width < 1100:
            await page.get_by_text("Provider, settings and code").click()
        await page.get_by_label("Provider", exact=True).select_option("deepseek")
        await say(page, "Compute the Bernoulli numbers")
        await say(page, "Give me markup")
        await page.get_by_text("More settings").click()
        found["playground"] = await violations(seen)
        session = page.url.rpartition("/")[2]
        for path in ("overview", "sessions", f"sessions/{session}", "limits"):
            await seen.open(f"/#/{path}")
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
            found[path] = await violations(seen)
        await page.get_by_role("button", name="Enter a key").click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        found["key"] = await violations(seen)
        assert {view: problems for view, problems in found.items() if problems} == {}
