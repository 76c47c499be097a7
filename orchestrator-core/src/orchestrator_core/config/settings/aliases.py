"""Names of the operator's own for models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Strategy = Literal["ordered", "weighted", "cheapest"]
"""`ordered`: the first target, then the next. `weighted`: drawn by weight. `cheapest`: the lowest known price first."""

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _name(text: str) -> str:
    if not text or text != text.strip():
        raise ValueError("expected a name without spaces around it")
    return text


AliasName = Annotated[str, AfterValidator(_name)]


def _target(text: str) -> str:
    provider, _, model = text.partition("/")
    if not provider or not model:
        raise ValueError("expected a target of the form provider/model")
    return text


class AliasEntry(BaseModel):
    """What a name stands for: `"openai/gpt-6-luna"`, or a table with several targets.

    Attributes:
        targets: Models as `provider/model`. One answers; the others are asked where it fails.
        strategy: Who is asked first, and in which order the others follow.
        weights: How often each target is drawn, in relation to the others; 0 is asked only where others fail.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    targets: tuple[Annotated[str, AfterValidator(_target)], ...]
    strategy: Strategy = "ordered"
    weights: tuple[Weight, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_one_target(cls, value: Any) -> Any:
        if not isinstance(value, str | Mapping | cls):
            raise ValueError("expected provider/model, or a table with targets")  # noqa: TRY004 - pydantic takes no other
        return {"targets": (value,)} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if not self.targets:
            raise ValueError("expected one target at least")
        if len(set(self.targets)) < len(self.targets):
            raise ValueError("expected every target once; weights say how often one is drawn")
        if (self.weights is not None) != (self.strategy == "weighted"):
            raise ValueError('expected weights with the strategy "weighted", and only there')
        if self.weights is not None and len(self.weights) != len(self.targets):
            raise ValueError("expected one weight for every target")
        if self.weights is not None and not any(self.weights):
            raise ValueError("expected a weight above 0 for one target at least")
        return self
