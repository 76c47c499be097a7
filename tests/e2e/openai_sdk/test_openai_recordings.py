"""What OpenAI's SDK returns through the gateway is what it returns from the same bytes directly.

Every recording is asked for in each way that an application has: by the synchronous and by the asynchronous client, by
`create`, `create(stream=True)`, `stream()` and `parse()`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any, Final, TypeAlias

import openai
import pytest
from openai import AsyncOpenAI, LengthFinishReasonError, OpenAI
from pydantic import BaseModel, create_model

from scripted_gateway import served

Recordings: TypeAlias = Callable[[str], Sequence[dict[str, Any]]]
Arguments: TypeAlias = Mapping[str, Any]

STAND_IN: Final = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}

HIDDEN: Final = {401, 403}
"""Statuses of the upstream about the gateway's own key (docs/explanation/decisions/0008-errors-of-providers.md)."""

LOST: Final = {
    "choices.message.annotations": "the canonical form has none",
    "service_tier": "the canonical form has none",
    "system_fingerprint": "the canonical form has none",
    "usage.completion_tokens_details.accepted_prediction_tokens": "counted in the tokens of the answer",
    "usage.completion_tokens_details.audio_tokens": "counted in the tokens of the answer",
    "usage.completion_tokens_details.rejected_prediction_tokens": "counted in the tokens of the answer",
    "usage.completion_tokens_details.text_tokens": "counted in the tokens of the answer",
    "usage.prompt_tokens_details.audio_tokens": "counted in the tokens of the prompt",
    "usage.prompt_tokens_details.image_tokens": "counted in the tokens of the prompt",
    "usage.prompt_tokens_details.text_tokens": "counted in the tokens of the prompt",
}
"""What a translated answer has not (docs/explanation/decisions/0007-native-pass-through.md), and why."""

CHANGED: Final = {
    "choices.finish_reason": ("stop", "tool_calls"),  # OpenAI says `stop` where the call was demanded
    "choices.message.content": (None, ""),  # of a stream: its first event has an empty text
    "created": (0, ...),  # a time that the recording does not have
    "usage.completion_tokens_details": (None, ...),  # of a model that reports none: zeros
    "usage.prompt_tokens_details": (None, ...),
}
"""What a translated answer says otherwise: the provider's value and the gateway's, `...` being any."""


class Asynchronous:
    """Asks by `AsyncOpenAI`."""

    def __init__(self, base_url: str) -> None:
        self._client = AsyncOpenAI(api_key="sk-any", base_url=base_url, max_retries=0)

    async def close(self) -> None:
        await self._client.close()

    async def embed(self, arguments: Arguments) -> Any:
        return dumped(await self._client.embeddings.create(**arguments))

    async def create(self, arguments: Arguments) -> Any:
        return dumped(await self._client.chat.completions.create(**arguments))

    async def parse(self, arguments: Arguments) -> Any:
        return dumped(await self._client.chat.completions.parse(**arguments))

    async def chunks(self, arguments: Arguments) -> Any:
        stream = await self._client.chat.completions.create(stream=True, **arguments)
        return [dumped(chunk) async for chunk in stream]

    async def stream(self, arguments: Arguments) -> Any:
        async with self._client.chat.completions.stream(**arguments) as stream:
            kinds = [event.type async for event in stream]
            return kinds, dumped(await stream.get_final_completion())


class Synchronous:
    """Asks by `OpenAI`, in a thread."""

    def __init__(self, base_url: str) -> None:
        self._client = OpenAI(api_key="sk-any", base_url=base_url, max_retries=0)

    async def close(self) -> None:
        self._client.close()

    async def embed(self, arguments: Arguments) -> Any:
        return dumped(await asyncio.to_thread(lambda: self._client.embeddings.create(**arguments)))

    async def create(self, arguments: Arguments) -> Any:
        return dumped(await asyncio.to_thread(lambda: self._client.chat.completions.create(**arguments)))

    async def parse(self, arguments: Arguments) -> Any:
        return dumped(await asyncio.to_thread(lambda: self._client.chat.completions.parse(**arguments)))

    async def chunks(self, arguments: Arguments) -> Any:
        def read() -> Any:
            return [dumped(chunk) for chunk in self._client.chat.completions.create(stream=True, **arguments)]

        return await asyncio.to_thread(read)

    async def stream(self, arguments: Arguments) -> Any:
        def read() -> Any:
            with self._client.chat.completions.stream(**arguments) as stream:
                return [event.type for event in stream], dumped(stream.get_final_completion())

        return await asyncio.to_thread(read)


