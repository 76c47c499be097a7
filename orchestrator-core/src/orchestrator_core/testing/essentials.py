"""What can be seen of a provider class without a network: for the suite, and for `orchestrator plugins doctor`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from pydantic import ValidationError

from orchestrator_core.plugins.loading import class_fault
from orchestrator_core.plugins.manager import implemented_hooks
from orchestrator_core.provider_api import (
    ChatRequest,
    Deadline,
    KeyRequest,
    KeyVerdict,
    ProviderContext,
    ProviderHooks,
    ProviderInfo,
    Secret,
    UpstreamClient,
    text_message,
)

if TYPE_CHECKING:
    import httpx

PLACEHOLDERS: Final = ("your_api_key_here", "changeme", "<your key>")
CANARY: Final = "kit-canary-0123456789-abcdefghij"
"""A credential that is nobody's."""
ASKING: Final = 3.0
"""Seconds that a chat may take before it asks its upstream."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a provider.

    Attributes:
        check: What was looked at, in a word.
        problem: What is wrong.
        cure: What to do.
    """

    check: str
    problem: str
    cure: str


def findings(cls: type[ProviderHooks]) -> Iterator[Finding]:
    """Yield what is wrong with a provider class."""
    fault = class_fault(cls)
    if fault is not None:
        yield Finding("contract", fault.problem, fault.cure)
        return
    yield from _card(cls.info)
    yield from _hooks(cls)
    yield from _formats(cls.info)
    yield from _settings(cls)
    yield from _verdicts(cls)
    yield from _address(cls)


def _card(info: ProviderInfo) -> Iterator[Finding]:
    if not info.title.strip():
        yield Finding("card", "info.title is empty", "Give the provider's name for people.")
    if len(set(info.capabilities)) != len(info.capabilities) or not info.capabilities:
        yield Finding("card", "info.capabilities is empty or has doubles", "Name each thing that works, once.")
    ids = [model.id for model in info.models]
    if doubles := {id_ for id_ in ids if ids.count(id_) > 1}:
        yield Finding("models", f"info.models has {', '.join(sorted(doubles))} twice", "List each model once.")
    for name, model in (
        ("default_model", info.default_model),
        ("default_embedding_model", info.default_embedding_model),
    ):
        if model is not None and ids and model not in ids:
            yield Finding("models", f"info.{name} is {model!r}, which info.models lacks", "Add it, or name another.")
    for known in info.models:
        if known.retired_on and not known.replacement:
            yield Finding("models", f"{known.id} retires and names no replacement", "Set `replacement`.")
        if known.id == info.default_model and known.replacement:
            yield Finding("models", f"the default model {known.id} is retired", f"Take {known.replacement}.")
    if not info.named_servers and info.default_model is None and "chat" in info.capabilities:
        yield Finding("models", "info.default_model is missing", "Name the model where nobody names one.")


def _hooks(cls: type[ProviderHooks]) -> Iterator[Finding]:
    own, declared = implemented_hooks(cls), cls.info.capabilities
    for hook, capability in (("chat", "chat"), ("embed", "embeddings")):
        if capability in declared and hook not in own:
            yield Finding("hooks", f"it declares {capability!r} and has no hook {hook}", f"Write {hook}.")
    if "chat" in own and "chat" not in declared:
        yield Finding("hooks", "it has the hook chat and does not declare it", "Declare 'chat'.")
    if "embeddings" in declared and cls.info.default_embedding_model is None and not cls.info.named_servers:
        yield Finding("models", "info.default_embedding_model is missing", "Name the model where nobody names one.")


def _formats(info: ProviderInfo) -> Iterator[Finding]:
    for pattern in (*(form.pattern for form in info.key_formats), *info.foreign_keys):
        try:
            re.compile(pattern)
        except re.error as error:
            yield Finding("keys", f"{pattern!r} is no regular expression: {error}", "Mend the pattern.")
    for form in info.key_formats:
        if not form.description.strip():
            yield Finding("keys", f"the form {form.pattern!r} has no description", "Say in words how a key looks.")


def _settings(cls: type[ProviderHooks]) -> Iterator[Finding]:
    try:
        cls.settings_model()
    except ValidationError as error:
        if not cls.info.named_servers:  # those have no instance without the operator's word
            fields = ", ".join(sorted(str(item["loc"][0]) for item in error.errors() if item["loc"]))
            yield Finding("settings", f"settings without a default: {fields}", "Give each setting a default.")


def _verdicts(cls: type[ProviderHooks]) -> Iterator[Finding]:
    """Ask the class's own `validate_key`, where it has one; core's is tested elsewhere."""
    if "validate_key" not in implemented_hooks(cls):
        return
    instance = _offline(cls, _NoClient())
    if instance is None:
        return
    for value in (*PLACEHOLDERS, CANARY):
        verdict: object = instance.validate_key(KeyRequest(credential=Secret(value)))
        if not isinstance(verdict, KeyVerdict):
            yield Finding("keys", f"validate_key gave {type(verdict).__name__}", "Return a KeyVerdict.")
            return
        if value in f"{verdict.masked} {verdict.reason}":
            yield Finding("keys", "validate_key shows the key in its verdict", "Use mask_key and check_key.")
            return


def _address(cls: type[ProviderHooks]) -> Iterator[Finding]:
    """Ask the class, with its settings as they are by default, and look where it turns to."""
    address = asyncio.run(_asked(cls))
    if address is None:
        return
    try:
        parts = urlsplit(address)
        absolute = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        absolute = False
    if not absolute:
        problem = f"where nobody sets a base URL it asks {address[:80]!r}, which is no absolute URL"
        cure = "Give it a base URL, in `Dialect.base_url` for instance, or make base_url a required setting."
        yield Finding("base_url", problem, cure)


async def _asked(cls: type[ProviderHooks]) -> str | None:
    """Return the first URL that a chat asks for, or None where it asks none or fails before."""
    instance = _offline(cls, _Asking())
    if instance is None or "chat" not in implemented_hooks(cls):
        return None  # what is a required setting has no default to be wrong
    request = ChatRequest(
        model=cls.info.default_model or "kit-model",
        messages=(text_message("user", "Hello"),),
        deadline=Deadline.after(ASKING),
        credential=Secret(CANARY),
    )
    with suppress(Exception):  # a provider may refuse to be asked for many reasons, which the suite looks at
        async with asyncio.timeout(ASKING), aclosing(instance.chat(request)) as events:
            try:
                async for _ in events:
                    pass
            except _Asked as asked:
                return asked.url
    return None


class _Asked(BaseException):
    """Ends a call as it asks the upstream; not an Exception, which the provider might handle."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class _Asking:
    """Stands where an upstream client would, and tells what it is asked for."""

    def request(self, _method: str, url: str, **_: object) -> object:
        """See `UpstreamClient.request`."""
        raise _Asked(url)

    stream = request

    def send(self, request: httpx.Request, **_: object) -> object:
        """See `UpstreamClient.send`."""
        raise _Asked(str(request.url))


class _NoClient:
    """Stands where an upstream client would: whoever uses it here reaches for the network too early."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"making an instance and checking a key are offline: client.{name} was used")


def _offline(cls: type[ProviderHooks], client: object) -> ProviderHooks | None:
    try:
        settings = cls.settings_model()
    except ValidationError:
        return None
    return cls(ProviderContext(cls.info.name, settings, cast("UpstreamClient", client)))
