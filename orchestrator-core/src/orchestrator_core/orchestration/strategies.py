"""In which order the targets of an alias are asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random

from orchestrator_core.config.settings import AliasEntry


def arrange(entry: AliasEntry, price: Callable[[str], float | None], draws: Random) -> Sequence[str]:
    """Return all targets of an alias, the one to ask first before those to fall back to.

    Args:
        entry: The alias.
        price: What a typical call to a target costs; None where that is not known.
        draws: What targets with weights are drawn by.
    """
    if entry.weights is not None:
        # The first of several exponential waits is each one's with a probability in proportion to its rate, and so is
        # the next of those that are left: the load of a target that fails goes to the others by their weights.
        waits = [draws.expovariate(weight) if weight else math.inf for weight in entry.weights]
        return [target for _, target in sorted(zip(waits, entry.targets, strict=True), key=lambda drawn: drawn[0])]
    if entry.strategy == "cheapest":
        known = {target: price(target) for target in entry.targets}
        return sorted(entry.targets, key=lambda target: math.inf if (usd := known[target]) is None else usd)
    return entry.targets
