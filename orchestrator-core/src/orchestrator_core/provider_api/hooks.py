"""The five hooks of a provider.

A provider is a class that derives from `ProviderHooks`, marks what it implements with `hookimpl`, and is named by
an entry point of the group `orchestrator.providers`. Core makes one instance for each configured server, in a
pluggy manager of its own, and calls a hook with the one argument `request`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import pluggy

from orchestrator_core.provider_api.context import ProviderContext, ProviderSettings
from orchestrator_core.provider_api.events import ChatEvents
from orchestrator_core.provider_api.info import ProviderInfo
from orchestrator_core.provider_api.keys import KeyVerdict
from orchestrator_core.provider_api.requests import (
    ChatRequest,
    EmbeddingRequest,
    HealthRequest,
    KeyRequest,
    SummarizeRequest,
)
from orchestrator_core.provider_api.responses import EmbeddingResponse, HealthReport, Summary

PROJECT: Final = "orchestrator"
"""The project's name in pluggy."""

ENTRY_POINT_GROUP: Final = "orchestrator.providers"
"""The entry-point group in which a distribution names its provider class."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a method as the implementation of a hook."""

HOOKS: Final = ("validate_key", "chat", "embed", "health", "summarize")
"""The names of the hooks."""


class ProviderHooks:
    """The contract, and the base class of every provider.

    Attributes:
        info: What the provider says about itself.
        settings_model: The model of the operator's settings.
        context: What core gave to this instance.
    """

    info: ClassVar[ProviderInfo]
    settings_model: ClassVar[type[ProviderSettings]] = ProviderSettings

    def __init__(self, context: ProviderContext) -> None:
        """Make an instance for one server. Nothing may be opened or sent here."""
        self.context = context

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a hook that is overridden without the mark: pluggy would drop it without a word.

        Raises:
            TypeError: A hook lacks the mark.
        """
        super().__init_subclass__(**kwargs)
        for name in HOOKS:
            method = cls.__dict__.get(name)
            if method is not None and not hasattr(method, f"{PROJECT}_impl"):
                raise TypeError(f"{cls.__qualname__}.{name} overrides a hook: mark it with @hookimpl")

    @hookspec(firstresult=True)
    def validate_key(self, request: KeyRequest) -> KeyVerdict:
        """Say whether a credential has the form of this provider's keys.

        Synchronous and offline. Core's default checks `info.key_formats`.

        Returns:
            The verdict, which holds nothing of the key but its masked form.
        """
        raise NotImplementedError  # a specification: pluggy never calls it

    @hookspec(firstresult=True)
    def chat(self, request: ChatRequest) -> ChatEvents:
        """Answer a conversation, as an async generator of events.

        `request.stream` chooses only how the upstream is asked. `Start` comes first, after the upstream's 2xx.
        Closing the generator must close the upstream call. Nothing in the request may be changed, such as what
        stands in `provider_metadata`: later calls are given the same objects. Optional: without it the provider has no
        chat.

        Yields:
            The events of the answer, see `events`; those that came together may be yielded together, in a list.

        Raises:
            GatewayError: Anything the upstream or the request did wrong, mapped to the tree in `errors`.
        """
        raise NotImplementedError  # a specification: pluggy never calls it

    @hookspec(firstresult=True)
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Give the vectors of texts. Optional: without it the provider has no embeddings.

        Raises:
            GatewayError: As for `chat`.
        """
        raise NotImplementedError  # a specification: pluggy never calls it

    @hookspec(firstresult=True)
    async def health(self, request: HealthRequest) -> HealthReport:
        """Say whether the provider answers, and list its models, without spending tokens.

        Core's default reports what is configured. An error that is raised counts as not healthy.

        Raises:
            GatewayError: As for `chat`.
        """
        raise NotImplementedError  # a specification: pluggy never calls it

    @hookspec(firstresult=True)
    async def summarize(self, request: SummarizeRequest) -> Summary:
        """Condense a part of a conversation. Core's default asks the model through `request.chat`.

        Raises:
            GatewayError: As for `chat`.
        """
        raise NotImplementedError  # a specification: pluggy never calls it
