"""The page in a real browser: Debian's Chromium, driven by Playwright, which downloads none of its own."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from playwright.async_api import Browser, Page, async_playwright, expect

CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WITHIN: Final = 15_000.0
"""Milliseconds for whatever is waited for; it takes one or two seconds."""

expect.set_options(timeout=WITHIN)

VIOLATIONS: Final = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


@dataclass
class Seen:
    """What a page did.

    Attributes:
        page: The page.
        url: Where the gateway is.
        requests: Every address that it asked for.
        complaints: What it complained of: errors of scripts, and of the console.
    """

    page: Page
    url: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    async def open(self, path: str = "/") -> None:
        """Open the page at a path, and wait until something is shown."""
        await self.page.goto(self.url + path)
        await expect(self.page.locator("main .loading")).to_have_count(0)

    async def check(self, *allowed: str) -> None:
        """Check that it asked nobody else, and that nothing was refused or went wrong.

        Args:
            allowed: What may stand in complaints, such as the status of an answer that was meant to be an error.
        """
        assert [url for url in self.requests if not url.startswith((self.url, "data:"))] == []
        assert await self.page.evaluate("window.violations") == []
        assert [text for text in self.complaints if not any(word in text for word in allowed)] == []


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run the browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def browsing(browser: Browser, url: str, **options: Any) -> AsyncIterator[Seen]:
    """Give a page of its own; `options` are those of Playwright's contexts."""
    context = await browser.new_context(**{"locale": "en-US", "viewport": {"width": 1280, "height": 800}, **options})
    context.set_default_timeout(WITHIN)
    await context.add_init_script(VIOLATIONS)
    page = await context.new_page()
    seen = Seen(page, url)
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("console", lambda said: seen.complaints.append(said.text) if said.type in ("error", "warning") else None)
    try:
        yield seen
    finally:
        await context.close()


async def say(page: Page, text: str, provider: str | None = None) -> None:
    """Say something in the playground, and wait for the end of the answer."""
    if provider is not None:
        await page.get_by_label("Provider", exact=True).select_option(provider)
    answers = await page.locator(".message.assistant").count()
    await page.get_by_label("Message").fill(text)
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator(".message.assistant")).to_have_count(answers + 1)
    await expect(page.locator(".message.assistant .caret")).to_have_count(0)
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
