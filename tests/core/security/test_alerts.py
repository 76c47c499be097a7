"""Security events reach a webhook: together, signed, bounded, and in nobody's way."""

from __future__ import annotations

import asyncio
import hmac
import json
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from orchestrator_core.config import ConfigError, Settings, load
from orchestrator_core.provider_api import Secret
from orchestrator_core.security import alerts as alerts_module
from orchestrator_core.security.alerts import MAX_CLIENTS, MAX_TOGETHER, OTHERS, WINDOW, AlertWebhook
from orchestrator_core.telemetry.metrics import Metrics

KEY = b64encode(b"k" * 32).decode()
WHO = {"principal": "default", "remote": "203.0.113.7", "path": "/x"}


class Counted:
    """The metrics, as far as alerts need them."""

    def __init__(self) -> None:
        self.alerts = Counter[str]()

    def observe_alerts(self, outcome: str, count: int) -> None:
        self.alerts[outcome] += count


class Receiver:
    """A server of the operator."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.got: list[tuple[web.Request, bytes]] = []
        self.hangs = False
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.got.append((request, await request.read()))
        if self.hangs:
            await asyncio.sleep(60)
        status = self.statuses.pop(0) if self.statuses else 204
        return web.Response(status=status, headers={"Location": "/elsewhere"} if 300 <= status < 400 else {})

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for _, body in self.got for event in json.loads(body)["data"]["events"]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts_module, "GATHER", 0.02)
    monkeypatch.setattr(alerts_module, "RETRY_DELAYS", (0.01, 0.01, 0.01))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", found.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/token"
    yield found
    await runner.cleanup()


@asynccontextmanager
async def posting(receiver: Receiver, secret: Secret | None = None) -> AsyncIterator[tuple[AlertWebhook, Counted]]:
    counted = Counted()
    webhook = AlertWebhook(receiver.url, secret, counted)
    webhook.start()
    try:
        yield webhook, counted
    finally:
        await webhook.close()


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_what_comes_together_is_told_together(receiver: Receiver) -> None:
    async with posting(receiver) as (webhook, counted):
        for number in range(50):
            webhook.add("rate_limited", {**WHO, "path": f"/{number}"})
        webhook.add("authentication_failed", WHO)
        webhook.add("authentication_failed", {**WHO, "remote": "198.51.100.9"})
        await until(lambda: counted.alerts["sent"] == 52)
    assert len(receiver.got) == 1
    assert [(event["event"], event["count"]) for event in receiver.events] == [
        ("rate_limited", 50),
        ("authentication_failed", 1),
        ("authentication_failed", 1),
    ]
    first = receiver.events[0]
    assert first["details"] == {**WHO, "path": "/0"}
    assert first["first"] <= first["last"]
    assert first["last"].endswith("Z")


async def test_each_key_of_a_provider_is_told_of(receiver: Receiver) -> None:
    async with posting(receiver) as (webhook, counted):
        for key in (1, 2, 2):
            webhook.add("provider_key_refused", {"provider": "openai", "key": key, "keys": 2})
        await until(lambda: counted.alerts["sent"] == 3)
    assert [(event["details"]["key"], event["count"]) for event in receiver.events] == [(1, 1), (2, 2)]


async def test_it_is_signed_as_the_standard_says(receiver: Receiver) -> None:
    async with posting(receiver, Secret(f"whsec_{KEY}")) as (webhook, _):
        webhook.add("rate_limited", WHO)
        await until(lambda: receiver.got)
    ((request, body),) = receiver.got
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + body
    expected = b64encode(hmac.digest(b64decode(KEY), signed, "sha256")).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"
    assert KEY not in str(dict(request.headers))


async def test_a_flood_is_told_once_in_a_window(receiver: Receiver) -> None:
    now = 0.0
    webhook = AlertWebhook(receiver.url, None, Counted(), clock=lambda: now)
    told = []
    for _ in range(200):
        for _ in range(100):
            webhook.add("rate_limited", WHO)
        now += 1
        told += [event["count"] for event in webhook.take()]
    assert len(told) <= 200 / WINDOW + 1
    assert sum(told) >= 200 * 100 * 0.7
    now += WINDOW
    webhook.take()
    now += WINDOW
    assert webhook.take() == []
    assert webhook._alerts == {}


async def test_one_network_is_one_client_whatever_address_it_uses(receiver: Receiver) -> None:
    now = 0.0
    webhook = AlertWebhook(receiver.url, None, Counted(), clock=lambda: now)
    for number in range(3000):
        webhook.add("authentication_failed", {**WHO, "remote": f"2001:db8::{number:x}"})
    webhook.add("authentication_failed", {**WHO, "remote": "2001:db8:0:1::1"})
    now = 10.0
    assert [(event["count"], event["details"]["remote"]) for event in webhook.take()] == [
        (3000, "2001:db8::0"),
        (1, "2001:db8:0:1::1"),
    ]


async def test_memory_is_bounded_and_what_does_not_fit_is_told_together(receiver: Receiver) -> None:
    now, counted = 0.0, Counted()
    webhook = AlertWebhook(receiver.url, None, counted, clock=lambda: now)
    for number in range(MAX_CLIENTS + 5000):
        webhook.add("rate_limited", {"remote": f"10.0.{number // 256}.{number % 256}"})
    now = 10.0
    first, second = webhook.take(), webhook.take()
    assert [event["count"] for event in first] == [1] * MAX_TOGETHER
    assert [(event["event"], event["count"], event["details"]) for event in second] == [("rate_limited", 5000, OTHERS)]
    assert not counted.alerts, "nothing is lost"


async def test_a_flood_of_one_event_takes_no_place_of_another(receiver: Receiver) -> None:
    now = 0.0
    webhook = AlertWebhook(receiver.url, None, Counted(), clock=lambda: now)
    for number in range(5000):
        webhook.add("authentication_failed", {**WHO, "remote": f"10.0.{number // 256}.{number % 256}"})
        webhook.add("permission_denied", {**WHO, "remote": f"10.0.{number // 256}.{number % 256}"})
    webhook.add("shared_state_lost", {"reason": "away"})
    webhook.add("budget_exceeded", {"principal": "acme"})
    now = 10.0
    told = {event["event"]: event["details"] for _ in range(3) for event in webhook.take()}
    assert told["shared_state_lost"] == {"reason": "away"}
    assert told["budget_exceeded"] == {"principal": "acme"}


@pytest.mark.parametrize(("statuses", "calls", "outcome"), [
    ([500, 503, 429], 4, "sent"),
    ([500, 500, 500, 500], 4, "dropped"),
    ([400], 1, "dropped"),
    ([302], 1, "dropped"),
])  # fmt: skip
async def test_tries(receiver: Receiver, statuses: list[int], calls: int, outcome: str) -> None:
    receiver.statuses = statuses
    async with posting(receiver) as (webhook, counted):
        webhook.add("rate_limited", WHO)
        await until(lambda: counted.alerts)
    assert counted.alerts == {outcome: 1}
    assert len(receiver.got) == calls
    assert len({request.headers["webhook-id"] for request, _ in receiver.got}) == 1
    assert all(request.path == "/hooks/token" for request, _ in receiver.got)


async def test_the_end_posts_what_is_left_and_waits_for_nobody(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts_module, "GATHER", 30.0)
    monkeypatch.setattr(alerts_module, "CLOSING_TIME", 0.3)
    async with posting(receiver) as (webhook, counted):
        webhook.add("shared_state_lost", {"reason": "x"})
    assert counted.alerts == {"sent": 1}
    receiver.hangs = True
    async with posting(receiver) as (webhook, counted):
        webhook.add("shared_state_lost", {"reason": "x"})
    assert counted.alerts == {"dropped": 1}


async def test_a_receiver_that_is_away_harms_nothing(receiver: Receiver) -> None:
    receiver.url = "http://127.0.0.1:1/hooks/token"
    async with posting(receiver) as (webhook, counted):
        webhook.add("rate_limited", WHO)
        await until(lambda: counted.alerts["dropped"] == 1)
        webhook.add("authentication_failed", WHO)
        await until(lambda: counted.alerts["dropped"] == 2)


@pytest.mark.parametrize("url", ["https://alerts.example.com/x?y=z", "http://127.0.0.1:9/x", "http://[::1]/", None])
def test_where_alerts_may_go(url: str | None) -> None:
    settings = Settings.model_validate({"alert_webhook_url": url})
    assert settings.alert_webhook_url == url
    assert "alerts.example" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORCHESTRATOR_ALERT_WEBHOOK_URL", "http://alerts.example.com/x"),
        ("ORCHESTRATOR_ALERT_WEBHOOK_URL", "https://user:password@alerts.example.com/x"),
        ("ORCHESTRATOR_ALERT_WEBHOOK_URL", "https:///x"),
        ("ORCHESTRATOR_ALERT_WEBHOOK_URL", "alerts.example.com"),
        ("ORCHESTRATOR_ALERT_WEBHOOK_URL", "http://[::1"),
        ("ORCHESTRATOR_ALERT_WEBHOOK_URL", "https://alerts..example.com/x"),
        ("ORCHESTRATOR_ALERT_WEBHOOK_URL", "https://alerts.example.com:99999/x"),
        ("ORCHESTRATOR_ALERT_WEBHOOK_URL", "https://alerts.example.com/x#y"),
        ("ORCHESTRATOR_ALERT_WEBHOOK_SECRET", "whsec_short"),
        ("ORCHESTRATOR_ALERT_WEBHOOK_SECRET", "a-secret-without-the-prefix-0123456789"),
    ],
)
def test_values_that_cannot_be_are_refused_unseen(name: str, value: str, tmp_path: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        load({name: value}, tmp_path)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [name]
    assert value not in str(caught.value.problems)


def test_the_secret_may_be_a_file(tmp_path: Any) -> None:
    (tmp_path / "secret").write_text(f"whsec_{KEY}\n")
    config = load({"ORCHESTRATOR_ALERT_WEBHOOK_SECRET_FILE": "secret"}, tmp_path)
    assert config.settings.alert_webhook_secret == Secret(f"whsec_{KEY}")


def test_both_outcomes_are_shown_from_the_start(tmp_path: Path) -> None:
    metrics = Metrics()
    config = load(environ={"ORCHESTRATOR_ALERT_WEBHOOK_URL": "http://127.0.0.1:9/"}, directory=tmp_path)
    AlertWebhook.from_settings(config.settings, metrics)
    shown = metrics.render()[0].decode()
    assert 'orchestrator_security_alerts_total{outcome="sent"} 0.0' in shown
    assert 'orchestrator_security_alerts_total{outcome="dropped"} 0.0' in shown
