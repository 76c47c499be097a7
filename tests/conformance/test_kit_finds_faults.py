"""The kit finds what is wrong: each broken provider fails the check that is meant for it; the sound one passes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from acme_fake import AcmeFake
from fake_providers.mutants import (
    MUTANTS,
    HasNoBaseUrl,
    NeverCalls,
    PopsItsToolChoice,
    PopsParallelToolCalls,
    RefusesAsText,
    SpeaksOpenAI,
    StripsImages,
    WillNotStop,
)
from orchestrator_acme import AcmeProvider
from orchestrator_core.provider_api import ProviderHooks
from orchestrator_core.testing import FakeUpstream, OpenAIFake, ProviderConformance
from orchestrator_core.testing.import_work import import_faults

KEY = "acme-" + "a1B2" * 8


def faults(provider: type[ProviderHooks], check: str, upstream: type[FakeUpstream] | None = AcmeFake) -> Iterator[str]:
    """Run a check with each of its parameters, as pytest would, and yield what it finds."""
    suite = type("Suite", (ProviderConformance,), {"provider": provider, "upstream": upstream, "key": KEY})
    for parameters in combinations(getattr(suite, check)):
        instance = suite()
        try:
            instance.setup_method(getattr(instance, check))
            getattr(instance, check)(**parameters)
        except AssertionError as error:
            yield str(error)
        except pytest.skip.Exception:
            continue


def combinations(check: Any) -> Iterator[Mapping[str, object]]:
    marks = [mark.args for mark in getattr(check, "pytestmark", ()) if mark.name == "parametrize"]
    for values in itertools.product(*(values for _, values in marks)):
        yield dict(zip((name for name, _ in marks), values, strict=True))


@pytest.mark.parametrize(("mutant", "checks"), MUTANTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_provider_fails_the_check_that_is_meant_for_it(
    mutant: type[ProviderHooks], checks: tuple[str, ...]
) -> None:
    for check in checks:
        found = faults(mutant, check)
        assert next(found, None), f"{check} does not find {mutant.__doc__ or mutant.__name__}"


def test_the_sound_provider_passes_every_check_that_finds_a_broken_one() -> None:
    every = {check for _, checks in MUTANTS for check in checks}
    assert {check: list(faults(AcmeProvider, check)) for check in sorted(every)} == {
        check: [] for check in sorted(every)
    }
    assert len(MUTANTS) >= 15


def test_every_check_finds_some_broken_provider() -> None:
    """A check that nothing fails would be a promise that nobody keeps."""
    checks = {name for name in dir(ProviderConformance) if name.startswith("test_")}
    below = {
        "test_importing_it_does_no_work",
        "test_what_is_declared_can_be_shown",
        "test_a_demanded_call_is_made",
        "test_an_offline_answer_can_be_left",
        "test_a_refusal_is_told_from_text",
    }
    assert checks - {check for _, found in MUTANTS for check in found} == below


@pytest.mark.parametrize(
    ("mutant", "check"),
    [
        (RefusesAsText, "test_a_refusal_is_told_from_text"),
        (PopsItsToolChoice, "test_the_choice_of_a_tool_reaches_the_upstream"),
        (PopsParallelToolCalls, "test_nothing_is_dropped_in_silence"),
        (StripsImages, "test_every_piece_of_a_conversation_is_sent_once_or_reported"),
        (HasNoBaseUrl, "test_the_class_keeps_to_the_contract"),
    ],
)
def test_faults_of_a_compatible_provider_are_found(mutant: type[ProviderHooks], check: str) -> None:
    assert list(faults(SpeaksOpenAI, check, OpenAIFake)) == []
    assert next(faults(mutant, check, OpenAIFake), None)


@pytest.mark.parametrize(
    ("mutant", "check"),
    [(NeverCalls, "test_a_demanded_call_is_made"), (WillNotStop, "test_an_offline_answer_can_be_left")],
)
def test_faults_of_a_provider_without_an_upstream_are_found(mutant: type[ProviderHooks], check: str) -> None:
    assert next(faults(mutant, check, None), None)


OPENS = """
import socket
from orchestrator_core.provider_api import ProviderHooks, ProviderInfo
probe = socket.socket()
probe.bind(("127.0.0.1", 0))
probe.close()
"""
WRITES = """
import pathlib, tempfile
from orchestrator_core.provider_api import ProviderHooks, ProviderInfo
pathlib.Path(tempfile.gettempdir(), "kit-import-test").write_text("x")
"""
STARTS = """
import threading, time
from orchestrator_core.provider_api import ProviderHooks, ProviderInfo
threading.Thread(target=time.sleep, args=(0,), daemon=True).start()
"""
REACHES = """
from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.provider_api import ProviderHooks, ProviderInfo
"""
SLEEPS = "import time; time.sleep(1.5)"
WAITS = "import threading; threading.Event().wait(0.01)"
READS_A_KEY = "import os; KEY = os.environ.get('ACME_API_KEY')"
LOOKS_FOR_KEYS = "import os; KEYS = [name for name in os.environ if name.endswith('_KEY')]"
READS_A_FILE = "from pathlib import Path; HOSTS = Path('/etc/passwd').read_text()"
LOGS = "import logging; logging.basicConfig(level=logging.DEBUG)"
PATCHES = "import json; json.dumps = lambda value: '{}'"
PATCHES_A_CLASS = "import json; json.JSONEncoder.default = lambda self, value: None"
RUNS_A_LOOP = "import asyncio; asyncio.run(asyncio.sleep(0))"
SETS_VARIABLES = "import os; os.environ['KIT_IMPORT_TEST'] = '1'"
CATCHES_SIGNALS = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
BASE = "\nfrom orchestrator_core.provider_api import ProviderHooks, ProviderInfo\n"
FAILS = "from orchestrator_core.provider_api import ProviderHooks, ProviderInfo, Nothing"
CLASS = """
class Imported(ProviderHooks):
    info = ProviderInfo(name="imported", title="Imported", capabilities=("chat",))
