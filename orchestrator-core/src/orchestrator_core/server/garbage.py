"""How often the garbage collector looks for what requests leave behind.

Requests leave nothing behind that needs it, but connections do: a transport of asyncio holds itself once it is closed.
"""

from __future__ import annotations

import gc
from typing import Final

NEW: Final = 10_000
"""Objects that may be made, beyond those that are gone again, before the collector looks at these."""

LOOKS: Final = 2
"""Looks at new objects alone before one at those too that outlived a look."""

LOOKS_AT_SOME: Final = 1
"""Looks at these alone before one at all objects. A connection that had a long stream has outlived several: what is
gone stays until here, which is 60,000 objects at most."""


def spare_the_collector() -> None:
    """Let the collector pass over what the start made, and look at what requests leave behind less often than it does.

    What the start made stays for good, and is a hundred times what a request makes: without this, looking at it again
    and again is an eighth of the work for a request. A look at all objects stops the event loop for a tenth of a second
    where a thousand streams are under way, so there is one for thousands of streams, and hardly any without.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # of nothing: by how much was left, the collector puts off looking at all
    gc.set_threshold(NEW, LOOKS, LOOKS_AT_SOME)
