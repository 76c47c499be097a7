"""The newest security events."""

from __future__ import annotations

import re

from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.provider_api import Secret
from orchestrator_core.security.recent_events import KEPT, RecentEvents


def test_events_are_kept_in_their_order_with_their_time() -> None:
    recent = RecentEvents()
    recent.add("rate_limited", {"principal": "ada"})
    recent.add("permission_denied", {"remote": "203.0.113.7", "path": None})
    first, second = recent.all()
    assert (first.event, dict(first.details)) == ("rate_limited", {"principal": "ada"})
    assert second.event == "permission_denied"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.at)
    assert recent.count == 2


def test_a_flood_of_one_event_is_bounded_and_hides_no_other() -> None:
    recent = RecentEvents()
    recent.add("permission_denied", {})
    for number in range(KEPT * 10):
        recent.add("rate_limited", {"number": number})
    kept = recent.all()
    assert [event.event for event in kept].count("permission_denied") == 1
    assert [event.details["number"] for event in kept if event.event == "rate_limited"] == [*range(KEPT * 9, KEPT * 10)]


def test_no_key_is_kept() -> None:
    recent, key = RecentEvents(), "k" * 40
    with REDACTOR.hold(Secret(key)):
        recent.add("permission_denied", {"path": f"/api/{key}"})
    (event,) = recent.all()
    assert key not in str(event.details)
