"""What core gives to a provider instance when it makes it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from orchestrator_core.provider_api.deadline import Deadline
from orchestrator_core.provider_api.secret import Secret
from orchestrator_core.provider_api.urls import NO_HTTP_URL, is_http_url

if TYPE_CHECKING:
    import httpx  # its types only: importing it costs 100 ms, and its command line more


class ProviderSettings(BaseModel):
    """An operator's settings for one provider instance; a plugin may add fields in a subclass.

    Every field is read from `<PREFIX>_<FIELD>` in the environment (`OPENAI_BASE_URL`), or from the provider's
    table in the configuration file.

    Attributes:
        base_url: Where the provider is, without a slash at the end; None is the plugin's own default.
        default_model: The model where the caller names none.
        default_temperature: From 0 to 2, sent where the caller sets none.
        default_max_tokens: At least 1, sent where the caller sets none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: str | None = None
    default_model: str | None = None
    default_temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    default_max_tokens: int | None = Field(default=None, ge=1)

    @field_validator("base_url")
    @classmethod
    def _can_be_called(cls, value: str | None) -> str | None:
        if value is not None and not is_http_url(value):
            # Of a validator's own errors no word is shown, since a plugin's may hold the value.
            raise PydanticCustomError("base_url", NO_HTTP_URL)
        return value


@dataclass(slots=True)
class UpstreamResponse:
    """A whole answer of an upstream, of any status.

    Attributes:
        status: The HTTP status.
        headers: With lower-case names; of a repeated header the first counts.
        body: The body, with the credential of the call masked should the upstream repeat it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class ServerSentEvent:
    """One event of a stream (WHATWG HTML, 9.2).

    Attributes:
        data: The data lines, joined by line feeds.
        event: The event's name, where it has one.
    """

    data: bytes
    event: str | None = None


class UpstreamStream(Protocol):
    """An open answer that comes in pieces.

    Attributes:
        status: The HTTP status.
        headers: With lower-case names.
    """

    status: int
    headers: Mapping[str, str]

    def events(self) -> AsyncGenerator[ServerSentEvent, None]:
        """Yield the events, without comments, until the upstream ends the stream.

        Raises:
            ProviderBadResponse: The content type is not `text/event-stream`, or an event is too large or no UTF-8.
            ProviderFailed: The connection broke.
            ProviderTimeout: No event came within the deadline's limits.
        """
        ...

    def batches(self) -> AsyncGenerator[Sequence[ServerSentEvent], None]:
        """Yield the same events, those that came together in one list: for providers that count the cost of each.

        Raises:
            ProviderError: As for `events`.
        """
        ...

    async def read(self) -> bytes:
        """Read the rest as one body, for answers that are no stream.

        Raises:
            ProviderError: As for `UpstreamClient.request`.
        """
        ...


class UpstreamClient(Protocol):
    """The HTTP client that core makes for one provider instance.

    It is pooled and bounded, follows no redirect, keeps no cookies, and puts the credential into the headers
    that `ProviderInfo.auth` names. Paths are joined to nothing: `url` is absolute.
    """

    async def request(
        self,
        method: str,
        url: str,
        *,
        deadline: Deadline,
        credential: Secret | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        max_bytes: int | None = None,
    ) -> UpstreamResponse:
        """Send a request and read the whole answer. The short path: no model of a request, none of an answer.

        Args:
            method: `GET` or `POST`.
            url: An absolute URL.
            deadline: When the answer must have been read.
            credential: The key for this call.
            headers: Further headers.
            body: JSON; `content-type: application/json` is set where there is a body.
            max_bytes: The largest body to read; the configured limit where None.

        Returns:
            The answer, whatever its status.

        Raises:
            ProviderUnreachable: No connection, or it broke.
            ProviderTimeout: The deadline passed.
            ProviderRedirect: The upstream redirected.
            ProviderBadResponse: The body is too large or encoded in a way nobody asked for.
        """
        ...

    def stream(
        self,
        method: str,
        url: str,
        *,
        deadline: Deadline,
        credential: Secret | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> AbstractAsyncContextManager[UpstreamStream]:
        """Send a request and open its answer; leaving the context closes the connection.

        Raises:
            ProviderError: As for `request`, when the context is entered.
        """
        ...

    async def send(
        self, request: httpx.Request, *, deadline: Deadline, credential: Secret | None = None
    ) -> httpx.Response:
        """Send any request, such as an upload, and read the whole answer.

        Raises:
            ProviderError: As for `request`.
        """
        ...


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What an instance has for its life.

    Attributes:
        provider_id: The name of the instance, which may differ from the class's (`openai-compatible` has many).
        settings: The operator's settings, an instance of the plugin's `settings_model`.
        client: The upstream client.
        clock: Seconds since the epoch.
    """

    provider_id: str
    settings: ProviderSettings
    client: UpstreamClient
    clock: Callable[[], float] = time.time
