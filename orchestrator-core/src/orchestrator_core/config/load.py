"""Reading the whole configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote as percent_decoded
from urllib.parse import urlsplit

from pydantic import ValidationError

from orchestrator_core.config.errors import ConfigError
from orchestrator_core.config.messages import explain, nearest
from orchestrator_core.config.provider import ProviderConfig, SecretFile, read_provider, read_secret_file, secrets
from orchestrator_core.config.settings import FILE_NAME, PREFIX, Settings, environment_names
from orchestrator_core.config.sources import DOTENV, Environ, Variable, parse, read_dotenv, read_toml
from orchestrator_core.provider_api import ProviderInfo, ProviderSettings, Secret

CONFIG_VARIABLE = f"{PREFIX}CONFIG"
"""Names another configuration file than `orchestrator.toml`."""

PROVIDER_TABLE = "provider"
"""The table of the file that holds one table for each provider: `[provider.openai]`."""

SECRETS = {
    setting: environment_names(setting)[0]
    for setting, field in Settings.model_fields.items()
    if Secret in get_args(field.annotation)
}
"""The settings that hold a secret, with their names in the environment; `_FILE` after it names a file."""

_KNOWN = {name: setting for setting in Settings.model_fields for name in environment_names(setting)}
_OTHER = (CONFIG_VARIABLE, *(f"{name}_FILE" for name in SECRETS.values()))

# Kubernetes and Docker links put such variables into every container; for a Service that is called
# `orchestrator-agent` they begin like settings (Kubernetes documentation, "Accessing the Service").
_SERVICE_NAME = re.compile(
    r"ORCHESTRATOR_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_VALUE = re.compile(r"(tcp|udp|sctp)://")


class Config:
    """All that an operator configured, as it was read: what is read of a provider is read once.

    Attributes:
        settings: The settings of the gateway itself.
        directory: The working directory, where relative paths begin.
        file: The configuration file; None where there is none.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Environ,
        tables: Mapping[str, Mapping[str, Any]],
        directory: Path,
        secret_files: tuple[SecretFile, ...] = (),
        file: Path | None = None,
    ) -> None:
        """Wrap what `load` read."""
        self.settings = settings
        self.file = file
        self._secret_files = dict.fromkeys(secret_files)
        self._environ = environ
        self._tables = tables
        self._providers: dict[str, ProviderConfig] = {}
        self.directory = directory

    @property
    def secret_files(self) -> tuple[SecretFile, ...]:
        """The files with secrets that were read until now.

        They are `.env`, those that `_FILE` names, and the configuration file where a URL in it has a password.
        """
        return tuple(self._secret_files)

    @property
    def variables(self) -> Iterator[Variable]:
        """The variables of the environment and of `.env`."""
        return iter(self._environ)

    @property
    def provider_tables(self) -> tuple[str, ...]:
        """The names of the providers that have a table in the file."""
        return tuple(self._tables)

    def provider(self, info: ProviderInfo, model: type[ProviderSettings], name: str | None = None) -> ProviderConfig:
        """Return the settings and keys of a provider instance; they are read when they are asked for first.

        Args:
            info: What the provider says about itself.
            model: The plugin's settings model.
            name: The name of a configured server; None is the provider itself.

        Raises:
            ConfigError: With every problem of this instance.
        """
        known = self._providers.get(name or info.name)
        if known is not None:
            return known
        table, table_name = self._tables.get(info.name, {}), f"{PROVIDER_TABLE}.{info.name}"
        if name is not None and name in self.settings.servers:
            table, table_name = self.settings.servers[name].values, f"servers.{name}"
        found = read_provider(
            info,
            model,
            name,
            environ=self._environ,
            table=table,
            table_name=table_name,
            directory=self.directory,
        )
        if found.key_file is not None:
            self._secret_files[found.key_file] = None
        self._providers[name or info.name] = found
        return found

    def use_keys(self, name: str, keys: Sequence[Secret]) -> None:
        """Have other keys of a provider instance in place of those that were read.

        Args:
            name: The name of the instance, which was read before.
            keys: The keys.
        """
        self._providers[name] = replace(self._providers[name], keys=tuple(keys))


def load(
    environ: Mapping[str, str] | None = None, directory: Path | None = None, config_file: Path | None = None
) -> Config:
    """Read the configuration: the environment, then `.env`, then the file, then the defaults.

    Args:
        environ: The process environment; that of this process where None.
        directory: The working directory, which holds `.env` and `orchestrator.toml`.
        config_file: The configuration file, in place of the one that the environment names.

    Raises:
        ConfigError: With every problem of the gateway's own settings. Those of providers come from
            `Config.provider`, since only installed providers know their names.
    """
    directory = Path.cwd() if directory is None else directory
    problems: list[str] = []
    dotenv = directory / DOTENV
    variables = Environ(os.environ if environ is None else environ, read_dotenv(dotenv, problems))
    file = _file_path(variables, directory, config_file, problems)
    entries = dict(read_toml(file, problems)) if file else {}
    tables = _provider_tables(entries.pop(PROVIDER_TABLE, {}), problems)

    values, names = _from_file(entries, problems)
    _from_environment(variables, values, names, problems)
    secret_files = [SecretFile(DOTENV, dotenv)] if dotenv.is_file() else []
    for setting in SECRETS:
        _read_secret(setting, variables, directory, values, names, secret_files, problems)
    settings = _settings(values, names, problems)
    if settings is None:
        raise ConfigError(problems)
    passwords = _register_passwords(settings)
    if file is not None and not passwords.isdisjoint(entries):
        secret_files.append(SecretFile(file.name, file))
    config = Config(settings, variables, tables, directory, tuple(secret_files), file)
    if problems:
        raise ConfigError(problems, rest=config)
    return config


