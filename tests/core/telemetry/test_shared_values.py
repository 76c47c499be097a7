"""Metrics of several processes, each a real one."""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator_core.telemetry.budget_series import MAX_KEPT
from orchestrator_core.telemetry.shared_values import forget_living

CODE = """
import json, sys, time
from pathlib import Path
from orchestrator_core.telemetry.metrics import Metrics
from orchestrator_core.telemetry.shared_values import share_values

folder, place, healthy = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "healthy"
share_values(folder, place)
metrics = Metrics(shared=folder, began=time.monotonic() - 100)
metrics.observe_call("acme", "m", "chat", 1.0)
metrics.observe_call("acme", "m", "chat", 3.0, "provider_timeout")
metrics.observe_request("api", 200, 0.1)
metrics.observe_request("api", 500, 0.1)
metrics.observe_health("acme", healthy)
metrics.requests_in_flight.inc(3)
figures = metrics.figures()
print(json.dumps({
    "requests": figures.requests_total, "errors": figures.errors_rate, "providers": dict(figures.providers),
    "uptime": figures.uptime, "text": metrics.render()[0].decode(),
    "open": metrics.render("application/openmetrics-text")[0].decode(),
}))
"""


def process(folder: Path, place: int, health: str = "healthy") -> Any:
    """Count in a process of its own, and return what it shows."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, folder, str(place), health], capture_output=True, text=True, check=True, timeout=30
    )
    return json.loads(done.stdout.splitlines()[-1])  # the log may be before it


def test_every_process_shows_the_sum_of_all(tmp_path: Path) -> None:
    process(tmp_path, 0)
    shown = process(tmp_path, 1)
    assert (shown["requests"], shown["errors"]) == (4, 0.5)
    assert shown["providers"] == {"acme": {"requests": 4, "avg_latency": 2.0, "success_rate": 0.5}}
    assert 'orchestrator_http_requests_total{status="500",surface="api"} 2.0' in shown["text"]
    assert 'orchestrator_attempts_total{operation="chat",outcome="ok",provider="acme"} 2.0' in shown["text"]
    assert "orchestrator_http_requests_in_flight 6.0" in shown["text"]
    assert shown["text"].count("\nprocess_resident_memory_bytes ") == 1


def test_one_that_takes_the_place_of_another_counts_on(tmp_path: Path) -> None:
    process(tmp_path, 0)
    files = {path.name for path in tmp_path.iterdir()}
    shown = process(tmp_path, 0)
    assert shown["requests"] == 4
    assert "orchestrator_http_requests_in_flight 3.0" in shown["text"], "what was under way ended with the process"
    assert {path.name for path in tmp_path.iterdir()} == files


def test_the_newest_look_at_a_provider_counts_whoever_looked(tmp_path: Path) -> None:
    process(tmp_path, 0)
    shown = process(tmp_path, 1, "down")
    assert shown["text"].count("orchestrator_provider_healthy{") == 1
    assert 'orchestrator_provider_healthy{provider="acme"} 0.0' in shown["text"]
    shown = process(tmp_path, 0)
    assert 'orchestrator_provider_healthy{provider="acme"} 1.0' in shown["text"]


def test_the_uptime_is_that_of_the_whole_gateway(tmp_path: Path) -> None:
    shown = process(tmp_path, 0)
    assert 100 <= shown["uptime"] < 130
    assert shown["text"].count("\norchestrator_uptime_seconds ") == 1
    assert shown["open"].endswith("# EOF\n")


BUDGETS = """
import json, sys
from pathlib import Path
from prometheus_client.parser import text_string_to_metric_families as parse
from orchestrator_core.telemetry.budget_series import MAX_BUDGETS, MAX_KEPT
from orchestrator_core.telemetry.metrics import Metrics
from orchestrator_core.telemetry.shared_values import share_values

folder, place = Path(sys.argv[1]), int(sys.argv[2])
share_values(folder, place)
metrics = Metrics(shared=folder)
for line in sys.stdin:
    exec(line)
    text = metrics.render()[0].decode()
    found = (one for family in parse(text) for one in family.samples if one.name == "orchestrator_budget_used_ratio")
    print(json.dumps({one.labels["client"]: one.value for one in found}), flush=True)
