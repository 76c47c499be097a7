"""Asks a running gateway over HTTP, as its client: what the commands that look at one share."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import urlsplit

import click
from pydantic import TypeAdapter, ValidationError

from orchestrator_core.config.settings import Settings
from orchestrator_core.provider_api import (
    Deadline,
    GatewayError,
    HeaderAuth,
    ProviderRedirect,
    ProviderTimeout,
    Secret,
    UpstreamResponse,
    retry_after_seconds,
)
from orchestrator_core.upstream import ClientFactory, UpstreamLimits
from orchestrator_core.upstream.client import PooledClient

WITHIN = 5.0
"""Seconds that a gateway may take to answer."""

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a gateway listens on, and where it then answers


Answer = TypeVar("Answer")


class NoAnswer(click.ClickException):
    """A gateway could not be asked; the message says what to do."""


class Refused(NoAnswer):
    """The gateway answered, and not with what was asked for: the credential may not have it."""


class AskedTooOften(NoAnswer):
    """The gateway answered, and takes no more requests for a while.

    Attributes:
        wait: Seconds after which to ask again.
    """

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.wait = wait


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

    async def read(self, path: str, kind: type[Answer]) -> Answer:
        """Ask for JSON.

        Args:
            path: Where it is.
            kind: What it is, as `answers` has it.

        Raises:
            NoAnswer: Nothing answers, or it is no gateway.
            Refused: The credential may not have it.
            AskedTooOften: The gateway takes no more requests for a while.
        """
        answer = await self._ask(path, "application/json")
        try:
            return TypeAdapter(kind).validate_json(answer.body)
        except ValidationError:
            raise self.foreign("no JSON of a gateway") from None

    async def text(self, path: str) -> str:
        """Ask for text.

        Raises:
            NoAnswer: Nothing answers, or it is no gateway.
            Refused: The credential may not have it.
            AskedTooOften: The gateway takes no more requests for a while.
        """
        return (await self._ask(path, "text/plain")).body.decode(errors="replace")

    def foreign(self, got: str) -> NoAnswer:
        """Return the error of an answer that no gateway gives."""
        return NoAnswer(
            f"What answers at {self.url} is no gateway, or one that is not well: it gave {got}. Check --url."
        )

    async def _ask(self, path: str, kind: str) -> UpstreamResponse:
        deadline = Deadline.after(WITHIN)
        try:
            answer = await self._client.request(
                "GET", self.url + path, deadline=deadline, credential=self._key, headers={"accept": kind}
            )
        except ProviderRedirect:
            raise self.foreign("a redirect") from None
        except ProviderTimeout:
            raise NoAnswer(
                f"The gateway at {self.url} did not answer within {WITHIN:.0f} seconds. Look at its log."
            ) from None
        except GatewayError:
            tls = (
                " or its certificate is not trusted (SSL_CERT_FILE names others)"
                if self.url.startswith("https:")
                else ""
            )
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
        if answer.status == 429:
            wait = retry_after_seconds(answer.headers, time.time()) or 1.0
            raise AskedTooOften(
                f"The gateway at {self.url} takes no more requests for now: ask again in {math.ceil(wait)} s. A longer "
                "--interval, or a client with a higher limit, keeps within what it takes.",
                wait,
            )
        if answer.status != 200:
            raise self.foreign(f"status {answer.status}")
        return answer


@asynccontextmanager
async def running_gateway(url: str, key: Secret | None) -> AsyncGenerator[RunningGateway, None]:
    """Prepare to ask a gateway; the connections are closed at the end."""
    clients = ClientFactory(UpstreamLimits())
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