"""


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        (OPENS, "socket.bind"),
        (WRITES, "for writing"),
        (STARTS, "starts a thread"),
        (REACHES, "orchestrator_core.orchestration"),
        (FAILS, "cannot import name 'Nothing'"),
        (SLEEPS + BASE, "time.sleep(1.5)"),
        (WAITS + BASE, "waits for another thread"),
        (READS_A_KEY + BASE, "reads ACME_API_KEY from the environment"),
        (LOOKS_FOR_KEYS + BASE, "reads the environment"),
        (READS_A_FILE + BASE, "open /etc/passwd"),
        (LOGS + BASE, "the level of the root logger"),
        (PATCHES + BASE, "changes json.dumps"),
        (PATCHES_A_CLASS + BASE, "changes json.encoder.JSONEncoder.default"),
        (RUNS_A_LOOP + BASE, "socket.__new__"),
        (SETS_VARIABLES + BASE, "os.putenv"),
        (CATCHES_SIGNALS + BASE, "the handler of SIGTERM"),
    ],
)
def test_work_at_import_is_found(head: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kit_imported_plugin.py").write_text(head + CLASS)
    monkeypatch.syspath_prepend(tmp_path)
    cls = type("Imported", (), {"__module__": "kit_imported_plugin"})

    assert fault in str(import_faults(cls))  # type: ignore[arg-type]  # only the name of its module is read


def test_what_a_module_may_do_is_no_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "kit_quiet_plugin"
    package.mkdir()
    (package / "models.json").write_text("[]")
    reads = "import json, logging, pathlib\nlog = logging.getLogger(__name__)\n"
    reads += "MODELS = json.loads((pathlib.Path(__file__).parent / 'models.json').read_text())\n"
    (package / "__init__.py").write_text(reads + BASE + CLASS)
    monkeypatch.syspath_prepend(tmp_path)
    cls = type("Imported", (), {"__module__": "kit_quiet_plugin"})

    assert not import_faults(cls)  # type: ignore[arg-type]  # only the name of its module is read


def test_a_fake_that_cannot_show_what_is_declared_is_named() -> None:
    class Half(FakeUpstream):
        chat, stream = AcmeFake.chat, AcmeFake.stream

    assert "error, " not in str(list(faults(AcmeProvider, "test_what_is_declared_can_be_shown")))
    [fault] = faults(AcmeProvider, "test_what_is_declared_can_be_shown", Half)
    assert "Half must have error" in fault
