"""A provider at work: one instance, the real upstream client, and the fake upstream on the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import logging
import traceback
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from orchestrator_core.provider_api import (
    Adjustment,
    ChatEvent,
    ChatRequest,
    ChatResponse,
    Deadline,
    Message,
    ProviderContext,
    ProviderHooks,
    Secret,
    Start,
    UpstreamClient,
    UpstreamResponse,
    UpstreamStream,
)
from orchestrator_core.testing.fake import Asked, FakeUpstream
from orchestrator_core.testing.judge import fold
from orchestrator_core.testing.scenes import HELLO, history
from orchestrator_core.testing.server import LoopbackServer, Script
from orchestrator_core.upstream import UpstreamLimits
from orchestrator_core.upstream.client import PooledClient

if TYPE_CHECKING:
    import httpx

INSTANCE: Final = "kit-instance"
"""The provider id of the instance: not the name on the card, since an operator may name a server as he likes."""

TIME_LIMIT: Final = 20.0
"""Seconds for everything that one check does."""


@dataclass
class Heard:
    """What came of a call.

    Attributes:
        events: The events.
        error: What was raised instead of an end.
        requests: What reached the upstream.
        messages: The conversation that was given, as it is after the call.
    """

    events: list[ChatEvent] = field(default_factory=list)
    error: Exception | None = None
    requests: Sequence[Asked] = ()
    messages: Sequence[Message] = ()

    @property
    def response(self) -> ChatResponse:
        """The answer, where the call ended well."""
        if self.error is not None:
            shown = "".join(traceback.format_exception(self.error)[-6:])
            raise AssertionError(f"the call failed although the upstream answered well:\n{shown}")
        return fold(self.events)

    @property
    def adjustments(self) -> Sequence[Adjustment]:
        """What the provider reports to have changed, however the call ended."""
        return self.events[0].adjustments if self.events and isinstance(self.events[0], Start) else ()

    @property
    def request(self) -> Asked:
        """The request that was sent."""
        if not self.requests:
            raise AssertionError("the upstream was not asked: is `settings.base_url` honoured, and the client used?")
        return self.requests[-1]


class CountingClient:
    """The real upstream client, counted, so that a request which went around it is found out.

    Attributes:
        calls: How many requests were made.
    """

    def __init__(self, client: PooledClient) -> None:
        """Count the calls of a client."""
        self._client = client
        self.calls = 0

    async def request(self, method: str, url: str, **options: Any) -> UpstreamResponse:
        """See `UpstreamClient.request`."""
        self.calls += 1
        return await self._client.request(method, url, **options)

    def stream(self, method: str, url: str, **options: Any) -> AbstractAsyncContextManager[UpstreamStream]:
        """See `UpstreamClient.stream`."""
        self.calls += 1
        return self._client.stream(method, url, **options)

    async def send(
        self, request: httpx.Request, *, deadline: Deadline, credential: Secret | None = None
    ) -> httpx.Response:
        """See `UpstreamClient.send`."""
        self.calls += 1
        return await self._client.send(request, deadline=deadline, credential=credential)


class Bench:
    """Everything that a check needs, for its length.

    Attributes:
        server: The fake upstream; an offline provider never asks it.
        client: The upstream client of the instance.
        instance: The provider.
        key: The credential of the calls; None where the provider needs none.
    """

    def __init__(
        self,
        provider: type[ProviderHooks],
        fake: FakeUpstream | None,
        *,
        settings: Mapping[str, object],
        key: str | None,
        model: str,
        base_url: str | None = None,
    ) -> None:
        """Prepare a bench.

        Args:
            provider: The class under test.
            fake: The vendor's wire; None for a provider that works offline.
            settings: The operator's settings beside the base URL.
            key: The credential.
            model: The model to ask for.
            base_url: Where to look for the upstream in the place of the fake.
        """
        self.server = LoopbackServer(fake or FakeUpstream())
        self.key = key
        self._provider, self._fake = provider, fake
        self._settings, self._model, self._base_url = settings, model, base_url
        limits = UpstreamLimits(max_connections=20)
        self._pool = PooledClient(provider.info.auth, limits)
        self.client = CountingClient(self._pool)
        self.instance: ProviderHooks

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        try:
            self.instance = self._provider(self.context())
        except BaseException:
            await self.server.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.close()
        await self.server.__aexit__(kind, error, trace)

    def context(self) -> ProviderContext:
        """Return what core would give to the instance."""
        values = dict(self._settings)
        if self._base_url is not None:
            values["base_url"] = self._base_url
        elif self._fake is not None:
            values["base_url"] = self._fake.base_url(self.server.origin)
        client: UpstreamClient = self.client
        return ProviderContext(INSTANCE, self._provider.settings_model.model_validate(values), client)

    @property
    def credential(self) -> Secret | None:
        """The credential of the calls."""
        return None if self.key is None else Secret(self.key)

    def request(self, messages: Sequence[Message] = HELLO, **fields: Any) -> ChatRequest:
        """Return a chat request, which may take ten seconds unless `deadline` says otherwise."""
        return ChatRequest(
            **{
                "model": self._model,
                "messages": messages,
                "deadline": Deadline.after(10.0),
                "credential": self.credential,
                **fields,
            }
        )

    def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Open a call as core does, and give its events one by one.

        Raises:
            AssertionError: The hook gave something else than an async generator.
        """
        events: object = self.instance.chat(request)
        if not isinstance(events, AsyncGenerator):
            if inspect.iscoroutine(events):
                events.close()  # Python would warn of it later, far from its cause
            raise AssertionError(f"chat gave {type(events).__name__}: write `async def` with `yield` in it")
        return _one_by_one(events)

    async def hear(self, *script: Script, messages: Sequence[Message] = HELLO, **fields: Any) -> Heard:
        """Hold a call to its end.

        Args:
            script: What the upstream answers; without one it answers well.
            messages: The conversation.
            fields: Further fields of the request.
        """
        self.server.script.extend(script)
        before = len(self.server.asked)
        # A copy, so that a provider which changes a history harms its own call alone.
        heard = Heard(messages=history(*messages))
        try:
            async with aclosing(self.chat(self.request(heard.messages, **fields))) as events:
                async for event in events:
                    heard.events.append(event)
        except Exception as error:  # noqa: BLE001 - the check that asked judges it
            heard.error = error
        heard.requests = self.server.asked[before:]
        self.server.script.clear()
        return heard


async def _one_by_one(events: AsyncGenerator[object, None]) -> AsyncGenerator[Any, None]:
    """Yield what a provider gave as core takes it: what is no event, and neither a list nor a tuple of some, stays."""
    async with aclosing(events):
        async for given in events:
            for event in given if isinstance(given, list | tuple) else (given,):
                yield event


@contextlib.contextmanager
def overheard() -> Iterator[io.StringIO]:
    """Collect everything that is logged at any level, or printed."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            yield text
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def within(seconds: float) -> asyncio.Timeout:
    """Bound what must happen within a time, generously enough for a busy machine."""
    return asyncio.timeout(seconds)
