"""The order in which the targets of an alias are asked."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.config.settings import AliasEntry
from orchestrator_core.orchestration.strategies import arrange

TARGETS = ("a/1", "b/2", "c/3")


def no_price(_: str) -> None:
    return None


def test_ordered_targets_keep_their_order() -> None:
    assert arrange(AliasEntry(targets=TARGETS), no_price, Random(1)) == TARGETS


def test_the_cheapest_is_first_and_the_next_cheapest_follows_and_an_unknown_price_is_last() -> None:
    entry = AliasEntry(targets=("unknown/x", *TARGETS, "free/y"), strategy="cheapest")
    prices = {"a/1": 3.0, "b/2": 0.5, "c/3": 3.0, "free/y": 0.0}
    assert arrange(entry, prices.get, Random(1)) == ["free/y", "b/2", "a/1", "c/3", "unknown/x"]


def test_weights_are_the_shares_of_the_load_and_of_what_is_left_when_the_first_fails() -> None:
    entry = AliasEntry(targets=TARGETS, strategy="weighted", weights=(6, 3, 1))
    draws = Random(7)
    orders = [tuple(arrange(entry, no_price, draws)) for _ in range(20_000)]
    first = Counter(order[0] for order in orders)
    assert [round(first[target] / len(orders), 1) for target in TARGETS] == [0.6, 0.3, 0.1]
    # Where a/1 fails, the two others share its load as 3 to 1.
    second = Counter(order[1] for order in orders if order[0] == "a/1")
    assert 0.72 < second["b/2"] / first["a/1"] < 0.78


def test_the_same_seed_draws_the_same() -> None:
    entry = AliasEntry(targets=TARGETS, strategy="weighted", weights=(1, 1, 1))
    one, two = Random(3), Random(3)
    assert [arrange(entry, no_price, one) for _ in range(9)] == [arrange(entry, no_price, two) for _ in range(9)]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8).filter(any), st.integers())
def test_every_target_is_there_once_and_those_without_weight_are_last(weights: list[float], seed: int) -> None:
    targets = tuple(f"p/{number}" for number in range(len(weights)))
    arranged = arrange(AliasEntry(targets=targets, strategy="weighted", weights=tuple(weights)), no_price, Random(seed))
    assert sorted(arranged) == sorted(targets)
    assert weights[targets.index(arranged[0])] > 0
