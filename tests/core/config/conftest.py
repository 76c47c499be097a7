from __future__ import annotations

from collections.abc import Iterator

import pytest

from canary.leaks import isolated_redactor


@pytest.fixture(autouse=True)
def own_redactor() -> Iterator[None]:
    with isolated_redactor():
        yield
