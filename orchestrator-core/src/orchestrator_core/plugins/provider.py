"""The typed caller over pluggy for one provider instance: whatever a plugin does, core sees the contract."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, TypeVar

import structlog

from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.plugins.cancellation import cancellable
from orchestrator_core.plugins.checks import (
    embedding_flaw,
    event_flaw,
    flaw,
    report_flaw,
    summary_flaw,
    verdict_flaw,
)
from orchestrator_core.plugins.manager import implemented_hooks, make_manager
from orchestrator_core.plugins.names import plain_name
from orchestrator_core.provider_api import (
    Adjustment,
    AdjustmentReport,
    ChatEvent,
    ChatEvents,
    ChatRequest,
    Deadline,
    EmbeddingRequest,
    EmbeddingResponse,
    GatewayError,
    HealthReport,
    HealthRequest,
    KeyRequest,
    KeyVerdict,
    ModelInfo,
    NotSupported,
    PluginError,
    ProviderAuthFailed,
    ProviderHooks,
    ProviderInfo,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderSettings,
    ProviderTimeout,
    Secret,
    Start,
    SummarizeRequest,
    Summary,
)

CLOSE_TIMEOUT: Final = 2.0
"""Seconds that a plugin's generator has for closing its upstream call."""

_ANSWERS: Final = (ProviderAuthFailed, ProviderQuotaExhausted, ProviderRateLimited)
"""Errors of a look that say that the provider is there."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Provider:
    """One provider instance, as the rest of core knows it.

    Attributes:
        id: The name of the instance.
        info: What the provider says about itself.
        settings: The operator's settings.
        keys: The server's usable keys.
        verdicts: What the form of each configured key says, usable or not.
        hooks: The hooks that the plugin implements itself.
        quarantined: Why it is not called any more; None while it is.
        quarantine: Takes it out of use; called with the reason.
        healthy: False after a look that found it failing.
        down: Whether the last look found nothing that answers, so that others are asked before it.
        health_detail: Why it is not healthy.
    """

    def __init__(self, instance: ProviderHooks, keys: Sequence[Secret] = ()) -> None:
        """Wrap an instance.

        Args:
            instance: The plugin's object.
            keys: The server's keys, as configured.

        Raises:
            pluggy.PluginValidationError: An implementation does not fit its hook.
        """
        self.id = instance.context.provider_id
        self.info: ProviderInfo = instance.info
        self.settings: ProviderSettings = instance.context.settings
        self.hooks = implemented_hooks(type(instance))
        self.quarantined: str | None = None
        self.quarantine: Callable[[str], None] = self.set_aside
        self.healthy = True
        self.down = False
        self.health_detail: str | None = None
        self._known = {model.id: model for model in self.info.models}
        self._listed: Mapping[str, ModelInfo] = {}
        self._hook = make_manager(instance).hook
        self.use_keys(keys, [self.validate_key(key) for key in keys])

    @property
    def configured(self) -> bool:
        """Whether a call has what it needs: a key, or no need of one."""
        return bool(self.keys) or not self.info.requires_key

    @property
    def usable(self) -> bool:
        """Whether it can be called: it has what a call needs, and is not quarantined."""
        return self.configured and self.quarantined is None

    @property
    def models(self) -> Sequence[ModelInfo]:
        """The models that the plugin knows, and those that the provider listed."""
        return [*self.info.models, *(model for name, model in self._listed.items() if name not in self._known)]

    def known(self, model: str) -> Sequence[ModelInfo]:
        """Return what is known of a model: by the plugin, and by what the provider listed."""
        return [found[model] for found in (self._known, self._listed) if model in found]

    def default_model(self, operation: Literal["chat", "embeddings"]) -> str | None:
        """Return the model where nobody names one: the operator's, or the plugin's."""
        if operation == "embeddings":
            return self.info.default_embedding_model
        return self.settings.default_model or self.info.default_model

    def use_keys(self, keys: Sequence[Secret], verdicts: Sequence[KeyVerdict]) -> None:
        """Take the server's keys; placeholders are not used, others are even where their form is odd.

        Args:
            keys: The keys.
            verdicts: What `validate_key` says of each.
        """
        self.verdicts = verdicts
        self.keys = usable_keys(keys, verdicts)

    def validate_key(self, credential: Secret) -> KeyVerdict:
        """Say whether a credential has the form of this provider's keys.

        Raises:
            PluginError: The plugin failed.
        """
        found = self._call("validate_key", KeyRequest(credential=credential))
        verdict = self._checked("validate_key", found, KeyVerdict, verdict_flaw)
        reason = None if verdict.reason is None else credential.redact(verdict.reason)
        return replace(verdict, masked=credential.redact(verdict.masked), reason=reason)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Sequence[ChatEvent], None]:
        """Answer a conversation.

        Yields:
            Events that came together.

        Raises:
            NotSupported: The provider has no chat.
            PluginError: The plugin broke the contract.
            UnsupportedParameter: The caller is strict, and says what only its own protocol can say.
            GatewayError: Anything else the plugin raised.
        """
        unread = self._unread(request)
        events = self._call("chat", request)
        if events is None and "chat" not in self.hooks:
            raise NotSupported(f"The provider {self.id!r} does not chat. Choose another.")
        if not isinstance(events, AsyncGenerator):
            _discard(events)
            raise self._broken("chat", f"it returned {type(events).__name__}, not an async generator")
        begun = ended = False

        def left() -> None:
            nonlocal ended
            ended = True  # there is nothing that could be closed
            self._left("chat")

        try:
            while True:
                try:
                    sound, what = _sound(await cancellable(anext(events), left), unread, begun=begun)
                except StopAsyncIteration:
                    ended = True
                    return
                except BaseException as error:
                    if _passes(error):
                        raise
                    raise self._raised("chat", error) from error
                if sound:
                    begun = True
                    yield sound
                if what is not None:
                    raise self._broken("chat", what)
        finally:
            if not ended:
                await self._close(events)

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Give the vectors of texts.

        Raises:
            NotSupported: The provider has no embeddings.
            PluginError: The plugin broke the contract.
            GatewayError: Anything else the plugin raised.
        """
        response = await self._await(
            "embed",
            request,
            request.deadline,
            EmbeddingResponse,
            lambda response: embedding_flaw(response, len(request.input)),
        )
        response.model = plain_name(response.model)
        return response

    async def health(self, request: HealthRequest) -> HealthReport:
        """Look whether the provider answers, and remember what was found. Never raises but for cancellation."""
        try:
            return await self.look(request)
        except GatewayError:
            return HealthReport(healthy=False, detail=self.health_detail, reached=not self.down)

    async def look(self, request: HealthRequest) -> HealthReport:
        """Look as `health` does, and raise what kept the provider from answering.

        Raises:
            PluginError: The plugin broke the contract.
            GatewayError: Anything else the plugin raised.
        """
        try:
            report = await self._await("health", request, request.deadline, HealthReport, report_flaw)
        except GatewayError as error:
            reached = isinstance(error, _ANSWERS)
            self.note(HealthReport(healthy=False, detail=REDACTOR.redact(error.message), reached=reached))
            raise
        if report.detail is not None:
            report = replace(report, detail=REDACTOR.redact(report.detail))
        self.note(report)
        return report

    def note(self, report: HealthReport) -> None:
        """Remember what a look found, be it another process's."""
        self.healthy, self.health_detail = report.healthy, report.detail
        self.down = not (report.healthy or report.reached)
        if report.models:
            self._listed = {model.id: model for model in report.models}

    async def summarize(self, request: SummarizeRequest) -> Summary:
        """Condense a part of a conversation.

        Raises:
            PluginError: The plugin broke the contract.
            GatewayError: Anything else the plugin raised.
        """
        summary = await self._await("summarize", request, request.deadline, Summary, summary_flaw)
        return replace(summary, text=summary.text.replace("\0", ""), model=plain_name(summary.model))

    def _unread(self, request: ChatRequest) -> Sequence[Adjustment]:
        """Return what gets lost because the provider does not speak the client's protocol."""
        options = request.native_options
        if options is None or options.dialect in self.info.dialects:
            return ()
        report = AdjustmentReport(strict=request.strict)
        for name in options.only:
            report.dropped(name, "this provider has nothing like it")
        return report.adjustments

    def _call(self, hook: str, request: object) -> Any:
        if self.quarantined is not None:
            raise PluginError(f"The plugin of {self.id!r} is quarantined: {self.quarantined}.", provider=self.id)
        try:
            return getattr(self._hook, hook)(request=request)
        except BaseException as error:
            if _passes(error):
                raise
            raise self._raised(hook, error) from error

    async def _await(
        self, hook: str, request: object, deadline: Deadline, kind: type[T], check: Callable[[T], str | None]
    ) -> T:
        awaitable = self._call(hook, request)
        if awaitable is None and hook not in self.hooks:
            raise NotSupported(f"The provider {self.id!r} does not {hook}. Choose another.", param="model")
        if not isinstance(awaitable, Awaitable):
            raise self._broken(hook, f"it returned {type(awaitable).__name__}, not an awaitable")
        limit = asyncio.timeout(deadline.remaining())
        try:
            async with limit:
                result = await cancellable(_plain(awaitable), lambda: self._left(hook))
        except BaseException as error:
            if isinstance(error, TimeoutError) and limit.expired():
                raise ProviderTimeout("The provider did not answer in time.", provider=self.id) from None
            if _passes(error):
                raise
            raise self._raised(hook, error) from error
        return self._checked(hook, result, kind, check)

    def _checked(self, hook: str, result: object, kind: type[T], check: Callable[[T], str | None]) -> T:
        if isinstance(result, kind):
            what = flaw(result, check)
            if what is None:
                return result
        else:
            _discard(result)
            what = f"it gave {type(result).__name__}, not {kind.__name__}"
        raise self._broken(hook, what)

    async def _close(self, events: ChatEvents) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await cancellable(events.aclose(), lambda: self._left("chat"))
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and _passes(error):
                raise
            # How a call that is over fails to close changes nothing of it.
            kind = type(error).__name__
            log.warning("plugin does not close its call", provider=self.id, hook="chat", error=kind)

    def _left(self, hook: str) -> None:
        self.quarantine(f"its hook {hook} went on although it was cancelled; mend it, then restart the gateway")

    def set_aside(self, reason: str) -> None:
        """Call the plugin no more."""
        self.quarantined = reason
        self.healthy, self.down, self.health_detail = False, True, reason

    def _raised(self, hook: str, error: BaseException) -> PluginError:
        log.error("plugin failed", provider=self.id, hook=hook, exc_info=error)
        return PluginError(
            f"The plugin of {self.id!r} failed in its hook {hook} ({type(error).__name__}). "
            "The gateway's log says more; update the plugin, or choose another provider.",
            provider=self.id,
        )

    def _broken(self, hook: str, what: str) -> PluginError:
        log.error("plugin broke the contract", provider=self.id, hook=hook, fault=REDACTOR.redact(what))
        return PluginError(
            f"The plugin of {self.id!r} broke the contract in its hook {hook}: {REDACTOR.redact(what)}. "
            "Update the plugin, or choose another provider.",
            provider=self.id,
        )


