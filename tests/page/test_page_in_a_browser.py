"""What a visitor of the page sees and does, in a real browser."""

from __future__ import annotations

import json
import re

import aiohttp
import pytest

from processes import StartGateway

pytest.importorskip("playwright", reason="it comes with the dependency group `page`: nox -s page")

from playwright.async_api import Browser, Page, Route, expect

from page.browsing import Seen, browsing, say

KEY = "9f2c4b7a1d3e5f60718293a4b5c6d7e8"
PRODUCTION = {
    "ENVIRONMENT": "production",
    "SERVER_HOST": "127.0.0.1",
    "CORS_ALLOWED_ORIGINS": "https://app.example.com",
    "ORCHESTRATOR_CLIENT_KEY": KEY,
}


async def test_a_conversation_moves_between_providers_and_says_what_it_cost(seen: Seen) -> None:
    page = seen.page
    await seen.open("/#/playground")
    await say(page, "Who wrote the first program?", "mistral")
    first = page.locator(".message.assistant").nth(0)
    await expect(first).to_contain_text("Ada Lovelace wrote it")
    await expect(first.locator("strong", has_text="Ada Lovelace")).to_be_visible()
    await expect(first.locator("ol li")).to_have_count(3)
    await expect(first.locator(".bill")).to_contain_text(re.compile(r"\d+ tokens.*\$0\.0000\d+.*\sm?s"))
    await say(page, "Compute the Bernoulli numbers", "deepseek")
    second = page.locator(".message.assistant").nth(1)
    await expect(second.locator("header")).to_contain_text("deepseek")
    await expect(page.locator(".handover")).to_contain_text("deepseek")
    await expect(second.locator(".reasoning .text")).to_be_hidden()
    await second.get_by_text("Reasoning").click()
    await expect(second.locator(".reasoning .text")).to_contain_text("recurrence")
    await expect(second.locator("pre code")).to_contain_text("def bernoulli(n):")
    await say(page, "Thank you", "echo")
    # The echo counts the messages that it sees: it is one conversation.
    await expect(page.locator(".message.assistant").nth(2)).to_contain_text("I can see 3 of your messages")
    await expect(page.locator(".bar")).to_contain_text(re.compile(r"\$0\.000\d+ so far"))
    session = page.url.rpartition("/")[2]
    assert session.startswith("sess_")
    await page.reload()
    await expect(page.locator(".message.assistant")).to_have_count(3)
    await page.goto(f"{seen.url}/#/sessions/{session}")
    await expect(page.locator("dl.facts")).to_contain_text("mistral")
    await expect(page.locator("dl.facts")).to_contain_text(re.compile(r"\$0\.000\d+"))
    await expect(page.locator(".message.assistant .bill").nth(1)).to_contain_text("tokens")
    await seen.check()


async def test_the_overview_shows_who_is_well_and_why_another_is_set_aside(seen: Seen) -> None:
    page = seen.page
    await seen.open("/#/playground")
    await say(page, "Who wrote the first program?", "mistral")
    await seen.open("/#/overview")
    row = page.get_by_role("row").filter(has_text="acme")
    await expect(row).to_contain_text("Quarantined")
    await expect(row).to_contain_text("cannot find libacme.so.4")
    await expect(page.get_by_role("row").filter(has_text="Mistral AI")).to_contain_text("Healthy")
    await expect(page.locator("#health")).to_contain_text("Healthy")
    await expect(page.locator(".idle")).to_contain_text("OpenAI")
    await expect(page.locator(".tile").filter(has_text="Cost today")).to_contain_text(re.compile(r"\$0\.0000\d+"))
    month = page.locator(".charts .card").filter(has_text="The last 30 days")
    await expect(month.locator("rect.bar")).to_have_count(1)
    await month.get_by_text("Figures").click()
    await expect(month.get_by_role("row").last).to_contain_text("$0.0000")
    await seen.check()


