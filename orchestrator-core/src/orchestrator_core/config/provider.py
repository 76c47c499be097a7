"""The configuration of one provider instance: its settings and its keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from orchestrator_core.config.errors import ConfigError
from orchestrator_core.config.messages import explain, nearest
from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.config.sources import Environ, parse
from orchestrator_core.provider_api import ProviderInfo, ProviderSettings, Secret

MAX_KEY_FILE_BYTES = 64 * 1024
"""Bytes; a larger file holds no keys."""

_KEY_FIELDS = ("api_key", "api_keys", "api_key_file", "key")


class SecretFile(NamedTuple):
    """A file with a secret.

    Attributes:
        name: By which an operator knows it: its own, or that of the variable that holds its path.
        path: Where it is.
    """

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """What an operator configured for one provider instance.

    Attributes:
        settings: An instance of the plugin's settings model.
        keys: The server's keys, whatever their form, in their order.
        key_file: The file that they were read from, where they were.
    """

    settings: ProviderSettings
    keys: tuple[Secret, ...] = ()
    key_file: SecretFile | None = None


def variable_prefix(name: str) -> str:
    """Return the prefix of variables that a name suggests: `my-server`, `MY_SERVER`."""
    return name.upper().replace("-", "_").replace(".", "_")


def prefixes(info: ProviderInfo, name: str | None = None) -> tuple[str, ...]:
    """Return the prefixes of an instance's variables, in order of precedence."""
    if name is not None and name != info.name:
        return (variable_prefix(name),)
    return tuple(info.env_prefixes) or (variable_prefix(info.name),)


def key_names(info: ProviderInfo, name: str | None = None) -> tuple[str, ...]:
    """Return the names of the variables that may hold an instance's keys, in order of precedence."""
    if info.key_env and (name is None or name == info.name):
        return tuple(info.key_env)
    return tuple(f"{prefix}_API_KEY" for prefix in prefixes(info, name))


def with_files(names: Iterable[str]) -> list[str]:
    """Return names of secrets, each with that of the variable that may name a file in its place."""
    return [candidate for name in names for candidate in (name, f"{name}_FILE")]


def read_provider(
    info: ProviderInfo,
    model: type[ProviderSettings],
    name: str | None,
    *,
    environ: Environ,
    table: Mapping[str, Any],
    table_name: str,
    directory: Path,
) -> ProviderConfig:
    """Read the settings and the keys of one instance.

    Args:
        info: What the provider says about itself.
        model: The plugin's settings model.
        name: The name of the instance; None is the provider's own.
        environ: The environment.
        table: The instance's table in the configuration file.
        table_name: The name of that table, for messages.
        directory: Where relative paths begin.

    Raises:
        ConfigError: With every problem of this instance.
    """
    problems = [
        f"{table_name}.{field}: a key does not belong into the file. "
        f"Set {key_names(info, name)[0]}, or the path of a file in {key_names(info, name)[0]}_FILE."
        for field in table
        if field in _KEY_FIELDS
    ]
    problems += [
        f"{table_name}.{field}: there is no such setting.{nearest(field, model.model_fields)}"
        for field in table
        if field not in _KEY_FIELDS and field not in model.model_fields
    ]
    values = {field: value for field, value in table.items() if field in model.model_fields}
    names = {field: f"{table_name}.{field}" for field in values}
    for field, spec in model.model_fields.items():
        variable = environ.first([f"{prefix}_{field.upper()}" for prefix in prefixes(info, name)])
        if variable is not None:
            names[field] = variable.name
            try:
                values[field] = parse(spec.annotation, variable.value)
            except ValueError as error:
                problems.append(f"{variable.name}: {error}.")
    settings = None
    try:
        settings = model.model_validate(values)
    except ValidationError as error:
        problems += explain(error, lambda field: names.get(field, f"{table_name}.{field}"), own=False)
    keys, key_file = _read_keys(key_names(info, name), environ, directory, problems)
    if settings is None or problems:
        raise ConfigError(problems)
    return ProviderConfig(settings, keys, key_file)


def _read_keys(
    names: Sequence[str], environ: Environ, directory: Path, problems: list[str]
) -> tuple[tuple[Secret, ...], SecretFile | None]:
    variable = environ.first(with_files(names))
    if variable is None:
        return (), None
    file = None
    text = variable.value
    if variable.name not in names:
        file = SecretFile(variable.name, directory / variable.value)
        text = read_secret_file(variable.name, file.path, problems)
    return tuple(dict.fromkeys(secrets(variable.name, text, problems))), file


def secrets(name: str, text: str, problems: list[str]) -> Iterator[Secret]:
    """Yield the secrets of a value that is separated by commas; each is masked in all logs from now on."""
    values = [value for part in text.split(",") if (value := part.strip())]
    if not all(map(_encodable, values)):
        problems.append(f"{name}: it is not UTF-8.")
        return
    # With its form in JSON and `repr`, where a quote or a backslash is escaped. The longest first: masking a part of
    # another secret first would leave the rest of that one.
    forms = {form for value in values for form in (value, json.dumps(value, ensure_ascii=False)[1:-1])}
    for form in sorted(forms, key=len, reverse=True):
        REDACTOR.add(Secret(form))
    yield from map(Secret, values)


def read_secret_file(name: str, path: Path, problems: list[str]) -> str:
    """Read a mounted secret, without the newline at its end; problems name the variable only."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEY_FILE_BYTES + 1)
        text = data.decode().rstrip("\r\n")
    except OSError as error:
        problems.append(f"{name}: its file cannot be read ({error.strerror or type(error).__name__}).")
    except UnicodeError:
        problems.append(f"{name}: its file is not UTF-8.")
    else:
        if len(data) > MAX_KEY_FILE_BYTES:
            problems.append(f"{name}: its file is larger than {MAX_KEY_FILE_BYTES} bytes, so it holds no key.")
        elif not text.strip():
            problems.append(f"{name}: its file is empty.")
        else:
            return text
    return ""


def _encodable(value: str) -> bool:
    # Bytes of the environment that are no UTF-8 arrive as lone surrogates.
    return not any("\ud800" <= character <= "\udfff" for character in value)
