from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator_core.config import load
from orchestrator_core.provider_api import ProviderInfo, ProviderSettings
from orchestrator_core.security.startup import files
from orchestrator_core.security.startup.runtime import Runtime
from orchestrator_core.security.startup.subject import Subject

KEY = "sk-" + "aB3dE6gH" * 6


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter; those of pytest are closed."""
    made = Path(tempfile.mkdtemp(prefix="orchestrator-files-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def subject(folder: Path, **runtime: bool) -> Subject:
    return Subject(load({}, folder), runtime=Runtime(**runtime))


def dotenv(folder: Path, mode: int) -> Path:
    path = folder / ".env"
    path.write_text(f"OPENAI_API_KEY={KEY}\n")
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("mode", "read", "changed"),
    [
        (0o600, 0, 0),
        (0o400, 0, 0),
        (0o640, 0, 0),
        (0o660, 0, 0),
        (0o644, 1, 0),
        (0o604, 1, 0),
        (0o602, 0, 1),
        (0o666, 1, 1),
    ],
)
def test_what_others_may_do_with_a_file(folder: Path, mode: int, read: int, changed: int) -> None:
    dotenv(folder, mode)
    assert len(list(files.readable(subject(folder)))) == read
    assert len(list(files.writable(subject(folder)))) == changed


def test_a_file_below_a_closed_folder_is_reached_by_nobody(folder: Path) -> None:
    dotenv(folder, 0o666)
    folder.chmod(0o700)
    assert list(files.readable(subject(folder))) == []
    assert list(files.writable(subject(folder))) == []


@pytest.mark.parametrize(("mode", "changed"), [(0o755, 0), (0o777, 1), (0o1777, 0)])
def test_a_folder_that_all_may_write_lets_them_put_another_file_in_its_place(
    folder: Path, mode: int, changed: int
) -> None:
    dotenv(folder, 0o600)
    folder.chmod(mode)
    assert len(list(files.writable(subject(folder)))) == changed


def test_a_link_is_judged_by_what_it_leads_to(folder: Path) -> None:
    # As Kubernetes mounts secrets: a link to a link to the file.
    (folder / "data").mkdir(mode=0o755)
    secret = folder / "data" / "openai"
    secret.write_text(KEY)
    secret.chmod(0o644)
    (folder / "openai").symlink_to(secret)
    (folder / ".env").write_text("OPENAI_API_KEY_FILE=openai\n")
    (folder / ".env").chmod(0o600)
    config = load({}, folder)
    config.provider(ProviderInfo(name="openai", title="OpenAI", capabilities=()), ProviderSettings)
    (found,) = files.readable(Subject(config))
    assert found.startswith("OPENAI_API_KEY_FILE: every user")


def test_what_is_mounted_into_a_container_is_told_apart(folder: Path, elsewhere: Callable[[Path], None]) -> None:
    elsewhere(dotenv(folder, 0o644))
    for container in (False, True):
        looked = subject(folder, container=container)
        assert len(list(files.readable(looked))) == (0 if container else 1)
        assert len(list(files.readable_mounted(looked))) == (1 if container else 0)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Let a file seem to be on a device of its own, as a mounted secret is."""

    def pretend(path: Path) -> None:
        monkeypatch.setattr(files, "_root_device", lambda: path.stat().st_dev + 1)

    return pretend


def test_conversations_and_a_password_in_the_configuration_count_as_secrets(folder: Path) -> None:
    (folder / "orchestrator.toml").write_text("total_timeout = 300\n")
    (folder / "orchestrator.toml").chmod(0o644)
    assert list(files.readable(subject(folder))) == []
    (folder / "orchestrator.toml").write_text('redis_url = "rediss://gateway:canary-word@redis.example.com"\n')
    (folder / "orchestrator.db").touch()
    (folder / "orchestrator.db").chmod(0o644)
    named = [found.partition(":")[0] for found in files.readable(subject(folder))]
    assert named == ["orchestrator.toml", "ORCHESTRATOR_DATABASE_URL"]


def test_a_database_that_can_be_made_or_written_is_looked_for(folder: Path) -> None:
    def found(url: str) -> int:
        return len(list(files.unwritable_database(Subject(load({"ORCHESTRATOR_DATABASE_URL": url}, folder)))))

    (folder / "file").touch()
    (folder / "inner").mkdir()
    assert found("sqlite:///orchestrator.db") == 0
    assert found("sqlite:///inner/orchestrator.db") == 0
    assert found("sqlite:///file") == 0
    assert found("sqlite:///nowhere/orchestrator.db") == 1
    assert found("sqlite:////nowhere/canary/orchestrator.db") == 1
    assert found("sqlite:///file/orchestrator.db") == 1
    assert found("sqlite:///inner") == 1
    assert found("postgresql://db.example.com/nowhere") == 0
    assert found("memory:") == 0
