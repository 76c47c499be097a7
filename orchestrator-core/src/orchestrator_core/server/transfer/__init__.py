"""Conversations as files: one line of JSON for each thing that is kept."""

from __future__ import annotations

from typing import Final

MEDIA_TYPE: Final = "application/x-ndjson"
