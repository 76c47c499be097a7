"""Which file system a path is on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
"""What Linux tells of the mounts that this process sees (proc_pid_mountinfo(5)); other systems have no such file."""

_NETWORK = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb", "smb2", "smb3", "smbfs"}
)
_NETWORK_FUSE = frozenset({"glusterfs", "s3fs", "sshfs", "ceph", "blobfuse", "gcsfuse", "mountpoint-s3", "rclone"})
_ESCAPED = {r"\040": " ", r"\011": "\t", r"\012": "\n", r"\134": "\\"}


def on_network(path: Path, mounts: Path = MOUNTS) -> bool:
    """Whether a path is on a file system of another machine.

    Args:
        path: An absolute path without links; it need not be there yet.
        mounts: The list of mounts.
    """
    # A later mount hides an earlier one at the same place.
    found = [
        (len(place.parts), number, kind) for number, (place, kind) in enumerate(_mounts(mounts)) if _holds(place, path)
    ]
    kind = max(found)[2] if found else ""
    return kind in _NETWORK or kind.removeprefix("fuse.") in _NETWORK_FUSE


def _mounts(mounts: Path) -> Iterator[tuple[Path, str]]:
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.partition(" ")[0]
        if len(fields) > 4:
            place = fields[4]
            for escaped, plain in _ESCAPED.items():
                place = place.replace(escaped, plain)
            yield Path(place), kind


def _holds(place: Path, path: Path) -> bool:
    return path == place or place in path.parents
