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
from typing import Final, NamedTuple

import structlog

from orchestrator_core.provider_api import HOOKS, ProviderHooks

BEAT: Final = 0.2
"""Seconds between two beats of the loop."""

LATE: Final = 0.25
"""Seconds without a beat after which the thread looks who is running."""

LIMIT: Final = 0.5
"""Seconds for which one call must be seen running to be named: that is within a second of its beginning."""

LOOK_AGAIN: Final = 0.05
"""Seconds between two looks at one that is running."""

MOST_OF_A_LOOK: Final = 0.2
"""The most seconds that one look counts: a process that was suspended is late only once."""

_CORE: Final = "orchestrator_core"
_OPEN_TO_PLUGINS: Final = (f"{_CORE}.openai_compatible", f"{_CORE}.provider_api")

log = structlog.get_logger(__name__)


class Culprit(NamedTuple):
    """Code of a plugin that runs on the loop.

    Attributes:
        provider_id: Whose it is.
        hook: The hook that runs; None where it is code outside of hooks.
        call: The frame that it was entered by, which tells one call from the next.
    """

    provider_id: str
    hook: str | None
    call: FrameType


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
        suspect: Culprit | None = None
        running, looked = 0.0, time.monotonic()
        while not self._stopped.wait(LOOK_AGAIN if suspect else BEAT / 2):
            beaten, before, looked = self._beaten, looked, time.monotonic()
            found = None
            if looked - beaten > LATE and reported != beaten:
                found = self._culprit(sys._current_frames().get(thread_id))  # noqa: SLF001 - the only way to another stack
            if found is None or suspect is None or found.call is not suspect.call:
                suspect, running = found, 0.0  # what ran before it is not its fault
                continue
            running += min(looked - before, MOST_OF_A_LOOK)
            if running >= LIMIT:
                self._report(loop, suspect, running)
                reported, suspect = beaten, None

    def _report(self, loop: asyncio.AbstractEventLoop, culprit: Culprit, running: float) -> None:
        provider_id, hook, _ = culprit
        log.error("plugin blocks the event loop", provider=provider_id, hook=hook, seconds=round(running, 2))
        code = "code outside its hooks" if hook is None else f"hook {hook}"
        reason = f"its {code} blocked the event loop; mend it, then restart the gateway"
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(self._quarantine, provider_id, reason)

    def _culprit(self, frame: FrameType | None) -> Culprit | None:
        """Return the provider whose code is innermost on a stack, and its hook; None where it is core's own code.

        Modules may serve several providers: the instance whose hook runs is who is to blame.
        """
        outside: Culprit | None = None
        while frame is not None:
            module = str(frame.f_globals.get("__name__", ""))
            if _is_core(module) and outside is None:
                return None
            instance = self._instance(frame)
            if instance is not None and frame.f_code.co_name in HOOKS:
                return Culprit(instance, frame.f_code.co_name, frame)
            package = instance or self._owner(module)
            if package is not None:
                outside = Culprit(outside.provider_id if outside else package, None, frame)
            frame = frame.f_back
        return outside

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
