"""Everything that is checked, and the demonstration. `nox -l` lists it, `nox` runs all checks."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml("pyproject.toml")
CORE = "orchestrator-core"
DISTRIBUTIONS = (CORE, *(path.parent.as_posix() for path in sorted(Path("plugins").glob("*/pyproject.toml"))))
PYTHONS = nox.project.python_versions(nox.project.load_toml(f"{CORE}/pyproject.toml"))
LOCKS = Path("requirements")
DEMO = "docs/tutorial/first_conversation.py"
GITHUB_FILES = {
    "vendor.github-workflows": "workflows/*.yml",
    "custom.github-workflows-require-timeout": "workflows/*.yml",
    "vendor.dependabot": "dependabot.yml",
    "vendor.github-issue-config": "ISSUE_TEMPLATE/config.yml",
    "vendor.github-issue-forms": "ISSUE_TEMPLATE/[!c]*.yml",
}
"""What of `.github` is held to which schema that check-jsonschema brings."""


def install(session: nox.Session, *groups: str, editable: bool = True) -> None:
    """Install every distribution of this tree, and groups of development dependencies."""
    arguments = [argument for group in groups for argument in ("--group", group)]
    for path in DISTRIBUTIONS:
        arguments += ["--editable", f"./{path}"] if editable else [f"./{path}"]
    session.install(*arguments)


def install_locked(session: nox.Session) -> None:
    """Install every distribution of this tree over the locked development environment, whose hashes are checked."""
    session.install("--require-hashes", "--requirement", str(LOCKS / "development.txt"))
    editable = [argument for path in DISTRIBUTIONS for argument in ("--editable", f"./{path}")]
    session.install("--no-deps", *editable)


def run_tests(session: nox.Session) -> None:
    """Run pytest; a whole run must cover 90 % of core, a chosen part of the tests need not."""
    chosen = list(session.posargs)
    measured = [] if chosen else ["--cov", "--cov-fail-under=90"]
    session.run("pytest", *measured, *chosen, env={"PYTHONDONTWRITEBYTECODE": "1"})


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests on this Python over what is locked, with coverage; arguments after `--` go to pytest."""
    install_locked(session)
    run_tests(session)


@nox.session(python=PYTHONS, default=False)
def matrix(session: nox.Session) -> None:
    """Run all tests on every supported Python that is installed here, over the newest that the ranges allow."""
    install(session, "tests")
    run_tests(session)


@nox.session(default=False)
def clients(session: nox.Session) -> None:
    """Talk to a gateway with LangChain, pydantic-ai and JavaScript, as docs/how-to shows; arguments go to pytest."""
    install(session, "clients")
    session.run("mypy", "--explicit-package-bases", "tests/clients", "docs/how-to")
    # Both libraries keep connections open for ever, which Python reports when it collects them.
    leftovers = ("-W", "ignore::ResourceWarning", "-W", "ignore::pytest.PytestUnraisableExceptionWarning")
    session.run("pytest", "tests/clients", *leftovers, *session.posargs, env={"PYTHONDONTWRITEBYTECODE": "1"})


@nox.session
def page(session: nox.Session) -> None:
    """Visit the page at `/` in Debian's Chromium, which has to be installed; arguments after `--` go to pytest."""
    install(session, "page")
    session.run("pytest", "tests/page", *session.posargs, env={"PYTHONDONTWRITEBYTECODE": "1"})


@nox.session(default=False)
def page_pictures(session: nox.Session) -> None:
    """Take the pictures of the page for docs/images, and print how fast and how heavy a first visit is."""
    install(session, "page")
    session.run("python", "-m", "page.pictures", env={"PYTHONPATH": "tests"})


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style and the format of every file, and what GitHub is asked to do."""
    session.install("--group", "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("zizmor", "--offline", "--quiet", "--persona=pedantic", "--strict-collection", ".github")
    for schema, pattern in GITHUB_FILES.items():
        files = map(str, sorted(Path(".github").glob(pattern)))
        session.run("check-jsonschema", "--quiet", "--builtin-schema", schema, *files)


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types of every source, strictly, of what plays a user, and of the benchmarks."""
    install(session, "typing", "benchmark")
    session.run(
        "mypy",
        *(f"{path}/src" for path in DISTRIBUTIONS),
        "tests/typing",
        "docs/tutorial",
        "docs/how-to/scenarios",
        "scripts",
    )
    session.run("mypy", "--explicit-package-bases", "tests/benchmarks")
    templates = f"{CORE}/src/orchestrator_core/testing/templates"
    for kind in ("compatible", "own_wire"):  # two packages of one name, so each alone, as its author checks it
        source = f"{templates}/{kind}/src"
        options = ("--config-file", f"{templates}/common/pyproject.toml", "--explicit-package-bases")
        session.run("mypy", *options, source, env={"MYPYPATH": source})


