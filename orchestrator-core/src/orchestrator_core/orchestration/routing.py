"""Decides which providers and models may answer a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal, TypeVar

from orchestrator_core.config import Settings
from orchestrator_core.config.grants import Grant
from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.config.settings import AliasEntry
from orchestrator_core.orchestration.callers_keys import CallersKeys
from orchestrator_core.orchestration.requests import Selection
from orchestrator_core.orchestration.strategies import arrange
from orchestrator_core.plugins import Provider, Registry
from orchestrator_core.provider_api import InvalidRequest, NotFound, NotSupported, PermissionDenied, PluginError
from orchestrator_core.resilience.breakers import ALL_MODELS
from orchestrator_core.security.principal import Principal
from orchestrator_core.telemetry.cost import Prices

Operation = Literal["chat", "embeddings"]


@dataclass(frozen=True, slots=True)
class Target:
    """One provider and model that may be asked."""

    provider: Provider
    model: str

    @property
    def name(self) -> str:
        """The target as `provider/model`."""
        return f"{self.provider.id}/{self.model}"


_KEPT = 512
"""Names of models, and routes, that are remembered."""

MAX_MODEL = 256
"""Characters of a model's name: it is a key of the totals of usage, whose length a database bounds."""


K = TypeVar("K")
V = TypeVar("V")


class _Memory(dict[K, V]):
    """What was found before, of so many: where it is full, it begins anew."""

    def keep(self, key: K, value: V) -> None:
        """Remember something."""
        if len(self) >= _KEPT:
            self.clear()
        self[key] = value


