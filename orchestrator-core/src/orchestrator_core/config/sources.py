"""Where configuration comes from: the process environment, `.env` and the configuration file."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

PROCESS = "the environment"
DOTENV = ".env"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment.

    Attributes:
        name: Its name.
        value: Its value, without white space around it; never empty.
        source: Where it is set, for messages.
    """

    name: str
    value: str
    source: str

    def __repr__(self) -> str:
        return f"Variable({self.name!r} from {self.source})"


class Environ:
    """The process environment over `.env`. An empty value is not set."""

    def __init__(self, process: Mapping[str, str], dotenv: Mapping[str, str | None]) -> None:
        self._sources = tuple(
            (source, {name: value.strip() for name, value in values.items() if value and value.strip()})
            for source, values in ((PROCESS, process), (DOTENV, dotenv))
        )

    def first(self, names: Sequence[str]) -> Variable | None:
        """Return the first of several names that is set: the process before `.env`, then by their order.

        So a variable of the process wins over a placeholder in `.env`, whichever of its names is used.
        """
        for source, values in self._sources:
            for name in names:
                if name in values:
                    return Variable(name, values[name], source)
        return None

    def __iter__(self) -> Iterator[Variable]:
        """Yield every variable, of a name that is set twice the one that counts."""
        seen: set[str] = set()
        for source, values in self._sources:
            for name, value in values.items():
                if name not in seen:
                    seen.add(name)
                    yield Variable(name, value, source)


def read_dotenv(path: Path, problems: list[str]) -> Mapping[str, str | None]:
    """Read a `.env` file, where there is one. Nothing is interpolated; the last line of a name counts."""
    try:
        if not path.exists():
            return {}
        from dotenv import dotenv_values  # noqa: PLC0415 - only where there is such a file

        return dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except OSError as error:
        problems.append(f"{path.name}: it cannot be read ({error.strerror or type(error).__name__}).")
    except UnicodeError:
        problems.append(f"{path.name}: it is not UTF-8.")
    return {}


def read_toml(path: Path, problems: list[str]) -> Mapping[str, Any]:
    """Read a configuration file."""
    import tomllib  # noqa: PLC0415 - only where there is such a file

    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        problems.append(f"{path.name}: it cannot be read ({error.strerror or type(error).__name__}).")
    except UnicodeError:
        problems.append(f"{path.name}: it is not UTF-8.")
    except tomllib.TOMLDecodeError as error:
        # The message names a line and what stands there may be a value, so only the place is shown.
        place = str(error).rpartition("(")[2].rstrip(")")
        problems.append(f"{path.name}: it is not TOML ({place}).")
    return {}


def parse(annotation: Any, text: str) -> Any:
    """Make of an environment value what a field of this type takes.

    Lists are separated by commas, mappings are JSON; anything else stays text, for pydantic to read.

    Raises:
        ValueError: A mapping is no JSON object.
    """
    kinds = set(_kinds(annotation))
    if kinds & {tuple, list, set, frozenset, Sequence}:
        return split(text)
    if any(isinstance(kind, type) and issubclass(kind, (Mapping, BaseModel)) for kind in kinds):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise ValueError("expected a JSON object")
        return value
    return unquote(text)


def split(text: str) -> tuple[str, ...]:
    """Split at commas; white space, and quotes around the whole or an item, do not belong to it."""
    items = (unquote(item.strip()) for item in unquote(text).split(","))
    return tuple(item for item in items if item)


def unquote(text: str) -> str:
    """Take matching quotes from around a value: `docker run --env-file` leaves them there."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" and text[0] not in text[1:-1]:
        return text[1:-1].strip()
    return text


def _kinds(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        for argument in get_args(annotation):
            yield from _kinds(argument)
    elif hasattr(annotation, "__metadata__"):
        yield from _kinds(annotation.__origin__)
    else:
        yield origin or annotation
