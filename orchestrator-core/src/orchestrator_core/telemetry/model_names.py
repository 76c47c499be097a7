"""What models are called in labels: callers name them, and what they make up is not to fill the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from orchestrator_core.telemetry.redaction import REDACTOR

MAX_MODELS: Final = 200
"""Model names that become labels."""

OTHER: Final = "other"

_BEGUN: Final = frozenset({None, "interrupted"})
"""How calls end in which the model answered, be it in part."""


class ModelNames:
    """The names that became labels; all others are `OTHER`.

    A name that never answered, and that nobody configured or lists, is none: typing errors, and worse, do not take the
    places of models.
    """

    def __init__(self) -> None:
        """Know no model."""
        self._is_model: Callable[[str, str], bool] | None = None
        self._names: set[str] = set()
        self._circuits: dict[tuple[str, str], str] = {}

    def know(self, is_model: Callable[[str, str], bool]) -> None:
        """Learn which names are models before they answered: says of a provider and a name whether it is one."""
        self._is_model = is_model

    def of_call(self, provider: str, model: str, error_code: str | None) -> str:
        """Return the label of a model, by how a call of it ended."""
        if model in self._names:
            return model
        if error_code not in _BEGUN and (self._is_model is None or not self._is_model(provider, model)):
            return OTHER
        model = REDACTOR.redact(model)  # a caller may put a key where a model's name belongs
        if len(self._names) >= MAX_MODELS:
            return OTHER
        self._names.add(model)
        return model

    def of_circuit(self, provider: str, model: str, state: str) -> str:
        """Return the label of a circuit, which it keeps until it is closed."""
        circuit = provider, model
        label = self._circuits.get(circuit) or self.of_call(provider, model, state)
        if state == "closed":
            self._circuits.pop(circuit, None)
        else:
            self._circuits[circuit] = label
        return label