"""


@contextmanager
def counting(folder: Path, place: int) -> Iterator[Callable[[str], dict[str, float]]]:
    """Count in a process of its own, which does what it is told and says which budgets it shows then."""
    command = [sys.executable, "-W", "error", "-c", BUDGETS, folder, str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said, heard = process.stdin, process.stdout

        def do(code: str) -> Any:
            said.write(f"{code}\n")
            said.flush()
            return json.loads(heard.readline())

        yield do
        said.close()


def test_a_process_hides_no_budget_of_which_another_knows_more(tmp_path: Path) -> None:
    with counting(tmp_path, 0) as one, counting(tmp_path, 1) as other:
        assert one("metrics.observe_budget('app', 0.5)") == {"app": 0.5}
        assert other("metrics.observe_budget('app', 0.9)") == {"app": 0.9}
        assert one("metrics.observe_budget('app', None)") == {"app": 0.9}
        assert math.isnan(other("metrics.observe_budget('app', None)")["app"])
        assert one("metrics.observe_budget('app', 0.1)") == {"app": 0.1}
        assert math.isnan(one("metrics.observe_budget('app', None)")["app"])


def test_a_process_that_ended_shows_no_budgets_any_more(tmp_path: Path) -> None:
    with counting(tmp_path, 0) as one:
        with counting(tmp_path, 1) as other:
            other("metrics.observe_budget('app', 0.9)")
            assert one("metrics.observe_budget('other', 0.1)") == {"app": 0.9, "other": 0.1}
        forget_living(tmp_path, 1)
        assert one("metrics.observe_health('acme', True)") == {"other": 0.1}


def test_hidden_budgets_of_several_processes_keep_others_out_only_when_there_are_very_many(tmp_path: Path) -> None:
    seen_and_hidden = "for number in range({}): [metrics.observe_budget(str(number), used) for used in (0.5, None)]"
    with counting(tmp_path, 0) as one:
        one(seen_and_hidden.format("MAX_BUDGETS"))
        assert one("metrics.observe_budget('app', 0.9)")["app"] == 0.9
        assert len(one(seen_and_hidden.format("MAX_KEPT + 10"))) == MAX_KEPT
        assert one("metrics.observe_budget('app', 0.95)")["app"] == 0.95


HOLDING = """
import os, sys
from pathlib import Path
from orchestrator_core.telemetry.shared_values import make_folder, share_values

folder = make_folder()
if "anew" in sys.argv:
    folder.rmdir()
    share_values(folder, 0)
if "forked" in sys.argv and not os.fork():
    sys.stdin.read()
    os._exit(0)
