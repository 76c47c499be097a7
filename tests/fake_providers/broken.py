"""Distributions whose plugins are broken, each in its own way, as wheels that pip installs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROLOGUE = """\
import asyncio, functools, os, sys, time
from orchestrator_core.provider_api import *

def card(name, **more):
    more.setdefault("capabilities", ("chat",))
    return ProviderInfo(name=name, title=name, requires_key=False, default_model="m", **more)

class Base(ProviderHooks):
    info = card("base")
    @hookimpl
    async def chat(self, request):
        yield Start(model="m")
        yield TextDelta(text="fine")
        yield Finish()
"""


@dataclass(frozen=True)
class Package:
    """A distribution with one plugin.

    Attributes:
        name: The name of the entry point, and of the import package.
        source: What stands after `PROLOGUE` in its module; it defines `Plugin`.
        distribution: The distribution's name.
    """

    name: str
    source: str
    distribution: str = field(default="")

    @property
    def title(self) -> str:
        """The distribution's name."""
        return self.distribution or f"orchestrator-{self.name}"


def plain(name: str, body: str = "    pass", **card: str) -> str:
    """Return the source of a plugin with a card and a body of its class."""
    more = "".join(f", {key}={value}" for key, value in card.items())
    return f"class Plugin(Base):\n    info = card({name!r}{more})\n{body}\n"


def chatting(name: str, body: str) -> str:
    """Return the source of a plugin whose `chat` is `body`."""
    return plain(name, f"    @hookimpl\n    {body}")


WRAPPED = "@functools.wraps(Base.chat)\n    "
"""Makes a function look like the generator that a decorator is taken to stand before."""

AT_LOADING: Mapping[str, str] = {
    "raises": "raise RuntimeError('no ' + os.environ['RAISES_API_KEY'])\n",
    "hangs": "time.sleep(60)\n",
    "exits": "sys.exit(3)\n",
    "untyped": "class Plugin:\n    pass\n",
    "cardless": "class Plugin(ProviderHooks):\n    pass\n",
    "futuristic": plain("futuristic", contract_version="'2.0'"),
    "newer": plain("newer", contract_version="'1.99'"),
    "nonsense": plain("nonsense", contract_version="'new'"),
    "boastful": plain("boastful", capabilities="('chat', 'embedings')"),
    "misspelt": plain("misspelt", "    @hookimpl\n    async def chatt(self, request): yield Start()"),
    "misnamed": plain("misnamed", "    @hookimpl\n    async def embed(self, req): ..."),
    "unmarked": plain("unmarked", "    async def embed(self, request): ..."),
    "awaiting": chatting("awaiting", "async def chat(self, request): return None"),
    "functional": chatting("functional", "def chat(self, request): return iter(())"),
    "unset": plain("unset", "    settings_model = dict"),
    "stillborn": plain("stillborn", "    def __init__(self, context): sys.exit(4)"),
    "comatose": plain("comatose", "    def __init__(self, context): time.sleep(60)"),
}
"""Plugins that must be set aside when they are loaded or made."""

AT_CALLS: Mapping[str, str] = {
    "raising": chatting(
        "raising", "async def chat(self, request):\n        yield Start()\n        raise KeyError('x')"
    ),
    "listing": chatting("listing", f"{WRAPPED}def chat(self, request): return ['no generator']"),
    "startless": chatting("startless", "async def chat(self, request):\n        yield TextDelta(text='x')"),
    "wordy": chatting("wordy", "async def chat(self, request):\n        yield Start()\n        yield 'text'"),
    "exiting": chatting("exiting", "async def chat(self, request):\n        yield Start()\n        sys.exit(5)"),
    "early": chatting("early", f"{WRAPPED}def chat(self, request): sys.exit(6)"),
    "interrupting": chatting("interrupting", f"{WRAPPED}def chat(self, request): raise KeyboardInterrupt"),
}
"""Plugins whose calls must be plugin errors."""

BLOCKING = chatting(
    "blocking", "async def chat(self, request):\n        yield Start()\n        time.sleep(1.5)\n        yield Finish()"
)
"""A plugin that blocks the event loop for 1.5 s."""


def install(packages: Sequence[Package], folder: Path) -> Path:
    """Build wheels and have pip install them; return the folder to put on the path."""
    wheels = [_wheel(package, folder) for package in packages]
    site = folder / "site"
    options = ["--quiet", "--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(site), *map(str, wheels)], check=True
    )
    return site


def _wheel(package: Package, folder: Path) -> Path:
    stem = f"{package.title.replace('-', '_')}-1.2.3"
    module = package.title.replace("-", "_")
    files = {
        f"{module}/__init__.py": PROLOGUE + package.source,
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package.title}\nVersion: 1.2.3\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}.dist-info/entry_points.txt": f"[orchestrator.providers]\n{package.name} = {module}:Plugin\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{stem}.dist-info/RECORD"))
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in {**files, f"{stem}.dist-info/RECORD": record}.items():
            wheel.writestr(name, text)
    return path
