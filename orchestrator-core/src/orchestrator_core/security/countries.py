"""Which country an address is in, by a file in MaxMind's format (MaxMind DB File Format Specification 2.0)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from orchestrator_core.config import ConfigError, Settings
from orchestrator_core.config.extras import missing_extra
from orchestrator_core.security.networks import MAX_REMEMBERED, Address

if TYPE_CHECKING:
    from maxminddb.reader import Reader

SETTING: Final = "ORCHESTRATOR_GEOIP_DATABASE"

Lookup: TypeAlias = Callable[[Address], str | None]
"""Gives the two-letter code of an address's country."""


class Countries:
    """The countries of addresses, kept in memory: a file that is replaced or damaged meanwhile harms nothing."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            ConfigError: The file or the package to read it is not there, or it holds something else.
        """
        self._path = path
        self._look = self._opened()

    @classmethod
    def from_settings(cls, settings: Settings) -> Countries | None:
        """Read the file that the settings name; None where they name none.

        Raises:
            ConfigError: As for the class.
        """
        return cls(Path(settings.geoip_database)) if settings.geoip_database else None

    def read_again(self) -> Lookup:
        """Read the file once more; what was known stays until it is used. To be called in a thread.

        Raises:
            ConfigError: As for the class.
        """
        return self._opened()

    def use(self, fresh: Lookup) -> None:
        """Go by what was read again."""
        self._look = fresh

    def of(self, address: Address) -> str | None:
        """Return the two-letter code of an address's country, else of the one it is registered in; None if unknown."""
        return self._look(address)

    def _opened(self) -> Lookup:
        if problem := missing_extra(SETTING, "maxminddb", "geoip"):
            raise ConfigError([problem])
        # Here, because most gateways do without.
        from maxminddb import MODE_MEMORY, InvalidDatabaseError, open_database  # noqa: PLC0415

        try:
            reader = open_database(self._path, MODE_MEMORY)
        except OSError as error:
            raise ConfigError([f"{SETTING}: the file cannot be read ({error.strerror})."]) from None
        except (InvalidDatabaseError, ValueError):
            raise ConfigError([f"{SETTING}: the file is no database in MaxMind's format (.mmdb)."]) from None

        @lru_cache(MAX_REMEMBERED)
        def look(address: Address) -> str | None:
            try:
                return _code(reader, address)
            except (InvalidDatabaseError, ValueError):  # this part of the file is damaged, or it knows no IPv6
                return None

        return look


def _code(reader: Reader, address: Address) -> str | None:
    record: Any = reader.get(address)
    for name in ("country", "registered_country"):
        country = record.get(name) if isinstance(record, dict) else None
        code = country.get("iso_code") if isinstance(country, dict) else None
        if isinstance(code, str):
            return code.upper()
    return None
