"""What answers say in fields that have no canonical form: kept for clients who get them translated."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import lru_cache

from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    ChatEvent,
    FilePart,
    Json,
    Logprobs,
    ProviderMetadata,
    TextDelta,
    UsageReport,
    WholePart,
    noted_message,
)

_ANSWER = frozenset(("id", "object", "created", "model", "choices", "usage", "error", "obfuscation"))
_CHOICE = frozenset(("index", "message", "delta", "finish_reason", "logprobs", "usage"))
# Mistral counts the choice on its delta once more: `index`.
_MESSAGE = frozenset(("role", "index", "content", "refusal", "tool_calls", "function_call", "audio", "annotations"))
_OWN = frozenset(("annotations", "audio"))
"""Named fields that no other provider than the one of the answer can read either."""


class Unnamed:
    """Collects the fields of one answer, whole or streamed.

    Args:
        provider_id: The provider instance, under whose name metadata is kept.
        named: Fields of messages that the dialect reads.
        sound: The format of a spoken answer that was asked for.
    """

    __slots__ = ("_answer", "_audio", "_choices", "_messages", "_named", "_provider_id", "_sound")

    def __init__(self, provider_id: str, *, named: tuple[str, ...] = (), sound: str | None = None) -> None:
        self._provider_id = provider_id
        self._named = _MESSAGE.union(named)
        self._sound = sound or "wav"
        self._answer: dict[str, Json] = {}
        self._choices: dict[int, dict[str, Json]] = {}
        self._messages: dict[int, dict[str, Json]] = {}
        self._audio: dict[int, dict[str, Json]] = {}

    def answer(self, body: Mapping[str, Json], events: list[ChatEvent]) -> None:
        """Take the fields of an answer, or of a chunk; report those that are new."""
        found = {
            name: body[name]
            for name in body.keys() - _ANSWER
            if _says(body[name]) and body[name] != self._answer.get(name)
        }
        if found:
            self._answer.update(found)
            events.append(UsageReport(0, {OPENAI_CHAT: found}))

    def choice(
        self, index: int, choice: Mapping[str, Json], message: Mapping[str, Json], events: list[ChatEvent]
    ) -> Sequence[str]:
        """Take the fields of a choice and of its message, or of their pieces: nobody else has to be told of them."""
        if (tokens := choice.get("logprobs")) and isinstance(tokens, dict):
            content, refusal = (
                found if isinstance(found := tokens.get(name), list) else () for name in ("content", "refusal")
            )
            if content or refusal:
                events.append(Logprobs(index, content=content, refusal=refusal))
        if cited := message.get("annotations"):
            noted = {"annotations": cited}
            events.append(TextDelta(index, {OPENAI_CHAT: noted, self._provider_id: noted}))
        if audio := message.get("audio"):
            _join(self._audio.setdefault(index, {}), audio, pieces="data")
        if found := {name: choice[name] for name in choice.keys() - _CHOICE if _says(choice[name])}:
            self._choices.setdefault(index, {}).update(found)
        if found := {name: message[name] for name in message.keys() - self._named if _says(message[name])}:
            _join(self._messages.setdefault(index, {}), found)
        return ()

    def end(self, index: int, events: list[ChatEvent]) -> ProviderMetadata | None:
        """Report what a message had, and return what its choice had."""
        if (audio := self._audio.pop(index, None)) and audio.get("data"):
            data = b"".join(map(base64.b64decode, audio["data"]))
            noted = {"audio": {name: audio[name] for name in ("id", "expires_at") if audio.get(name)}}
            file = FilePart(
                data=base64.b64encode(data).decode(),
                media_type=f"audio/{self._sound}",
                provider_metadata={self._provider_id: noted},
            )
            events.append(WholePart(index, part=file))
        if found := self._messages.pop(index, None):
            events.append(WholePart(index, part=noted_message(found, self._provider_id)))
        own = self._choices.pop(index, None)
        return {OPENAI_CHAT: own} if own else None


class Unread:
    """Passes over the fields of an answer whose bytes go to the client as they came, and only says whose they are.

    Args:
        named: Fields of messages that the dialect reads.
    """

    __slots__ = ("_named", "_owned")

    def __init__(self, named: tuple[str, ...]) -> None:
        self._named = _plain(named)
        self._owned: dict[int, set[str]] = {}

    def answer(self, body: Mapping[str, Json], events: list[ChatEvent]) -> None:
        """Do nothing."""

    def choice(
        self, index: int, _: Mapping[str, Json], message: Mapping[str, Json], __: list[ChatEvent]
    ) -> Sequence[str]:
        """Return the fields that only this provider reads, each once of a choice, since clients join the pieces."""
        if message.keys() <= self._named:
            return ()
        said = self._owned.setdefault(index, set())
        found = [name for name in message if name not in self._named and name not in said and _says(message[name])]
        said.update(found)
        return found

    def end(self, index: int, events: list[ChatEvent]) -> None:
        """Do nothing."""


@lru_cache(maxsize=64)
def _plain(named: tuple[str, ...]) -> frozenset[str]:
    """Return the fields of messages that others than the provider read too."""
    return (_MESSAGE.union(named) | {"extra_content"}) - _OWN


def _says(value: Json) -> bool:
    return value not in (None, "", [], {})


def _join(into: dict[str, Json], piece: Mapping[str, Json], *, pieces: str | None = None) -> None:
    """Add what a delta says: texts and lists grow, other values and what is said again are replaced.

    `pieces` is kept as a list of texts.
    """
    for name, value in piece.items():
        before = into.get(name)
        grows = name != "id" and type(before) is type(value) and isinstance(value, str | list) and value != before
        if name == pieces:
            into[name] = [*(before or ()), *([value] if value else [])]
        elif before is not None and grows:
            into[name] = before + value
        elif value is not None:
            into[name] = value
