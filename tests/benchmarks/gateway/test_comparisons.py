from __future__ import annotations

import os
from pathlib import Path

import psutil

from benchmarks.gateway.comparisons import stores
from benchmarks.gateway.subjects import Subject, plain_name


def test_stores_have_every_processor_that_they_are_given_wherever_the_clients_run(tmp_path: Path) -> None:
    everywhere = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, everywhere[-1:])
    try:
        with stores(tmp_path, everywhere) as (server, redis):
            asked = Subject("gateway", "gateway", 0, plain_name)
            asked.stores = [psutil.Process(server.pid), psutil.Process(redis.pid)]
            for first in asked.stores:
                for process in (first, *first.children(recursive=True)):
                    assert process.cpu_affinity() == everywhere
            assert asked.stores_processors() == everywhere
            assert sorted(os.sched_getaffinity(0)) == everywhere[-1:]
    finally:
        os.sched_setaffinity(0, everywhere)
