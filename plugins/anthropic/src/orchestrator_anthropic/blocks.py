"""A content block of an answer while it is being written."""

from __future__ import annotations

from collections.abc import Mapping

import pydantic_core

from orchestrator_anthropic.messages import Block
from orchestrator_core.provider_api import Json


class OpenBlock:
    """A content block that has begun.

    Attributes:
        index: Its place in the answer.
        wire: What is known of it, but for its pieces.
        call: Which call of the answer it is, from 0; None where it is none.
        pieces: Texts that came in pieces, by field.
        unknown: Deltas of kinds that nobody here knows.
    """

    __slots__ = ("call", "index", "pieces", "unknown", "wire")

    def __init__(self, index: int, wire: Mapping[str, Json]) -> None:
        self.index = index
        self.wire: Block = dict(wire)
        self.call: int | None = None
        self.pieces: dict[str, list[str]] = {}
        self.unknown: list[Json] = []

    def add(self, name: str, piece: str) -> None:
        """Add a piece of the text of a field."""
        if piece:
            self.pieces.setdefault(name, []).append(piece)

    def merge(self, delta: Mapping[str, Json]) -> None:
        """Add a delta of any kind: texts and lists go on, other values replace those before, null says nothing.

        A null is no rarity: `compaction_delta` has it for content where Anthropic could not summarise
        (https://platform.claude.com/docs/en/build-with-claude/compaction).
        """
        for name, value in delta.items():
            if name == "type" or value is None:
                continue
            before = self.wire.get(name)
            if isinstance(value, str) and isinstance(before, str | None):
                self.add(name, value)
            elif isinstance(value, list) and isinstance(before, list):
                self.wire[name] = [*before, *value]
            else:
                self.wire[name] = value

    def whole(self) -> Block:
        """Return the block with all its pieces, in the form in which it can be sent back."""
        for name, pieces in self.pieces.items():
            written = "".join(pieces)
            if name != "input":
                before = self.wire.get(name)
                self.wire[name] = before + written if isinstance(before, str) else written
                continue
            try:
                self.wire[name] = pydantic_core.from_json(written)
            except ValueError:
                self.wire[name] = {"INVALID_JSON": written}
        return self.wire

    def annotations(self) -> list[Json]:
        """Return the citations of a whole text that name an address, as OpenAI's API has them.

        Anthropic cites for a block as a whole (https://platform.claude.com/docs/en/build-with-claude/citations), OpenAI
        for a range of characters (API reference, Chat Completions, `message.annotations`): so it is all of the block.
        """
        citations = self.wire.get("citations")
        found: list[Json] = []
        for each in citations if self.wire["type"] == "text" and isinstance(citations, list) else ():
            address = (each.get("url") or each.get("source")) if isinstance(each, Mapping) else None
            if isinstance(address, str) and address.startswith(("https://", "http://")):
                cited = {"start_index": 0, "end_index": len(self.wire.get("text") or ""), "url": address}
                found.append({"type": "url_citation", "url_citation": {**cited, "title": each.get("title") or ""}})
        return found
