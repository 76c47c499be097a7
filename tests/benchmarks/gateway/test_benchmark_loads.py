from __future__ import annotations

import pytest

from benchmarks.gateway.comparisons import COMPARISONS
from benchmarks.gateway.scenarios import PACED, Scenario, chat


@pytest.mark.parametrize(
    ("words", "found"),
    [(["chat, c=1"], {1}), (["chat, c=16", "chat, c=2"], {16}), (["chat"], {1, 16}), (["turn"], set())],
)
def test_loads_are_chosen_by_words_of_their_names(words: list[str], found: set[int]) -> None:
    loads = [Scenario(f"chat, c={clients}", clients, chat) for clients in (1, 16)]
    assert {each.connections for each in loads if each.has_one_of(words)} == found


def test_servers_of_paced_streams_are_asked_nothing_else() -> None:
    paced = [{each.base == PACED for each in comparison.scenarios} for comparison in COMPARISONS]
    assert paced.count({True}) == 2
    assert all(len(found) == 1 for found in paced)
