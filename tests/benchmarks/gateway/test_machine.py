from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.gateway.machine import Machine, read_time


def test_this_machine_is_described() -> None:
    found = Machine.here(working_sets=(0.25,))
    assert found.processor
    assert found.memory > 100
    assert found.reads[0.25] > 0
    assert found.sync > 0


def test_a_machine_is_known_by_what_the_kernel_says_of_it(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    cores = [f"model name\t: {name}\nflags\t\t: fpu hypervisor sse\n" for name in ("Fox 1", "Dog 2")]
    (tmp_path / "proc" / "cpuinfo").write_text("\n".join(cores))
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:        2097152 kB\nMemFree:         1 kB\n")
    for number, told in enumerate([("1", "Data", "48K"), ("1", "Instruction", "64K"), ("2", "Unified", "2048K")]):
        folder = tmp_path / "sys/devices/system/cpu/cpu0/cache" / f"index{number}"
        folder.mkdir(parents=True)
        for name, value in zip(("level", "type", "size"), told, strict=True):
            (folder / name).write_text(f"{value}\n")
    found = Machine.here(tmp_path, working_sets=())
    caches = ["L1d 48K", "L1i 64K", "L2 2048K"]
    assert replace(found, sync=0.0) == Machine("Fox 1", virtual=True, caches=caches, memory=2048.0, reads={}, sync=0.0)


@pytest.mark.parametrize("size", [64, 2**16])
def test_reads_take_time_in_any_working_set(size: int) -> None:
    assert read_time(size) > 0
