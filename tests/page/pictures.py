"""Takes the pictures of the page for the documentation, and prints its figures: run by `nox -s page_pictures`.

The conversation, the providers and the sessions are real, of a gateway over two vendors on the loopback; the hour and
the month before are made up, since nobody waits for them.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, Page, Route

from fake_packages import install_plugin
from page.browsing import Seen, browsing, chromium, say
from page.vendor import environ, vendors
from processes import running_gateways

PICTURES: Final = Path(__file__).parents[2] / "docs/images"
SHARES: Final = {"mistral": 38.0, "deepseek": 21.0, "echo": 9.0}
LATENCY: Final = {"mistral": 0.61, "deepseek": 1.32, "echo": 0.04}
PRICE: Final = {"mistral": 0.00019, "deepseek": 0.00044, "echo": 0.0}
BROKEN: Final = 'raise RuntimeError("cannot find libacme.so.4: install the client of Acme first")\n'
TALK: Final = (
    ("Who wrote the first program?", "mistral"),
    ("Compute the Bernoulli numbers in Python, as her table did.", "deepseek"),
)

FIGURES: Final = """() => {
  const [visit] = performance.getEntriesByType("navigation");
  const loaded = performance.getEntriesByType("resource").filter(({ name }) => name.includes("/page/"));
  const paints = performance.getEntriesByType("paint");
  const paint = Object.fromEntries(paints.map(({ name, startTime }) => [name, startTime]));
  const sum = (name) => loaded.reduce((total, entry) => total + entry[name], visit[name]);
  return { first_paint: paint["first-paint"], first_contentful_paint: paint["first-contentful-paint"],
    loaded: visit.loadEventEnd, files: loaded.length + 1, sent: sum("transferSize"), unpacked: sum("decodedBodySize"),
    asked: performance.getEntriesByType("resource").length - loaded.length };
}"""


def wave(place: float, shift: float) -> float:
    """Return a number about 1 that looks like traffic."""
    return max(0.0, 1 + 0.45 * math.sin(place / 7 + shift) + 0.3 * math.sin(place / 2.3 + 3 * shift))


async def hour(route: Route) -> None:
    """Answer with an hour of traffic."""
    now = int(time.time()) // 15 * 15
    steps = []
    for place in range(239, -1, -1):
        providers = {}
        for shift, (name, share) in enumerate(SHARES.items()):
            calls = round(share * wave(place / 4, shift) / 4)
            if calls:
                failed = int(name == "deepseek" and place % 41 == 0)
                seconds = calls * LATENCY[name] * (0.8 + 0.3 * wave(place, shift))
                figures = {"tokens": calls * 420, "cost": calls * PRICE[name]}
                providers[name] = {"calls": calls, "failed": failed, "seconds": seconds, **figures}
        step = {"requests": 9, "errors": 0, "refused": 0, "in_flight": 4, "streams": 3}
        steps.append({"at": now - place * 15, **step, "providers": providers})
    await route.fulfill(json={"now": now, "step": 15, "steps": steps})


async def month(route: Route) -> None:
    """Answer with a month of costs."""
    today = datetime.now(UTC).date()
    rows = []
    for place in range(29, -1, -1):
        for shift, (name, share) in enumerate(SHARES.items()):
            weekend = (today - timedelta(days=place)).weekday() > 4
            calls = round(share * 32 * wave(place, shift) * (0.3 if weekend else 1))
            cost = calls * PRICE[name] if name != "echo" else None
            rows.append(
                {
                    "day": str(today - timedelta(days=place)),
                    "provider": name,
                    "calls": calls,
                    "total_tokens": calls * 420,
                    "cost": cost,
                    "seconds": calls * LATENCY[name],
                    "unpriced_calls": 0,
                }
            )
    body = {"since": rows[0]["day"], "until": str(today), "by": ["day", "provider"], "usage": rows, "has_more": False}
    await route.fulfill(json=body)


async def take(page: Page, name: str) -> None:
    """Take a picture."""
    await page.wait_for_timeout(400)
    await page.screenshot(path=PICTURES / f"{name}.png")


async def visit(browser: Browser, url: str, **options: Any) -> Mapping[str, Any]:
    """Return the figures of a first visit."""
    async with browsing(browser, url, **options) as seen:
        await seen.open("/")
        await seen.page.wait_for_timeout(500)
        figures: Mapping[str, Any] = await seen.page.evaluate(FIGURES)
        return figures


async def made_up(seen: Seen) -> Seen:
    """Have the past answered for."""
    await seen.page.route("**/api/activity*", hour)
    await seen.page.route("**/api/usage*", month)
    return seen


async def pictures(url: str) -> None:
    """Take all pictures, and print the figures."""
    wide, phone = {"width": 1360, "height": 1000}, {"width": 390, "height": 844}
    async with chromium() as browser:
        visits = [await visit(browser, url) for _ in range(5)]
        median = {name: round(sorted(found[name] for found in visits)[2], 1) for name in visits[0]}
        print(json.dumps(median))
        async with browsing(browser, url, viewport=wide, color_scheme="light") as seen:
            await seen.open("/#/playground")
            for text, provider in TALK:
                await say(seen.page, text, provider)
            await take(seen.page, "page-playground")
            session = seen.page.url.rpartition("/")[2]
        async with browsing(browser, url, viewport=wide, color_scheme="light") as seen:
            await (await made_up(seen)).open("/#/overview")
            await take(seen.page, "page-light")
        async with browsing(browser, url, viewport=wide, color_scheme="dark") as seen:
            await (await made_up(seen)).open("/#/overview")
            await take(seen.page, "page-dark")
        async with browsing(browser, url, viewport=wide, color_scheme="light", locale="fr-FR") as seen:
            await (await made_up(seen)).open("/#/overview")
            await take(seen.page, "page-french")
        for view, name in (("overview", "page-phone"), (f"playground/{session}", "page-phone-playground")):
            async with browsing(browser, url, viewport=phone, has_touch=True, color_scheme="light") as seen:
                await (await made_up(seen)).open(f"/#/{view}")
                await take(seen.page, name)


async def main() -> None:
    """Run the vendors and the gateway, and take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="orchestrator-page-") as name:
        folder = Path(name)
        site = install_plugin(folder, "orchestrator-acme", "acme", BROKEN)
        async with vendors(0.005) as url:
            environment = {**environ(url), "PYTHONPATH": site, "METRICS_COLLECTION_INTERVAL": "2"}
            with running_gateways(folder, environment) as (gateway,):
                await asyncio.sleep(3)  # until the vendors are found healthy
                await pictures(gateway.url)


if __name__ == "__main__":
    asyncio.run(main())
    sys.stdout.flush()
