"""What goes wrong upstream: each fault has its place in the tree, and shows nothing that it must not."""

from __future__ import annotations

from typing import Final, get_args

import pytest
from pydantic_core import to_json

from orchestrator_core.provider_api import (
    ContentBlocked,
    ContextTooLong,
    ProviderAuthFailed,
    ProviderBadResponse,
    ProviderError,
    ProviderFailed,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRedirect,
    ProviderRefused,
    ProviderUnavailable,
    ProviderUnreachable,
)
from orchestrator_core.testing.bench import Bench, Heard
from orchestrator_core.testing.checks.chat import both_modes
from orchestrator_core.testing.judge import require
from orchestrator_core.testing.scenes import CALLS, PLAIN, TOOLS, Fault
from orchestrator_core.testing.server import Broken, Reply
from orchestrator_core.testing.suite import Suite, proves

FAULTS: Final[dict[Fault, type[ProviderError]]] = {
    "refused": ProviderRefused,
    "not_found": ProviderRefused,
    "context": ContextTooLong,
    "blocked": ContentBlocked,
    "auth": ProviderAuthFailed,
    "forbidden": ProviderAuthFailed,
    "quota": ProviderQuotaExhausted,
    "rate_limited": ProviderRateLimited,
    "overloaded": ProviderUnavailable,
    "failed": ProviderFailed,
}
"""Each fault with its error; a subclass of it, which says more, is right too."""

EVERYWHERE: Final = ("refused", "auth", "rate_limited", "failed")
"""Faults that every vendor has."""

HIDDEN: Final = ("auth", "forbidden", "failed", "overloaded")
"""Faults whose bodies are never shown: they may name hosts, accounts or keys."""

NONSENSE: Final = {
    "empty": (b"", "application/json"),
    "cut": (b'{"id": "x", "content": [{"ty', "application/json"),
    "list": (b"[]", "application/json"),
    "object": (b"{}", "application/json"),
    "number": (b"7", "application/json"),
    "html": (b"<html><body>KIT-SAID</body></html>", "text/html"),
    "latin": (b'{"text": "\xe9"}', "application/json"),
}


