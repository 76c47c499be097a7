"""Holds the site to what it says: nothing of it is loaded from another host, so that it works without a network."""

from __future__ import annotations

import re

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

LOADED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"(?:https?:)?//[^\"]*\""
    r"|<link\b(?![^>]*\brel=\"(?:canonical|search)\")[^>]*\bhref=\"(?:https?:)?//[^\"]*\""
    r"|@import\s+(?:url\()?[\"']?(?:https?:)?//|url\([\"']?(?:https?:)?//"
)


def check(app: Sphinx, error: Exception | None) -> None:
    """Look through what was built.

    Raises:
        ExtensionError: A page loads something from another host.
    """
    if error is not None or app.builder.format != "html":
        return
    for path in [*app.outdir.rglob("*.html"), *app.outdir.rglob("*.css")]:
        found = LOADED.search(path.read_text(encoding="utf-8"))
        if found is not None:
            raise ExtensionError(f"{path.relative_to(app.outdir)} loads from another host: {found[0]}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Look when the pages are there."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True}
