"""What an answer says beyond the fields of OpenAI's messages: written into an answer, and read back from a history.

A message of that API is flat: one text, one list of calls. Where the parts of an answer carry notes that only their
provider reads (signatures, the calls of its own tools, grounding), the message has a field of the gateway's own,

    "extra_content": {"orchestrator": {"parts": [
        {"type": "opaque", "extra_content": {"anthropic": {...}}},
        {"type": "text", "length": 12, "extra_content": {"anthropic": {"citations": [...]}}},
        {"type": "tool_call"}]}}

with its parts in their order: of a text its length in characters, of the others the next one of its kind. A client that
sends the message back gives the notes back to the provider that made them; all others never see them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from orchestrator_core.provider_api import (
    FIELDS,
    MESSAGE,
    OPENAI_CHAT,
    ChatResponse,
    FilePart,
    ImagePart,
    Json,
    OpaquePart,
    Part,
    ProviderMetadata,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
)
from orchestrator_core.server.translate.fields import Fields, invalid

GATEWAY: Final = "orchestrator"
"""The key in `extra_content` under which the gateway itself writes."""

_ORDER: Final = (ReasoningPart, TextPart, RefusalPart, ImagePart, FilePart, ToolCallPart)
_KINDS: Final[Mapping[str, type[Part]]] = {
    "reasoning": ReasoningPart,
    "text": TextPart,
    "refusal": RefusalPart,
    "image": ImagePart,
    "file": FilePart,
    "tool_call": ToolCallPart,
}
_TEXTS: Final = (ReasoningPart, TextPart, RefusalPart)


def noted_fields(parts: Sequence[Part], *, streamed: bool = False) -> dict[str, Json]:
    """Return the fields of a message that hold what its other fields cannot.

    Args:
        parts: The parts of the answer.
        streamed: Whether the message was written in pieces, where the notes on thoughts are apart from their text.
    """
    body: dict[str, Json] = {}
    if not any(part.provider_metadata for part in parts):  # as in most answers
        return body
    extra: dict[str, dict[str, Json]] = {}
    for part in parts:
        for provider, noted in (part.provider_metadata or {}).items():
            fields = noted.get(MESSAGE) if isinstance(part, OpaquePart) else None
            if isinstance(fields, dict):
                body.update(fields)
            names = [*(fields or ()), *(("annotations",) if _own(part).get("annotations") else ())]
            if provider != OPENAI_CHAT and names:
                said = extra.setdefault(provider, {FIELDS: []})[FIELDS]
                said += [name for name in names if name not in said]
    if cited := _annotations(parts):
        body["annotations"] = cited
    if _needed(parts, streamed=streamed):
        extra[GATEWAY] = {"parts": part_notes(parts)}
    if extra:
        body["extra_content"] = merged(body.get("extra_content"), extra)
    return body


def part_notes(parts: Sequence[Part]) -> list[dict[str, Json]]:
    """Return what the parts of a message are, with the notes on them that stand nowhere else."""
    return [entry for part in parts if (entry := _entry(part))]


def others(metadata: ProviderMetadata | None, dialect: str = OPENAI_CHAT) -> dict[str, Json]:
    """Return notes on a choice or an answer as fields: a dialect's own in their place, others in `extra_content`."""
    notes = dict(metadata or {})
    own = notes.pop(dialect, {})
    return {**own, **({"extra_content": notes} if notes else {})}


def said_beyond(answer: ChatResponse) -> dict[str, Json]:
    """Return what a provider said of its first choice beyond the fields of `/api/orchestrate`, by what it is about."""
    choice = answer.choices[0]
    about = others(choice.provider_metadata)
    if choice.logprobs is not None:
        about["logprobs"] = choice.logprobs
    said = {
        "message": notes_apart(choice.message.parts),
        "choice": about,
        "answer": others(answer.provider_metadata),
    }
    return {name: value for name, value in said.items() if value}


def notes_apart(parts: Sequence[Part]) -> dict[str, Json]:
    """Return what `noted_fields` does, without the frame that it needs in a message."""
    noted = noted_fields(parts)
    if extra := noted.pop("extra_content", None):
        noted |= extra.get(GATEWAY, {})
    return noted


def merged(*notes: ProviderMetadata | None) -> dict[str, dict[str, Json]]:
    """Return notes as one."""
    together: dict[str, dict[str, Json]] = {}
    for metadata in notes:
        for provider, values in (metadata or {}).items():
            together[provider] = {**together.get(provider, {}), **values}
    return together


def has_notes(message: Fields) -> bool:
    """Whether a message carries what `noted_fields` wrote."""
    extra = message.data.get("extra_content")
    return isinstance(extra, dict) and GATEWAY in extra