async def test_the_last_hour_is_drawn_as_it_passes(seen: Seen) -> None:
    await seen.open("/#/playground")
    await say(seen.page, "Who wrote the first program?", "mistral")
    await seen.page.route("**/api/activity*", _an_hour)
    await seen.open("/#/overview")
    hour = seen.page.locator(".charts .card").filter(has_text="The last hour")
    await expect(hour.locator("rect.bar")).to_have_count(2)
    await hour.get_by_role("button", name="Latency").click()
    await expect(hour.locator("circle.point")).to_have_count(2)
    await hour.locator("svg").focus()
    for _ in range(2):
        await seen.page.keyboard.press("ArrowLeft")
    await expect(hour.locator(".tip")).to_contain_text("500")
    await hour.get_by_role("button", name="Failed").click()
    await expect(hour).to_contain_text("No call failed")
    await expect(seen.page.get_by_role("row").filter(has_text="Mistral AI")).to_contain_text("5")
    await seen.check()


async def _an_hour(route: Route) -> None:
    now = 1_795_253_460
    figures = {"calls": 2, "failed": 0, "seconds": 1.0, "tokens": 9, "cost": 0.001}
    step = {"requests": 3, "errors": 0, "refused": 0, "in_flight": 1, "streams": 1}
    steps = [
        {"at": now - 120, **step, "providers": {"mistral": {**figures, "calls": 3}}},
        {"at": now, **step, "providers": {"mistral": figures}},
    ]
    await route.fulfill(json={"now": now, "step": 15, "steps": steps})


async def test_a_model_that_is_left_alone_and_a_limit_that_fired_are_told(seen: Seen) -> None:
    async def failing(route: Route) -> None:
        answer = await route.fetch()
        rows = (await answer.json())["providers"]
        for row in rows:
            if row["name"] == "mistral":
                row |= {"state": "unhealthy", "error": "The provider does not answer at present."}
                row["circuits"] = [{"model": "mistral-small-latest", "state": "open", "retry_after": 12.0}]
        await route.fulfill(json={"providers": rows})

    async def limited(route: Route) -> None:
        body = {"code": "rate_limited", "detail": "The limit of requests is reached.", "request_id": "req_1"}
        await route.fulfill(status=429, json=body, headers={"Retry-After": "7"})

    await seen.page.route("**/api/providers", failing)
    await seen.open("/")
    row = seen.page.get_by_role("row").filter(has_text="Mistral AI")
    await expect(row).to_contain_text("Failing")
    await expect(row).to_contain_text("does not answer at present")
    await expect(row).to_contain_text("mistral-small-latest is left alone: asked again in 12")
    await seen.page.route("**/api/usage*", limited)
    await seen.open("/#/limits")
    await seen.page.get_by_role("link", name="Overview").click()
    await expect(seen.page.get_by_role("alert")).to_contain_text("The limit of requests is reached. Try again in 7 s.")
    await expect(seen.page.get_by_role("alert")).to_contain_text("req_1")
    await seen.page.unroute("**/api/usage*")
    await seen.page.get_by_role("button", name="Try again").click()
    await expect(row).to_contain_text("Failing")
    await seen.check("429")


async def test_an_answer_streams_and_can_be_stopped(seen: Seen) -> None:
    page = seen.page
    await seen.open("/#/playground")
    await page.get_by_label("Provider", exact=True).select_option("mistral")
    await page.get_by_label("Message").fill("Say it slowly: slow")
    await page.keyboard.press("Enter")
    answer = page.locator(".message.assistant")
    await expect(answer.locator(".text").last).to_contain_text("You said")
    await expect(answer.locator(".caret")).to_be_visible()
    await page.get_by_role("button", name="Stop the answer").click()
    await expect(answer.locator(".caret")).to_have_count(0)
    await expect(answer).to_contain_text("Stopped before the end")
    await page.get_by_label("Message").fill("Again: slow")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Stop the answer")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator(".message.assistant").nth(1)).to_contain_text("Stopped")
    await say(page, "And now?", "echo")
    await expect(page.locator(".message.assistant").nth(2)).to_contain_text("And now?")
    await seen.check()