@nox.session
def imports(session: nox.Session) -> None:
    """Check who imports whom, and the other rules of the architecture."""
    install(session, "imports")
    session.run("lint-imports")
    session.run("pytest", "tests/architecture")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    install(session, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-n", "-b", "html", "docs", "docs/_build/html")


@nox.session
def packaging(session: nox.Session) -> None:
    """Build every distribution, check what is in it, and hold the demo's conversation with the wheels.

    Then install all of them over what is locked, as the container does, and write what that is: an SBOM.
    """
    install_builders(session)
    target = Path(session.create_tmp()) / "dist"
    build(session, ROOT, target)
    check_built(session, target)


@nox.session(default=False)
def release(session: nox.Session) -> None:
    """Make in dist/ all that a release publishes; `-- v1.2.3` says which release it has to be.

    It is built and checked as by `packaging`, then built again from the commit alone, which has to give the same bytes.
    Beside the packages are the SBOM, the notes and the checksums.
    """
    install_builders(session)
    target, scratch = ROOT / "dist", Path(session.create_tmp())
    notes = session.run("python", "scripts/release_notes.py", *session.posargs, silent=True)
    build(session, ROOT, target)
    archive, commit, again = scratch / "commit.tar", scratch / "commit", scratch / "again"
    shutil.rmtree(commit, ignore_errors=True)
    session.run("git", "archive", f"--output={archive}", "HEAD", external=True)
    shutil.unpack_archive(archive, commit, filter="data")
    build(session, commit, again)
    if differing := {name for name, _ in checksums(target).items() ^ checksums(again).items()}:
        session.error(f"The tree gives other bytes than its commit: {', '.join(sorted(differing))}")
    check_built(session, target)
    sums = "".join(f"{value}  {name}\n" for name, value in checksums(target).items())
    (target / "SHA256SUMS").write_text(sums)
    (target / "NOTES.md").write_text(str(notes))


def install_builders(session: nox.Session) -> None:
    """Install what builds, by its hashes, and what checks."""
    session.install("--require-hashes", "--requirement", str(LOCKS / "build.txt"))
    session.install("--group", "packaging")


def build(session: nox.Session, tree: Path, target: Path) -> None:
    """Build every distribution of a tree into an empty folder, with the time of the commit in it."""
    shutil.rmtree(target, ignore_errors=True)
    committed = session.run("git", "log", "-1", "--format=%ct", silent=True, external=True)
    environ = {"SOURCE_DATE_EPOCH": str(committed).strip()}
    for path in DISTRIBUTIONS:
        # Without --sdist and --wheel, build makes the wheel from the source distribution.
        command = ("python", "-m", "build", "--no-isolation", "--outdir", str(target), str(tree / path))
        session.run(*command, silent=True, env=environ)


def check_built(session: nox.Session, target: Path) -> None:
    """Check the distributions in a folder, hold conversations with them, and write an SBOM beside them."""
    session.run("twine", "check", "--strict", *map(str, sorted(target.iterdir())))
    session.run("check-wheel-contents", *map(str, sorted(target.glob("*.whl"))))
    session.run("python", "scripts/distributions.py", str(target), *project_names())

    clean = make_environment(session, "clean")
    wheels = [str(wheel) for name in ("core", "echo") for wheel in target.glob(f"orchestrator_{name}-*.whl")]
    session.run(*pip(clean), "install", "--quiet", *wheels)
    session.run(clean, DEMO, external=True)

    whole = make_environment(session, "whole")
    session.run(*pip(whole), "install", "--quiet", "--require-hashes", "--requirement", str(LOCKS / "container.txt"))
    session.run(
        *pip(whole), "install", "--quiet", "--no-deps", "--no-index", f"--find-links={target}", *project_names()
    )
    session.run(*pip(whole), "check")  # the lock has everything that the wheels need
    session.run(whole, DEMO, external=True, silent=True)
    sbom = str(target / "sbom.cdx.json")
    described = ("--pyproject", f"{CORE}/pyproject.toml", "--output-reproducible", "--validate")
    session.run("cyclonedx-py", "environment", *described, "--output-format", "JSON", "--output-file", sbom, whole)
    session.run("python", "scripts/licences.py", sbom)


def make_environment(session: nox.Session, name: str) -> str:
    """Make an empty virtual environment, and return its Python."""
    place = Path(session.create_tmp()) / name
    shutil.rmtree(place, ignore_errors=True)
    session.run("python", "-m", "venv", "--without-pip", str(place))
    return str(place / "bin" / "python")


def pip(python: str) -> tuple[str, ...]:
    """Return the command of this session's pip for another environment."""
    return ("python", "-m", "pip", "--python", python)


def checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def project_names() -> list[str]:
    """Return the names of the distributions of this tree."""
    return [nox.project.load_toml(f"{path}/pyproject.toml")["project"]["name"] for path in DISTRIBUTIONS]


def build_backends() -> set[str]:
    """Return what the distributions of this tree are built with."""
    return {
        need
        for path in DISTRIBUTIONS
        for need in nox.project.load_toml(f"{path}/pyproject.toml")["build-system"]["requires"]
    }


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Write the versions and hashes of what the container, its build and the development environment install.

    What is locked stays as it is where it can; `nox -s lock -- --upgrade` takes what is newest.
    """
    session.install("--group", "lock")
    extras = sorted(
        set(nox.project.load_toml(f"{CORE}/pyproject.toml")["project"]["optional-dependencies"]) - {"testing"}
    )
    own = Path(session.create_tmp()) / "own.in"
    own.write_text("\n".join([f"./{CORE}[{','.join(extras)}]", *(f"./{path}" for path in DISTRIBUTIONS[1:])]))
    options = ["--universal", "--python-version", PYTHONS[0], "--generate-hashes", "--no-annotate", "--quiet"]
    options += ["--custom-compile-command", "nox -s lock", *(f"--no-emit-package={name}" for name in project_names())]
    backends = Path(session.create_tmp()) / "backends.in"
    backends.write_text("\n".join(sorted(build_backends())))
    LOCKS.mkdir(exist_ok=True)
    sources = {"build": [str(backends)], "container": [str(own)], "development": [str(own), "--group", "dev"]}
    for target, source in sources.items():
        session.run("uv", "pip", "compile", *options, *source, "-o", str(LOCKS / f"{target}.txt"), *session.posargs)


@nox.session(default=False)
def audit(session: nox.Session) -> None:
    """Ask whether what is locked has a known vulnerability. This needs the internet, and fails where nobody answers.

    `.ci/run` lets that pass, and says it again at its end. Arguments after `--` go to pip-audit, such as
    `--ignore-vuln ID`.
    """
    session.install("--group", "audit")
    session.run("python", "scripts/audit.py", *session.posargs)


@nox.session
def deploy(session: nox.Session) -> None:
    """Lint and run what deploy/ has: the image's steps, word for word, Caddy, Helm, the schemas of Kubernetes.

    Arguments after `--` go to pytest.
    """
    install(session, "deploy")
    environ = {"PYTHONDONTWRITEBYTECODE": "1", "ORCHESTRATOR_BUILD_IMAGE": "1"}
    session.run("pytest", "tests/deploy", *session.posargs, env=environ)


@nox.session
def newcomer(session: nox.Session) -> None:
    """Make a provider with `new-provider`, and take it from its wheel to a conformant answer beside core's."""
    session.install("build>=1.3", "pytest>=9")
    target = Path(session.create_tmp()) / "dist"
    shutil.rmtree(target, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(target), CORE, silent=True)
    session.run("python", "tests/new_provider_evidence.py", *map(str, target.glob("*.whl")))


@nox.session
def fuzz(session: nox.Session) -> None:
    """Ask running gateways whatever their own OpenAPI document allows, and what it does not; see `-- --help`."""
    install(session, "fuzz")
    session.run("python", "tests/schema_fuzz.py", *session.posargs)


@nox.session(default=False)
def benchmark(session: nox.Session) -> None:
    """Measure the gateway beside a bare proxy; arguments after `--` go to the benchmark (`-- --help`)."""
    install(session, "benchmark", editable=False)
    session.run("python", "-m", "benchmarks.gateway", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """Hold a first conversation with a real gateway, offline."""
    session.install("--quiet", f"./{CORE}", "./plugins/echo")
    session.run("python", DEMO, env={"COLUMNS": os.environ.get("COLUMNS", "100")})