print(folder, flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(temporary: Path, how: str = "") -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """Make a folder in a process of its own, which lives on."""
    command = [sys.executable, "-W", "error", "-c", HOLDING, how]
    environ = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        yield Path(process.stdout.readline().rstrip("\n")), process
        assert process.stdin is not None
        process.stdin.close()
        process.stdout.read()  # until the process that it forked has ended too


def test_the_folder_of_a_gateway_that_was_killed_goes_as_another_starts_and_no_other_does(tmp_path: Path) -> None:
    with (
        holding(tmp_path) as (lives, _),
        holding(tmp_path, "anew") as (lives_anew, _),
        holding(tmp_path, "forked") as (child_lives, master),
        holding(tmp_path) as (_, dead),
    ):
        for process in (master, dead):
            process.kill()
            process.wait()
        notes = tmp_path / "orchestrator-metrics-notes"
        notes.touch()
        with holding(tmp_path) as (new, _):
            assert set(tmp_path.iterdir()) == {lives, lives_anew, child_lives, notes, new}
    with holding(tmp_path) as (last, _):
        assert set(tmp_path.iterdir()) == {notes, last}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_the_folder_of_another_user_stays(tmp_path: Path) -> None:
    others = tmp_path / "orchestrator-metrics-others"
    others.mkdir()
    os.chown(others, 12345, 12345)
    link = tmp_path / "orchestrator-metrics-link"
    link.symlink_to(others)
    with holding(tmp_path) as (new, _):
        assert set(tmp_path.iterdir()) == {others, link, new}


def test_a_folder_that_is_not_this_users_alone_is_not_used(tmp_path: Path) -> None:
    mine, open_to_all, link = tmp_path / "mine", tmp_path / "open", tmp_path / "link"
    mine.mkdir(mode=0o700)
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    link.symlink_to(mine)
    refused = [open_to_all, link]
    if os.geteuid() == 0:  # who alone may give a folder away
        others = tmp_path / "others"
        others.mkdir(mode=0o700)
        os.chown(others, 12345, 12345)
        refused.append(others)
    for folder in refused:
        with pytest.raises(subprocess.CalledProcessError):
            process(folder, 0)
        assert list(folder.iterdir()) == []
    process(mine, 0)


@pytest.mark.parametrize("damage", [b"no values at all", b"x" * 70_000, b""])
def test_files_that_are_damaged_begin_anew(tmp_path: Path, damage: bytes) -> None:
    process(tmp_path, 0)
    process(tmp_path, 1)
    (tmp_path / "histogram_0.db").write_bytes(damage)
    shown = process(tmp_path, 0)
    assert shown["requests"] == 6, "what other files count is not lost"
    assert 'orchestrator_http_request_duration_seconds_count{surface="api"} 4.0' in shown["text"]


FULL = """
import json, os, sys
from pathlib import Path
from structlog.testing import capture_logs
from orchestrator_core.telemetry import shared_values
from orchestrator_core.telemetry.metrics import Metrics

shared_values.TRY_AGAIN_AFTER = 0.0
folder, filler, full_from = Path("small/metrics"), Path("small/filler"), sys.argv[1]

def fill():
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)): pass
        except OSError: pass

def told(metrics):
    return {"counted": sum(sample.value for sample in metrics.samples("orchestrator_fallbacks_total")),
            "set": [sample.value for sample in metrics.samples("orchestrator_provider_healthy")],
            "small": os.statvfs("small").f_blocks * os.statvfs("small").f_frsize, "free": os.statvfs("small").f_bavail}

def call(metrics, times):
    for number in range(times):
        metrics.observe_call("acme", f"model-{number}", "chat", 1.0)
        metrics.observe_next_try("acme", f"other-{number}", other=True)

with capture_logs() as logs:
    if full_from == "replaced" and not os.fork():
        shared_values.share_values(folder, 0)
        call(Metrics(shared=folder), 1)
        os._exit(0)
    if full_from == "replaced":
        os.wait()
        shared_values.forget_living(folder, 0)
    if full_from != "later": fill()
    shared_values.share_values(folder, 0)
    metrics = Metrics(shared=folder)
    call(metrics, 1)
    if full_from == "later": fill()
    call(metrics, 400)
    metrics.observe_health("acme" * 1000, True)
    full = told(metrics)
    filler.unlink()
    shared_values.write_what_had_no_room()
    call(metrics, 400)
    room = told(metrics)
print(json.dumps({"full": full, "room": room, "logs": logs}))
"""


@pytest.mark.parametrize("full_from", ["start", "later", "replaced"])
def test_where_the_disk_is_full_a_process_counts_for_itself_until_there_is_room(tmp_path: Path, full_from: str) -> None:
    (tmp_path / "small").mkdir()
    mounted = f"mount -t tmpfs -o size=8m tmpfs {shlex.quote(str(tmp_path / 'small'))}"
    unshare = shutil.which("unshare")
    in_a_namespace = [str(unshare), "--user", "--map-root-user", "--mount", "sh", "-c"]
    if unshare is None or subprocess.run([*in_a_namespace, mounted], check=False, capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here")
    command = shlex.join([sys.executable, "-W", "error", "-c", FULL, full_from])
    done = subprocess.run(
        [*in_a_namespace, f"{mounted} && exec {command}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    found = json.loads(done.stdout)
    assert found["full"]["small"] == 8 << 20
    assert found["full"]["free"] < 64, "pages: the disk was full"
    assert found["full"]["counted"] < 401, "there was no room for all that was counted"
    counted_before = 1 if full_from == "replaced" else 0
    assert found["room"]["counted"] == counted_before + 801, "nothing that was counted is lost"
    assert (found["full"]["set"], found["room"]["set"]) == ([], [1.0]), "what is set once is not missing for ever"
    (said,) = found["logs"]
    assert "small/metrics" in said["folder"]
    assert said["log_level"] == "error"