async def test_what_a_model_writes_is_text_and_never_becomes_part_of_the_page(seen: Seen) -> None:
    await seen.open("/#/playground")
    await say(seen.page, "Give me markup", "mistral")
    answer = seen.page.locator(".message.assistant")
    await expect(answer).to_contain_text("<img src=x onerror=alert(1)>")
    await expect(answer.locator("img, script, a")).to_have_count(0)
    await say(seen.page, "What engines were there? engines", "mistral")
    await expect(seen.page.locator(".message.assistant table td")).to_have_count(4)
    deep = await seen.page.evaluate(
        "async (path) => (await import(path)).markdown('>'.repeat(6000)).querySelectorAll('blockquote').length",
        await seen.page.evaluate("new URL('markdown.js', document.querySelector('script[type=module]').src).href"),
    )
    assert deep == 10
    await seen.check()


async def test_an_error_says_what_to_do_and_keeps_the_message(seen: Seen) -> None:
    page = seen.page
    await seen.open("/#/playground")
    await page.get_by_label("Provider", exact=True).select_option("echo")
    await page.get_by_text("More settings").click()
    await page.get_by_label("Most tokens").fill("0")
    await page.get_by_label("Message").fill("Hello")
    await page.keyboard.press("Enter")
    await expect(page.locator(".message .notice.bad")).to_contain_text("max_tokens")
    await expect(page.get_by_label("Message")).to_have_value("Hello")
    await seen.check("422", "400")


async def test_an_answer_that_breaks_off_keeps_what_was_said(seen: Seen) -> None:
    await seen.open("/#/playground")
    await say(seen.page, "This breaks off", "mistral")
    answer = seen.page.locator(".message.assistant")
    await expect(answer).to_contain_text("You said: this breaks off")
    await expect(answer.locator(".notice.bad")).to_contain_text("broke within its answer")
    await seen.check()


async def test_tries_before_and_what_was_left_out_are_notes(seen: Seen) -> None:
    page = seen.page
    await seen.open("/#/playground")
    await page.get_by_text("More settings").click()
    await page.get_by_label("Reasoning effort").select_option("low")
    await say(page, "This is flaky", "mistral")
    notes = page.locator(".message.assistant .notes")
    await notes.locator("summary").click()
    await expect(notes).to_contain_text("was tried before")
    await expect(notes).to_contain_text("reasoning_effort")
    await seen.check()


async def test_a_conversation_goes_on_where_it_was_left(seen: Seen) -> None:
    page = seen.page
    await seen.open("/#/playground")
    await say(page, "Who wrote the first program?", "mistral")
    await page.get_by_role("link", name="Overview").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    await page.get_by_role("link", name="Playground").click()
    await expect(page.locator(".message.assistant")).to_contain_text("Ada Lovelace")
    await page.get_by_role("button", name="New").click()
    await expect(page.locator(".message")).to_have_count(0)
    await seen.check()


async def test_the_snippets_are_the_request_without_a_key(seen: Seen) -> None:
    page = seen.page
    await seen.open("/#/playground")
    code = page.locator(".snippet code")
    chosen = await page.get_by_label("Provider", exact=True).input_value()
    await expect(code).to_contain_text(f'"provider": "{chosen}"')  # before anything is typed too
    await page.get_by_label("Provider", exact=True).select_option("mistral")
    await page.get_by_label("Message").fill('It\'s "here"\nand there')
    await expect(code).to_contain_text(f"curl -N {seen.url}/api/orchestrate")
    sent = json.loads((await code.inner_text()).partition("-d '")[2].rstrip("'").replace("'\\''", "'"))
    assert sent == {
        "message": 'It\'s "here"\nand there',
        "agent_config": {"provider": "mistral"},
        "stream": True,
    }
    await page.get_by_role("button", name="Python").click()
    text = await code.inner_text()
    await page.get_by_role("button", name="Copy").click()
    assert (await page.evaluate("getSelection().toString()")).strip() == text.strip()
    compile(text, "snippet", "exec")
    assert "Authorization" not in text


