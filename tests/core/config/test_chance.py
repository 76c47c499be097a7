"""Ids are made of what nobody else has, in whatever thread or process."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor

from orchestrator_core.config.chance import random_hex

FORM = re.compile(r"[0-9a-f]{32}")


def some(_: int) -> list[str]:
    return [random_hex() for _ in range(1000)]


def test_threads_never_get_the_same() -> None:
    with ThreadPoolExecutor(8) as threads:
        texts = [text for found in threads.map(some, range(16)) for text in found]
    assert all(FORM.fullmatch(text) for text in texts)
    assert len(set(texts)) == 16_000


def test_a_process_that_was_forked_gives_others_than_its_parent() -> None:
    random_hex()  # some are left over now
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, " ".join(some(0)).encode()[:4096])
        os._exit(0)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as answer:
        theirs = answer.read().split()
    assert status == 0
    assert len(theirs) > 100
    assert not set(theirs) & set(some(0))
