"""Who may read or change the files that the gateway reads: it itself, and nobody else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator_core.config.provider import SecretFile
from orchestrator_core.config.settings import SQLITE, environment_names
from orchestrator_core.security.startup.subject import Subject


def readable(subject: Subject) -> Iterator[str]:
    """Yield each file of secrets or conversations that every user of the machine can read."""
    for name, path in _private(subject):
        if _is_read_by_others(path) and not _is_mounted(subject, path):
            yield f"{name}: every user of this machine can read it; use `chmod 600`."


def readable_mounted(subject: Subject) -> Iterator[str]:
    """Yield each such file that is mounted into a container: Docker and Kubernetes make secrets readable by all."""
    for name, path in _private(subject):
        if _is_read_by_others(path) and _is_mounted(subject, path):
            yield f"{name}: every user of this container can read it; let nothing else run in it."


def writable(subject: Subject) -> Iterator[str]:
    """Yield each file that every user of the machine can change, or put another in its place."""
    file = subject.config.file
    for name, path in dict.fromkeys([*_private(subject), *([SecretFile(file.name, file)] if file else [])]):
        if _is_changed_by_others(path):
            yield f"{name}: every user of this machine can change it; use `chmod 600`, in a folder of its own."


def unwritable_database(subject: Subject) -> Iterator[str]:
    """Yield that SQLite's file can neither be made nor written where it is to be."""
    for name, path in _database(subject):
        made = os.access(path.parent, os.W_OK | os.X_OK) and not stat.S_ISDIR(_mode(path))
        if not made or (os.access(path, os.F_OK) and not os.access(path, os.W_OK)):
            yield (
                f"{name}: its file cannot be made or written; make its folder, and give both to the user who runs the "
                "gateway."
            )


def _private(subject: Subject) -> Sequence[SecretFile]:
    return [*subject.config.secret_files, *_database(subject)]


def _database(subject: Subject) -> Iterator[SecretFile]:
    url = subject.settings.database_url
    if url.startswith(SQLITE):
        (name,) = environment_names("database_url")
        yield SecretFile(name, subject.config.directory / url.removeprefix(SQLITE))


def _is_read_by_others(path: Path) -> bool:
    return bool(_mode(path) & stat.S_IROTH) and _is_reached_by_others(path)


def _is_changed_by_others(path: Path) -> bool:
    folder = _mode(path.parent)
    replaced = folder & stat.S_IWOTH and not folder & stat.S_ISVTX and path.exists()
    return bool(_mode(path) & stat.S_IWOTH or replaced) and _is_reached_by_others(path)


def _is_reached_by_others(path: Path) -> bool:
    """Whether every folder on the way lets others pass."""
    return all(_mode(folder) & stat.S_IXOTH for folder in path.resolve().parents)


def _is_mounted(subject: Subject, path: Path) -> bool:
    """Whether a file comes from outside of the container, so that its mode is made by who mounts it."""
    return subject.runtime.container and path.stat().st_dev != _root_device()


def _root_device() -> int:
    return Path("/").stat().st_dev


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0