async def test_a_key_is_asked_for_and_is_nowhere_to_be_found(
    browser: Browser, gateway_process: StartGateway, environment: dict[str, str]
) -> None:
    gateway = gateway_process({**environment, **PRODUCTION})
    async with browsing(browser, gateway.url) as seen:
        page = seen.page
        await seen.open("/#/playground")
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("Client key")
        asked = [url for url in seen.requests if "/api/" in url and "/api/health" not in url]
        assert asked == [], "nothing is asked for without a key, so that no event is made of a visit"
        await dialog.get_by_label("Key", exact=True).fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog")).to_contain_text("refused the key")
        await page.get_by_role("dialog").get_by_label("Key", exact=True).fill(KEY)
        await page.keyboard.press("Enter")
        await say(page, "Who wrote the first program?", "mistral")
        await expect(page.locator(".message.assistant")).to_contain_text("Ada Lovelace")
        for language in ("curl", "Python"):
            await page.get_by_role("button", name=language).click()
            await expect(page.locator(".snippet code")).to_contain_text("ORCHESTRATOR_KEY")
            await nowhere(page)
        await page.get_by_role("button", name="Change the key").click()
        await expect(page.get_by_label("Key", exact=True)).to_have_value("")
        await nowhere(page)
        assert not any(KEY in url for url in seen.requests)
        await page.keyboard.press("Escape")
        await page.reload()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await seen.check("401")


async def nowhere(page: Page) -> None:
    """Check that the key stands nowhere in the page, in its fields, in its address or in what the browser keeps."""
    found = await page.evaluate(
        """() => [document.documentElement.outerHTML, location.href, document.cookie, JSON.stringify(localStorage),
        JSON.stringify(sessionStorage), JSON.stringify(history.state),
        ...[...document.querySelectorAll("input, textarea, select")].map((field) => field.value)].join("\\n")"""
    )
    assert KEY not in found


async def test_a_key_may_stay_for_the_tab_alone(
    browser: Browser, gateway_process: StartGateway, environment: dict[str, str]
) -> None:
    gateway = gateway_process({**environment, **PRODUCTION})
    async with browsing(browser, gateway.url) as seen:
        page = seen.page
        await seen.open()
        await page.get_by_label("Key", exact=True).fill(KEY)
        await page.get_by_label("Keep it until this tab is closed").check()
        await page.get_by_role("button", name="Use this key").click()
        await expect(page.get_by_role("row").filter(has_text="Mistral AI")).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("row").filter(has_text="Mistral AI")).to_be_visible()
        other = await page.context.new_page()
        await other.goto(gateway.url)
        await expect(other.get_by_role("dialog")).to_be_visible()
        await page.get_by_role("button", name="Change the key").click()
        await page.get_by_role("button", name="Forget the key").click()
        await expect(page.get_by_role("heading", name="This gateway asks for a key")).to_be_visible()
        assert await page.evaluate("sessionStorage.length") == 0


async def test_a_browser_that_keeps_nothing_shows_it_all_the_same(seen: Seen) -> None:
    refused = "() => { throw new DOMException('no', 'SecurityError'); }"
    await seen.page.add_init_script(
        "for (const kept of ['sessionStorage', 'localStorage'])"
        f" Object.defineProperty(window, kept, {{ get: {refused} }})"
    )
    await seen.open()
    await expect(seen.page.get_by_role("row").filter(has_text="Mistral AI")).to_be_visible()


async def test_a_long_conversation_is_there_to_its_last_word(seen: Seen) -> None:
    session = None
    async with aiohttp.ClientSession() as client:
        for number in range(51):
            body = {"message": f"Question {number}.", "agent_config": {"provider": "echo"}, "session_id": session}
            async with client.post(f"{seen.url}/api/orchestrate", json=body) as response:
                session = (await response.json())["session_id"]
    await seen.open(f"/#/playground/{session}")
    await expect(seen.page.locator(".message").last).to_contain_text("Question 50.")
    await expect(seen.page.locator(".notice")).to_have_count(0)


async def test_a_client_sees_its_own_and_nothing_of_the_gateway(
    browser: Browser, gateway_process: StartGateway, environment: dict[str, str]
) -> None:
    gateway = gateway_process({**environment, **PRODUCTION})
    async with browsing(browser, gateway.url) as seen:
        body = {"name": "app", "requests_per_minute": 500, "budget": {"usd": 5.0}}
        headers = {"Authorization": f"Bearer {KEY}"}
        made = await seen.page.request.post(f"{gateway.url}/api/clients", data=body, headers=headers)
        await seen.open("/#/limits")
        await seen.page.get_by_label("Key", exact=True).fill((await made.json())["key"])
        await seen.page.keyboard.press("Enter")
        await expect(seen.page.locator(".facts")).to_contain_text("app")
        await expect(seen.page.get_by_role("meter", name="Budget")).to_have_attribute("max", "5")
        await expect(seen.page.get_by_text("of 500 left")).to_be_visible()
        await expect(seen.page.get_by_text("Security events")).to_have_count(0)
        await seen.page.goto(f"{gateway.url}/#/overview")
        await expect(seen.page.get_by_text("Your own calls")).to_be_visible()
        await expect(seen.page.get_by_text("libacme")).to_have_count(0)
        asked = {url.removeprefix(gateway.url).partition("?")[0] for url in seen.requests}
        assert not asked & {"/api/activity", "/api/events", "/api/metrics", "/api/clients"}
        await seen.check()


