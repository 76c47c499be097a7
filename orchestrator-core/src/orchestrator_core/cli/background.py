"""An event loop in a thread, so that the main thread can wait for what a person types."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Any, Generic, TypeVar

Opened = TypeVar("Opened")
Result = TypeVar("Result")

_LOOK = 0.2
"""Seconds after which a Ctrl+C is seen that came when the main thread was just about to wait."""


class Stopped(Exception):
    """Ctrl+C ended the work."""


class Background(Generic[Opened]):
    """Keeps something open in a loop of its own, and does work there. All is asked of it by the main thread."""

    def __init__(self, opening: AbstractAsyncContextManager[Opened]) -> None:
        """Prepare the thread.

        Args:
            opening: What is opened in the loop, and closed there at the end.
        """
        self._opening = opening
        self._opened: Future[Opened] = Future()
        self._thread = threading.Thread(target=self._run, name="orchestrator-loop", daemon=True)
        self._begun = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop
        self._main: asyncio.Task[Any]
        self._end: asyncio.Event

    def __enter__(self) -> Opened:
        """Open it.

        Raises:
            BaseException: Whatever kept it from being opened.
        """
        try:
            self._thread.start()
            while not self._opened.done():
                wait([self._opened], timeout=_LOOK)
        except KeyboardInterrupt:
            if self._thread.is_alive():
                self._begun.wait()
                with suppress(RuntimeError):  # it ended just then
                    self._loop.call_soon_threadsafe(self._main.cancel)
                self._thread.join()
            raise
        return self._opened.result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it.

        Raises:
            BaseException: Whatever went wrong while it was closed.
        """
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        if error is None and self._failure is not None:
            raise self._failure

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do something in the loop, and wait for it.

        Raises:
            Stopped: Ctrl+C came; the work was cancelled, and has ended.
            BaseException: Whatever the work raised.
        """
        started: Future[asyncio.Task[Result]] = Future()
        ended = threading.Event()

        def start() -> None:
            task = self._loop.create_task(work)
            task.add_done_callback(lambda _: ended.set())
            started.set_result(task)

        def stop() -> None:
            if started.done():
                started.result().cancel()
            else:  # Ctrl+C came before it was asked for
                work.close()
                ended.set()

        try:
            self._loop.call_soon_threadsafe(start)
            while not ended.wait(_LOOK):
                pass
        except KeyboardInterrupt:
            self._loop.call_soon_threadsafe(stop)
            ended.wait()
        if not started.done() or started.result().cancelled():
            raise Stopped
        return started.result().result()

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._hold())
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self._failure = error
            if not self._opened.done():
                self._opened.set_exception(error)

    async def _hold(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a coroutine that runs
        self._main = task
        self._begun.set()
        async with self._opening as opened:
            self._opened.set_result(opened)
            await self._end.wait()
