from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from orchestrator_core.cli.background import Background, Stopped


class Thing:
    """Something that is opened, worked with and closed."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.working = threading.Event()

    @asynccontextmanager
    async def opened(
        self, refusal: Exception | None = None, complaint: Exception | None = None, takes: float = 0
    ) -> AsyncGenerator[Thing, None]:
        self.working.set()
        await asyncio.sleep(takes)
        if refusal is not None:
            raise refusal
        try:
            yield self
            if complaint is not None:
                raise complaint
        finally:
            self.seen.append("closed")

    async def work(self, seconds: float) -> str:
        try:
            self.working.set()
            await asyncio.sleep(seconds)
        finally:
            await asyncio.sleep(0)  # what cleaning up waits for
            self.seen.append("ended")
        return threading.current_thread().name


@contextmanager
def ctrl_c(once: threading.Event) -> Iterator[None]:
    """Interrupt this thread as soon as something has begun; those who run tests may have set the signal aside."""

    def interrupt() -> None:
        if once.wait(20):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)


def test_work_is_done_in_a_thread_of_its_own() -> None:
    thing = Thing()
    background = Background(thing.opened())
    with background as opened:
        assert opened is thing
        assert background.run(thing.work(0)) != threading.current_thread().name
    assert thing.seen == ["ended", "closed"]


def test_an_error_of_the_work_is_raised_here() -> None:
    async def fail() -> None:
        raise ValueError("no")

    background = Background(Thing().opened())
    with background, pytest.raises(ValueError, match="no"):
        background.run(fail())


def test_ctrl_c_ends_the_work_which_cleans_up_and_nothing_else() -> None:
    thing = Thing()
    background = Background(thing.opened())
    with background:
        thing.working.clear()
        with ctrl_c(thing.working), pytest.raises(Stopped):
            background.run(thing.work(60))
        assert thing.seen == ["ended"]
        background.run(thing.work(0))
    assert thing.seen == ["ended", "ended", "closed"]


def test_ctrl_c_before_the_work_was_asked_for_ends_it_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    thing = Thing()
    background = Background(thing.opened())
    with background:
        ask, asked = background._loop.call_soon_threadsafe, threading.Event()

        def interrupted(*what: Any) -> None:
            if not asked.is_set():
                asked.set()
                raise KeyboardInterrupt
            ask(*what)

        monkeypatch.setattr(background._loop, "call_soon_threadsafe", interrupted)
        with pytest.raises(Stopped):
            background.run(thing.work(60))
        background.run(thing.work(0))
    assert thing.seen == ["ended", "closed"]


def test_what_cannot_be_opened_says_why() -> None:
    with pytest.raises(OSError, match="in use"), Background(Thing().opened(OSError("in use"))):
        pytest.fail("it was not opened")


def test_a_loop_that_cannot_be_made_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("Too many open files")

    monkeypatch.setattr(asyncio.events, "new_event_loop", fail)
    with pytest.raises(OSError, match="Too many"), Background(Thing().opened()):
        pytest.fail("it was not opened")


def test_ctrl_c_while_the_loop_is_made_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    making, interrupted = threading.Event(), threading.Event()
    make = asyncio.events.new_event_loop

    def make_late() -> asyncio.AbstractEventLoop:
        making.set()
        interrupted.wait(20)
        return make()

    thing = Thing()
    background = Background(thing.opened(takes=60))
    wait = background._begun.wait
    monkeypatch.setattr(background._begun, "wait", lambda: (interrupted.set(), wait()))
    monkeypatch.setattr(asyncio.events, "new_event_loop", make_late)
    with ctrl_c(making), pytest.raises(KeyboardInterrupt), background:
        pytest.fail("it was not opened")


def test_ctrl_c_while_it_is_opened_ends_that() -> None:
    thing = Thing()
    with ctrl_c(thing.working), pytest.raises(KeyboardInterrupt), Background(thing.opened(takes=60)):
        pytest.fail("it was not opened")


def test_what_cannot_be_closed_says_why() -> None:
    thing = Thing()
    with pytest.raises(OSError, match="no space"), Background(thing.opened(complaint=OSError("no space"))):
        pass
    assert thing.seen == ["closed"]
