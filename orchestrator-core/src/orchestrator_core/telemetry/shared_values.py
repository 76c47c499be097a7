"""Values of metrics that several processes keep in files, so that each of them can show the sum of all."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from prometheus_client import multiprocess, values

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def share_values(folder: Path, place: int) -> None:
    """Keep the values of all metrics that are made from now on in a folder; to be called once, in each process.

    Args:
        folder: The same for all processes of the gateway, and empty when the first of them starts. It is made where it
            is not there.
        place: The place of this process among them. One that takes the place of a dead one counts on from where that
            ended, so that no counter ever falls and there are never more files than places.
    """
    os.environ[_VARIABLE] = str(folder)
    folder.mkdir(mode=0o700, exist_ok=True)  # what tidies up /tmp may have removed it
    forget_living(folder, place)
    # The documented way to name processes otherwise than by their ids (prometheus-client, "Multiprocess Mode").
    kept: Any = values.MultiProcessValue(process_identifier=lambda: place)  # type: ignore[no-untyped-call]  # prometheus-client leaves it untyped

    class Value(kept):  # type: ignore[misc]  # likewise
        """A value of which this process takes back by NaN what it has set; what another has set since then stays."""

        def set(self, value: float, timestamp: float | None = None) -> None:
            super().set(value, self._timestamp if math.isnan(value) else timestamp)

    values.ValueClass = Value


def forget_living(folder: Path, place: int) -> None:
    """Forget what a process that ended had under way, such as requests in flight; what it counted stays.

    Args:
        folder: The folder.
        place: The place of that process.
    """
    multiprocess.mark_process_dead(place, str(folder))  # type: ignore[no-untyped-call]  # prometheus-client leaves it untyped
