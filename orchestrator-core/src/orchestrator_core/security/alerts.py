"""Security events, posted to a webhook: bounded, together, signed, and never in the way of a request.

An event that comes again from the same client is counted, and told once in a window: a flood of them makes no flood of
calls. Each event has places of its own, and the clients beyond them share one: no flood of one event hides another.
Headers and signature are those of Standard Webhooks 1.0 (https://www.standardwebhooks.com).
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeAlias

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar

from orchestrator_core.config import Settings
from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.provider_api import Secret
from orchestrator_core.security.networks import client_of

Detail: TypeAlias = str | int | float | None
Who: TypeAlias = tuple[Detail, ...]

GATHER: Final = 1.0
"""Seconds for which events are gathered before they are posted together."""

WINDOW: Final = 60.0
"""Seconds in which an event of one client is told once; what comes meanwhile is counted for the next time."""

MAX_CLIENTS: Final = 100
"""Clients of which an event is told one by one; those beyond it are counted together."""

OTHERS: Final[Mapping[str, Detail]] = {"clients": "more than are told one by one"}
"""The details of what is counted together."""

MAX_TOGETHER: Final = 100
"""Different events in one call."""

TIMEOUT: Final = 10.0
"""Seconds that one call may take."""

RETRY_DELAYS: Final = (1.0, 5.0, 15.0)
"""Seconds before each further try, at most: they are spread from nothing to that."""

CLOSING_TIME: Final = 5.0
"""Seconds in which what is left is posted at the end."""

_OTHERS: Final[Who] = ()
_RETRIED: Final = frozenset({408, 425, 429})

_logger = structlog.get_logger(__name__)


class AlertCounter(Protocol):
    """What counts alerts: `telemetry.metrics.Metrics`."""

    def observe_alerts(self, outcome: str, count: int) -> None:
        """Count events that were `sent` or `dropped`."""
        ...


@dataclass(slots=True)
class Alert:
    """An event of one client.

    Attributes:
        details: Those of its first occurrence since it was told.
        due: When it may be told, in monotonic seconds.
        count: How often it happened since then.
        first: When it happened first, in ISO 8601.
        last: When it happened last.
    """

    details: Mapping[str, Detail]
    due: float
    count: int = 0
    first: str = ""
    last: str = ""


class AlertWebhook:
    """Posts security events. One task does so, which `start` makes and `close` ends."""

    def __init__(
        self,
        url: str,
        secret: Secret | None,
        counter: AlertCounter,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the receiver; `start` before use.

        Args:
            url: Where to post. It is shown nowhere, since many receivers put a token into it.
            secret: Signs what is posted; None signs nothing.
            counter: Counts what was sent and what was dropped.
            clock: Monotonic seconds.
        """
        self._url = url
        self._secret = secret
        self._counter = counter
        self._clock = clock
        self._alerts: dict[str, dict[Who, Alert]] = {}
        self._something = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    @classmethod
    def from_settings(cls, settings: Settings, counter: AlertCounter) -> AlertWebhook | None:
        """Make the webhook that the settings name; None where they name none."""
        if settings.alert_webhook_url is None:
            return None
        for outcome in ("sent", "dropped"):
            counter.observe_alerts(outcome, 0)  # Prometheus sees no increase where a count begins with its first
        return cls(settings.alert_webhook_url, settings.alert_webhook_secret, counter)

    def start(self) -> None:
        """Begin to post."""
        self._task = asyncio.create_task(self._run(), name="alerts")

    async def close(self) -> None:
        """Post what is left, within a bounded time."""
        if self._task is None:
            return
        self._closing.set()
        self._something.set()
        await asyncio.wait([self._task], timeout=CLOSING_TIME)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._drop(sum(alert.count for _, _, alert in self._each()))

    def add(self, event: str, details: Mapping[str, Detail]) -> None:
        """Take an event, to be told soon. This neither waits nor fails."""
        clients, who = self._alerts.setdefault(event, {}), _who(details)
        if who not in clients and len(clients) >= MAX_CLIENTS:
            who, details = _OTHERS, OTHERS
        alert = clients.get(who)
        if alert is None:
            alert = clients[who] = Alert(details, due=self._clock() + GATHER)
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if not alert.count:
            alert.details, alert.first = details, moment
        alert.count += 1
        alert.last = moment
        self._something.set()

    def take(self, *, all_of_them: bool = False) -> list[dict[str, Any]]:
        """Return the events that are due, as they are posted; they may be told again after a window.

        Args:
            all_of_them: Whether those that are not due yet are told as well.
        """
        now, taken = self._clock(), list[dict[str, Any]]()
        for event, who, alert in self._each():
            if len(taken) == MAX_TOGETHER:
                break
            if alert.due > now and not (all_of_them and alert.count):
                continue
            if not alert.count:
                self._forget(event, who)  # nothing came in its window
                continue
            times = {"count": alert.count, "first": alert.first, "last": alert.last}
            taken.append({"event": event, **times, "details": dict(alert.details)})
            alert.count, alert.due = 0, now + WINDOW
        if not self._alerts:
            self._something.clear()
        return taken

    def _each(self) -> Sequence[tuple[str, Who, Alert]]:
        return [(event, who, alert) for event, clients in self._alerts.items() for who, alert in clients.items()]

    def _forget(self, event: str, who: Who) -> None:
        clients = self._alerts[event]
        del clients[who]
        if not clients:
            del self._alerts[event]

    async def _run(self) -> None:
        timeout = ClientTimeout(total=TIMEOUT)
        async with ClientSession(timeout=timeout, cookie_jar=DummyCookieJar(), auto_decompress=False) as http:
            while not self._closing.is_set():
                await self._something.wait()
                await self._pause(GATHER)
                if alerts := self.take():
                    await self._post(http, alerts)
            while alerts := self.take(all_of_them=True):
                await self._post(http, alerts)

    async def _post(self, http: ClientSession, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Post events, again where that may help; at the end they are counted, whatever came of them."""
        moment = datetime.now(UTC)
        body = {
            "type": "security.events",
            "timestamp": moment.isoformat(timespec="seconds"),
            "data": {"events": alerts},
        }
        data = REDACTOR.redact(json.dumps(body)).encode()
        headers = self._headers(f"msg_{secrets.token_hex(16)}", int(moment.timestamp()), data)
        count = sum(alert["count"] for alert in alerts)
        reason = ""
        try:
            for delay in (*RETRY_DELAYS, None):
                reason, again = await self._try(http, data, headers)
                if not reason or not again or delay is None or self._closing.is_set():
                    break
                await self._pause(random.uniform(0, delay))  # noqa: S311 - spreads tries, guards nothing
        except asyncio.CancelledError:
            self._drop(count)
            raise
        if reason:
            self._drop(count)
        else:
            self._counter.observe_alerts("sent", count)
        if bool(reason) != self._failing:
            self._failing = bool(reason)
            if reason:
                _logger.error("Alerts do not reach the webhook, and are dropped", reason=reason)
            else:
                _logger.info("Alerts reach the webhook again")

    async def _try(self, http: ClientSession, data: bytes, headers: Mapping[str, str]) -> tuple[str, bool]:
        """Post once; return why it failed, empty where it did not, and whether another try may help."""
        try:
            # A redirect would carry the events to somebody else.
            async with http.post(self._url, data=data, headers=headers, allow_redirects=False) as response:
                status = response.status
        except (ClientError, TimeoutError, OSError) as error:
            return type(error).__name__, True
        if 200 <= status < 300:
            return "", False
        return f"status {status}", status >= 500 or status in _RETRIED

    def _headers(self, message_id: str, timestamp: int, data: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "orchestrator",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
        }
        if self._secret is not None:
            signed = self._secret.sign(f"{message_id}.{timestamp}.".encode() + data)
            headers["webhook-signature"] = f"v1,{b64encode(signed).decode()}"
        return headers

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until the end."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            pass

    def _drop(self, count: int) -> None:
        if count:
            self._counter.observe_alerts("dropped", count)


def _who(details: Mapping[str, Detail]) -> Who:
    """Return what tells one client, or one key of a provider, from others."""
    remote = details.get("remote")
    network = client_of(remote) if isinstance(remote, str) else remote
    return details.get("principal"), network, details.get("provider"), details.get("key")
