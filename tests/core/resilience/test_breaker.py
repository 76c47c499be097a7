"""One circuit, by a clock of the test's own."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from orchestrator_core.resilience.breaker import Breaker, BreakerRules, State

RULES = BreakerRules(failure_rate=0.5, minimum_calls=10, window=30, cooldown=15, probes=1)


class Bench:
    def __init__(self, rules: BreakerRules = RULES) -> None:
        self.states: list[State] = []
        self.breaker = Breaker(rules, lambda breaker: self.states.append(breaker.state))
        self.now = 1000.0

    def begin(self) -> int | None:
        return None if self.breaker.wait(self.now) else self.breaker.admit(self.now)

    def call(self, *, failed: bool) -> bool:
        phase = self.begin()
        if phase is None:
            return False
        if failed:
            self.breaker.failed(phase, self.now)
        else:
            self.breaker.succeeded(phase, self.now)
        return True

    def calls(self, failures: int, successes: int = 0) -> None:
        for _ in range(successes):
            self.call(failed=False)
        for _ in range(failures):
            self.call(failed=True)


def test_a_few_failures_open_nothing() -> None:
    bench = Bench()
    bench.calls(failures=9)
    assert bench.breaker.state == "closed"
    bench.calls(failures=1)
    assert bench.breaker.state == "open"


def test_it_opens_at_the_rate_and_not_below_it() -> None:
    bench = Bench()
    bench.calls(successes=50, failures=49)
    assert bench.breaker.state == "closed"
    bench.calls(failures=1)
    assert bench.breaker.state == "open"


def test_what_is_older_than_the_window_is_forgotten() -> None:
    bench = Bench()
    bench.calls(failures=9)
    bench.now += 34  # the window, and a slice of it
    bench.calls(failures=9)
    assert bench.breaker.state == "closed"

    bench = Bench()
    bench.calls(failures=9)
    bench.now += 29
    bench.calls(failures=1)
    assert bench.breaker.state == "open"


def test_successes_that_are_forgotten_excuse_nothing() -> None:
    bench = Bench()
    bench.calls(successes=1000, failures=0)
    bench.now += 40
    bench.calls(failures=10)
    assert bench.breaker.state == "open"


def test_an_open_circuit_refuses_until_its_cooldown_is_over_and_then_lets_one_probe_through() -> None:
    bench = Bench()
    bench.calls(failures=10)
    bench.now += 5
    assert bench.begin() is None
    assert bench.breaker.wait(bench.now) == 10
    bench.now += 10
    assert bench.breaker.wait(bench.now) == 0
    assert bench.begin() is not None
    assert bench.begin() is None
    assert bench.breaker.state == "half_open"
    assert bench.breaker.wait(bench.now) == 15


def test_a_probe_that_takes_long_keeps_the_next_away_for_a_cooldown_and_no_longer() -> None:
    bench = Bench()
    bench.calls(failures=10)
    bench.now += 15
    first = bench.begin()
    assert first is not None
    bench.now += 14
    assert bench.begin() is None
    assert bench.breaker.wait(bench.now) == 1
    bench.now += 1
    second = bench.begin()
    assert second is not None
    assert bench.begin() is None
    bench.breaker.succeeded(first, bench.now)
    assert bench.breaker.state == "closed"
    bench.breaker.failed(second, bench.now)
    assert bench.breaker.state == "closed"


def test_a_probe_that_answers_closes_it_and_the_past_is_forgotten() -> None:
    bench = Bench()
    bench.calls(failures=10)
    bench.now += 15
    bench.call(failed=False)
    assert bench.breaker.state == "closed"
    bench.calls(failures=8)
    assert bench.breaker.state == "closed"
    assert bench.states == ["open", "half_open", "closed"]


def test_a_probe_that_begins_to_answer_closes_it_at_once_and_its_end_counts() -> None:
    bench = Bench()
    bench.calls(failures=10)
    bench.now += 15
    phase = bench.begin()
    assert phase is not None
    phase = bench.breaker.opened(phase)
    assert bench.breaker.state == "closed"
    bench.calls(failures=9)
    bench.breaker.failed(phase, bench.now)
    assert bench.breaker.state == "open"


def test_a_probe_that_fails_opens_it_for_another_cooldown() -> None:
    bench = Bench()
    bench.calls(failures=10)
    bench.now += 15
    bench.call(failed=True)
    assert bench.breaker.state == "open"
    assert bench.breaker.wait(bench.now) == 15


def test_a_probe_that_says_nothing_makes_room_for_another() -> None:
    bench = Bench()
    bench.calls(failures=10)
    bench.now += 15
    phase = bench.begin()
    assert phase is not None
    bench.breaker.released(phase)
    assert bench.breaker.state == "half_open"
    assert bench.call(failed=False)
    assert bench.breaker.state == "closed"


def test_what_began_before_says_nothing_of_now() -> None:
    bench = Bench()
    late = [bench.begin() for _ in range(30)]
    bench.calls(failures=10)
    bench.now += 15
    probe = bench.begin()
    for phase in late[:10]:
        assert phase is not None
        bench.breaker.succeeded(phase, bench.now)
    assert bench.breaker.state == "half_open"
    assert probe is not None
    bench.breaker.opened(probe)
    for phase in late[10:]:
        assert phase is not None
        bench.breaker.failed(phase, bench.now)
    assert bench.breaker.state == "closed"


def test_so_many_probes_as_configured() -> None:
    bench = Bench(BreakerRules(minimum_calls=2, probes=3))
    bench.calls(failures=2)
    bench.now += 15
    assert [bench.begin() is not None for _ in range(5)] == [True, True, True, False, False]


class AnyLife(RuleBasedStateMachine):
    """Whatever happens: no more probes than allowed and one a cooldown, no call while open, and always a way back."""

    under_way: Bundle[int] = Bundle("under_way")

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(BreakerRules(minimum_calls=3, window=10, cooldown=5, probes=2))
        self.half_open_at = 0.0

    @rule(target=under_way)
    def begin(self) -> int:
        before, state = self.bench.breaker.wait(self.bench.now), self.bench.breaker.state
        phase = self.bench.begin()
        if state == "open" and phase is not None:
            self.half_open_at = self.bench.now
        assert (phase is None) == (before > 0)
        return -1 if phase is None else phase

    @rule(phase=consumes(under_way), end=st.sampled_from(["failed", "succeeded", "released"]))
    def end(self, phase: int, end: str) -> None:
        breaker, now = self.bench.breaker, self.bench.now
        if phase >= 0 and end == "failed":
            breaker.failed(phase, now)
        elif phase >= 0 and end == "succeeded":
            breaker.succeeded(phase, now)
        elif phase >= 0:
            breaker.released(phase)

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        self.bench.now += seconds

    @invariant()
    def probes_are_bounded(self) -> None:
        assert 0 <= self.bench.breaker._probing <= 2 + (self.bench.now - self.half_open_at) / 5
        assert self.bench.breaker._probing == 0 or self.bench.breaker.state == "half_open"

    @invariant()
    def the_window_counts_right(self) -> None:
        calls, failures = self.bench.breaker._window.totals(self.bench.now)
        assert 0 <= failures <= calls


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
