from __future__ import annotations

from orchestrator_core.provider_api import Secret
from orchestrator_core.resilience.keys import EXHAUSTED_FOR, KeyRing

ONE, TWO, THREE = (Secret(f"key-number-{number}") for number in (1, 2, 3))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_keys_there_is_none() -> None:
    assert KeyRing().choose([]) is None


def test_the_first_key_with_quota_is_chosen_in_the_order_of_the_configuration() -> None:
    ring = KeyRing()
    assert ring.choose([ONE, TWO, THREE]) == ONE
    ring.exhausted(ONE)
    assert ring.choose([ONE, TWO, THREE]) == TWO
    assert ring.choose([THREE, ONE, TWO]) == THREE
    ring.exhausted(TWO)
    assert ring.choose([ONE, TWO, THREE]) == THREE


def test_where_no_key_has_quota_the_first_is_tried() -> None:
    ring = KeyRing()
    for key in (TWO, ONE):
        ring.exhausted(key)
    assert ring.choose([ONE, TWO]) == ONE
    assert ring.choose([TWO]) == TWO


def test_a_key_comes_back_after_its_time() -> None:
    clock = Clock()
    ring = KeyRing(clock)
    ring.exhausted(ONE)
    clock.now += EXHAUSTED_FOR - 1
    assert ring.choose([ONE, TWO]) == TWO
    clock.now += 2
    assert ring.choose([ONE, TWO]) == ONE


def test_a_failure_anew_counts_from_anew() -> None:
    clock = Clock()
    ring = KeyRing(clock)
    ring.exhausted(ONE)
    clock.now += EXHAUSTED_FOR - 1
    ring.exhausted(ONE)
    clock.now += EXHAUSTED_FOR - 1
    assert ring.choose([ONE, TWO]) == TWO
