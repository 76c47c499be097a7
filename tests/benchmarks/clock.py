"""The processor time of any process, exact enough for what takes a few milliseconds."""

from __future__ import annotations

import os
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_SCHEDULED = 2
"""Which clock of a process: what the scheduler counted, in nanoseconds (`clock_getcpuclockid(3)`, CPUCLOCK_SCHED)."""


def processor_time(pid: int) -> float:
    """Return the seconds that a process has computed, in every thread it has or had, and its ended children.

    What it computed itself is exact; of its ended children there are but ticks, of 10 ms, in `proc_pid_stat(5)`.

    Raises:
        OSError: There is no such process.
    """
    children = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[13:15]
    return time.clock_gettime(~pid << 3 | _SCHEDULED) + sum(map(int, children)) / _TICKS
