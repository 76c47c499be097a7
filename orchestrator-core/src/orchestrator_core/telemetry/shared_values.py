"""Values of metrics that several processes keep in files, so that each of them can show the sum of all."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final

import structlog
from prometheus_client import multiprocess
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from orchestrator_core.telemetry.instruments import Spec

TRY_AGAIN_AFTER: Final = 10.0
"""Seconds for which a process whose disk is full writes no new values."""

_PREFIX: Final = "orchestrator-metrics-"
_FIRST_SIZE: Final = 1 << 16
_ROOM: Final = 32
"""Bytes that an entry of a file has at most beside its key."""
_VALUE_AND_TIME: Final = struct.Struct("dd")

_files: Final[dict[str, _File]] = {}
"""All of this process, by their names."""

_place: tuple[Path, int] | None = None
"""Where they lie, and which place this process has among those that share the folder."""

_logger = structlog.get_logger(__name__)


class _File(MmapedDict):
    """Values of a process in a file whose blocks are all there before anything is written to them.

    Writing to a block that is only promised kills the process where the disk is full. What has no room on it is kept by
    its process alone until there is some.
    """

    _next_try: ClassVar = -math.inf
    _told: ClassVar = False
    _f: Any = None

    def __init__(self, filename: str) -> None:
        self._fname = filename
        self._open = False
        self._positions: dict[str, int] = {}
        self._unwritten: dict[str, tuple[float, float]] = {}
        self._has_room(None)

    def read_value(self, key: str) -> tuple[float, float]:
        """Return a value and its time; zeros where there is none yet."""
        if not self._has_room(key):
            return self._unwritten.get(key, (0.0, 0.0))
        found: tuple[float, float] = super().read_value(key)  # type: ignore[no-untyped-call]  # prometheus-client leaves it untyped
        return found

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """Write a value, as soon as there is room for it."""
        if key in self._positions or self._has_room(key):
            at = self._positions[key]
            self._m[at : at + 16] = _VALUE_AND_TIME.pack(value, timestamp)
        else:
            self._unwritten[key] = (value, timestamp)

    def catch_up(self) -> None:
        """Write what there was no room for, if there is now."""
        for key in list(self._unwritten):
            if not self._has_room(key):
                return

    def _has_room(self, key: str | None) -> bool:
        """Make room for a key, or for the first one, where there is none and that was not tried in vain just now."""
        if key in self._positions:
            return True
        path = Path(self._fname)
        try:
            if not self._open and path.exists():  # which needs no room: what it counted before is not to be lost
                self._open_file()
            if key in self._positions:
                return True
            if time.monotonic() < _File._next_try:
                return False
            if not self._open:
                _create(path)
                self._open_file()
            if key is not None:
                self._init_value(key)
                if key in self._unwritten:
                    self.write_value(key, *self._unwritten.pop(key))
        except OSError as error:
            _File._next_try = time.monotonic() + TRY_AGAIN_AFTER
            if not _File._told:
                _File._told = True
                _logger.error(  # noqa: TRY400 - the traceback says no more
                    "Metrics of this worker have no room, and those that are new are missing until there is some. "
                    "Make room in the folder's file system, or set TMPDIR to another",
                    folder=str(path.parent),
                    reason=error.strerror or type(error).__name__,
                )
            return False
        return True

    def _open_file(self) -> None:
        super().__init__(self._fname)  # type: ignore[no-untyped-call]  # prometheus-client leaves it untyped
        self._open = True

    def _init_value(self, key: str) -> None:
        capacity = self._capacity
        while self._used + len(key.encode()) + _ROOM > capacity:
            capacity *= 2
        _extend(self._f.fileno(), capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]  # prometheus-client leaves it untyped


class SharedNumber:
    """A number of this process, which all that share its folder show."""

    __slots__ = ("_file", "_key", "_now", "_time")

    def __init__(self, file: _File, key: str) -> None:
        self._file = file
        self._key = key
        self._now, self._time = file.read_value(key)

    def inc(self, amount: float = 1.0, /) -> None:
        """Add to it."""
        self._now += amount
        self._file.write_value(self._key, self._now, self._time)

    def set(self, value: float, /) -> None:
        """Make it another. By NaN this process takes back what it has set; what another has set since then stays."""
        self._now = float(value)
        if not math.isnan(value):
            self._time = time.time()
        self._file.write_value(self._key, self._now, self._time)

    def get(self) -> float:
        """Return it."""
        return self._now


def shared_number(kind: str, spec: Spec, suffix: str, labels: Mapping[str, str]) -> SharedNumber:
    """Return a number of this process that goes on from what lies in its file; `share_values` comes before.

    Args:
        kind: The kind of the metric, and of a gauge how it is put together from several processes.
        spec: The metric.
        suffix: What the name of the number has beyond that of the metric.
        labels: Its labels.
    """
    if _place is None:
        raise RuntimeError("no values are shared")
    folder, place = _place
    name = f"{kind}_{place}.db"
    if name not in _files:
        _files[name] = _File(str(folder / name))
    key: str = mmap_key(spec.name, f"{spec.name}{suffix}", list(labels), list(labels.values()), spec.meaning)
    return SharedNumber(_files[name], key)


def _create(path: Path) -> None:
    """Make a file of values, so that nobody ever sees it without any room."""
    made = path.with_suffix(".new")
    with made.open("wb", buffering=0) as file:
        _extend(file.fileno(), _FIRST_SIZE)
    made.replace(path)


def _extend(file: int, size: int) -> None:
    """Lengthen a file with zeros, so that it has all its blocks; raises OSError where they are not to be had."""
    before = os.fstat(file).st_size
    try:
        while (missing := size - os.fstat(file).st_size) > 0:
            os.write(file, bytes(missing))
    except OSError:
        os.ftruncate(file, before)
        raise


def make_folder() -> Path:
    """Make a folder for the values of a gateway, and remove those of gateways that were killed.

    Returns:
        The folder. It is kept as long as this process lives, or one that it forks, and is to be removed by this one.

    Raises:
        OSError: It cannot be made, or others may change what is in it, as on file systems that know no users.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it is no folder, is in use, or another removed it
            _remove_unused(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        _hold(folder)
    except OSError:
        folder.rmdir()
        raise
    return folder


def _remove_unused(folder: Path) -> None:
    """Remove a folder of this user; raises OSError where it is in use."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(opened).st_uid == os.geteuid():
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
    finally:
        os.close(opened)


def _hold(folder: Path) -> None:
    """Make a folder where it is not there, and lock it as long as this process lives, or one that it forks.

    Raises:
        OSError: It cannot be made, or what is there is not this user's alone: anybody can make it in `/tmp`.
    """
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        found = os.fstat(opened)
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            os.close(opened)
            raise PermissionError(errno.EPERM, "others may change what is in it")
        with suppress(OSError):  # without locks on the file system nobody removes it either
            fcntl.flock(opened, fcntl.LOCK_SH)
        if folder.exists():  # nobody removed it before it was locked
            return


def share_values(folder: Path, place: int) -> None:
    """Keep the values of all metrics that are made from now on in a folder; to be called once, in each process.

    Args:
        folder: The same for all processes of the gateway, and empty when the first of them starts. It is made where it
            is not there.
        place: The place of this process among them. One that takes the place of a dead one counts on from where that
            ended, so that no counter ever falls and there are never more files than places.
    """
    global _place  # noqa: PLW0603 - as the files, it is the process's
    _hold(folder)  # what tidies up /tmp may have removed it
    forget_living(folder, place)
    _discard_damaged(folder, place)
    _place = (folder, place)
    _files.clear()


def write_what_had_no_room() -> None:
    """Write the values of this process for which the disk was too full, if there is room now; to be called at times."""
    for file in _files.values():
        file.catch_up()


def _discard_damaged(folder: Path, place: int) -> None:
    """Remove the files of a place that cannot be read; what they counted is lost."""
    for path in folder.glob(f"*_{place}.db"):
        try:
            for key, *_ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]  # prometheus-client leaves it untyped
                json.loads(key)
        except (RuntimeError, ValueError, IndexError, struct.error):  # what prometheus-client raises, and json
            _logger.exception("Metrics are damaged and begin anew", file=path.name)
            path.unlink()


def forget_living(folder: Path, place: int) -> None:
    """Forget what a process that ended had under way, such as requests in flight; what it counted stays.

    Args:
        folder: The folder.
        place: The place of that process.
    """
    multiprocess.mark_process_dead(place, str(folder))  # type: ignore[no-untyped-call]  # prometheus-client leaves it untyped
