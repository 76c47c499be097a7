"""What the comparison of the providers says by hand is what the recordings say."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "comparison.md"
RECORDINGS = os.environ.get("ORCHESTRATOR_RECORDINGS")


@pytest.mark.skipif(RECORDINGS is None, reason="ORCHESTRATOR_RECORDINGS names no folder of recorded traffic")
@pytest.mark.parametrize(
    ("row", "provider", "kind", "header"),
    [
        ("OpenAI, `openai-processing-ms`, Chat Completions, whole", "openai", "chat", "openai-processing-ms"),
        ("OpenAI, the same, streamed", "openai", "chat_stream", "openai-processing-ms"),
        ("OpenAI, the same, embeddings", "openai", "embeddings", "openai-processing-ms"),
        ("xAI, `x-metrics-ttft-ms`, Responses: until the first token", "grok", "responses", "x-metrics-ttft-ms"),
        ("xAI, `x-metrics-e2e-ms`, Responses: the whole answer", "grok", "responses", "x-metrics-e2e-ms"),
    ],
)
def test_times_are_those_of_the_recordings(row: str, provider: str, kind: str, header: str) -> None:
    times = list(_times(provider, kind, header))
    figures = " | ".join(f"{round(time):,} ms" for time in (median(times), min(times), max(times)))
    assert f"| {row} | {len(times)} | {figures} |" in PAGE.read_text()


def _times(provider: str, kind: str, header: str) -> Iterator[float]:
    for path in Path(RECORDINGS or ".").glob(f"{provider}-{kind}-*.json"):
        recording = json.loads(path.read_text())
        headers = {name.lower(): value for name, value in (recording["response_headers"] or {}).items()}
        if recording["status"] == 200 and header in headers:
            yield float(headers[header])
