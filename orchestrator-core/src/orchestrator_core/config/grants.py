"""What a client may do: whom it may ask, how often, and for how much."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, get_args

Role = Literal["admin", "client"]
"""`admin`: sees and manages all clients, their usage and the metrics. `client`: sees what is its own."""

Period = Literal["day", "month", "total"]
"""For how long a budget is: a day or a month of UTC, or once and for all."""

ROLES: tuple[Role, ...] = get_args(Role)
PERIODS: tuple[Period, ...] = get_args(Period)

MAX_NAMES: Final = 100
"""The most providers, and the most patterns of models, of one client."""

_PROVIDER = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_MODEL = re.compile(r"[A-Za-z0-9*][A-Za-z0-9_*-]{0,63}/[!-~]{1,256}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a client may spend in a period.

    Attributes:
        usd: US dollars; None does not limit money.
        tokens: Tokens, input and output together; None does not limit them.
        period: When it begins anew.
    """

    usd: float | None = None
    tokens: int | None = None
    period: Period = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a client may do. The default is everything that a client may, within the configured limits.

    Attributes:
        role: What it sees beside its own.
        providers: The providers that it may ask, fallbacks among them; None is all of them.
        models: Patterns of `provider/model` that it may ask, `*` standing for anything; None is all of them.
        requests_per_minute: Its own limit; None is the configured one.
        session_requests_per_minute: The limit of each of its sessions; None is the configured one.
        budget: What it may spend; None is any amount.
    """

    role: Role = "client"
    providers: frozenset[str] | None = None
    models: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    session_requests_per_minute: int | None = None
    budget: Budget | None = None

    def may_use(self, provider: str, model: str | None = None) -> bool:
        """Whether it may ask a provider for a model; without a model, for any of its models at all."""
        if self.providers is not None and provider not in self.providers:
            return False
        if self.models is None:
            return True
        if model is None:
            return any(_fits(_pieces(pattern.partition("/")[0]), provider) for pattern in self.models)
        name = f"{provider}/{model}"
        return any(_fits(_pieces(pattern), name) for pattern in self.models)


def check_provider(name: str) -> str:
    """Return a provider's name.

    Raises:
        ValueError: It can be none.
    """
    if not _PROVIDER.fullmatch(name):
        raise ValueError("expected names of providers, such as openai, as `orchestrator providers` shows them")
    return name


def check_model(pattern: str) -> str:
    """Return a pattern of models.

    Raises:
        ValueError: It is none.
    """
    if not _MODEL.fullmatch(pattern):
        raise ValueError("expected provider/model, * standing for anything, such as openai/* or mistral/mistral-small*")
    return pattern


@lru_cache(maxsize=4096)
def _pieces(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.split("*"))


def _fits(pieces: tuple[str, ...], text: str) -> bool:
    """Whether a text has the pieces in their order: in time that grows with its length, whatever the pattern."""
    first, *others = pieces
    if not others:
        return text == first
    *middle, last = others
    at, end = len(first), len(text) - len(last)
    if at > end or not (text.startswith(first) and text.endswith(last)):
        return False
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
