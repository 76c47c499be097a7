"""Decides which providers and models may answer a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator_core.config import Settings
from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.orchestration.requests import Selection
from orchestrator_core.plugins import Provider, Registry
from orchestrator_core.provider_api import InvalidRequest, NotFound, NotSupported, PermissionDenied, PluginError
from orchestrator_core.security.principal import Principal

Operation = Literal["chat", "embeddings"]


@dataclass(frozen=True, slots=True)
class Target:
    """One provider and model that may be asked."""

    provider: Provider
    model: str


MAX_MODEL = 256
"""Characters of a model's name: it is a key of the totals of usage, whose length a database bounds."""


class Router:
    """Turns a selection into targets, in the order in which they are tried."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        """Route among the providers of a registry."""
        self._settings = settings
        self._registry = registry

    def targets(self, principal: Principal, selection: Selection, operation: Operation) -> Sequence[Target]:
        """Return the targets, the chosen one first.

        A caller with a key of its own has one target: a key is never tried at another provider.

        Raises:
            NotFound: The provider is unknown, or a fallback is.
            InvalidRequest: No provider is named and none is the obvious one, or the provider has no default model.
            NotSupported: The provider has no such operation.
            PermissionDenied: The caller may not use the provider.
            PluginError: The provider's plugin does not load, and there is no fallback.
        """
        targets: list[Target] = []
        broken: PluginError | None = None
        try:
            first = self._target(self._primary(selection), selection.model, operation)
        except PluginError as error:
            broken = error
        else:
            if not principal.may_use(first.provider.id):
                raise PermissionDenied(f"This credential may not use the provider {first.provider.id!r}.")
            targets.append(first)
        if selection.credential is None:
            for text in self._chain(selection, operation):
                target = self._parse(text, operation, asked=selection.fallbacks is not None)
                if target and principal.may_use(target.provider.id) and target not in targets:
                    targets.append(target)
        if broken is not None and not targets:
            raise broken
        return targets

    def _chain(self, selection: Selection, operation: Operation) -> Sequence[str]:
        if selection.fallbacks is not None:
            return selection.fallbacks
        # Vectors of another model are of another space: nobody else may answer unless the caller says so.
        return self._settings.fallbacks if operation == "chat" else ()

    def parse_model(self, text: str) -> tuple[str, str | None]:
        """Read `provider/model`, an alias, or a provider's name as (provider, model).

        Raises:
            NotFound: The name resolves to nothing. Names are never guessed.
        """
        text = self._settings.aliases.get(text, text)
        name, slash, model = text.partition("/")
        if self._registry.installed(name):
            return name, model or None
        if not slash and self._settings.default_provider:
            return self._settings.default_provider, text
        known = ", ".join(sorted(self._registry.providers)) or "none"
        raise NotFound(
            f"The model {text[:100]!r} names no provider: write provider/model. Providers here: {known}.",
            code="model_not_found",
            param="model",
        )

    def _primary(self, selection: Selection) -> Provider:
        name = selection.provider or self._settings.default_provider
        if name is not None:
            return self._registry.get(name)
        usable = [provider for provider in self._registry.usable if not provider.info.embedded_default]
        if selection.credential is not None:
            # A key of the caller's own is for a provider that takes one, whether or not the server has a key.
            usable = [provider for provider in self._registry.providers.values() if provider.info.requires_key]
        usable = usable or list(self._registry.usable)
        if len(usable) == 1:
            return usable[0]
        names = ", ".join(provider.id for provider in usable)
        hint = f"Usable here: {names}." if usable else "No provider has a key; see GET /api/providers."
        raise InvalidRequest(f"Say which provider is to answer. {hint}", param="provider")

    def _target(self, provider: Provider, model: str | None, operation: Operation) -> Target:
        if model is None:
            model = provider.default_model(operation)
            if model is None and operation not in provider.info.capabilities:
                raise NotSupported(f"The provider {provider.id!r} does not offer {operation}. Choose another.")
            if model is None:
                raise InvalidRequest(
                    f"The provider {provider.id!r} has no default model for {operation}: name one.",
                    param="model",
                )
        if len(model) > MAX_MODEL:
            raise InvalidRequest(f"A model's name has at most {MAX_MODEL} characters.", param="model")
        # A caller may put a key where a model's name belongs; from here it would go to answers, logs and the store.
        return Target(provider, REDACTOR.redact(model))

    def _parse(self, text: str, operation: Operation, *, asked: bool) -> Target | None:
        """Read a fallback; one of the configured chain that is not installed here is left out."""
        text = self._settings.aliases.get(text, text)
        name, _, model = text.partition("/")
        if not asked and name not in self._registry:
            return None
        return self._target(self._registry.get(name), model or None, operation)