class ErrorChecks(Suite):
    """Errors of the upstream, in both modes."""

    @proves("chat")
    @pytest.mark.parametrize("fault", get_args(Fault))
    def test_an_error_has_its_place_in_the_tree(self, fault: Fault) -> None:
        """The fault is told by the right error, before any event, with the vendor's words only where they help."""
        made = self.fake().error(fault, "KIT-SAID")
        if made is None:
            require(fault not in EVERYWHERE, f"error({fault!r}, ...) must have a status and a body")
            pytest.skip(f"this vendor has no error for {fault}")
        status, body = made

        async def work(bench: Bench) -> None:
            for stream in (False, True):
                heard = await bench.hear(Reply(status, to_json(body)), stream=stream)
                error = _provider_error(heard, f"{fault} ({status})")
                wanted = FAULTS[fault]
                require(
                    isinstance(error, wanted), f"{fault} ({status}) is {type(error).__name__}, not {wanted.__name__}"
                )
                require(not heard.events, "`Start` came although the upstream refused: it follows a 2xx")
                if fault in HIDDEN:
                    require(
                        "KIT-SAID" not in _shown(error), f"the body of {fault} ({status}) is shown: it may hold secrets"
                    )
                elif fault == "refused":
                    require(
                        "KIT-SAID" in error.message,
                        "what the vendor says of a bad request is not shown: people need it",
                    )

        self.run(work)

    @proves("chat")
    def test_retry_after_is_told(self) -> None:
        """How long the vendor asks to wait is passed on."""
        status, body = self.fake().error("rate_limited", "KIT-SAID") or (429, {})

        async def work(bench: Bench) -> None:
            headers = {"content-type": "application/json", "retry-after": "7"}
            error = _provider_error(await bench.hear(Reply(status, to_json(body), headers)), "429")
            require(error.retry_after == 7.0, f"retry_after is {error.retry_after!r}: use retry_after_seconds")

        self.run(work)

    @both_modes
    @proves("chat")
    def test_an_error_of_a_proxy_is_understood(self, stream: bool) -> None:
        """A page of HTML, as proxies send, is an error of the tree and is not shown."""
        self.fake()

        async def work(bench: Bench) -> None:
            for status in (400, 403, 404, 413, 422, 429, 500, 502, 503, 504):
                page = Reply(status, b"<html><h1>KIT-SAID</h1></html>", {"content-type": "text/html"})
                error = _provider_error(await bench.hear(page, stream=stream), f"HTML with {status}")
                require("KIT-SAID" not in _shown(error), f"a page of HTML with {status} is shown")

        self.run(work)

    @both_modes
    @proves("chat")
    def test_nonsense_with_a_200_is_an_error(self, stream: bool) -> None:
        """What is no answer of the protocol is an error of the tree, never a crash or an empty answer."""
        self.fake()

        async def work(bench: Bench) -> None:
            for kind, (content, media_type) in NONSENSE.items():
                reply = Reply(200, content, {"content-type": media_type})
                error = _provider_error(await bench.hear(reply, stream=stream), f"an answer that is {kind}")
                require(isinstance(error, ProviderFailed), f"an answer that is {kind} is {type(error).__name__}")

        self.run(work)

    @proves("chat")
    def test_nonsense_in_a_stream_is_an_error(self) -> None:
        """An event that is no JSON, or JSON of another shape, is an error of the tree."""
        self.fake()

        async def work(bench: Bench) -> None:
            for event in (b'data: {"broken\n\n', b"data: 7\n\n", b'data: "text"\n\n'):
                heard = await bench.hear(Broken(PLAIN, events=1, hangs=False, last=event), stream=True)
                _provider_error(heard, f"the event {event!r}")

        self.run(work)

    @proves("chat")
    def test_a_stream_that_ends_early_is_an_error(self) -> None:
        """A stream without its end is no complete answer: the caller must know."""
        fake = self.fake()

        async def work(bench: Bench) -> None:
            for scene in (PLAIN, CALLS):
                frames = list(fake.stream(scene))
                for events in (1, len(frames) // 2):
                    heard = await bench.hear(Broken(scene, events=events, hangs=False), stream=True, tools=TOOLS)
                    _provider_error(heard, f"a stream that ends after {events} of {len(frames)} events")

        self.run(work)

    @proves("chat")
    @pytest.mark.parametrize("fault", get_args(Fault))
    def test_an_error_event_in_a_stream_is_an_error(self, fault: Fault) -> None:
        """An error that comes before or after the first text ends the call with the right error, whatever follows."""
        fake = self.fake()
        event = fake.stream_error(fault, "KIT-SAID")
        if event is None:
            pytest.skip(f"this vendor sends no error for {fault} in streams")

        async def work(bench: Bench) -> None:
            frames = bench.server.frames(PLAIN)
            for before in (0, 1, len(frames) // 2):
                # The rest of the answer follows, so that who ignores the event does not stumble over a missing end.
                last = b"".join([fake.frame(event), *frames[before:]])
                heard = await bench.hear(Broken(PLAIN, events=before, hangs=False, last=last), stream=True)
                what = f"the event of {fault} after {before} others"
                error, wanted = _provider_error(heard, what), FAULTS[fault]
                right = isinstance(error, wanted) and not isinstance(error, ProviderBadResponse)
                require(right, f"{what} is {type(error).__name__}, not {wanted.__name__}")
                require(fault not in HIDDEN or "KIT-SAID" not in _shown(error), f"the words of {what} are shown")

        self.run(work)

    @both_modes
    @proves("chat")
    def test_a_redirect_is_not_followed(self, stream: bool) -> None:
        """A redirect would carry the key away."""
        self.fake()

        async def work(bench: Bench) -> None:
            away = Reply(307, b"{}", {"location": f"{bench.server.origin}/elsewhere"})
            heard = await bench.hear(away, stream=stream)
            require(len(heard.requests) == 1, "a redirect is followed")
            require(isinstance(heard.error, ProviderRedirect), f"a redirect is {heard.error!r}")

        self.run(work)

    @both_modes
    @proves("chat")
    def test_an_upstream_that_is_not_there_is_unreachable(self, stream: bool) -> None:
        """A refused connection is told as such."""
        fake = self.fake()

        async def work(bench: Bench) -> None:
            heard = await bench.hear(stream=stream)
            require(isinstance(heard.error, ProviderUnreachable), f"a refused connection is {heard.error!r}")

        self.run(work, base_url=fake.base_url("http://127.0.0.1:9"))


def _provider_error(heard: Heard, what: str) -> ProviderError:
    """Require that a call ended with an error of the tree, and return it."""
    __tracebackhide__ = True
    require(heard.error is not None, f"{what} ends like a good answer: raise an error of the tree")
    error = heard.error
    if not isinstance(error, ProviderError):
        raise AssertionError(f"{what} raises {error!r}: raise an error of the tree") from error
    return error


def _shown(error: ProviderError) -> str:
    return f"{error} {error.message} {error.args} {error.param}"
