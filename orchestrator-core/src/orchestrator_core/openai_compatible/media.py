"""Images and files as parts of the content of a message of the OpenAI family."""

from __future__ import annotations

import base64
import binascii
import re

from orchestrator_core.openai_compatible.dialect import Dialect, MediaKind
from orchestrator_core.provider_api import AdjustmentReport, FilePart, ImagePart, Json

_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "x-m4a": "m4a"}
_DATA_URI = re.compile(r"data:([^;,]*)(?:;[^,]*)?,")


class MediaCompiler:
    """Compiles the images and files of one conversation.

    Args:
        dialect: The vendor's differences.
        report: Notes what is not taken.
    """

    def __init__(self, dialect: Dialect, report: AdjustmentReport) -> None:
        self._dialect = dialect
        self._report = report

    def compile(self, part: ImagePart | FilePart) -> dict[str, Json] | None:
        """Return the part that is an image or a file here; None where that has no form here, which is reported."""
        if isinstance(part, ImagePart):
            if not self._takes("image"):
                return None
            url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data or ''}"
            return {"type": "image_url", "image_url": {"url": url, **({"detail": part.detail} if part.detail else {})}}
        if part.media_type and part.media_type.startswith("audio/") and part.data:
            if not self._takes("audio"):
                return None
            form = part.media_type.removeprefix("audio/")
            data = f"data:{part.media_type};base64,{part.data}" if self._dialect.audio_uri else part.data
            return {"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO_FORMATS.get(form, form)}}
        if part.media_type and part.media_type.startswith("video/") and "video" in self._dialect.media:
            url = part.url or f"data:{part.media_type};base64,{part.data or ''}"
            return {"type": "video_url", "video_url": {"url": url}}
        if "file" not in self._dialect.media and (text := _text_of(part)) is not None:
            self._report.mapped("file", "this provider takes no files: the text is given as text")
            return {"type": "text", "text": f"{part.filename}:\n{text}" if part.filename else text}
        return self._file(part) if self._takes("file") else None

    def _file(self, part: FilePart) -> dict[str, Json] | None:
        if self._dialect.document_url and not part.file_id:
            url = part.url or f"data:{part.media_type or 'application/pdf'};base64,{part.data or ''}"
            return {
                "type": "document_url",
                "document_url": url,
                **({"document_name": part.filename} if part.filename else {}),
            }
        file: dict[str, Json] = {}
        if part.file_id:
            file["file_id"] = part.file_id
        elif part.data or _DATA_URI.match(part.url or ""):
            media_type = part.media_type or "application/octet-stream"
            file["filename"] = part.filename or "file.pdf"
            file["file_data"] = f"data:{media_type};base64,{part.data}" if part.data else part.url
        else:
            self._report.dropped("file", "this provider takes no files by URL: send the data")
            return None
        return {"type": "file", "file": file}

    def _takes(self, kind: MediaKind) -> bool:
        if kind not in self._dialect.media:
            self._report.dropped(kind, "this provider does not take it")
            return False
        return True


def _text_of(part: FilePart) -> str | None:
    """Return what a file says, where it is a text."""
    kind = part.media_type or ""
    if not part.data or not (kind.startswith("text/") or kind == "application/json"):
        return None
    try:
        return base64.b64decode(part.data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
