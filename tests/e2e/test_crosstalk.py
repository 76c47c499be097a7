"""Requests of several tenants at once: every answer is to the one who asked."""

from __future__ import annotations

from evidence.crosstalk import ENVIRON, Crosstalk, run
from processes import StartGateway


async def test_no_answer_has_the_word_of_another_request(gateway_process: StartGateway) -> None:
    gateway = gateway_process(ENVIRON)
    assert await run(gateway.url, requests=2000, concurrency=64, seed=2) == []


def test_the_judge_sees_words_that_are_missing_or_somebody_elses() -> None:
    own, other = b"canary" + b"1" * 16, b"canary" + b"2" * 16
    for body, faults in ((own, 0), (other, 2), (own + other, 1), (b"", 1)):
        judge = Crosstalk("", None, None)  # type: ignore[arg-type] - it asks nobody
        judge._judge("kind", own, {own}, body)
        assert len(judge.faults) == faults, body
    cut = b'data: {"choices": [{"delta": {"content": "canary1111"}}]}\n\ndata: {"delta": {"text": "111111111111"}}\n\n'
    judge = Crosstalk("", None, None)  # type: ignore[arg-type] - as above
    judge._judge("stream", own, {own}, cut)
    assert judge.faults == []
