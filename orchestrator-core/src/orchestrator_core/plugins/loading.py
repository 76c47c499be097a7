"""Loads entry points one by one, so that a broken plugin harms nobody but itself."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, Self, TypeVar, get_args

from importlib_metadata import EntryPoint, distribution, distributions
from pydantic import ValidationError

from orchestrator_core.config.messages import nearest
from orchestrator_core.config.redaction import MIN_LENGTH, REDACTOR
from orchestrator_core.config.settings import canonical_name
from orchestrator_core.plugins.manager import check_hooks
from orchestrator_core.provider_api import (
    CONTRACT_VERSION,
    ENTRY_POINT_GROUP,
    Capability,
    ProviderHooks,
    ProviderInfo,
    ProviderSettings,
    Secret,
)

T = TypeVar("T")

MAX_ERROR: Final = 200
"""Characters of what a plugin raised that are shown."""

_VERSION = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_A_PLUGIN_WAITS = "a plugin must not wait there. Update or remove it"
_OUTSIDE = "its distribution is not in ORCHESTRATOR_ALLOWED_PLUGINS, so that none of its code was run"
_OUTSIDE_CURE = "Uninstall it, or list its distribution there."
_SENSITIVE = re.compile(r"KEY|TOKEN|SECRET|PASSWORD")


@dataclass(frozen=True, slots=True)
class FoundPlugin:
    """An installed plugin: its class, or why it cannot be used.

    Attributes:
        name: The name of the entry point.
        distribution: The distribution that ships it.
        version: The distribution's version.
        cls: The provider class; None where it could not be loaded.
        fault: What is wrong; None where nothing is.
        cure: What its author is to do about it; None where nothing is wrong.
        allowed: Whether its distribution may be loaded; none of its code was run where not.
    """

    name: str
    distribution: str
    version: str
    cls: type[ProviderHooks] | None = None
    fault: str | None = None
    cure: str | None = None
    allowed: bool = True

    @property
    def package(self) -> str:
        """The top-level import package of the plugin."""
        return self.cls.__module__.partition(".")[0] if self.cls else ""


@dataclass(frozen=True, slots=True)
class Fault:
    """What keeps a class from being a provider.

    Attributes:
        problem: What is wrong.
        cure: What its author is to do, in a sentence.
    """

    problem: str
    cure: str


def find_plugins(timeout: float, allowed: Collection[str] | None = None) -> Sequence[FoundPlugin]:
    """Load every entry point of the group, each in a thread of its own.

    Args:
        timeout: Seconds that an import may take.
        allowed: The canonical names of the distributions that may be loaded; None is all.
    """
    points = sorted(_entry_points(), key=lambda found: (found[0].name, found[0].value))
    # One after the other: imports hold locks, and a slow one would slow the rest.
    return [
        _load(point, title, version, timeout)
        if allowed is None or canonical_name(title) in allowed
        else FoundPlugin(point.name, title, version, fault=_OUTSIDE, cure=_OUTSIDE_CURE, allowed=False)
        for point, title, version in points
    ]


def _entry_points() -> Iterator[tuple[EntryPoint, str, str]]:
    """Yield the entry points with name and version of their distributions.

    Of a distribution that is on the path twice the first counts, as it does for imports. One without readable
    metadata, such as the rest of a broken installation, is passed over.
    """
    names: set[str] = set()
    for installed in distributions():
        with suppress(Exception):
            # Parsing everybody's metadata would take longer than all else here.
            if installed.entry_points.select(group=ENTRY_POINT_GROUP):
                names.add(canonical_name(installed.metadata["Name"]))
    for name in names:
        with suppress(Exception):
            first = distribution(name)
            title, version = first.metadata["Name"], first.version
            yield from [(point, title, version) for point in first.entry_points.select(group=ENTRY_POINT_GROUP)]


def _load(point: EntryPoint, title: str, version: str, timeout: float) -> FoundPlugin:
    loaded: Isolated[object] = Isolated(point.load, "importing it").run(timeout)
    if loaded.fault is not None:
        return FoundPlugin(point.name, title, version, fault=loaded.fault, cure=_import_cure(point, loaded))
    looked = Isolated(lambda: class_fault(loaded.result), "looking at its class").run(timeout)
    fault = looked.result
    if looked.fault is not None:
        fault = Fault(looked.fault, "Let nothing run when an attribute of the class is read.")
    if fault is None and isinstance(loaded.result, type):
        return FoundPlugin(point.name, title, version, cls=loaded.result)
    assert fault is not None  # noqa: S101 - what is no class has one
    return FoundPlugin(point.name, title, version, fault=fault.problem, cure=fault.cure)


def _import_cure(point: EntryPoint, loaded: Isolated[object]) -> str:
    if not loaded.ended:
        return "Do at import nothing but define names: what has to wait belongs into the hooks."
    if point.module in sys.modules:  # Python forgets a module whose import failed
        return f"The module {point.module} can be imported: mend what the entry point names in it, {point.attr!r}."
    return f"Update it, or, as its author, mend it: `python -c 'import {point.module}'` shows where it fails."


class Isolated(Generic[T]):
    """What may hang, such as a plugin's code, on a thread of its own; it is left behind then, since nothing can end it.

    Attributes:
        result: What the code gave; None where it did not end well.
        fault: Why it did not, in words for an operator; None where it did.
        ended: Whether it came to an end at all.
    """

    def __init__(self, work: Callable[[], T], doing: str, waiting: str = _A_PLUGIN_WAITS) -> None:
        """Prepare a run.

        Args:
            work: What to run.
            doing: What that is, for messages: `importing it`.
            waiting: What must not wait there, and what to do about it.
        """
        self.result: T | None = None
        self.fault: str | None = None
        self.ended = True
        self._work = work
        self._doing = doing
        self._waiting = waiting
        self._began = 0.0
        self._thread = threading.Thread(target=self._run, name=f"plugin: {doing}", daemon=True)

    def start(self) -> Self:
        """Run it, and do not wait."""
        self._began = time.monotonic()
        self._thread.start()
        return self

    def wait(self, timeout: float) -> Self:
        """Wait for its end, until `timeout` seconds after its start."""
        self._thread.join(max(0.0, self._began + timeout - time.monotonic()))
        self.ended = not self._thread.is_alive()
        if self.ended and self.result is not None:
            self.fault = None
        elif not self.ended:
            self.fault = (
                f"{self._doing} took longer than {timeout:g} s: {self._waiting}; "
                "a slow machine may need a larger ORCHESTRATOR_PLUGIN_LOAD_TIMEOUT"
            )
        return self

    def run(self, timeout: float) -> Self:
        """Run it, and wait at most `timeout` seconds."""
        return self.start().wait(timeout)

    def _run(self) -> None:
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 - a module may raise anything, SystemExit among it
            self.fault = f"{self._doing} raised {describe(error)}. Update or remove it"


def describe(error: BaseException) -> str:
    """Return the kind of an error and what it says, without any secret."""
    kind = type(error).__name__
    text = ""
    with suppress(Exception):  # an exception of a plugin may fail to say what it is
        if not isinstance(error, ValidationError):  # which would show its input
            text = _masked(" ".join(str(error).split()))[:MAX_ERROR]
    return f"{kind}: {text}" if text else kind


def _masked(text: str) -> str:
    # Which variables hold a plugin's keys is only known when it has been imported.
    held = [value.split(",") for name, value in os.environ.items() if _SENSITIVE.search(name.upper())]
    for value in sorted({part.strip() for parts in held for part in parts}, key=len, reverse=True):
        if len(value) >= MIN_LENGTH:
            text = Secret(value).redact(text)
    return REDACTOR.redact(text)


def class_fault(cls: object) -> Fault | None:
    """Return what keeps a loaded object from being a provider, for its author, or None."""
    if not isinstance(cls, type) or not issubclass(cls, ProviderHooks):
        return Fault(
            "its entry point names something that is no subclass of ProviderHooks: name the provider class",
            'Write `NAME = "package:Class"` for the entry point, and derive the class from ProviderHooks.',
        )
    info = getattr(cls, "info", None)
    if not isinstance(info, ProviderInfo):
        problem = f"{cls.__name__} has no info: set the class attribute `info` to a ProviderInfo"
        return Fault(problem, "Write `info = ProviderInfo(name=..., title=..., capabilities=(...))` into the class.")
    settings_model = getattr(cls, "settings_model", None)
    if not isinstance(settings_model, type) or not issubclass(settings_model, ProviderSettings):
        problem = f"{cls.__name__}.settings_model is no subclass of ProviderSettings"
        return Fault(problem, "Derive it from ProviderSettings, or leave it out.")
    return contract_fault(info.contract_version) or _card_fault(info) or _hook_fault(cls)


def _card_fault(info: ProviderInfo) -> Fault | None:
    for name in (info.name, *info.aliases):
        if not _NAME.fullmatch(name):
            return Fault(
                f"{name[:80]!r} cannot be a provider's name: it may have lower-case letters, digits, '-', '_' and '.'",
                "Change it in info.name or info.aliases.",
            )
    known: tuple[str, ...] = get_args(Capability)
    for capability in info.capabilities:
        if capability not in known:
            problem = f"it declares {capability[:80]!r}, which is no capability.{nearest(capability, known)}"
            return Fault(problem, f"Name in info.capabilities only {', '.join(known)}.")
    return None


def _hook_fault(cls: type[ProviderHooks]) -> Fault | None:
    problem = check_hooks(cls)
    return None if problem is None else Fault(problem, "Write the hook as docs/reference/hooks.md has it.")


def contract_fault(version: str) -> Fault | None:
    """Return why a plugin of this contract version cannot be used here, or None."""
    stated = _VERSION.fullmatch(version)
    if stated is None:
        problem = f"its contract version {version[:20]!r} is not of the form major.minor"
        return Fault(problem, f"Set info.contract_version to the one it is written for, such as {CONTRACT_VERSION}.")
    major, minor = map(int, stated.groups())
    ours_major, ours_minor = map(int, CONTRACT_VERSION.split("."))
    if major != ours_major:
        problem = f"it is written for version {version} of the contract, this core for {CONTRACT_VERSION}: update one"
        older = "the plugin" if major < ours_major else "orchestrator-core"
        return Fault(problem, f"Update {older}.")
    if minor > ours_minor:
        problem = f"it needs version {version} of the contract, and this core has {CONTRACT_VERSION}: upgrade core"
        return Fault(problem, "Update orchestrator-core.")
    return None