def _settings(values: Mapping[str, Any], names: Mapping[str, str], problems: list[str]) -> Settings | None:
    """Make the settings; what is wrong becomes a problem, and has its default."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problems += explain(error, lambda field: names.get(field, field), own=True)
        wrong = {
            detail["loc"][0] for detail in error.errors(include_input=False, include_context=False) if detail["loc"]
        }
    try:
        return Settings.model_validate({name: value for name, value in values.items() if name not in wrong})
    except ValidationError:
        return None


def _file_path(variables: Environ, directory: Path, config_file: Path | None, problems: list[str]) -> Path | None:
    named = variables.first([CONFIG_VARIABLE])
    if config_file is None and named is None:
        path = directory / FILE_NAME
        return path if path.exists() else None
    path = directory / (config_file or (named.value if named else ""))
    if path.is_file():
        return path
    problems.append(
        f"{CONFIG_VARIABLE}: there is no such file." if config_file is None else f"{path.name}: no such file."
    )
    return None


def _provider_tables(found: object, problems: list[str]) -> dict[str, Mapping[str, Any]]:
    if not isinstance(found, dict) or not all(isinstance(table, dict) for table in found.values()):
        problems.append(f"{PROVIDER_TABLE}: expected one table for each provider, such as [{PROVIDER_TABLE}.openai].")
        return {}
    return found


def _from_file(entries: Mapping[str, Any], problems: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    for name, value in entries.items():
        if name in SECRETS:
            problems.append(
                f"{name}: a key does not belong into the file. Set {SECRETS[name]} or {SECRETS[name]}_FILE."
            )
        elif name in Settings.model_fields:
            values[name] = value
        else:
            hint = nearest(name, (*Settings.model_fields, PROVIDER_TABLE))
            problems.append(f"{name}: the configuration file has no such setting.{hint}")
    return values, {name: f"{name} (in the file)" for name in values}


def _from_environment(variables: Environ, values: dict[str, Any], names: dict[str, str], problems: list[str]) -> None:
    for setting, field in Settings.model_fields.items():
        variable = variables.first(environment_names(setting))
        if variable is None or setting in SECRETS:
            continue
        names[setting] = variable.name
        values.pop(setting, None)
        try:
            values[setting] = parse(field.annotation, variable.value)
        except ValueError as error:
            problems.append(f"{variable.name}: {error}.")
    known = [*_KNOWN, *_OTHER]
    problems += [
        f"{variable.name}: there is no such setting.{_hint(variable, known)}"
        for variable in variables
        if variable.name.startswith(PREFIX) and variable.name not in known and not _of_a_service(variable)
    ]


def _hint(variable: Variable, known: list[str]) -> str:
    bare = variable.name.removeprefix(PREFIX)
    return f" Did you mean {bare}?" if bare in known else nearest(variable.name, known)


def _of_a_service(variable: Variable) -> bool:
    if _SERVICE_NAME.fullmatch(variable.name):
        return True
    return variable.name.endswith("_PORT") and _SERVICE_VALUE.match(variable.value) is not None


def _read_secret(
    setting: str,
    variables: Environ,
    directory: Path,
    values: dict[str, Any],
    names: dict[str, str],
    secret_files: list[SecretFile],
    problems: list[str],
) -> None:
    name = SECRETS[setting]
    variable = variables.first([name, f"{name}_FILE"])
    if variable is None:
        return
    text = variable.value
    if variable.name != name:
        path = directory / text
        text = read_secret_file(variable.name, path, problems)
        secret_files.append(SecretFile(variable.name, path))
    found = list(secrets(variable.name, text, problems))
    if len(found) > 1:
        problems.append(f"{variable.name}: expected one key, without commas.")
    elif found:
        values[setting], names[setting] = found[0], variable.name


def _register_passwords(settings: Settings) -> set[str]:
    """Have every password in a URL masked, and return the settings that have one."""
    found = set()
    for name in ("database_url", "redis_url", "upstream_proxy"):
        url = getattr(settings, name)
        try:
            password = urlsplit(url).password if url else None
        except ValueError:
            continue
        if password:
            found.add(name)
            list(secrets("", f"{password},{percent_decoded(password)}", []))
    return found
