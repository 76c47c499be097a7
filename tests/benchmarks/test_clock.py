from __future__ import annotations

import os
import sys
import threading
import time
from subprocess import run

from benchmarks.clock import processor_time


def _compute() -> None:
    end = time.thread_time() + 0.007  # less than a tick
    while time.thread_time() < end:
        pass


def test_what_ended_threads_computed_is_counted_exactly() -> None:
    thread = threading.Thread(target=_compute)
    thread.start()
    thread.join()
    spent = os.times()
    children = spent.children_user + spent.children_system
    before = time.process_time()
    found = processor_time(os.getpid()) - children
    assert before - 1e-6 <= found <= time.process_time() + 1e-6


def test_what_ended_children_computed_is_counted() -> None:
    before, itself = processor_time(os.getpid()), time.process_time()
    run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.1: pass"], check=True)
    children = processor_time(os.getpid()) - before - (time.process_time() - itself)
    assert children >= 0.08