Sdk: TypeAlias = Asynchronous | Synchronous
Pairs: TypeAlias = Sequence[tuple[Sdk, Sdk]]
"""Each SDK twice: pointed at the upstream itself, and at the gateway."""


@asynccontextmanager
async def both_sdks(direct_url: str, gateway_url: str) -> AsyncIterator[Pairs]:
    pairs = [(sdk(direct_url), sdk(f"{gateway_url}/v1")) for sdk in (Synchronous, Asynchronous)]
    yield pairs
    for pair in pairs:
        for sdk in pair:
            await sdk.close()


@pytest.fixture
async def pairs(upstream: Any, process_url: str) -> AsyncIterator[Pairs]:
    """A gateway as its users run it."""
    async with both_sdks(upstream.url, process_url) as made:
        yield made


@pytest.fixture
async def translating_pairs(
    upstream: Any, translated_openai: Any, upstream_environment: Mapping[str, str], tmp_path: Path
) -> AsyncIterator[Pairs]:
    """A gateway that passes nothing through."""
    async with (
        served(tmp_path, [translated_openai], upstream_environment) as gateway,
        both_sdks(upstream.url, gateway.url) as made,
    ):
        yield made


def dumped(answer: BaseModel) -> Any:
    """Return an answer without the one thing that is added to it: whose fields it has (decision 17)."""
    plain = answer.model_dump(warnings=False)  # the SDK's types know neither base64 nor parsed answers of ours
    for choice in plain.get("choices") or ():
        said = choice.get("message") or choice.get("delta") or {}
        if all(mark.keys() == {"fields"} for mark in said.get("extra_content", {"": {}}).values()):
            del said["extra_content"]
    return plain


def arguments_of(record: Mapping[str, Any], **extra: Any) -> dict[str, Any]:
    """Make the SDK's arguments of a recorded request; what it does not insist on goes into `extra_body`."""
    body = {**(record["request_body"] or STAND_IN), **extra}
    body.pop("stream", None)
    given = {
        name: body.pop(name) for name in ("messages", "input", "encoding_format", "response_format") if name in body
    }
    return {"model": body.pop("model", "gpt-4o"), **given, "extra_body": body}


def through(arguments: Arguments) -> Arguments:
    """Return the arguments as the gateway takes them."""
    return {**arguments, "model": f"openai/{arguments['model']}"}


def with_model(arguments: Arguments) -> Arguments | None:
    """Ask for a parsed answer where a JSON schema was recorded: the SDK takes a class."""
    wanted = arguments.get("response_format") or {}
    if wanted.get("type") != "json_schema":
        return None
    schema = wanted["json_schema"]
    fields: dict[str, Any] = dict.fromkeys(schema["schema"]["properties"], (Any, ...))
    return {**arguments, "response_format": create_model(schema["name"], **fields)}


async def outcome(asked: Any) -> Any:
    """Return what the SDK returned, or what it raised of an answer that ended early."""
    try:
        return await asked
    except LengthFinishReasonError as error:
        return type(error), dumped(error.completion)


async def test_chat(upstream: Any, pairs: Pairs, recordings: Recordings, compared: Counter[str]) -> None:
    different = []
    for (direct, client), record in product(pairs, recordings("chat")):
        upstream.play(record["response_body"])
        arguments = arguments_of(record)
        if await client.create(through(arguments)) != await direct.create(arguments):
            different.append((record["id"], "create"))
        compared["chat: create()"] += 1
        if typed := with_model(arguments):
            expected = await direct.parse(typed)
            assert expected["choices"][0]["message"]["parsed"], record["id"]
            if await client.parse(through(typed)) != expected:
                different.append((record["id"], "parse"))
            compared["chat: parse()"] += 1
    assert different == []


async def test_streams(upstream: Any, pairs: Pairs, recordings: Recordings, compared: Counter[str]) -> None:
    different = []
    for (direct, client), record in product(pairs, recordings("chat_stream")):
        upstream.play(record["response_body"])
        reported = {"stream_options": {"include_usage": True}} if '"usage":{' in record["response_body"] else {}
        arguments = arguments_of(record, **reported)
        expected = await direct.chunks(arguments)
        assert expected, record["id"]
        if await client.chunks(through(arguments)) != expected:
            different.append((record["id"], "create"))
        compared["chat_stream: create(stream=True)"] += 1
        if await outcome(client.stream(through(arguments))) != await outcome(direct.stream(arguments)):
            different.append((record["id"], "stream"))
        compared["chat_stream: stream()"] += 1
        if typed := with_model(arguments):
            if await outcome(client.stream(through(typed))) != await outcome(direct.stream(typed)):
                different.append((record["id"], "stream and parse"))
            compared["chat_stream: stream(response_format=<class>)"] += 1
    assert different == []


