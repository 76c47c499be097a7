"""The page at `/`: a dashboard and a playground, of files that hold neither data nor keys.

Everybody may have the files, in production too: what they show, they ask the gateway for with the key that is typed
in. They are read once, and named by what is in them, so that a browser keeps them until they change.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from orchestrator_core.provider_api import NotFound
from orchestrator_core.security.headers import PAGE_POLICY
from orchestrator_core.server.context import CONTEXT, settings
from orchestrator_core.server.endpoint import Endpoint, Parameter
from orchestrator_core.server.errors import Surface

OWN: Final = Path(__file__).parent / "page"
INDEX: Final = "index.html"

_KINDS: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FOLDER: Final = "__files__"
_ASKS: Final = "__asks__"
"""What `index.html` has in place of the folder of the files, and of whether the gateway asks for a key."""

_UNPACKS: Final = re.compile(r"(?:^|,)\s*gzip\s*(?:,|$|;(?!\s*q\s*=\s*0(?:\.0*)?\s*(?:,|$)))", re.IGNORECASE)
"""Whether a client says that it reads gzip (RFC 9110, 12.5.3)."""

_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"


@dataclass(frozen=True, slots=True)
class File:
    """A file of the page.

    Attributes:
        kind: Its content type.
        body: What is in it.
        packed: The same, compressed by gzip.
        tag: Its entity tag; a weak one, since it is that of both.
    """

    kind: str
    body: bytes
    packed: bytes
    tag: str


@dataclass(frozen=True, slots=True)
class Files:
    """The files of the page.

    Attributes:
        version: The folder that they are served from, which changes with them.
        index: The page itself, where the gateway asks for a key and where it does not.
        others: All other files by their names.
    """

    version: str
    index: Mapping[bool, File]
    others: Mapping[str, File]


@cache
def files() -> Files:
    """Read the files of the page, once."""
    found = {
        path.relative_to(OWN).as_posix(): path.read_bytes() for path in sorted(OWN.rglob("*")) if path.suffix in _KINDS
    }
    page = found.pop(INDEX).decode()
    version = hashlib.sha256(b"".join(name.encode() + body for name, body in found.items())).hexdigest()[:16]
    page = page.replace(_FOLDER, f"/page/{version}")
    return Files(
        version,
        {asks: _file(INDEX, page.replace(_ASKS, str(asks).lower()).encode()) for asks in (True, False)},
        {name: _file(name, body) for name, body in found.items()},
    )


def _file(name: str, body: bytes) -> File:
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
    return File(_KINDS[Path(name).suffix], body, gzip.compress(body, mtime=0), tag)


async def page(request: web.Request) -> web.Response:
    """Serve the page.

    Raises:
        NotFound: It is switched off.
    """
    return _response(request, (await _files(request)).index[request[CONTEXT].asks], _ASK_AGAIN)


async def asset(request: web.Request) -> web.Response:
    """Serve a script, the style or the image of the page.

    Raises:
        NotFound: There is no such file, or the page is switched off.
    """
    found = await _files(request)
    file = found.others.get(request.match_info["name"])
    if file is None or request.match_info["version"] != found.version:
        raise NotFound("There is no such file. Load the page at / again.")
    return _response(request, file, _FOR_EVER)


async def _files(request: web.Request) -> Files:
    if not settings(request).page:
        raise NotFound("The page is switched off (ORCHESTRATOR_PAGE).")
    return files() if files.cache_info().currsize else await asyncio.to_thread(files)


def _response(request: web.Request, file: File, kept: str) -> web.Response:
    headers = {
        hdrs.CONTENT_SECURITY_POLICY: PAGE_POLICY,
        hdrs.CACHE_CONTROL: kept,
        hdrs.ETAG: file.tag,
        hdrs.VARY: f"{hdrs.ACCEPT_ENCODING}, {hdrs.ORIGIN}",
    }
    if any(tag.value in (file.tag[3:-1], "*") for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    body = file.body
    if _UNPACKS.search(request.headers.get(hdrs.ACCEPT_ENCODING, "")):
        body, headers[hdrs.CONTENT_ENCODING] = file.packed, "gzip"
    charset = "utf-8" if file.kind.startswith("text/") else None
    return web.Response(body=body, content_type=file.kind, charset=charset, headers=headers)


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/",
        handler=page,
        summary="The page with the dashboard and the playground",
        tag="Page",
        surface=Surface.PLAIN,
        description="For people. It holds no data: it asks the gateway for it, with the key that is typed in.",
        media_types={"text/html": {"type": "string"}},
        errors=(NotFound,),
        authenticated=False,
    ),
    Endpoint(
        method="GET",
        path="/page/{version}/{name:.+}",
        handler=asset,
        summary="A file of the page",
        tag="Page",
        surface=Surface.PLAIN,
        media_types={"*/*": {"type": "string"}},
        errors=(NotFound,),
        parameters=(
            Parameter(name="version", place="path", description="The version of the files.", required=True),
            Parameter(name="name", place="path", description="The file.", required=True),
        ),
        authenticated=False,
    ),
)
