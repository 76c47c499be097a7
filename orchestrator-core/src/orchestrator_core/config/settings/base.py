"""What the groups of settings share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def lower(value: Any) -> Any:
    """Return a text in lower case, for settings that are one of several words; anything else as it is."""
    return value.lower() if isinstance(value, str) else value


class SettingsGroup(BaseModel):
    """Settings that belong together. All groups make one flat model, `Settings`."""

    # Values are checked by `Settings` alone: the groups are never built.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)
