from __future__ import annotations

from orchestrator_core.provider_api import Secret
from orchestrator_core.resilience.keys import REST, KeyRing

ONE, TWO, THREE = (Secret(f"key-number-{number}") for number in (1, 2, 3))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_keys_there_is_none() -> None:
    ring = KeyRing()
    assert ring.choose([]) is None
    ring.rest(ONE, 10)
    assert ring.choose([]) is None


def test_the_first_key_that_does_not_rest_is_chosen_in_the_order_of_the_configuration() -> None:
    ring = KeyRing()
    assert ring.choose([ONE, TWO, THREE]) == ONE
    ring.rest(ONE, 10)
    assert ring.choose([ONE, TWO, THREE]) == TWO
    assert ring.choose([THREE, ONE, TWO]) == THREE
    ring.rest(TWO, 10)
    assert ring.choose([ONE, TWO, THREE]) == THREE


def test_where_all_keys_rest_the_one_is_tried_that_comes_back_first() -> None:
    ring = KeyRing(Clock())
    ring.rest(ONE, 30)
    ring.rest(TWO, 2)
    assert ring.choose([ONE, TWO]) == TWO
    assert ring.choose([ONE]) == ONE
    assert not ring.another([ONE, TWO])
    assert ring.another([ONE, TWO, THREE])


def test_a_key_comes_back_after_its_time_which_is_bounded() -> None:
    clock = Clock()
    ring = KeyRing(clock)
    ring.rest(ONE, 86_400)
    clock.now += REST - 1
    assert ring.choose([ONE, TWO]) == TWO
    clock.now += 2
    assert ring.choose([ONE, TWO]) == ONE
    assert len(ring) == 0


def test_a_failure_anew_counts_from_anew_and_is_no_news() -> None:
    clock = Clock()
    ring = KeyRing(clock)
    assert ring.rest(ONE, 10)
    clock.now += 9
    assert not ring.rest(ONE, 10)
    clock.now += 9
    assert ring.choose([ONE, TWO]) == TWO
    clock.now += 2
    assert ring.rest(ONE, 10)


def test_keys_that_are_configured_anew_start_clean() -> None:
    ring = KeyRing()
    ring.rest(ONE, 10)
    ring.rest(TWO, 10)
    ring.forget([ONE, THREE])
    assert ring.choose([TWO, ONE]) == ONE
