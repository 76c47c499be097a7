"""What everything is measured on: the processor, its caches, what a read costs that they do not answer, and a sync.

A gateway in Python touches some megabytes for each request. Where a core's own cache does not hold them, the ratio to a
proxy that touches less is worse than on another machine, whatever the clocks of both are.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

WORKING_SETS = (0.25, 1.0, 4.0, 16.0)
"""MiB that are read in."""
READS = 2**16
SYNCS = 64
BLOCK = bytes(4096)
"""What is written before each sync."""

_LINE = 64
"""Bytes that a processor reads at once."""


@dataclass(frozen=True)
class Machine:
    """A machine.

    Attributes:
        processor: The name of the model.
        virtual: Whether a hypervisor shares it out.
        caches: The name and the size of each cache that the first processor has.
        memory: MiB.
        reads: By MiB of a working set, nanoseconds that Python takes for one read in it whose place the one before
            told.
        sync: Milliseconds that a small write to a temporary file takes with its sync.
    """

    processor: str
    virtual: bool
    caches: Sequence[str]
    memory: float
    reads: Mapping[float, float]
    sync: float

    @classmethod
    def here(cls, system: Path = Path("/"), working_sets: Sequence[float] = WORKING_SETS) -> Machine:
        """Look at this machine, which takes some seconds."""
        processor = _fields(system / "proc/cpuinfo")
        return cls(
            processor.get("model name", "unknown"),
            "hypervisor" in processor.get("flags", "").split(),
            [_cache(each) for each in sorted(system.glob("sys/devices/system/cpu/cpu0/cache/index*"))],
            int(_fields(system / "proc/meminfo")["MemTotal"].split()[0]) / 1024,
            {each: read_time(int(each * 2**20)) for each in working_sets},
            sync_time(),
        )


def read_time(size: int) -> float:
    """Return the nanoseconds of processor time for a read in so many bytes, as the least of three times many.

    Each read tells the place of the next one, in another line, so that none can begin before the one before has ended.
    What the interpreter takes for each is in it: the reads of the smallest size tell how much that is.
    """
    places = list(range(0, size // 8, _LINE // 8))
    random.Random(0).shuffle(places)
    memory = array("q", bytes(size))
    for here, following in zip(places, [*places[1:], places[0]], strict=True):
        memory[here] = following
    place, found = 0, list[float]()
    for _ in range(3):
        begun = time.thread_time_ns()
        for _ in repeat(None, READS):
            place = memory[place]
        found.append((time.thread_time_ns() - begun) / READS)
    return min(found)


def sync_time() -> float:
    """Return the milliseconds of a write at the end of a temporary file with its sync, as the median of many."""
    found = list[float]()
    with tempfile.TemporaryFile() as file:
        for _ in range(SYNCS):
            begun = time.perf_counter()
            os.write(file.fileno(), BLOCK)
            os.fdatasync(file.fileno())
            found.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(found)


def _fields(path: Path) -> Mapping[str, str]:
    """Read the fields of the first thing that a file describes."""
    found: dict[str, str] = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found


def _cache(folder: Path) -> str:
    level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
    return f"L{level}{'' if kind == 'Unified' else kind[0].lower()} {size}"
