"""One environment for each generation of a vendor's client, made from its lock once and used again from a cache.

Generations of a client share a package name, so each gets its own; the tests drive it as a child process. A lock names
versions and hashes, never a place to download from: that is the machine's own configuration.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parent / "clients"
CACHE = Path(__file__).parents[2] / ".cache" / "clients"
INSTALL_WITHIN_S = 170.0


def python_client(name: str) -> Path:
    """The interpreter of the environment that `clients/<name>.lock` describes."""
    lock = CLIENTS / f"{name}.lock"
    made_from = lock.read_bytes() + sys.version.encode()
    return cached(name, made_from, lambda folder: install_python(folder, lock)) / "bin" / "python"


def node_client(name: str) -> Path:
    """The folder whose `node_modules` is what `clients/<name>/package-lock.json` describes. Skips without Node.js."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            missing(f"{tool} is not installed")
    sources = [CLIENTS / name / file for file in ("package.json", "package-lock.json", ".npmrc")]
    made_from = b"".join(source.read_bytes() for source in sources)
    return cached(name, made_from, lambda folder: install_node(folder, sources))


def missing(reason: str) -> None:
    """Skip what can't be tested here; where everything must be, as in CI, that is an error."""
    if os.environ.get("PENSTOCK_TESTS_COMPLETE") == "1":
        pytest.fail(f"{reason}, and PENSTOCK_TESTS_COMPLETE=1 forbids skipping", pytrace=False)
    pytest.skip(reason)


def cached(name: str, made_from: bytes, install: Callable[[Path], None]) -> Path:
    """The folder that `install` filled, now or earlier. One that was left half-made is made again."""
    folder = CACHE / f"{name}-{hashlib.sha256(made_from).hexdigest()[:16]}"
    complete = folder / ".complete"
    with locked(folder.with_suffix(".lock")):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            install(folder)
            complete.touch()
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Two test runs at once make an environment once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def install_python(folder: Path, lock: Path) -> None:
    """The lock has all that is needed, so pip need neither be there itself nor reckon."""
    run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    quick = ["--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps"]
    run(*pip, "install", *quick, "--require-hashes", "-r", str(lock))


def install_node(folder: Path, sources: list[Path]) -> None:
    for source in sources:
        shutil.copy(source, folder)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)


def run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_WITHIN_S)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
