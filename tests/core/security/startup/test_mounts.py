from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_core.security.startup.mounts import on_network

TABLE = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 27 0:40 / /srv rw,relatime shared:2 master:1 - nfs4 files.example.com:/srv rw,vers=4.2
31 30 254:1 / /srv/local rw,relatime - xfs /dev/vdb rw
32 27 0:41 / /mnt/with\040space rw - fuse.sshfs gateway@files.example.com: rw
33 27 254:2 / /data rw - ext4 /dev/vdc rw
34 27 0:42 / /data rw - cifs //files/data rw
35 27 0:43 / /home rw - fuse.mergerfs disks rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/lib/orchestrator.db", False),
        ("/srv/orchestrator.db", True),
        ("/srv", True),
        ("/srvs/orchestrator.db", False),
        ("/srv/local/orchestrator.db", False),
        ("/mnt/with space/orchestrator.db", True),
        ("/data/orchestrator.db", True),
        ("/home/gateway/orchestrator.db", False),
    ],
)
def test_the_nearest_mount_counts_and_of_two_the_last(tmp_path: Path, path: str, expected: bool) -> None:
    (tmp_path / "mountinfo").write_text(TABLE)
    assert on_network(Path(path), tmp_path / "mountinfo") is expected


@pytest.mark.parametrize("content", [None, "", "\n", "27 1 254:0", " - nfs"])
def test_a_system_that_tells_nothing_is_not_suspected(tmp_path: Path, content: str | None) -> None:
    mounts = tmp_path / "mountinfo"
    if content is not None:
        mounts.write_text(content)
    assert on_network(Path("/srv/orchestrator.db"), mounts) is False
