"""Attacks in paths, queries and the headers that hold ids.

What is well-formed for its place is passed without a look at the patterns, and so is what people wrote: bodies, and the
parameters that hold words of theirs. Somebody may well ask a model about `../`, or be called `root`.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from orchestrator_core.provider_api import GatewayError, InvalidRequest, NotFound
from orchestrator_core.security.patterns import SuspiciousPatterns
from orchestrator_core.server.endpoint import Endpoint
from orchestrator_core.server.query import NoId

ID_HEADERS: Final = ("X-Session-Id",)
"""Headers that name what a request is about: one that cannot be is not found."""

EXAMINED_HEADERS: Final = ("X-Request-Id", "Idempotency-Key", "Last-Event-ID", "anthropic-version", "anthropic-beta")
"""Other headers that the gateway reads as words of its own. Those that it never reads may say what they like."""

_NAME = re.compile(r"(?!.*(?:\.\.|/\.))[A-Za-z0-9][A-Za-z0-9._:,;@+=/-]{0,511}")
"""Ids, names of models, keys and versions."""

_VALUE = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._:,;@+=-]{0,511}")
"""Numbers, dates, cursors and lists of words."""


class Inspector:
    """Looks for attacks."""

    def __init__(self, patterns: SuspiciousPatterns) -> None:
        """Take the patterns of what is one."""
        self._patterns = patterns

    def find(self, request: web.Request, endpoint: Endpoint | None) -> GatewayError | None:
        """Return the error of a request that looks like an attack; None where it does not.

        Args:
            request: The request.
            endpoint: What serves it; None where nothing does.
        """
        if endpoint is None:
            url = request.rel_url
            seen = self._patterns.match(url.raw_path) or (
                url.raw_query_string and self._look(url.raw_query_string, _VALUE)
            )
            return NotFound("There is nothing at this path. GET /openapi.json lists what there is.") if seen else None
        for value in request.match_info.values():
            if self._look(value, _NAME):
                return NotFound("There is nothing with this id.")
        if request.query_string and (name := self._in_query(request, endpoint)):
            return InvalidRequest("The query holds what only an attack has.", param=name[:64])
        headers = request.headers
        for name in ID_HEADERS:
            if name in headers and self._look(headers[name], _NAME):
                return NotFound("There is nothing with this id.", param=name)
        for name in EXAMINED_HEADERS:
            if name in headers and self._look(headers[name], _NAME):
                return InvalidRequest(f"The header {name} holds what only an attack has.", param=name)
        return None

    def in_error(self, error: GatewayError) -> bool:
        """Whether an error is about an id of a body that looks like an attack."""
        return isinstance(error.__cause__, NoId) and self._look(str(error.__cause__), _NAME)

    def _in_query(self, request: web.Request, endpoint: Endpoint) -> str | None:
        """Return the name of the first parameter that looks like an attack."""
        words = [parameter.name for parameter in endpoint.parameters if parameter.words]
        free = tuple(name.removesuffix("name") for name in words if name.endswith(".name"))
        for name, value in request.query.items():
            if name in words or (free and name.startswith(free)):
                continue
            if self._look(value, _VALUE) or self._look(name, _VALUE):
                return name
        return None

    def _look(self, text: str, well_formed: re.Pattern[str]) -> bool:
        return not well_formed.fullmatch(text) and self._patterns.match(text) is not None
