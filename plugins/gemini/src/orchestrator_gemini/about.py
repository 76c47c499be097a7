"""What a candidate says about its content: sources, ratings, how likely its tokens were.

In a stream it may come in any chunk, and in several (https://ai.google.dev/api/generate-content#candidate).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator_core.provider_api import Json

SOURCES = ("groundingMetadata", "urlContextMetadata", "citationMetadata")
"""What belongs to the text, and stays with it in a history."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a passage comes from.

    Attributes:
        url: Its address.
        title: Its title; empty where it has none.
        start: Where the passage begins, in bytes of UTF-8.
        end: Where it ends.
        text: The passage, where Gemini repeats it.
    """

    url: str
    title: str
    start: int
    end: int
    text: str | None


def merged(before: Json, after: Json) -> Json:
    """Return two reports as one: objects are merged, lists go on unless the later repeats the earlier one."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return {**before, **{name: merged(before.get(name), value) for name, value in after.items()}}
    if isinstance(before, list) and isinstance(after, list):
        return after if after[: len(before)] == before else [*before, *(each for each in after if each not in before)]
    return before if after is None else after


def rated(before: Json, after: Json) -> Json:
    """Return two lists of safety ratings as one, which has at most one of each category."""
    both = [*(before or ()), *after] if isinstance(after, list) else before or ()
    return list({str(each.get("category")): each for each in both if isinstance(each, Mapping)}.values())


def logprobs(result: Mapping[str, Json]) -> list[Json]:
    """Return tokens as OpenAI's API has them (API reference, Chat Completions, `logprobs.content`).

    Source: https://ai.google.dev/api/generate-content#LogprobsResult.
    """
    top = _objects(result.get("topCandidates"))
    tokens: list[Json] = []
    for place, chosen in enumerate(_objects(result.get("chosenCandidates"))):
        others = _objects(top[place].get("candidates")) if place < len(top) else []
        tokens.append({**_token(chosen), "top_logprobs": [_token(each) for each in others]})
    return tokens


def sources(wire: Mapping[str, Json], known: Mapping[str, Json]) -> Iterator[Source]:
    """Yield the sources in one report about a candidate.

    Args:
        wire: The report.
        known: What all reports so far say; their passages may name sources of an earlier one.
    """
    grounding = _fields(wire.get("groundingMetadata"))
    before = _fields(known.get("groundingMetadata"))
    chunks = _list(grounding.get("groundingChunks")) or _list(before.get("groundingChunks"))
    for support in _objects(grounding.get("groundingSupports")):
        for index in _list(support.get("groundingChunkIndices")):
            named = chunks[index] if type(index) is int and 0 <= index < len(chunks) else None
            for source in _fields(named).values():  # one of `web`, `maps`, `retrievedContext`, `image`
                yield from _source(source, _fields(support.get("segment")))
    cited = _fields(wire.get("citationMetadata"))
    for each in _objects(cited.get("citations") or cited.get("citationSources")):
        yield from _source(each, each)


def citations(found: Sequence[Source], texts: Sequence[tuple[int, str]]) -> dict[int, list[Json]]:
    """Return sources as OpenAI's API has them (API reference, Chat Completions, `message.annotations`), by block.

    Gemini counts bytes, OpenAI characters. A passage that is not where it should be is looked for.

    Args:
        found: The sources.
        texts: The texts of the candidate, each with its block.
    """
    pieces: dict[int, list[str]] = {}
    for number, piece in texts:
        pieces.setdefault(number, []).append(piece)
    blocks = {number: "".join(each).encode() for number, each in pieces.items()}
    everything = b"".join(blocks.values())
    by_block: dict[int, list[Json]] = {}
    for source in found:
        start, end = _place(source, everything)
        begin = 0
        for block, text in blocks.items():
            if begin <= start < min(end, begin + len(text)):
                cited = {
                    "start_index": _characters(text[: start - begin]),
                    "end_index": _characters(text[: end - begin]),
                    "url": source.url,
                    "title": source.title,
                }
                by_block.setdefault(block, []).append({"type": "url_citation", "url_citation": cited})
            begin += len(text)
    return by_block


def _source(source: Json, place: Mapping[str, Json]) -> Iterator[Source]:
    source = _fields(source)
    start, end, text = place.get("startIndex") or 0, place.get("endIndex"), place.get("text")
    url, title = source.get("uri"), source.get("title")
    if isinstance(url, str) and url and type(start) is int and type(end) is int:
        yield Source(url, title if isinstance(title, str) else "", start, end, text if isinstance(text, str) else None)


def _place(source: Source, text: bytes) -> tuple[int, int]:
    if source.text is None or text[source.start : source.end] == source.text.encode():
        return source.start, source.end
    found = text.find(source.text.encode())
    return (found, found + len(source.text.encode())) if found >= 0 else (0, 0)


def _characters(text: bytes) -> int:
    return len(text.decode("utf-8", "ignore"))


def _token(wire: Mapping[str, Json]) -> dict[str, Json]:
    text = str(wire.get("token") or "")
    # A probability of one has the logarithm 0, which Google's JSON leaves out like every zero.
    token = {"token": text, "logprob": wire.get("logProbability") or 0.0, "bytes": list(text.encode())}
    return {**token, "token_id": wire["tokenId"]} if "tokenId" in wire else token


def _fields(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _objects(value: Json) -> list[Mapping[str, Json]]:
    return [each for each in _list(value) if isinstance(each, Mapping)]


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
