"""How much of what is gone waits for the garbage collector."""

from __future__ import annotations

import subprocess
import sys

STREAMS = """
import gc
from collections import deque
from orchestrator_core.server.garbage import spare_the_collector

class Connection:
    there = most = 0

    def __init__(self):
        self.myself, self.rest = self, [[] for _ in range(20)]
        Connection.there += 1
        Connection.most = max(Connection.most, Connection.there)

    def __del__(self):
        Connection.there -= 1

spare_the_collector()
under_way = deque(maxlen=1000)
for _ in range(20_000):
    under_way.append(Connection())
print(Connection.most, gc.get_freeze_count())
"""


def test_connections_that_had_long_streams_do_not_pile_up() -> None:
    told = subprocess.run([sys.executable, "-c", STREAMS], capture_output=True, text=True, check=True).stdout
    most, frozen = map(int, told.split())
    assert most < 5_000, "a thousand under way, and what has ended since the last look"
    assert frozen > 1_000, "what the start made is passed over"
