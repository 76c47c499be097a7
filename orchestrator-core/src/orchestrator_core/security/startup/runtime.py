"""What the process itself is, as far as that is judged."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import http, http_parser

_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")
_CONTAINER_VARIABLE = "KUBERNETES_SERVICE_HOST"


@dataclass(frozen=True, slots=True)
class Runtime:
    """A process that is about to serve.

    Attributes:
        environ: The environment that Python and its libraries read.
        developer_mode: Whether Python was started with `-X dev`.
        compiled_parser: Whether aiohttp reads requests with llhttp, and not with its parser in Python.
        superuser: Whether it runs as root.
        container: Whether it runs in a container.
    """

    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    developer_mode: bool = False
    compiled_parser: bool = True
    superuser: bool = False
    container: bool = False

    @classmethod
    def current(cls) -> Runtime:
        """Look at this process."""
        return cls(
            environ=dict(os.environ),
            developer_mode=sys.flags.dev_mode,
            compiled_parser=http.HttpRequestParser is not http_parser.HttpRequestParserPy,
            superuser=os.geteuid() == 0,
            container=_CONTAINER_VARIABLE in os.environ or any(Path(mark).exists() for mark in _CONTAINER_MARKS),
        )
