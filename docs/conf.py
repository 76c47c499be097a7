"""Settings of Sphinx. Pages that say what the code says (API, command) are written from the code at build time."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "orchestrator"
author = "The orchestrator contributors"
copyright = author  # noqa: A001 - Sphinx asks for this name
release = installed_version("orchestrator-core")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "generated_reference",
    "offline",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_ext"]

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# The build reaches no network: names of the standard library and of other projects are not resolved.
nitpick_ignore_regex = [(r"py:.*", r"(?!orchestrator_core\.).*")]

html_theme = "furo"
html_title = f"orchestrator {release}"
