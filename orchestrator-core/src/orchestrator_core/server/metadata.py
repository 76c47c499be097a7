"""The caller's own data of a session: how much of it there may be."""

from __future__ import annotations

import json
from typing import Annotated, Final

from pydantic import AfterValidator

from orchestrator_core.provider_api import Json

MAX_METADATA: Final = 64 * 1024
"""Bytes of a session's metadata as JSON: lists of sessions carry them, a hundred on a page."""


def check_metadata(metadata: dict[str, Json]) -> dict[str, Json]:
    """Return metadata that are not too large.

    Raises:
        ValueError: They are.
    """
    if len(json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")) > MAX_METADATA:
        raise ValueError(f"metadata take up to {MAX_METADATA} bytes as JSON")
    return metadata


Metadata = Annotated[dict[str, Json], AfterValidator(check_metadata)]
"""Metadata that are not too large."""
