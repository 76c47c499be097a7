"""Loads entry points one by one, so that a broken plugin harms nobody but itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from importlib_metadata import EntryPoint, entry_points

from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.plugins.manager import check_hooks
from orchestrator_core.provider_api import (
    CONTRACT_VERSION,
    ENTRY_POINT_GROUP,
    ProviderHooks,
    ProviderInfo,
    ProviderSettings,
)


@dataclass(frozen=True, slots=True)
class FoundPlugin:
    """An installed plugin: its class, or why it cannot be used.

    Attributes:
        name: The name of the entry point.
        distribution: The distribution that ships it.
        version: The distribution's version.
        cls: The provider class; None where it could not be loaded.
        fault: What is wrong; None where nothing is.
    """

    name: str
    distribution: str
    version: str
    cls: type[ProviderHooks] | None = None
    fault: str | None = None

    @property
    def package(self) -> str:
        """The top-level import package of the plugin."""
        return self.cls.__module__.partition(".")[0] if self.cls else ""


def find_plugins(timeout: float) -> Sequence[FoundPlugin]:
    """Load every entry point of the group, each in a thread of its own.

    Args:
        timeout: Seconds that an import may take.
    """
    points = sorted(_unique(), key=lambda point: (point.name, point.value))
    loads = [_Load(point) for point in points]
    for load in loads:  # one after the other: imports hold locks, and a slow one would slow the rest
        load.run(timeout)
    return [load.found(timeout) for load in loads]


def _unique() -> Iterator[EntryPoint]:
    """Yield the entry points; a distribution that is found twice on the path counts once."""
    seen: set[tuple[str, str, str]] = set()
    for point in entry_points(group=ENTRY_POINT_GROUP):
        key = (point.name, point.value, point.dist.name if point.dist else "")
        if key not in seen:
            seen.add(key)
            yield point


class _Load:
    """The import of one plugin."""

    def __init__(self, point: EntryPoint) -> None:
        self._point = point
        self._loaded: object = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._load, name=f"load {point.name}", daemon=True)

    def run(self, timeout: float) -> None:
        self._thread.start()
        self._thread.join(timeout)

    def found(self, timeout: float) -> FoundPlugin:
        point = self._point
        name, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "unknown")
        if self._thread.is_alive():
            fault: str | None = f"importing it took longer than {timeout:g} s"
        elif self._error is not None:
            kind = type(self._error).__name__
            text = REDACTOR.redact(str(self._error))[:200]
            fault = f"importing it raised {kind}: {text}" if text else f"importing it raised {kind}"
        else:
            fault = class_fault(self._loaded)
        if fault is not None:
            return FoundPlugin(point.name, name, version, fault=fault)
        assert isinstance(self._loaded, type)  # noqa: S101 - class_fault has checked it
        return FoundPlugin(point.name, name, version, cls=self._loaded)

    def _load(self) -> None:
        try:
            self._loaded = self._point.load()
        except BaseException as error:  # noqa: BLE001 - a module may raise anything, SystemExit among it
            self._error = error


def class_fault(cls: object) -> str | None:
    """Return what keeps a loaded object from being a provider, in words for its author, or None."""
    if not isinstance(cls, type) or not issubclass(cls, ProviderHooks):
        return "its entry point names something that is no subclass of ProviderHooks"
    info = getattr(cls, "info", None)
    if not isinstance(info, ProviderInfo):
        return f"{cls.__name__}.info is no ProviderInfo"
    settings_model = getattr(cls, "settings_model", None)
    if not isinstance(settings_model, type) or not issubclass(settings_model, ProviderSettings):
        return f"{cls.__name__}.settings_model is no subclass of ProviderSettings"
    return contract_fault(info.contract_version) or check_hooks(cls)


def contract_fault(version: str) -> str | None:
    """Return why a plugin of this contract version cannot be used here, or None."""
    try:
        major, minor = map(int, version.split("."))
    except ValueError:
        return f"its contract version {version[:20]!r} is not of the form major.minor"
    ours_major, ours_minor = map(int, CONTRACT_VERSION.split("."))
    if major != ours_major:
        return f"it is written for version {version} of the contract, and this core has {CONTRACT_VERSION}"
    if minor > ours_minor:
        return f"it needs version {version} of the contract, and this core has {CONTRACT_VERSION}: upgrade core"
    return None
