"""What the groups of settings share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class SettingsGroup(BaseModel):
    """Settings that belong together. All groups make one flat model, `Settings`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