async def test_embeddings(upstream: Any, pairs: Pairs, recordings: Recordings, compared: Counter[str]) -> None:
    different = []
    for (direct, client), record in product(pairs, recordings("embeddings")):
        upstream.play(record["response_body"])
        arguments = arguments_of(record)
        arguments.setdefault("encoding_format", "float")  # else the SDK asks for base64, which was not recorded
        if await client.embed(through(arguments)) != await direct.embed(arguments):
            different.append(record["id"])
        compared["embeddings: create()"] += 1
    assert different == []


async def error_of(call: Any) -> tuple[Any, ...]:
    try:
        await call
    except openai.APIStatusError as error:
        return type(error), error.status_code, error.code, error.param
    raise AssertionError("the call was answered")


async def test_errors(upstream: Any, pairs: Pairs, recordings: Recordings, compared: Counter[str]) -> None:
    different = {}
    for (direct, client), record in product(pairs, recordings("error")):
        surface = record["surface"]
        if surface not in ("chat", "embeddings"):
            continue
        upstream.play(record["response_body"], record["status"])
        arguments = arguments_of(record)
        asked = through(arguments)
        expected = await error_of(direct.create(arguments) if surface == "chat" else direct.embed(arguments))
        got = await error_of(client.create(asked) if surface == "chat" else client.embed(asked))
        if record["status"] in HIDDEN:
            expected = (openai.InternalServerError, 502, "provider_auth_failed", None)
        if got != expected:
            different[record["id"]] = (got, expected)
        compared[f"errors of {surface}"] += 1
    assert different == {}


@pytest.mark.parametrize(
    ("surface", "reason"),
    [
        ("models", "the gateway answers for models itself (docs/explanation/decisions/0008-errors-of-providers.md)"),
        ("responses", "the gateway has no /v1/responses"),
    ],
)
def test_errors_that_cannot_be_compared(recordings: Recordings, surface: str, reason: str) -> None:
    count = sum(record["surface"] == surface for record in recordings("error"))
    assert count, f"there are no errors of {surface} any more"
    pytest.skip(f"{count} errors of {surface}: {reason}")


def differences(expected: Any, got: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where two answers differ: the path without indices, and both values."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for name in expected.keys() | got.keys():
            yield from differences(expected.get(name), got.get(name), f"{path}.{name}".removeprefix("."))
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for one, other in zip(expected, got, strict=True):
            yield from differences(one, other, path)
    elif expected != got:
        yield path, expected, got


def is_stated(path: str, expected: Any, got: Any) -> bool:
    if path in CHANGED:
        before, after = CHANGED[path]
        return bool(expected == before and after in (..., got))
    return path in LOST and got in (None, [])


async def test_translated_answers(
    upstream: Any, translating_pairs: Pairs, recordings: Recordings, compared: Counter[str]
) -> None:
    seen, unstated = set(), []
    for (direct, client), record in product(translating_pairs, recordings("chat")):
        upstream.play(record["response_body"])
        arguments = arguments_of(record)
        found = list(differences(await direct.create(arguments), await client.create(through(arguments))))
        if typed := with_model(arguments):
            found += differences(await direct.parse(typed), await client.parse(through(typed)))
        seen |= {path for path, _, _ in found}
        unstated += [(record["id"], *difference) for difference in found if not is_stated(*difference)]
        compared["chat, translated: create() and parse()"] += 1
    for (direct, client), record in product(translating_pairs, recordings("chat_stream")):
        upstream.play(record["response_body"])
        arguments = arguments_of(record, stream_options={"include_usage": True})
        for asked in filter(None, (arguments, with_model(arguments))):
            # The events are grouped anew, so what they add up to is compared, and what is raised at their end.
            (raised, expected), (raised_too, got) = (
                await outcome(direct.stream(asked)),
                await outcome(client.stream(through(asked))),
            )
            assert isinstance(raised, list) == isinstance(raised_too, list), record["id"]
            found = list(differences(expected, got))
            seen |= {path for path, _, _ in found}
            unstated += [(record["id"], *difference) for difference in found if not is_stated(*difference)]
        compared["chat_stream, translated: stream()"] += 1
    assert unstated == []
    assert seen == LOST.keys() | CHANGED.keys(), "a difference that is stated is none any more"
