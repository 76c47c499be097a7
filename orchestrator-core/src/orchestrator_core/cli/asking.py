"""Asks a running gateway over HTTP, as its client: what the commands that look at one share."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import click

from orchestrator_core.config.settings import Settings
from orchestrator_core.provider_api import (
    Deadline,
    GatewayError,
    HeaderAuth,
    ProviderRedirect,
    ProviderTimeout,
    Secret,
    UpstreamResponse,
)
from orchestrator_core.upstream import ClientFactory, UpstreamLimits
from orchestrator_core.upstream.client import PooledClient

WITHIN = 5.0
"""Seconds that a gateway may take to answer."""

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a gateway listens on, and where it then answers


class NoAnswer(click.ClickException):
    """A gateway could not be asked; the message says what to do."""


class Refused(NoAnswer):
    """The gateway answered, and not with what was asked for: the credential may not have it."""


class RunningGateway:
    """A gateway that runs somewhere.

    Attributes:
        url: Where, without a slash at the end.
    """

    def __init__(self, url: str, client: PooledClient, key: Secret | None) -> None:
        """Prepare to ask.

        Args:
            url: Where it runs.
            client: What calls it.
            key: The credential to send; None is none.
        """
        self.url = url
        self._client = client
        self._key = key

    async def json(self, path: str) -> Any:
        """Ask for JSON.

        Raises:
            NoAnswer: Nothing answers, or it is no gateway.
            Refused: The credential may not have it.
        """
        answer = await self._ask(path, "application/json")
        try:
            return json.loads(answer.body)
        except ValueError:
            raise NoAnswer(self._foreign("no JSON")) from None

    async def text(self, path: str) -> str:
        """Ask for text.

        Raises:
            NoAnswer: Nothing answers, or it is no gateway.
            Refused: The credential may not have it.
        """
        return (await self._ask(path, "text/plain")).body.decode(errors="replace")

    async def _ask(self, path: str, kind: str) -> UpstreamResponse:
        deadline = Deadline.after(WITHIN)
        try:
            answer = await self._client.request(
                "GET", self.url + path, deadline=deadline, credential=self._key, headers={"accept": kind}
            )
        except ProviderRedirect:
            raise NoAnswer(self._foreign("a redirect")) from None
        except ProviderTimeout:
            raise NoAnswer(
                f"The gateway at {self.url} did not answer within {WITHIN:.0f} seconds. Look at its log."
            ) from None
        except GatewayError:
            tls = " or its certificate is not trusted (SSL_CERT_FILE names others)" if self.url[4] == "s" else ""
            raise NoAnswer(
                f"No gateway answers at {self.url}{tls}. Start one with `orchestrator serve`, or say with --url where "
                "it runs."
            ) from None
        if answer.status == 401:
            which = "wrong, or not valid any more" if self._key else "missing"
            raise NoAnswer(
                f"The gateway at {self.url} asks for a client key, which is {which}: set ORCHESTRATOR_CLIENT_KEY, or "
                "ORCHESTRATOR_CLIENT_KEY_FILE, to that of an admin."
            )
        if answer.status == 403:
            raise Refused(
                "This client key may not see it: set ORCHESTRATOR_CLIENT_KEY to that of an admin, such as "
                "`orchestrator clients create operator --role admin` makes."
            )
        if answer.status != 200:
            raise NoAnswer(self._foreign(f"status {answer.status}"))
        return answer

    def _foreign(self, got: str) -> str:
        return f"What answers at {self.url} is no gateway, or one that is not well: it gave {got}. Check --url."


@asynccontextmanager
async def running_gateway(url: str, key: Secret | None) -> AsyncGenerator[RunningGateway, None]:
    """Prepare to ask a gateway; the connections are closed at the end."""
    clients = ClientFactory(UpstreamLimits())
    await clients.start()
    try:
        yield RunningGateway(url, clients.client(HeaderAuth()), key)
    finally:
        await clients.close()


def url_of(settings: Settings) -> str:
    """Return where the gateway of this configuration answers on this machine."""
    host = _EVERYWHERE.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.server_port}"


def check_url(_context: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Read the URL of a gateway; it is not repeated where it is wrong, since it may hold a credential."""
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or parts.query:
            raise ValueError("no URL of a gateway")
    except ValueError:
        raise click.BadParameter(
            "expected http:// or https:// and a host, such as https://gateway.example.com."
        ) from None
    if parts.username is not None:
        raise click.BadParameter("a URL is seen by others: set ORCHESTRATOR_CLIENT_KEY in place of a name in it.")
    return value.rstrip("/")