async def test_an_admin_sees_the_events_and_the_clients(seen: Seen) -> None:
    await seen.page.request.get(f"{seen.url}/api/sessions/..%2f..%2fetc%2fpasswd")
    await seen.open("/#/limits")
    events = seen.page.get_by_role("region", name="Security events")
    await expect(events.get_by_role("row").last).to_contain_text("Looks like an attack")
    await expect(seen.page.get_by_text("No client key was made yet.")).to_be_visible()
    await seen.check()


async def test_the_keyboard_alone_is_enough(seen: Seen) -> None:
    page = seen.page
    await seen.open("/")
    await page.keyboard.press("Tab")
    await expect(page.get_by_text("Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    for _ in range(4):
        await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Playground")).to_be_focused()
    ring = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert ring == "solid"
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Message")).to_be_focused()
    await page.keyboard.type("Hello from the keyboard")
    await page.keyboard.press("Enter")
    await expect(page.locator(".message.assistant .bill")).to_contain_text("tokens")
    await expect(page.get_by_label("Message")).to_be_focused()
    await expect(page.locator("#say")).to_contain_text("answered")
    await seen.check()


async def test_it_speaks_french(browser: Browser, gateway_process: StartGateway, environment: dict[str, str]) -> None:
    gateway = gateway_process(environment)
    async with browsing(browser, gateway.url, locale="fr-FR") as seen:
        page = seen.page
        await seen.open("/#/overview")
        await expect(page.locator("html")).to_have_attribute("lang", "fr")
        await expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("Vue d.ensemble"))
        await expect(page.get_by_role("row").filter(has_text="acme")).to_contain_text("En quarantaine")
        await page.goto(f"{gateway.url}/#/playground")
        await page.get_by_label("Fournisseur", exact=True).select_option("mistral")
        await page.get_by_label("Message").fill("Qui a écrit the first program ?")
        await page.keyboard.press("Enter")
        await expect(page.locator(".bill").first).to_contain_text(re.compile(r"jetons.*0,0000\d+"))
        await page.get_by_role("button", name="English").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Playground")
        await page.reload()
        await expect(page.locator("html")).to_have_attribute("lang", "en")
        await seen.check()


@pytest.mark.parametrize("view", ["overview", "playground", "sessions", "limits"])
async def test_a_phone_has_all_of_it_without_scrolling_sideways(
    browser: Browser, gateway_process: StartGateway, environment: dict[str, str], view: str
) -> None:
    gateway = gateway_process(environment)
    async with browsing(browser, gateway.url, viewport={"width": 360, "height": 740}, has_touch=True) as seen:
        await seen.open("/#/playground")
        await seen.page.get_by_label("Message").fill("Compute the Bernoulli numbers")
        await seen.page.get_by_role("button", name="Send").click()
        await expect(seen.page.locator(".bill").first).to_contain_text("tokens")
        await seen.open(f"/#/{view}")
        await expect(seen.page.locator("h1")).to_be_visible()
        assert await seen.page.evaluate("document.documentElement.scrollWidth") == 360
        for link in await seen.page.locator("#nav a").all():
            await expect(link).to_be_in_viewport()
        await seen.check()


async def test_colours_follow_the_system_and_the_switch(seen: Seen) -> None:
    page = seen.page
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    await page.emulate_media(color_scheme="dark")
    await seen.open()
    dark = await page.evaluate(ground)
    await page.get_by_role("button", name="Colours").click()
    light = await page.evaluate(ground)
    assert dark != light
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "light")
    assert await page.evaluate(ground) == light
    await seen.check()
