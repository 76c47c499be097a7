"""The last hour, from the counters."""

from __future__ import annotations

from orchestrator_core.provider_api import Usage
from orchestrator_core.telemetry.activity import STEP, STEPS, Activity, ProviderActivity, Totals, totals
from orchestrator_core.telemetry.metrics import CANCELLED, Metrics


def test_a_step_has_what_the_counters_gained_in_it() -> None:
    metrics, activity = Metrics(), Activity()
    metrics.observe_call("acme", "m", "chat", 9.0)
    activity.add(0, totals(metrics))
    metrics.observe_request("api", 200, 0.1)
    metrics.observe_request("api", 429, 0.1)
    metrics.observe_request("openai", 502, 0.1)
    metrics.observe_call("acme", "m", "chat", 2.0, usage=Usage(input_tokens=3, output_tokens=4), cost=0.5)
    metrics.observe_call("acme", "m", "chat", 1.0, "provider_failed")
    metrics.observe_call("acme", "m", "chat", 7.0, CANCELLED)
    metrics.observe_call("other", "m", "chat", 1.0)
    metrics.requests_in_flight.inc(2)
    metrics.streams_in_flight.inc()
    activity.add(STEP, totals(metrics))
    activity.add(2 * STEP, totals(metrics))
    first, second = activity.after(0, 2 * STEP)
    assert (first.at, first.requests, first.errors, first.refused) == (STEP, 3, 1, 1)
    assert (first.in_flight, first.streams) == (2, 1)
    assert first.providers == {
        "acme": ProviderActivity(calls=2, failed=1, seconds=3.0, tokens=7, cost=0.5),
        "other": ProviderActivity(calls=1, seconds=1.0),
    }
    assert (second.requests, second.in_flight, second.providers) == (0, 2, {})


def test_an_hour_is_kept_and_no_more() -> None:
    activity, nothing = Activity(), Totals()
    for step in range(STEPS * 2):
        activity.add(step * STEP, nothing)
    now = (STEPS * 2 - 1) * STEP
    assert len(activity.after(0, now)) == STEPS
    assert [step.at for step in activity.after(now - STEP, now)] == [now]
    # Where nothing was added for a while, what is older than an hour is not shown.
    assert len(activity.after(0, now + 10 * STEP)) == STEPS - 10


def test_a_counter_that_begins_anew_takes_nothing_away() -> None:
    before, activity = Metrics(), Activity()
    before.observe_request("api", 200, 0.1)
    before.observe_call("acme", "m", "chat", 1.0)
    activity.add(0, totals(before))
    activity.add(STEP, totals(Metrics()))
    (step,) = activity.after(0, STEP)
    assert (step.requests, step.providers) == (0, {})
