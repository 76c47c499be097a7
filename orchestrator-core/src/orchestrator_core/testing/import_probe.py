"""Imports what a provider stands in, and prints what that did. `import_work` runs it as a process of its own."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import signal
import socket
import sys
import sysconfig
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

MOST: Final = 8
"""Findings that are printed."""

_EVENTS: Final = frozenset(
    {
        *("socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo"),
        *("subprocess.Popen", "os.system", "os.fork", "os.posix_spawn", "os.exec"),
        *("os.chdir", "os.putenv", "os.unsetenv"),
    }
)
"""Audit events that no definition of a name raises (https://docs.python.org/3/library/audit_events.html)."""

_CODE: Final = (".py", ".pyc", ".so", ".pyd", ".zip")
_PYTHON: Final = tuple({sys.prefix, sys.base_prefix, sys.exec_prefix})
_STANDARD: Final = sysconfig.get_path("stdlib")
_DUMPS: Final = json.dumps  # as it is before the plugin comes


class Probe:
    """Notes what is done.

    Attributes:
        work: What was done, in words, in order.
    """

    def __init__(self, own: str) -> None:
        """Prepare.

        Args:
            own: The plugin's package, or its module where that is a single file.
        """
        self.work: list[str] = []
        self._own = own
        self._on = False

    def watch(self) -> None:
        """Begin."""
        sys.addaudithook(self._look)
        self._watch_environment()
        self._watch_waits()
        self._on = True

    def end(self) -> None:
        """Note no more."""
        self._on = False

    def note(self, what: str) -> None:
        """Note something that was done."""
        if self._on and what not in self.work:
            self.work.append(what)

    def _look(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event in _EVENTS:
            self.note(f"{event} {args[1] if event.startswith('socket.con') else ''}".strip())
        elif event == "open" and isinstance(args[0], str | bytes):
            self._opened(os.fsdecode(args[0]), args[1], args[2])

    def _opened(self, path: str, mode: str | None, flags: int) -> None:
        writes = set(mode) & set("wax+") if mode else flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if path.startswith("/dev/") or "__pycache__" in path:
            return
        if writes:
            self.note(f"open {path} for writing")
        elif self._by_plugin() and not self._is_data(path):
            self.note(f"open {path}, which is no data of its package")

    def _is_data(self, path: str) -> bool:
        """Say whether a file is code, belongs to the package, or was installed with it or with Python."""
        whole = os.path.abspath(path)  # noqa: PTH100 - pathlib raises the audit events that are looked at
        return whole.endswith(_CODE) or whole.startswith((self._own, *_PYTHON)) or ".dist-info/" in whole

    def _by_plugin(self) -> bool:
        """Say whether the plugin's own code does what is done now, rather than a library that it imports."""
        frame: types.FrameType | None = sys._getframe(1)  # noqa: SLF001 - the documented way to see who calls
        while frame is not None:
            path = frame.f_code.co_filename
            standard = path.startswith(("<frozen", _STANDARD)) and "site-packages" not in path
            if not standard and path != __file__:
                return path.startswith(self._own)
            frame = frame.f_back
        return False

    def _watch_environment(self) -> None:
        environ: Any = type(os.environ)
        read, listed = environ.__getitem__, environ.__iter__

        def getitem(mapping: Any, key: str) -> str:
            if self._on and self._by_plugin():
                self.note(f"reads {os.fsdecode(key)} from the environment")
            value: str = read(mapping, key)
            return value

        def iterate(mapping: Any) -> Iterator[str]:
            if self._on and self._by_plugin():
                self.note("reads the environment")
            names: Iterator[str] = listed(mapping)
            return names

        environ.__getitem__, environ.__iter__ = getitem, iterate

    def _watch_waits(self) -> None:
        nap, wait, start = time.sleep, threading.Condition.wait, threading.Thread.start
        main_thread = threading.main_thread()

        def started(thread: threading.Thread) -> None:
            self.note(f"starts a thread, {thread.name}")
            start(thread)

        def sleep(seconds: float) -> None:
            if threading.current_thread() is main_thread:
                self.note(f"time.sleep({seconds:g})")  # and does not: the rest can be looked at sooner
            else:
                nap(seconds)

        def waited(condition: Any, timeout: float | None = None) -> bool:
            if timeout is not None and threading.current_thread() is main_thread:
                self.note(f"waits for another thread, up to {timeout:g} s")
            return wait(condition, timeout)

        threading.Thread.start = started  # type: ignore[assignment,method-assign]  # for the length of this process
        time.sleep = sleep  # type: ignore[assignment]  # for the length of this process
        threading.Condition.wait = waited  # type: ignore[assignment,method-assign]  # for the length of this process


def state() -> dict[str, object]:
    """Return what belongs to the whole process: well-known functions, the root logger, signals, limits."""
    root = logging.getLogger()
    found: dict[str, object] = {
        "the handlers of the root logger": tuple(root.handlers),
        "the level of the root logger": root.level,
        "logging.disable": logging.root.manager.disable,
        "logging.getLoggerClass()": logging.getLoggerClass(),
        "sys.stdout": sys.stdout,
        "sys.stderr": sys.stderr,
        "socket.getdefaulttimeout()": socket.getdefaulttimeout(),
        "sys.getrecursionlimit()": sys.getrecursionlimit(),
    }
    for number in (signal.SIGINT, signal.SIGTERM):
        found[f"the handler of {number.name}"] = signal.getsignal(number)
    for name, module in list(sys.modules.items()):
        for attribute, value in list(vars(module).items()):
            if callable(value):
                found[f"{name}.{attribute}"] = value
            if isinstance(value, type) and value.__module__ == name:
                for method, kept in vars(value).items():
                    if isinstance(kept, types.FunctionType):
                        found[f"{name}.{attribute}.{method}"] = kept
    return found


def changed(before: dict[str, object]) -> list[str]:
    """Return the names of what is another than it was; what is new is no change."""
    after = state()
    return [name for name, value in before.items() if name in after and not _same(after[name], value)]


def _same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, int | float | tuple) and one == other)


def main(kind: str, target: str) -> None:
    """Import a module by its name, or a file, and print JSON.

    Args:
        kind: `module` or `file`.
        target: The name, or the path.
    """
    importlib.import_module("orchestrator_core.openai_compatible")
    known = set(sys.modules)
    probe = Probe(_own(kind, target))
    probe.watch()
    before = state()
    try:
        _import(kind, target)
    finally:
        probe.end()
    parts = sorted({name.split(".")[1] for name in set(sys.modules) - known if name.startswith("orchestrator_core.")})
    found = {"work": probe.work[:MOST], "changed": changed(before)[:MOST], "parts": parts}
    _finish(_DUMPS(found))


def _finish(text: str) -> NoReturn:
    os.write(1, f"\n{text}\n".encode())  # whatever became of sys.stdout
    os._exit(0)  # a thread that was started must not keep this from ending


def _own(kind: str, target: str) -> str:
    if kind == "file":
        return str(Path(target).absolute())
    spec = importlib.util.find_spec(target.partition(".")[0])
    if spec is None or spec.origin is None:
        return target
    return f"{Path(spec.origin).parent}{os.sep}" if spec.submodule_search_locations else spec.origin


def _import(kind: str, target: str) -> None:
    if kind == "module":
        importlib.import_module(target)
        return
    spec = importlib.util.spec_from_file_location("kit_imported", target)
    if spec is None or spec.loader is None:
        raise ImportError(f"{target} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["kit_imported"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    main(*sys.argv[1:3])