class Router:
    """Turns a selection into targets, in the order in which they are tried."""

    def __init__(self, settings: Settings, registry: Registry, prices: Prices, draws: Random | None = None) -> None:
        """Route among the providers of a registry.

        Args:
            settings: Aliases, fallbacks and defaults.
            registry: The providers.
            prices: What the cheapest is found by.
            draws: What targets with weights are drawn by.
        """
        self._settings = settings
        self._registry = registry
        self._prices = prices
        self._callers_keys = CallersKeys(settings)
        self._configured = {name.partition("/")[2] for name in _configured_names(settings)}
        self._draws = draws or Random()  # noqa: S311  # a share of the load is no secret
        self._routes = _Memory[tuple[str | None, str | None, Grant, Operation], Sequence[Target]]()
        self._selections = _Memory[str, Selection]()

    def targets(self, principal: Principal, selection: Selection, operation: Operation) -> Sequence[Target]:
        """Return the targets, the chosen one first.

        A caller with a key of its own has one target: a key is never tried at another provider. Vectors of another
        model are of another space: all targets of embeddings have the model of the first. Providers without embeddings
        are left out, unless there is no other.

        Raises:
            NotFound: The provider is unknown, or a fallback is.
            InvalidRequest: No provider is named and none is the obvious one, the provider has no default model, or a
                key of the caller's own comes with an alias of several providers.
            NotSupported: The provider has no such operation.
            PermissionDenied: The caller may not use the provider, or the model.
            ProviderKeyMalformed: The key of the caller's own cannot be the provider's.
            PluginError: The provider's plugin does not load, and there is no fallback.
        """
        selection = self._with_default(selection, operation)
        if selection.alias is not None or selection.fallbacks is not None or selection.credential is not None:
            return self._find(principal, selection, operation)
        route = selection.provider, selection.model, principal.grant, operation
        targets = self._routes.get(route)
        if targets is None:
            targets = self._find(principal, selection, operation)
            if self._is_lasting(selection, targets, operation):
                self._routes.keep(route, targets)
        return targets

    def _is_lasting(self, selection: Selection, targets: Sequence[Target], operation: Operation) -> bool:
        """Whether the same is found for as long as the gateway runs: nothing was drawn, or depends on keys and prices.

        A name that may be anything, such as a key, is not remembered.
        """
        if selection.provider is None and self._settings.default_provider is None:
            return False
        if any(text in self._settings.aliases for text in self._chain(selection, operation)):
            return False
        known = all(self.is_model(each.provider.id, each.model) for each in targets)
        return known and selection.model in (None, targets[0].model)

    def _find(self, principal: Principal, selection: Selection, operation: Operation) -> Sequence[Target]:
        targets: list[Target] = []
        broken: PluginError | None = None
        try:
            targets += self._chosen(principal, selection, operation)
        except PluginError as error:
            broken = error
        if selection.credential is not None:
            targets = targets[:1]
            for target in targets:
                self._callers_keys.check(target.provider, selection.credential)
        else:
            for text in self._chain(selection, operation):
                for target in self._parse(text, operation, asked=selection.fallbacks is not None):
                    if principal.may_use(target.provider.id, target.model) and target not in targets:
                        targets.append(target)
        if broken is not None and not targets:
            raise broken
        if operation == "embeddings":
            same = [target for target in targets if target.model == targets[0].model]
            return [target for target in same if operation in target.provider.info.capabilities] or same
        return targets

    def _chain(self, selection: Selection, operation: Operation) -> Sequence[str]:
        if selection.fallbacks is not None:
            return selection.fallbacks
        return self._settings.fallbacks if operation == "chat" else ()

    def select(self, text: str) -> Selection:
        """Read the name of a model: `provider/model`, an alias, or a provider's name.

        Raises:
            NotFound: The name resolves to nothing. Names are never guessed.
        """
        selection = self._selections.get(text)
        if selection is None:
            selection = self._read(text)
            if selection.alias is not None or self.is_model(selection.provider or "", selection.model or ""):
                self._selections.keep(text, selection)
        return selection

    def _read(self, text: str) -> Selection:
        if text in self._settings.aliases:
            return Selection(alias=text)
        name, slash, model = text.partition("/")
        if self._registry.installed(name):
            return Selection(provider=name, model=model or None)
        if not slash and self._settings.default_provider:
            return Selection(provider=self._settings.default_provider, model=text)
        known = ", ".join(sorted(self._registry.providers)) or "none"
        raise NotFound(
            f"The model {text[:100]!r} names no provider: write provider/model. Providers here: {known}.",
            code="model_not_found",
            param="model",
        )

    def is_model(self, provider: str, model: str) -> bool:
        """Return whether a name is a model's: one that is configured, or that a provider knows or lists."""
        if model in self._configured:
            return True
        found = self._registry.providers.get(provider)
        return found is not None and (
            bool(found.known(model)) or model in (found.default_model("chat"), found.default_model("embeddings"))
        )

    def _with_default(self, selection: Selection, operation: Operation) -> Selection:
        named = selection.alias or selection.provider or selection.model
        if named is not None or self._settings.default_model is None or operation != "chat":
            return selection
        default = self.select(self._settings.default_model)
        return replace(selection, alias=default.alias, provider=default.provider, model=default.model)

    def _chosen(self, principal: Principal, selection: Selection, operation: Operation) -> Sequence[Target]:
        """Return the targets that the caller named, as far as it may use them."""
        if selection.alias is None:
            target = self._target(self._primary(principal, selection), selection.model, operation)
            _check(principal, target)
            return [target]
        entry = self._settings.aliases[selection.alias]
        if selection.credential is not None and len({text.partition("/")[0] for text in entry.targets}) > 1:
            raise InvalidRequest(
                f"The alias {selection.alias!r} stands for models of several providers, and a provider's key is for "
                "one: name provider/model.",
                param="model",
            )
        targets: list[Target] = []
        broken: PluginError | None = None
        for text in self._arranged(entry, operation):
            try:
                targets.append(self._named(text, operation))
            except PluginError as error:
                broken = error
            except NotFound:
                continue
        allowed = [target for target in targets if principal.may_use(target.provider.id, target.model)]
        if allowed:
            return allowed
        if broken is not None and not targets:
            raise broken
        if not targets:
            raise NotFound(
                f"The alias {selection.alias!r} stands for no model that is served here: write provider/model.",
                code="model_not_found",
                param="model",
            )
        raise PermissionDenied(f"This credential may not use what the alias {selection.alias!r} stands for.")

    def _arranged(self, entry: AliasEntry, operation: Operation) -> Sequence[str]:
        """Return the targets of an alias in the order in which they are asked; all texts are of one model's vectors."""
        arranged = arrange(entry, self._typical_price, self._draws)
        if operation == "chat":
            return arranged
        model = entry.targets[0].partition("/")[2]
        return [text for text in arranged if text.partition("/")[2] == model]

    def _typical_price(self, text: str) -> float | None:
        name, _, model = text.partition("/")
        if name not in self._registry:
            return None
        provider = self._registry.get(name)
        return self._prices.typical(provider.id, provider.info, model)

    def _primary(self, principal: Principal, selection: Selection) -> Provider:
        name = selection.provider or self._settings.default_provider
        if name is not None:
            return self._registry.get(name)
        usable = [provider for provider in self._registry.usable if not provider.info.embedded_default]
        if selection.credential is not None:
            # A key of the caller's own is for a provider that takes one, whether or not the server has a key.
            usable = [provider for provider in self._registry.providers.values() if provider.info.requires_key]
        usable = [provider for provider in usable or self._registry.usable if principal.may_use(provider.id)]
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
        if model == ALL_MODELS:
            raise InvalidRequest(f"{ALL_MODELS!r} stands for all models and is none: name one.", param="model")
        # A caller may put a key where a model's name belongs; from here it would go to answers, logs and the store.
        return Target(provider, REDACTOR.redact(model))

    def _parse(self, text: str, operation: Operation, *, asked: bool) -> Sequence[Target]:
        """Read a fallback; what of an alias or of the configured chain is not installed here is left out."""
        entry = self._settings.aliases.get(text)
        if entry is None and asked:
            return [self._named(text, operation)]
        texts = [text] if entry is None else self._arranged(entry, operation)
        return [self._named(each, operation) for each in texts if each.partition("/")[0] in self._registry]

    def _named(self, text: str, operation: Operation) -> Target:
        name, _, model = text.partition("/")
        return self._target(self._registry.get(name), model or None, operation)


def pinned(selection: Selection, targets: Sequence[Target]) -> Selection:
    """Return the selection of just these targets, whatever an alias would be drawn as another time."""
    first, *others = targets
    return Selection(
        provider=first.provider.id,
        model=first.model,
        fallbacks=tuple(target.name for target in others),
        credential=selection.credential,
        cache=selection.cache,
    )


def _configured_names(settings: Settings) -> Sequence[str]:
    targets = [text for entry in settings.aliases.values() for text in entry.targets]
    return [f"/{ALL_MODELS}", *targets, *settings.fallbacks, settings.default_model or ""]


def _check(principal: Principal, target: Target) -> None:
    provider, model = target.provider.id, target.model
    if not principal.may_use(provider):
        raise PermissionDenied(f"This credential may not use the provider {provider!r}.")
    if not principal.may_use(provider, model):
        raise PermissionDenied(f"This credential may not use the model {model!r} of {provider}; see GET /v1/models.")
