"""The documentation pages: Swagger UI and ReDoc from files of this installation, without any network."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from aiohttp import web

from orchestrator_core.provider_api import InternalError, NotFound
from orchestrator_core.security.headers import DOCUMENTATION_POLICY
from orchestrator_core.server.context import CONTEXT
from orchestrator_core.server.endpoint import Endpoint, Parameter
from orchestrator_core.server.errors import Surface

OWN = Path(__file__).parent / "static"
_PACKAGE = "aiohttp_swagger3"
"""The distribution that carries the files of Swagger UI and ReDoc; nothing else of it is used, or imported."""

_NAME = re.compile(r"(?:(?:swagger_ui|redoc_ui)/)?[a-z0-9][a-z0-9.-]{0,63}")
_ELSEWHERE = (b"https://cdn.redoc.ly/redoc/logo-mini.svg", b"/docs/assets/redoc_ui/favicon-32x32.png")
"""ReDoc's one image on another host, and what stands in for it: no page asks anybody else for anything."""

_KINDS = {".js": "text/javascript", ".css": "text/css", ".png": "image/png", ".html": "text/html"}


@cache
def _assets() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise InternalError("The files of the documentation pages are not installed: install aiohttp-swagger3.")
    return Path(found.origin).parent


async def swagger(_: web.Request) -> web.Response:
    """Serve Swagger UI."""
    return await _file(OWN / "swagger.html")


async def redoc(_: web.Request) -> web.Response:
    """Serve ReDoc."""
    return await _file(OWN / "redoc.html")


async def asset(request: web.Request) -> web.Response:
    """Serve a script, a style or an image of the pages.

    Raises:
        NotFound: There is no such file.
    """
    name = request.match_info["name"]
    if not _NAME.fullmatch(name) or Path(name).suffix not in _KINDS:
        raise NotFound("There is no such file.")
    return await _file((_assets() if "/" in name else OWN) / name)


async def openapi(request: web.Request) -> web.Response:
    """Serve the OpenAPI document."""
    return web.Response(body=await asyncio.to_thread(_document, request[CONTEXT].asks), content_type="application/json")


@cache
def _document(asks: bool) -> bytes:
    # Imported here, since the document describes this module too.
    from orchestrator_core.server.openapi import document  # noqa: PLC0415 - as above

    return json.dumps(document(asks=asks), ensure_ascii=False).encode()


async def _file(path: Path) -> web.Response:
    try:
        body = await asyncio.to_thread(path.read_bytes)
    except OSError:
        raise NotFound("There is no such file.") from None
    return web.Response(
        body=body.replace(*_ELSEWHERE),
        content_type=_KINDS[path.suffix],
        charset="utf-8" if _KINDS[path.suffix].startswith("text/") else None,
        headers={"Content-Security-Policy": DOCUMENTATION_POLICY},
    )


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/openapi.json",
        handler=openapi,
        summary="This document",
        tag="Documentation",
        surface=Surface.PLAIN,
        media_types={"application/json": {"type": "object"}},
        authenticated=False,
        authenticated_in_production=True,
        browsed=True,
    ),
    Endpoint(
        method="GET",
        path="/docs",
        handler=swagger,
        summary="Swagger UI",
        tag="Documentation",
        surface=Surface.PLAIN,
        media_types={"text/html": {"type": "string"}},
        authenticated=False,
        authenticated_in_production=True,
        browsed=True,
    ),
    Endpoint(
        method="GET",
        path="/redoc",
        handler=redoc,
        summary="ReDoc",
        tag="Documentation",
        surface=Surface.PLAIN,
        media_types={"text/html": {"type": "string"}},
        authenticated=False,
        authenticated_in_production=True,
        browsed=True,
    ),
    Endpoint(
        method="GET",
        path="/docs/assets/{name:.+}",
        handler=asset,
        summary="A file of the documentation pages",
        tag="Documentation",
        surface=Surface.PLAIN,
        media_types={"*/*": {"type": "string"}},
        errors=(NotFound,),
        parameters=(Parameter(name="name", place="path", description="The file.", required=True),),
        authenticated=False,
        authenticated_in_production=True,
        browsed=True,
    ),
)
