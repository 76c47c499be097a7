"""What a gateway answers, as far as the commands that look at one read it.

All else is passed over, and words that name a state are any: the gateway may be newer than the command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

MOST = 1e15
"""What is above it is no figure of a gateway."""

Figure = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Health:
    """`GET /api/health`."""

    status: str
    version: str
    timestamp: str


@dataclass(frozen=True, slots=True)
class Circuit:
    """A model that is left alone for a while."""

    model: str


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """One of `GET /api/providers`."""

    name: str
    state: str
    title: str | None = None
    error: str | None = None
    circuits: Sequence[Circuit] = ()


@dataclass(frozen=True, slots=True)
class Providers:
    """`GET /api/providers`."""

    providers: Sequence[ProviderRow]


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls to one provider in one step."""

    calls: Figure
    failed: Figure
    seconds: Figure
    cost: Figure


@dataclass(frozen=True, slots=True)
class Step:
    """One of `GET /api/activity`; `at` is when it ended, in seconds since the epoch."""

    at: int
    refused: Annotated[int, Field(ge=0, le=int(MOST))]
    providers: Mapping[str, Calls]


@dataclass(frozen=True, slots=True)
class Activity:
    """`GET /api/activity`: the newest steps, oldest first, and the seconds of each."""

    step: Annotated[int, Field(ge=1, le=3600)]
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions of `GET /api/metrics`."""

    active: Annotated[int, Field(ge=0, le=int(MOST))]


@dataclass(frozen=True, slots=True)
class Figures:
    """`GET /api/metrics`."""

    sessions: Sessions
