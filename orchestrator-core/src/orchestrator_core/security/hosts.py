"""Under which names the gateway may be called, so that no web page is taken for its own.

A page whose name is made to lead to this machine (DNS rebinding) has the browser send requests as if the gateway had
served the page; the name is in their `Host` header all the same. Where a credential is asked for, such a page has none.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from orchestrator_core.config import Settings
from orchestrator_core.security.loopback import is_loopback
from orchestrator_core.security.networks import read_address

_HOST: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::[0-9]*)?")
_REMEMBERED: Final = 128


class HostPolicy:
    """Which `Host` headers are taken."""

    def __init__(self, settings: Settings) -> None:
        """Take the names of the settings: those of this machine, and those that are listed."""
        self._listed = frozenset(map(_canonical, settings.allowed_hosts))
        self._local = is_loopback(settings.host)
        # Of this policy alone, and gone with it.
        self._knows = lru_cache(_REMEMBERED)(self._look)

    def allows(self, host: str | None, *, asks: bool) -> bool:
        """Whether a request may be served.

        Args:
            host: Its `Host` header; None where it has none, which no browser leaves out.
            asks: Whether anybody is asked for a credential.
        """
        if host is None or not (self._listed or (self._local and not asks)):
            return True
        return self._knows(host)

    def _look(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = _canonical(found[1])
        return name in self._listed or name.endswith(".localhost") or is_loopback(name)


def _canonical(name: str) -> str:
    address = read_address(name.strip("[]"))
    return name.lower().removesuffix(".") if address is None else str(address)
