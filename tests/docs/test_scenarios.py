"""The scenarios of the documentation, against real gateways: what they print, and what reaches the providers."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web

from conftest import StartGateway
from fake_upstreams.remembering import KEYS, VENDORS
from fake_upstreams.strict import Asked, StrictVendor
from processes import inherited_environment

SCENARIOS = Path(__file__).parents[2] / "docs" / "how-to" / "scenarios"
CLIENT_KEY = "client-key-0123456789abcdef0123456789"


@asynccontextmanager
async def vendors(*names: str) -> AsyncIterator[tuple[Mapping[str, StrictVendor], dict[str, str]]]:
    """Run vendors that remember; yield them, and the environment of a gateway over them."""
    async with AsyncExitStack() as stack:
        running = {name: await stack.enter_async_context(VENDORS[name]()) for name in names}
        environ = {"MONITORING_ENABLED": "false"}
        for name, vendor in running.items():
            environ |= {f"{name.upper()}_BASE_URL": vendor.url, f"{name.upper()}_API_KEY": KEYS[name]}
        yield running, environ


async def run(name: str, url: str, *arguments: str, status: int = 0, **environ: str) -> str:
    """Run a scenario to its end, and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCENARIOS / f"{name}.py"),
        "--url",
        url,
        *arguments,
        env={**inherited_environment(), **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        printed, _ = await process.communicate()
    assert process.returncode == status, printed.decode()
    return printed.decode()


def texts(asked: Asked) -> str:
    assert asked.problems == []
    return json.dumps(asked.body, ensure_ascii=False)


def named_facts(printed: str) -> str:
    (line,) = re.findall(r"In the last answer: .*", printed)
    assert isinstance(line, str)
    return line


async def test_every_turn_has_another_provider_and_the_facts_are_known_to_all(gateway_process: StartGateway) -> None:
    async with vendors(*VENDORS) as (running, environ):
        gateway = await asyncio.to_thread(gateway_process, environ)
        printed = await run("multi_provider_conversation", gateway.url)
        asked = {name: list(vendor.asked) for name, vendor in running.items()}
        chosen = ("--providers", "mistral/mistral-large-latest,openai")
        named = await run("multi_provider_conversation", gateway.url, *chosen)
    assert "Providers: anthropic, gemini, mistral, openai\n" in printed
    assert re.findall(r"^   (\w+): ", printed, re.MULTILINE) == [*running, *running]
    assert named_facts(printed) == "In the last answer: 3 of 3 facts (Ada, Kestrel, Kiruna)"
    assert "In all: 8 messages, answers of anthropic, gemini, mistral, openai" in printed
    assert re.search(r"\[claude-sonnet-5-5, \d+ tokens, 0\.\d{6} USD, ", printed)
    assert "[seed was dropped: " in printed.partition("   anthropic: ")[2].partition("\n 2 you")[0]
    for first, second in asked.values():
        assert texts(first) != texts(second)
        assert all(fact in texts(second) for fact in ("Ada", "Kestrel", "Kiruna"))
    # What one provider answered is part of what the next one is sent.
    assert "You told me: Ada, Kestrel, Kiruna." in texts(asked["anthropic"][1])

    assert [call.body["model"] for call in running["mistral"].asked[2:]] == ["mistral-large-latest"] * 4
    assert [len(vendor.asked) for vendor in running.values()] == [2, 2, 6, 6]
    assert named_facts(named).endswith("3 of 3 facts (Ada, Kestrel, Kiruna)")


async def test_twenty_five_questions_are_summarised_and_the_facts_stay(gateway_process: StartGateway) -> None:
    async with vendors("mistral") as (running, environ):
        gateway = await asyncio.to_thread(gateway_process, environ)
        printed = await run("twenty_five_questions", gateway.url)
    assert "answered by mistral/mistral-small-latest" in printed
    assert "was_summarized" in printed
    assert named_facts(printed) == "In the last answer: 3 of 3 facts (Ada, Linus, 17:40)"
    assert "In all: 25 questions" in printed
    entries = re.findall(
        r"^  messages (\d+) to (\d+), by mistral/\S+: about (\d+) tokens became (\d+), 0\.", printed, 8
    )
    assert entries
    assert all(int(after) < int(before) for _, _, before, after in entries)
    assert f"The ledger has {len(entries)} summaries" in printed
    assert "The newest one:\n  You told me: Ada, Linus, 17:40." in printed
    (last,) = [call for call in running["mistral"].asked if "what is my cat called" in texts(call)]
    assert "My cat is called Linus." not in texts(last)
    assert "Linus" in texts(last)
    assert len(last.body["messages"]) < 25


async def test_the_echo_is_enough(gateway_process: StartGateway) -> None:
    gateway = await asyncio.to_thread(gateway_process, {}, ["--providers", "echo"])
    conversation, questions, latency = await asyncio.gather(
        *(run(name, gateway.url) for name in ("multi_provider_conversation", "twenty_five_questions")),
        run("latency_of_every_provider", gateway.url, "--times", "2"),
    )
    assert "In all: 8 messages, answers of echo" in conversation
    assert named_facts(questions) == "In the last answer: 3 of 3 facts (Ada, Linus, 17:40)"
    assert "[was_summarized: " in questions
    assert rows(latency).keys() == {"echo"}


async def test_latency_of_every_provider_and_why_one_failed(gateway_process: StartGateway) -> None:
    async with vendors("mistral", "openai", "anthropic") as (running, environ):
        for status in (404, 401):
            _, refusal = running["openai"].refusal(["no such thing"])
            running["openai"].answers.append(web.json_response(refusal, status=status))
        gateway = await asyncio.to_thread(gateway_process, environ, [])
        printed = await run("latency_of_every_provider", gateway.url, "--times", "2")
        failing = await run("latency_of_every_provider", gateway.url, "--providers", "nobody", status=1)
    assert "Round 2 of 2: anthropic " in printed
    assert rows(printed).keys() == {"anthropic", "mistral"}
    model, cost = rows(printed)["mistral"]
    assert model == "mistral-small-latest"
    assert float(cost) > 0
    assert "openai failed 1 of 2 times: " in printed
    assert {len(vendor.asked) for vendor in running.values()} == {2}
    assert all(call.body["stream"] for call in running["mistral"].asked)
    assert "nobody failed 5 of 5 times: There is no provider 'nobody' here." in failing


async def test_a_gateway_that_asks_for_a_key_is_given_one(gateway_process: StartGateway) -> None:
    async with vendors("mistral", "openai") as (running, environ):
        gateway = await asyncio.to_thread(gateway_process, {**environ, "ORCHESTRATOR_CLIENT_KEY": CLIENT_KEY})
        models = ("--models", "openai/gpt-4o-mini,mistral/mistral-small-latest")
        sdk = await run("session_with_openai_sdk", gateway.url, *models, ORCHESTRATOR_CLIENT_KEY=CLIENT_KEY)
        without = await run("twenty_five_questions", gateway.url, status=1)
        latency = await run("latency_of_every_provider", gateway.url, "--key", CLIENT_KEY, "--times", "1")
    assert sdk.splitlines()[-1] == "gpt-4o-mini: You told me: Ada, Kestrel."
    assert "Kestrel" in texts(running["mistral"].asked[0])
    assert "/api/providers answered 401: " in without
    assert rows(latency).keys() == {"mistral", "openai"}


def rows(printed: str) -> Mapping[str, Sequence[str]]:
    """Return model and cost of each row of the table."""
    number = r"\d+\.\d{3} \(\d+\.\d{3}-\d+\.\d{3}\)"
    found = re.findall(rf"^(\S+) +(\S+) +{number} +{number} +\d+ +(\S+)$", printed, re.MULTILINE)
    return {provider: (model, cost) for provider, model, cost in found}
