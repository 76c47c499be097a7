"""The end of the process, which tasks that do not let themselves be cancelled must not keep up."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine
from typing import Any, Final

import structlog

LEAVING_TIME: Final = 3.0
"""Seconds that tasks which are left when everything is closed have for ending."""

_logger = structlog.get_logger(__name__)


async def to_the_end(work: Coroutine[Any, Any, int]) -> int:
    """Do the work of a process, and return its exit code.

    Where tasks of plugins go on after it although they are cancelled, the process ends here: `asyncio.run` would wait
    for them for ever.
    """
    code = await work
    if left := await _cancel_rest():
        for task in left:
            _logger.error("Task does not end; left behind", plugin=_origin(task), task=task.get_name())
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


async def _cancel_rest() -> set[asyncio.Task[Any]]:
    """Cancel every other task, and return those that do not end."""
    loop = asyncio.get_running_loop()
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    rest.add(loop.create_task(loop.shutdown_asyncgens(), name="generators of plugins"))
    return (await asyncio.wait(rest, timeout=LEAVING_TIME))[1]


def _origin(task: asyncio.Task[Any]) -> str:
    """Return the module whose code a task runs."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    return "unknown" if frame is None else str(frame.f_globals.get("__name__", "unknown"))
