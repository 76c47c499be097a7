from __future__ import annotations

import time

from orchestrator_core.provider_api import Adjustment, AdjustmentReport


def test_what_is_noted_twice_stands_there_once() -> None:
    report = AdjustmentReport(strict=False)
    for _ in range(2):
        report.dropped("image", "no")
        report.mapped("image", "no")
    assert report.adjustments == [Adjustment("image", "dropped", "no"), Adjustment("image", "mapped", "no")]


def test_the_time_for_notes_grows_with_their_number() -> None:
    report, names = AdjustmentReport(strict=False), [f"field_{number}" for number in range(40_000)]
    begun = time.process_time()
    for name in names:
        report.dropped(name, "no")
    assert [each.subject for each in report.adjustments] == names
    assert time.process_time() - begun < 10
