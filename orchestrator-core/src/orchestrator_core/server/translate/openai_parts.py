"""The content of OpenAI's messages (API reference, Chat Completions, `messages`) to canonical parts.

Besides OpenAI's own kinds it reads those of the servers that speak its dialect: `document_url` and `thinking`
(Mistral's API reference), `video_url` (Model Studio's). Any other kind becomes an opaque part: it reaches a
provider of the same dialect through the native body.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping
from typing import get_args

from orchestrator_core.provider_api import (
    OPENAI_CHAT,
    FilePart,
    ImagePart,
    Json,
    OpaquePart,
    Part,
    ProviderMetadata,
    ReasoningPart,
    RefusalPart,
    TextPart,
)
from orchestrator_core.provider_api.messages import ImageDetail
from orchestrator_core.server.translate.fields import Fields, invalid

_DETAILS = get_args(ImageDetail)
_AUDIO_TYPES = {"mp3": "audio/mpeg"}


def read_content(message: Fields, key: str = "content") -> list[Part]:
    """Read a content that is a string or a list of parts; null is no part.

    Raises:
        InvalidRequest: It is neither, or a part is malformed.
    """
    content = message.data.get(key)
    if content is None:
        return []
    if isinstance(content, str):
        return [TextPart(text=content)]
    if not isinstance(content, list):
        raise invalid(message.at(key), "expected a string or a list of parts")
    return [_read_part(part) for part in message.objects(key)]


def read_media(message: Fields) -> list[Part]:
    """Read `images` and `files`, in which answers have what a model made.

    Raises:
        InvalidRequest: They are malformed.
    """
    return [_read_part(part) for name in ("images", "files") for part in message.objects(name)]


def metadata(fields: Fields) -> ProviderMetadata | None:
    """Read `extra_content`, in which answers carry what only one provider can read.

    Raises:
        InvalidRequest: It is no object of objects.
    """
    extra = fields.object("extra_content")
    if extra is None:
        return None
    return {provider: extra.need(provider).data for provider in extra.data}


def notes(fields: Fields, *known: str) -> ProviderMetadata | None:
    """Read `extra_content`, and what else an object says that OpenAI's dialect does not have, such as `cache_control`.

    The latter stands under the name of the dialect, for a provider that knows the field.

    Raises:
        InvalidRequest: `extra_content` is no object of objects.
    """
    read = ("type", "extra_content", *known)
    rest = {name: value for name, value in fields.data.items() if name not in read and value is not None}
    noted = metadata(fields)
    return {**(noted or {}), OPENAI_CHAT: rest} if rest else noted


def others(inner: Fields, name: str, *known: str) -> dict[str, Json]:
    """Read what the object `name` inside of a part, a call or a tool says beyond `known`, as a note."""
    rest = {key: value for key, value in inner.data.items() if key not in known and value is not None}
    return {name: rest} if rest else {}


def opaque(data: Mapping[str, Json]) -> OpaquePart:
    """Make a part of what only OpenAI's dialect can say."""
    return OpaquePart(provider_metadata={OPENAI_CHAT: data})


def _read_part(part: Fields) -> Part:
    kind = part.required("type")
    reader = _READERS.get(kind)
    if reader is None:
        return opaque({"part": part.data})
    read = reader(part)
    if not isinstance(read, TextPart | ImagePart | FilePart):
        return read
    noted = notes(part, kind, "document_name", "index")
    if rest := _inside(part, kind, read):
        noted = {**(noted or {}), OPENAI_CHAT: {**(noted or {}).get(OPENAI_CHAT, {}), **rest}}
    return read.model_copy(update={"provider_metadata": noted})


def _inside(part: Fields, kind: str, read: TextPart | ImagePart | FilePart) -> dict[str, Json]:
    """Note what the object of a part says that its canonical form cannot."""
    if not isinstance(part.data.get(kind), dict):
        return {}
    known = ["url", "data", "format", "file_data", "file_id", "filename"]
    if isinstance(read, ImagePart) and read.detail is not None:
        known.append("detail")
    return others(part.need(kind), kind, *known)


def _url(part: Fields, key: str) -> str:
    """Read `{"url": "..."}`, or the URL alone, as Mistral takes it too."""
    if isinstance(part.data.get(key), str):
        return part.required(key, empty=False)
    return part.need(key).required("url", empty=False)


def _image(part: Fields) -> ImagePart:
    url = _url(part, "image_url")
    inner = part.data["image_url"]
    detail = inner.get("detail") if isinstance(inner, dict) else None
    media_type, data = _data_url(url)
    return ImagePart(
        url=url if data is None else None,
        data=data,
        media_type=media_type,
        detail=detail if detail in _DETAILS else None,
    )


def _audio(audio: Fields) -> FilePart:
    data = audio.required("data", empty=False)
    form = audio.string("format")
    media_type = _AUDIO_TYPES.get(form, f"audio/{form}") if form else None
    if data.startswith(("http://", "https://", "data:")):  # Model Studio takes URLs here
        link = _link(data, media_type or "audio/wav")
        return link.model_copy(update={"media_type": media_type}) if media_type else link
    return FilePart(data=data, media_type=media_type)


def _file(file: Fields) -> FilePart:
    raw, file_id, name = file.string("file_data"), file.string("file_id"), file.string("filename")
    if not raw and not file_id and (url := file.string("url")):  # only answers of the gateway have it
        return FilePart(url=url, media_type=mimetypes.guess_type(url.partition("?")[0])[0], filename=name)
    if not raw and not file_id:
        raise invalid(file.place, "a file needs 'file_data' or 'file_id'")
    if not raw:
        return FilePart(file_id=file_id, filename=name)
    media_type, data = _data_url(raw)
    guess = mimetypes.guess_type(name)[0] if name else None
    return FilePart(data=raw if data is None else data, media_type=media_type or guess, filename=name, file_id=file_id)


def _thinking(part: Fields) -> str:
    if isinstance(part.data.get("thinking"), str):
        return part.required("thinking")
    return "".join(chunk.string("text") or "" for chunk in part.objects("thinking"))


def _link(url: str, media_type: str, filename: str | None = None) -> FilePart:
    own, data = _data_url(url)
    if data is not None:
        return FilePart(data=data, media_type=own or media_type, filename=filename)
    guess = mimetypes.guess_type(url.partition("?")[0])[0]
    return FilePart(url=url, media_type=guess or media_type, filename=filename)


def _data_url(url: str) -> tuple[str | None, str | None]:
    """Split a base64 data URL (RFC 2397) into media type and data; (None, None) where it is none."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None, None
    return head[5:-7].partition(";")[0] or None, data


_READERS: Mapping[str, Callable[[Fields], Part]] = {
    "text": lambda part: TextPart(text=part.required("text")),
    "image_url": _image,
    "input_audio": lambda part: _audio(part.need("input_audio")),
    "file": lambda part: _file(part.need("file")),
    "refusal": lambda part: RefusalPart(text=part.required("refusal")),
    "thinking": lambda part: ReasoningPart(text=_thinking(part), provider_metadata=metadata(part)),
    "document_url": lambda part: _link(_url(part, "document_url"), "application/pdf", part.string("document_name")),
    "video_url": lambda part: _link(_url(part, "video_url"), "video/mp4"),
}
