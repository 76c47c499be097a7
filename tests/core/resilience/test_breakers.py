"""The circuits of many providers and models."""

from __future__ import annotations

import pytest

from orchestrator_core.provider_api import CircuitOpen
from orchestrator_core.resilience.breaker import BreakerRules
from orchestrator_core.resilience.breakers import ALL_MODELS, MAX_CIRCUITS, Breakers


class Clock:
    now = 10.0

    def __call__(self) -> float:
        return self.now


class Bench:
    def __init__(self, *, enabled: bool = True) -> None:
        self.clock = Clock()
        self.told: list[tuple[str, str, str]] = []
        rules = BreakerRules(minimum_calls=2)
        self.breakers = Breakers(rules, lambda *change: self.told.append(change), enabled=enabled, clock=self.clock)

    def fail(self, provider: str, model: str, times: int = 2) -> None:
        for _ in range(times):
            permit = self.breakers.admit(provider, model)
            if permit is not None:
                permit.end(failed=True)


def test_one_model_fails_and_the_others_are_asked() -> None:
    bench = Bench()
    bench.fail("one", "a")

    with pytest.raises(CircuitOpen, match="'a' of 'one'") as caught:
        bench.breakers.admit("one", "a")

    assert (caught.value.status, caught.value.retry_after, caught.value.provider) == (503, 15, "one")
    assert bench.breakers.admit("one", "b")
    assert bench.breakers.admit("two", "a")
    assert bench.told == [("one", "a", "open")]
    assert [(each.provider, each.model, each.state, each.wait) for each in bench.breakers.circuits] == [
        ("one", "a", "open", 15.0)
    ]


def test_failures_that_are_spread_over_many_models_open_the_provider() -> None:
    bench = Bench()
    for model in "abcd":
        bench.fail("one", model, times=1)

    with pytest.raises(CircuitOpen, match="all models of 'one'") as caught:
        bench.breakers.admit("one", "e")

    assert caught.value.retry_after == 15
    assert bench.breakers.wait("one", "e") == 15
    assert bench.breakers.admit("two", "a")
    assert bench.told == [("one", ALL_MODELS, "open")]

    bench.clock.now += 15
    probe = bench.breakers.admit("one", "e")
    assert probe is not None
    with pytest.raises(CircuitOpen):
        bench.breakers.admit("one", "f")
    probe.opened()
    assert bench.breakers.admit("one", "f")
    assert bench.told[1:] == [("one", ALL_MODELS, "half_open"), ("one", ALL_MODELS, "closed")]


def test_where_one_model_answers_the_others_do_not_open_the_provider() -> None:
    bench = Bench()
    answered = bench.breakers.admit("one", "well")
    assert answered is not None
    answered.end(failed=False)
    for number in range(50):
        bench.fail("one", f"sick-{number}", times=1)

    assert bench.breakers.admit("one", "well")


def test_names_that_callers_make_up_do_not_fill_the_memory() -> None:
    bench = Bench()
    bench.fail("one", "real")
    for number in range(5 * MAX_CIRCUITS):
        bench.breakers.admit("one", f"made-up-{number}")
        if number % 100 == 0:
            with pytest.raises(CircuitOpen):
                bench.breakers.admit("one", "real")

    assert len(bench.breakers) == MAX_CIRCUITS


def test_a_circuit_that_is_forgotten_while_it_is_open_is_told_as_closed() -> None:
    bench = Bench()
    bench.fail("one", "old")
    for number in range(MAX_CIRCUITS):
        bench.breakers.admit("one", f"made-up-{number}")

    assert bench.told == [("one", "old", "open"), ("one", "old", "closed")]
    assert bench.breakers.circuits == []


def test_a_circuit_that_nobody_asks_any_more_is_listed_until_its_cooldown_and_closed_a_window_later() -> None:
    bench = Bench()
    bench.fail("one", "asked no more")
    bench.clock.now += 15
    assert bench.breakers.circuits == []
    bench.breakers.forget()
    assert bench.told == [("one", "asked no more", "open")]
    bench.clock.now += 30
    bench.breakers.forget()
    assert bench.told[1:] == [("one", "asked no more", "closed")]


def test_a_circuit_whose_probe_left_is_forgotten_too_and_one_that_is_probed_is_not() -> None:
    bench = Bench()
    bench.fail("one", "left")
    bench.fail("one", "probed")
    bench.clock.now += 15
    left, probed = (bench.breakers.admit("one", model) for model in ("left", "probed"))
    assert left
    assert probed
    left.end(failed=None)
    bench.clock.now += 60
    bench.breakers.forget()
    assert [(each.model, each.state) for each in bench.breakers.circuits] == [("probed", "half_open")]
    assert bench.told[-1] == ("one", "left", "closed")


def test_an_end_that_says_nothing_is_not_counted() -> None:
    bench = Bench()
    for _ in range(50):
        permit = bench.breakers.admit("one", "a")
        assert permit is not None
        permit.end(failed=None)
    bench.fail("one", "a", times=1)

    assert bench.breakers.admit("one", "a")


def test_where_it_is_off_everything_is_admitted() -> None:
    bench = Bench(enabled=False)
    bench.fail("one", "a", times=50)

    assert bench.breakers.admit("one", "a") is None
    assert len(bench.breakers) == 0


def test_calls_that_end_after_their_circuit_was_forgotten_open_none_that_nobody_would_close() -> None:
    bench = Bench()
    under_way = [bench.breakers.admit("one", "old") for _ in range(2)]
    for number in range(MAX_CIRCUITS):
        permit = bench.breakers.admit("two", f"made-up-{number}")
        assert permit is not None
        permit.end(failed=None)
    for permit in under_way:
        assert permit is not None
        permit.end(failed=True)

    assert bench.told == []
    assert bench.breakers.circuits == []
