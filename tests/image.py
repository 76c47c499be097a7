"""Builds the image and runs it where no container engine is: in namespaces of Linux, as engines do.

The steps are those of the Dockerfile, word for word. What stands in for the image of Python is this machine's own file
system, seen through overlayfs, with its Python in a virtual environment at the beginning of `PATH`; nothing that is
written reaches the disk. It needs root, and Linux.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dockerfile import Stage, expand, read_stages

ROOT = Path(__file__).parents[1]
BASE_PATH = "/opt/python/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NEEDS_NETWORK = ("PIP_", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy")
"""What a build takes from the environment: where packages come from."""

CONTEXT = "the context"
SCRATCH = "/tmp"  # noqa: S108 - a file system of the container's own
USER = 1000


class Namespace:
    """A mount namespace that lives as long as a process of it, with its layers in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._holder = subprocess.Popen([_tool("unshare"), "--mount", "--propagation=private", "sleep", "3600"])
        self.run("mount", "-t", "tmpfs", "tmpfs", str(folder))

    def entered(self, *command: str) -> list[str]:
        """Return a command that runs another one in the namespace."""
        return [_tool("nsenter"), f"--target={self._holder.pid}", "--mount", "--", *command]

    def run(self, *command: str, environ: Mapping[str, str] | None = None) -> str:
        """Run a command, and return what it printed."""
        done = subprocess.run(
            self.entered(*command), env=environ, capture_output=True, text=True, check=False, timeout=600
        )
        if done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def overlay(self, name: str, *lower: str) -> Path:
        """Mount an overlay over layers, the uppermost first, and return where; its own layer is `<name>/layer`."""
        place = self.folder / name
        self.run("mkdir", "-p", *(str(place / part) for part in ("layer", "work", "root")))
        layers = f"lowerdir={':'.join(lower)},upperdir={place}/layer,workdir={place}/work"
        self.run("mount", "-t", "overlay", "overlay", "-o", layers, str(place / "root"))
        self.run("mount", "--bind", "/dev", str(place / "root/dev"))
        return place / "root"

    def close(self) -> None:
        """End it, and all that is mounted."""
        self._holder.kill()
        self._holder.wait()


