"""Names the plugin that blocks the event loop.

A plugin that blocks cannot be stopped from inside, and looking after each call would cost every call. So a thread
listens to a heartbeat of the loop; when that stops, it reads from the stack of the loop's thread who is running.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType
from typing import Final

import structlog

from orchestrator_core.provider_api import HOOKS, ProviderHooks

BEAT: Final = 0.25
"""Seconds between two beats of the loop."""

LIMIT: Final = 0.6
"""Seconds without a beat after which the loop counts as blocked: it is named within a second."""

LOOK_AGAIN: Final = 0.05
"""Seconds until the second look, which must find the same: a process that was suspended is late only once."""

_CORE: Final = "orchestrator_core"
_OPEN_TO_PLUGINS: Final = (f"{_CORE}.openai_compatible", f"{_CORE}.provider_api")

log = structlog.get_logger(__name__)


class Watchdog:
    """Watches one event loop."""

    def __init__(self, packages: Mapping[str, str], quarantine: Callable[[str, str], None]) -> None:
        """Make a watchdog.

        Args:
            packages: The import package of each provider's plugin, by provider id.
            quarantine: Takes a provider out of use; called on the loop with its id and the reason.
        """
        self._packages = packages
        self._quarantine = quarantine
        self._stopped = threading.Event()
        self._beaten = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch the running loop. Without plugins there is nothing to watch."""
        if self._packages and self._thread is None:
            loop = asyncio.get_running_loop()
            self._stopped.clear()
            self._beat(loop)
            self._thread = threading.Thread(
                target=self._watch, args=(loop, threading.get_ident()), name="plugin-watchdog", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Stop watching; call it on the loop."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beaten = time.monotonic()
        self._timer = loop.call_later(BEAT, self._beat, loop)

    def _watch(self, loop: asyncio.AbstractEventLoop, thread_id: int) -> None:
        reported = 0.0
        suspect: tuple[str, str | None] | None = None
        while not self._stopped.wait(LOOK_AGAIN if suspect else BEAT / 2):
            beaten = self._beaten
            blocked = time.monotonic() - beaten
            found = None
            if blocked > LIMIT and reported != beaten:
                found = self._culprit(sys._current_frames().get(thread_id))  # noqa: SLF001 - the only way to another stack
            if found is not None and found == suspect:
                reported, suspect = beaten, None
                self._report(loop, found, blocked)
            else:
                suspect = found

    def _report(self, loop: asyncio.AbstractEventLoop, culprit: tuple[str, str | None], blocked: float) -> None:
        provider_id, hook = culprit
        log.error("plugin blocks the event loop", provider=provider_id, hook=hook, seconds=round(blocked, 2))
        code = "code outside its hooks" if hook is None else f"hook {hook}"
        reason = f"its {code} blocked the event loop; mend it, then restart the gateway"
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(self._quarantine, provider_id, reason)

    def _culprit(self, frame: FrameType | None) -> tuple[str, str | None] | None:
        """Return the provider whose code is innermost on a stack, and its hook; None where it is core's own code.

        Modules may serve several providers: the instance whose hook runs is who is to blame.
        """
        package: str | None = None
        while frame is not None:
            module = str(frame.f_globals.get("__name__", ""))
            if _is_core(module) and package is None:
                return None
            instance = self._instance(frame)
            if instance is not None and frame.f_code.co_name in HOOKS:
                return instance, frame.f_code.co_name
            package = package or instance or self._owner(module)
            frame = frame.f_back
        return (package, None) if package is not None else None

    def _instance(self, frame: FrameType) -> str | None:
        """Return the provider whose method a frame is, wherever the method is written."""
        running = frame.f_locals.get("self")
        if not issubclass(type(running), ProviderHooks):  # isinstance would run code of objects that pose as another
            return None
        provider_id = getattr(getattr(running, "context", None), "provider_id", None)
        return provider_id if provider_id in self._packages else None

    def _owner(self, module: str) -> str | None:
        owners = (
            name for name, package in self._packages.items() if module == package or module.startswith(f"{package}.")
        )
        return next(owners, None)


def _is_core(module: str) -> bool:
    return module.startswith(f"{_CORE}.") and not module.startswith(_OPEN_TO_PLUGINS)