def restore(message: Fields, parts: Sequence[Part]) -> list[Part]:
    """Bring the parts that were read from a message into the order that the notes in it tell, each with its notes.

    Where a client changed a text, its notes do not fit any more and are left out.

    Raises:
        InvalidRequest: The notes are not as the gateway wrote them.
    """
    if not has_notes(message):
        return list(parts)
    entries = message.need("extra_content").need(GATEWAY).objects("parts")
    left: dict[type[Part], list[Part]] = {kind: _pieces(kind, entries, message, parts) for kind in _ORDER}
    restored: list[Part] = []
    for entry in entries:
        kind = entry.required("type")
        if kind == "opaque":
            restored.append(OpaquePart(provider_metadata=_given(entry)))
        elif kind not in _KINDS:
            raise invalid(entry.at("type"), f"expected 'opaque' or one of {', '.join(_KINDS)}")
        elif waiting := left[_KINDS[kind]]:
            restored.append(waiting.pop(0))
    kept = {id(part) for waiting in left.values() for part in waiting}
    rest = [part for part in parts if type(part) not in left and GATEWAY not in (part.provider_metadata or {})]
    return [*restored, *(part for waiting in left.values() for part in waiting if id(part) in kept), *rest]


def _needed(parts: Sequence[Part], *, streamed: bool) -> bool:
    """Whether notes would be lost without the list of parts, or the order of parts that have any."""
    if any(_entry(part).keys() - {"type", "length"} for part in parts):
        return True
    noted = [part for part in parts if part.provider_metadata]
    ranks = [_ORDER.index(type(part)) for part in parts if type(part) in _ORDER]
    shuffled = ranks != sorted(ranks)
    return bool(noted) and (shuffled or (streamed and any(isinstance(part, ReasoningPart) for part in noted)))


def _entry(part: Part) -> dict[str, Json]:
    """Describe a part; notes on thoughts and calls stand with them already. Nothing for a part that is all fields."""
    notes = {provider: dict(values) for provider, values in (part.provider_metadata or {}).items()}
    if isinstance(part, OpaquePart):
        for noted in notes.values():
            noted.pop(MESSAGE, None)
        notes = {provider: values for provider, values in notes.items() if values}
        return {"type": "opaque", "extra_content": notes} if notes else {}
    kind = next((name for name, each in _KINDS.items() if isinstance(part, each)), None)
    if kind is None:
        return {}  # results of tools, which an answer that was imported may have
    entry: dict[str, Json] = {"type": kind}
    if isinstance(part, _TEXTS):
        entry["length"] = len(part.text)
    if isinstance(part, ReasoningPart | ToolCallPart):
        return entry
    cited = notes.get(OPENAI_CHAT, {}).get("annotations")
    for noted in notes.values():
        if cited is not None and noted.get("annotations") == cited:
            del noted["annotations"]
    if notes := {provider: values for provider, values in notes.items() if values}:
        entry["extra_content"] = notes
    return entry


def _pieces(kind: type[Part], entries: Sequence[Fields], message: Fields, parts: Sequence[Part]) -> list[Part]:
    """Return the parts of one kind as the entries tell them."""
    found = [part for part in parts if type(part) is kind]
    told = [entry for entry in entries if _KINDS.get(entry.required("type")) is kind]
    if kind in _TEXTS:
        pieces = _split(found, [entry.integer("length", least=0) or 0 for entry in told], message)
        if pieces is None:
            return found
        found = pieces
    if len(found) != len(told):
        return found
    return [_noted(part, _given(entry)) for part, entry in zip(found, told, strict=True)]


def _split(found: Sequence[Part], lengths: Sequence[int], message: Fields) -> list[Part] | None:
    """Cut a text where one part ended and the next began; None where it does not have that length."""
    whole = "".join(part.text for part in found if isinstance(part, _TEXTS))
    thoughts = message.data.get("reasoning_content")
    if isinstance(thoughts, str) and found and isinstance(found[0], ReasoningPart) and len(thoughts) > len(whole):
        whole = thoughts  # a stream gives the text of a thought there, and its notes apart
    fitting = len(found) == len(lengths) or len(found) == 1
    if sum(lengths) != len(whole) or not fitting:
        return None
    pieces: list[Part] = []
    begin = 0
    for index, length in enumerate(lengths):
        source = found[index] if len(found) == len(lengths) else found[0]
        pieces.append(source.model_copy(update={"text": whole[begin : begin + length]}))
        begin += length
    return pieces


def _noted(part: Part, notes: ProviderMetadata | None) -> Part:
    if not notes:
        return part
    return part.model_copy(update={"provider_metadata": {**(part.provider_metadata or {}), **notes}})


def _given(entry: Fields) -> dict[str, Json]:
    extra = entry.object("extra_content")
    return {} if extra is None else {provider: extra.need(provider).data for provider in extra.data}


def _own(part: Part) -> Mapping[str, Json]:
    return (part.provider_metadata or {}).get(OPENAI_CHAT, {})


def _annotations(parts: Sequence[Part]) -> list[Json]:
    """Return what the texts cite, at its place in the whole text."""
    found: list[Json] = []
    offset = 0
    for part in parts:
        if isinstance(part, TextPart):
            found.extend(_shifted(_own(part).get("annotations") or (), offset))
            offset += len(part.text)
    return found


def _shifted(annotations: Sequence[Json], offset: int) -> Iterator[Json]:
    for each in annotations:
        inner = each.get(each.get("type")) if isinstance(each, dict) else None
        if not offset or not isinstance(inner, dict):
            yield each
            continue
        places = {
            name: inner[name] + offset for name in ("start_index", "end_index") if isinstance(inner.get(name), int)
        }
        yield {**each, each["type"]: {**inner, **places}}
