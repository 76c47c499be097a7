"""Providers that get keys, health, embeddings or their card wrong."""

from __future__ import annotations

import asyncio
import logging
import urllib.request
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from pydantic_core import to_json

from fake_providers.mutant_bases import Changed, Events, fails
from orchestrator_acme import AcmeProvider
from orchestrator_acme import compile as acme_compile
from orchestrator_acme import parse as acme_parse
from orchestrator_core.provider_api import (
    AdjustmentReport,
    ChatEvent,
    ChatRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    HealthReport,
    HealthRequest,
    KeyFormat,
    KeyRequest,
    KeyVerdict,
    ProviderBadResponse,
    ProviderHooks,
    hookimpl,
)


@fails("no_answer_and_no_log_shows_the_key")
class LogsTheKey(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        logging.getLogger("acme").debug("with %s", request.credential.reveal() if request.credential else "")
        return [event]


@fails("no_answer_and_no_log_shows_the_key")
class KeepsTheKeyInAnswers(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        key = request.credential.reveal() if request.credential else ""
        return [replace(event, provider_metadata={self.context.provider_id: {"key": key}})]


@fails("what_python_prints_of_it_shows_no_key")
class RemembersTheKey(Changed):
    def change(self, event: ChatEvent, request: ChatRequest) -> list[ChatEvent]:
        self.last_credential = request.credential
        return [event]


@fails("the_key_travels_in_its_header_alone")
class PutsTheKeyIntoTheUrl(Changed):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        key = request.credential.reveal() if request.credential else ""
        url = f"{self.base_url}/answers?key={key}&stream={request.stream}"
        body = acme_compile.compile_chat(request, "x", self.context.settings, AdjustmentReport(strict=False))
        answer = await self.context.client.request(
            "POST", url, deadline=request.deadline, credential=request.credential, body=to_json({**body, "stream": 0})
        )
        for event in acme_parse.AnswerParser("x", ()).body(answer.body):
            yield event


@fails("the_client_of_the_context_makes_every_request")
class HasAClientOfItsOwn(Changed):
    @hookimpl
    async def chat(self, request: ChatRequest) -> Events:
        await asyncio.to_thread(lambda: urllib.request.urlopen(f"{self.base_url}/models").read())
        async with aclosing(super().chat(request)) as events:
            async for event in events:
                yield event


@fails("health_costs_no_tokens")
class ChatsForItsHealth(AcmeProvider):
    @hookimpl
    async def health(self, request: HealthRequest) -> HealthReport:
        body = to_json({"model": "acme-large", "turns": [], "stream": False})
        url = f"{self.base_url}/answers"
        await self.context.client.request("POST", url, deadline=request.deadline, body=body)
        return HealthReport(healthy=True)


@fails("health_tells_a_wrong_key")
class IsAlwaysWell(AcmeProvider):
    @hookimpl
    async def health(self, request: HealthRequest) -> HealthReport:
        await self.context.client.request("GET", f"{self.base_url}/models", deadline=request.deadline)
        return HealthReport(healthy=True)


@fails("keys_of_a_wrong_form_are_told", "the_class_keeps_to_the_contract")
class ShowsTheKeyInItsVerdict(AcmeProvider):
    @hookimpl
    def validate_key(self, request: KeyRequest) -> KeyVerdict:
        return KeyVerdict("malformed", "****", f"{request.credential.reveal()} is no key of ours")


@fails("keys_of_a_wrong_form_are_told")
class TakesKeysOfOthers(AcmeProvider):
    info = replace(AcmeProvider.info, key_formats=(KeyFormat(r"[\w-]{20,200}", "any word", ""),))


@fails("a_key_of_the_right_form_is_valid")
class RefusesItsOwnKeys(AcmeProvider):
    info = replace(AcmeProvider.info, key_formats=(KeyFormat(r"acme_[0-9]{8}", "`acme_` and 8 digits", "acme_"),))


@fails("making_an_instance_does_no_work")
class AsksAsItIsMade(AcmeProvider):
    def __init__(self, context: Any) -> None:
        super().__init__(context)
        with suppress(RuntimeError):
            self.task = asyncio.get_running_loop().create_task(asyncio.sleep(0.01))


@fails("vectors_come_in_the_order_of_their_inputs")
class MixesVectors(AcmeProvider):
    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        response = await super().embed(request)
        return replace(response, vectors=sorted(response.vectors, reverse=True))


@fails("nothing_of_embeddings_is_dropped_in_silence")
class IgnoresDimensions(AcmeProvider):
    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        return await super().embed(replace(request, dimensions=None))


@fails("errors_of_embeddings_have_their_place_in_the_tree")
class EmbedsAnything(AcmeProvider):
    @hookimpl
    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        with suppress(ProviderBadResponse):
            return await super().embed(request)
        return EmbeddingResponse([[0.0]] * len(request.input))


@fails("the_class_keeps_to_the_contract")
class DeclaresWhatItHasNot(ProviderHooks):
    info = AcmeProvider.info


@fails("the_class_keeps_to_the_contract")
class DefaultsToAModelThatIsNot(AcmeProvider):
    info = replace(AcmeProvider.info, default_model="acme-small")


@fails("hooks_that_are_awaited_are_coroutines")
class AnswersHealthAtOnce(AcmeProvider):
    @hookimpl
    def health(self, request: HealthRequest) -> HealthReport:  # type: ignore[override]  # the fault itself
        return HealthReport(healthy=True)
