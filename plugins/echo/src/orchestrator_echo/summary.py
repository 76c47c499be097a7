"""Summaries without a model: the words that look most like facts, in their order."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator_core.provider_api import Message
from orchestrator_echo.words import READ, newest

SHARE = 0.75
"""The most characters of a summary, as a share of its source's."""

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")
_FACT = re.compile(r"\d|\b[A-Z]\w+")


def summarize(messages: Sequence[Message], previous: str | None) -> str:
    """Return a summary that is shorter than its source: earlier facts first, then sentences with names or numbers.

    The newest facts of the messages take precedence where there is no room for all; a fact that was in `previous`
    is kept as long as half of the room suffices for it. Empty where next to nothing was said. Of very long
    conversations the newest part is read.
    """
    users = [message.text for message in messages if message.role == "user"]
    said = users if any(text.strip() for text in users) else [message.text for message in messages]
    source = len(previous or "") + sum(len(message.text) for message in messages)
    room = int(min(source, READ) * SHARE)
    said, previous = newest(said), previous and previous[-READ:]
    kept = _fit(_sentences([previous]) if previous else [], room // 2)
    sentences, known = _sentences(said), set(kept)
    facts = [sentence for sentence in sentences if _FACT.search(sentence)] or sentences
    kept += _fit([fact for fact in dict.fromkeys(facts) if fact not in known], room - sum(map(len, kept)) - len(kept))
    return " ".join(kept) or " ".join(said).strip()[:room].strip()


def _sentences(texts: Sequence[str]) -> list[str]:
    return [sentence.strip() for text in texts for sentence in _SENTENCE.findall(text) if sentence.strip()]


def _fit(sentences: Sequence[str], room: int) -> list[str]:
    """Return the newest sentences that fit, in their order."""
    kept: list[str] = []
    for sentence in reversed(sentences):
        if len(sentence) + 1 <= room:
            kept.append(sentence)
            room -= len(sentence) + 1
    return kept[::-1]
