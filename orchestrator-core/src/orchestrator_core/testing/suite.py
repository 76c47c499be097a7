"""What every check stands on: what the author says about the provider, and a bench for each check."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import pytest

from orchestrator_core.provider_api import Capability, ProviderHooks, Tool
from orchestrator_core.testing.bench import TIME_LIMIT, Bench
from orchestrator_core.testing.fake import FakeUpstream
from orchestrator_core.testing.openai_wire import OpenAIFake

Check = TypeVar("Check", bound=Callable[..., None])

ANY_KEY = "kit-0123456789abcdef0123456789abcdef"


def proves(*capabilities: Capability) -> Callable[[Check], Check]:
    """Mark a check as one that proves capabilities; it runs for providers that declare them all."""

    def mark(check: Check) -> Check:
        check.proves = capabilities  # type: ignore[attr-defined]  # functions take attributes; mypy knows of none
        return check

    return mark


class Suite:
    """The base of all checks. A check is synchronous and has an event loop of its own.

    Attributes:
        provider: The class under test.
        upstream: The vendor's wire; the ready one speaks OpenAI's protocol. None for a provider that works offline.
        key: An invented key that has the form of the vendor's. Needed where `info.key_formats` names one.
        settings: Settings beside the base URL that an instance needs.
        model: The model to ask for; the card's default where None.
        embedding_model: The same for embeddings.
    """

    provider: ClassVar[type[ProviderHooks]]
    upstream: ClassVar[type[FakeUpstream] | None] = OpenAIFake
    key: ClassVar[str | None] = None
    settings: ClassVar[Mapping[str, object]] = {}
    model: ClassVar[str | None] = None
    embedding_model: ClassVar[str | None] = None

    def setup_method(self, method: Callable[..., None]) -> None:
        """Skip a check of something that the provider does not declare."""
        declared = self.provider.info.capabilities
        for capability in getattr(method, "proves", ()):
            if capability not in declared:
                pytest.skip(f"{self.provider.info.name} does not declare {capability}")

    def fake(self) -> FakeUpstream:
        """Return the vendor's wire, or skip the check where there is none."""
        if self.upstream is None:
            pytest.skip("it works offline: there is no upstream")
        return self.upstream()

    def tools(self, tools: Sequence[Tool]) -> Sequence[Tool]:
        """Return tools where the provider declares that it calls any, else none."""
        return tools if "function_calling" in self.provider.info.capabilities else ()

    def bench(self, **changes: Any) -> Bench:
        """Return a bench for one check.

        Args:
            changes: Arguments of `Bench` that differ.
        """
        info = self.provider.info
        return Bench(
            self.provider,
            None if self.upstream is None else self.upstream(),
            **{
                "settings": self.settings,
                "key": self.key or (ANY_KEY if info.requires_key or self.upstream is not None else None),
                "model": self.model or info.default_model or "kit-model",
                **changes,
            },
        )

    def run(self, work: Callable[[Bench], Awaitable[None]], **changes: Any) -> None:
        """Run a check on a bench of its own.

        Args:
            work: The check.
            changes: Arguments of `Bench` that differ.
        """
        __tracebackhide__ = True

        async def bounded() -> None:
            async with asyncio.timeout(TIME_LIMIT), self.bench(**changes) as bench:
                await work(bench)

        try:
            asyncio.run(bounded())
        except TimeoutError:
            raise AssertionError(f"the provider did not come to an end within {TIME_LIMIT:g} s") from None
        except asyncio.CancelledError:
            message = "the provider cancelled its caller: no timeout or task group may stand around a `yield`"
            raise AssertionError(message) from None