def usable_keys(keys: Sequence[Secret], verdicts: Sequence[KeyVerdict]) -> Sequence[Secret]:
    """Return the keys that are no placeholders."""
    return [key for key, verdict in zip(keys, verdicts, strict=True) if verdict.status != "placeholder"]


def _sound(given: object, unread: Sequence[Adjustment], *, begun: bool) -> tuple[list[ChatEvent], str | None]:
    """Return the events that a plugin yielded up to the first that breaks the contract, and what is wrong with that."""
    sound: list[ChatEvent] = []
    for event in given if isinstance(given, (list, tuple)) else (given,):
        due = ChatEvent if begun else Start
        if not isinstance(event, due):
            return sound, f"it yielded {type(event).__name__} where {due.__name__} was due"
        if what := event_flaw(event):
            return sound, what
        sound.append(_plain_start(event, unread) if isinstance(event, Start) else event)
        begun = True
    return sound, None


def _plain_start(event: Start, unread: Sequence[Adjustment]) -> Start:
    """Return a beginning with the names that the upstream gave made plain, and what of the request got lost."""
    named, model = plain_name(event.id), plain_name(event.model)
    if not unread and (named, model) == (event.id, event.model):
        return event
    return replace(event, id=named, model=model, adjustments=(*unread, *event.adjustments))


def _passes(error: BaseException) -> bool:
    """Whether core is to see an error: one of the tree, its words made plain, or the running task's cancellation.

    A plugin may let a cancellation out that is its own, such as that of a task which it started. Core would take it
    for the caller's leaving.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    if isinstance(error, GatewayError):
        # Some of their words are an upstream's own.
        error.code = plain_name(error.code) or type(error).code
        error.upstream_type, error.upstream_code = plain_name(error.upstream_type), plain_name(error.upstream_code)
        return True
    return False


async def _plain(awaitable: Awaitable[object]) -> object:
    """Await any kind of awaitable in a coroutine."""
    return await awaitable


def _discard(result: object) -> None:
    """Close a coroutine that nobody awaits; Python would warn of it later, far from its cause."""
    if inspect.iscoroutine(result):
        result.close()