class Image:
    """A built image, and a container of it whose file system is read-only but for the data and `/tmp`.

    Attributes:
        stage: The last stage of the Dockerfile.
        environ: The environment that the image gives to its processes.
    """

    def __init__(self, namespace: Namespace, root: Path, stage: Stage, environ: Mapping[str, str]) -> None:
        self.stage, self.environ = stage, environ
        self._namespace, self._root = namespace, root
        (self.data,) = stage.one("VOLUME").command

    def mount_read_only(self) -> None:
        """Make the file system read-only, and mount what is written to: an empty volume, and `/tmp`."""
        kept = f"uid={USER},gid={USER},mode=0700"
        self._namespace.run("mount", "-t", "tmpfs", "-o", kept, "tmpfs", f"{self._root}{self.data}")
        self._namespace.run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", f"{self._root}{SCRATCH}")
        self._namespace.run("mount", "-o", "remount,ro", str(self._root))

    def bind(self, folder: Path, place: str) -> None:
        """Show a folder of this machine in the container."""
        self._namespace.run("mount", "--bind", str(folder), f"{self._root}{place}")

    def command(self, *command: str, **environ: str) -> list[str]:
        """Return a command that runs another one in a container: as process 1 and its user, without capabilities."""
        variables = [f"{name}={value}" for name, value in {**self.environ, **environ}.items()]
        user = self.stage.one("USER").value
        as_user = ["setpriv", *_numbers(user), "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
        folder = ["env", "-i", f"--chdir={self.stage.one('WORKDIR').value}", *variables]
        isolated = ["unshare", "--pid", "--fork", f"--mount-proc={self._root}/proc"]
        return self._namespace.entered(*isolated, "chroot", str(self._root), *as_user, *folder, *command)

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a container to its end."""
        return subprocess.run(
            self.command(*command, **environ), capture_output=True, text=True, check=False, timeout=120
        )


def _numbers(user: str) -> Sequence[str]:
    """Return the options of setpriv for `USER uid:gid`."""
    return [f"{option}={number}" for option, number in zip(("--reuid", "--regid"), user.split(":"), strict=True)]


@contextmanager
def built_image(folder: Path, dockerfile: Path = ROOT / "deploy/Dockerfile") -> Iterator[Image]:
    """Build an image from its Dockerfile; it is gone at the end."""
    namespace = Namespace(folder)
    try:
        base = _base(namespace)
        roots = {CONTEXT: _context(namespace)}
        stages = read_stages(dockerfile)
        for stage in stages:
            roots[stage.name] = namespace.overlay(stage.name or "last", base, "/")
            environ = _build(namespace, roots, stage)
        yield Image(namespace, roots[stages[-1].name], stages[-1], environ)
    finally:
        namespace.close()


def _base(namespace: Namespace) -> str:
    """Make the layer that stands in for the image of Python, and return it.

    As that image, it has no user 1000, and a standard library without tests, without packages and not compiled.
    """
    root = namespace.overlay("python", "/")
    namespace.run("chroot", str(root), sys.executable, "-m", "venv", "/opt/python", environ=network())
    for file in ("passwd", "group"):
        namespace.run("sed", "-i", f"/:{USER}:/d", f"{root}/etc/{file}")
    library = Path(sysconfig.get_path("stdlib"))
    for folder in library.parents:  # Python may be in the home of root
        namespace.run("chmod", "o+x", f"{root}{folder}")
    unwanted = ("site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__")
    names = [word for name in unwanted for word in ("-o", "-name", name)][1:]
    namespace.run("find", f"{root}{library}", "-depth", "-type", "d", "(", *names, ")", "-exec", "rm", "-r", "{}", ";")
    namespace.run("umount", "--recursive", str(root))
    return str(root.with_name("layer"))


def _build(namespace: Namespace, roots: Mapping[str, Path], stage: Stage) -> Mapping[str, str]:
    """Do what a stage says, and return its environment."""
    environ, arguments, folder = {"PATH": BASE_PATH}, dict[str, str](), "/"
    root = roots[stage.name]
    for each in stage.instructions:
        if each.keyword == "ARG":
            arguments |= each.pairs
        elif each.keyword == "ENV":
            environ |= {key: expand(value, environ) for key, value in each.pairs.items()}
        elif each.keyword == "WORKDIR":
            folder = each.value
            namespace.run("mkdir", "-p", f"{root}{folder}")
        elif each.keyword == "COPY":
            *sources, target = each.arguments
            place = target if target.startswith("/") else f"{folder}/{target}"
            for source in sources:
                _copy(namespace, roots[each.options.get("from", CONTEXT)], source, f"{root}{place}")
        elif each.keyword == "RUN":
            inside = ["chroot", str(root), "env", "-C", folder, "sh", "-c", each.value]
            namespace.run(*inside, environ={**network(), **arguments, **environ})
    return environ


def _copy(namespace: Namespace, origin: Path, source: str, target: str) -> None:
    """Copy a file, or what is in a folder, as `COPY` does."""
    found = f"{origin}/{source.lstrip('/')}"
    kind = namespace.run("stat", "--format=%F", found).strip()
    into = target if kind == "directory" or target.endswith("/") else str(Path(target).parent)
    namespace.run("mkdir", "-p", into)
    namespace.run("cp", "-a", f"{found}/." if kind == "directory" else found, target)


def _context(namespace: Namespace) -> Path:
    """Copy what `.dockerignore` lets into a build, and return where."""
    context = namespace.folder / "context"
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*", "everything is kept out, but for what is named"
    for line in lines[1:]:
        if line.startswith("!"):
            target = context / line[1:]
            namespace.run("mkdir", "-p", str(target.parent))
            namespace.run("cp", "-r", str(ROOT / line[1:]), str(target))
    for line in lines[1:]:
        if line.startswith("**/"):
            namespace.run("find", str(context), "-depth", "-name", line[3:], "-exec", "rm", "-r", "{}", ";")
    return context


def network() -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        **{name: value for name, value in os.environ.items() if name.startswith(NEEDS_NETWORK)},
    }


def _tool(name: str) -> str:
    return shutil.which(name) or name


def why_not() -> str | None:
    """Say why images cannot be built here; None where they can."""
    if os.geteuid() != 0:
        return "it needs root, to make namespaces and overlays"
    missing = [tool for tool in ("unshare", "nsenter", "setpriv") if shutil.which(tool) is None]
    if missing:
        return f"it needs {', '.join(missing)} of util-linux"
    tried = subprocess.run([_tool("unshare"), "--mount", "true"], capture_output=True, check=False)
    return "it may not make namespaces here" if tried.returncode else None
