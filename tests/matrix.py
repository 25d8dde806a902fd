"""The fast tests with other versions of Python and Django: `python -m tests.matrix [--newest]`.

A pair is a Python that is found on this machine and a Django that runs on it. Each has an
environment of its own in `.venv-matrix/`, which is kept and made again when a list of requirements
changes. `--newest` runs only the newest pair besides the default one, which `make test` runs.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

Version = tuple[int, int]

BASE_DIR = Path(__file__).resolve().parent.parent
ENVIRONMENTS = BASE_DIR / ".venv-matrix"
REQUIREMENTS = [BASE_DIR / "requirements.txt", BASE_DIR / "requirements-dev.txt"]
PYTHONS: list[Version] = [(3, 11), (3, 12), (3, 13), (3, 14)]
# Each Django with the oldest Python that it runs on.
DJANGOS: dict[Version, Version] = {(5, 2): (3, 11), (6, 0): (3, 12), (6, 1): (3, 12)}
# A Python without venv and ensurepip, as some distributions split it, can't make environments.
PROBE = "import ensurepip, sys, venv; print(*sys.version_info[:2])"


class Pair(NamedTuple):
    """One Python with one Django; the newest Python counts first."""

    python: Version
    django: Version

    def __str__(self) -> str:
        return f"Python {_text(self.python)}, Django {_text(self.django)}"


class InstallFailed(Exception):
    """The environment of a pair can't be made."""


def pairs(pythons: Iterable[Version]) -> list[Pair]:
    """Return each Python with each Django that runs on it, the oldest pair first."""
    return sorted(
        Pair(python, django)
        for python in pythons
        for django, oldest_python in DJANGOS.items()
        if python >= oldest_python
    )


def newest_besides(default: Pair, found: Iterable[Pair]) -> Pair | None:
    """Return the newest pair that isn't the default one, None if there is no other."""
    return max((pair for pair in found if pair != default), default=None)


def default_pair(python: Version, django_pin: str) -> Pair:
    """Return what `make test` runs with: the pinned Django, else the newest that Python can have.

    The pin is the Makefile's `DJANGO`, such as "5.2", or empty.
    """
    if django_pin:
        major, minor = django_pin.split(".")[:2]
        return Pair(python, (int(major), int(minor)))
    return pairs([python])[-1]


def find_pythons() -> dict[Version, str]:
    """Return the usable Pythons of this machine by their version.

    Usable means that it starts: pyenv has a command for each version that it knows, which fails
    unless that version is activated. So pyenv's own folders are searched as well.
    """
    found: dict[Version, str] = {}
    for version in PYTHONS:
        usable = (path for path in _candidates(version) if _is_usable(path, version))
        if path := next(usable, None):
            found[version] = path
    return found


def _candidates(version: Version) -> Iterator[str]:
    name = f"python{_text(version)}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [*os.get_exec_path(), *map(str, sorted(pyenv.glob("versions/*/bin"), reverse=True))]
    for folder in folders:
        if path := shutil.which(name, path=folder):
            yield path


def _is_usable(path: str, version: Version) -> bool:
    answer = subprocess.run([path, "-c", PROBE], capture_output=True, text=True)
    return answer.returncode == 0 and answer.stdout.split() == [str(part) for part in version]


def _text(version: Version) -> str:
    return ".".join(map(str, version))


def install(pair: Pair, python: str) -> Path:
    """Return the Python of the pair's environment, which is made first if it isn't up to date."""
    folder = ENVIRONMENTS / f"python{_text(pair.python)}-django{_text(pair.django)}"
    program, stamp = folder / "bin/python", folder / "installed"
    wanted = "".join(path.read_text() for path in REQUIREMENTS)
    if stamp.exists() and stamp.read_text() == wanted:
        return program
    print(f"{pair}: installing", flush=True)
    pip = [str(program), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    packages = ["-r", str(REQUIREMENTS[-1]), f"django=={_text(pair.django)}.*"]
    for command in ([python, "-m", "venv", "--clear", str(folder)], [*pip, *packages]):
        if subprocess.run(command).returncode != 0:
            raise InstallFailed(
                f"{pair}: its environment can't be made; the output of {command[0]} says why."
            )
    stamp.write_text(wanted)
    return program


def run(pair: Pair, python: str) -> str | None:
    """Run the fast tests with a pair; return what is wrong, None if they pass."""
    try:
        program = install(pair, python)
    except InstallFailed as error:
        return str(error)
    print(f"{pair}: testing", flush=True)
    slow = ["--ignore=tests/integration", "--ignore=tests/acceptance"]
    options = ["-q", "-n", "4", "--dist", "loadfile", "-p", "no:cacheprovider", *slow]
    process = subprocess.run([str(program), "-m", "pytest", *options, "tests"], cwd=BASE_DIR)
    return f"{pair}: the tests fail" if process.returncode else None


def main() -> int:
    """Run the pairs that the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--newest", action="store_true", help="only the newest besides the default")
    newest = parser.parse_args().newest

    pythons = find_pythons()
    for version in sorted(set(PYTHONS) - set(pythons)):
        print(f"Python {_text(version)}: not found on this machine, not tested", flush=True)
    chosen = pairs(pythons)
    if newest:
        default = default_pair(sys.version_info[:2], os.environ.get("DJANGO", ""))
        pair = newest_besides(default, chosen)
        print(f"The newest pair besides {default}: {pair or 'none on this machine'}", flush=True)
        chosen = [pair] if pair else []
    problems = [problem for pair in chosen if (problem := run(pair, pythons[pair.python]))]
    for pair in chosen:
        print(next((text for text in problems if text.startswith(f"{pair}:")), f"{pair}: passed"))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
