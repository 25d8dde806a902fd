"""The lock files: what `make run` and `make test` install, down to the hash."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==([^ ;]+)(?: ; .*)? \\$", re.MULTILINE)


def requirements(name: str) -> Iterator[Requirement]:
    for line in (ROOT / name).read_text().splitlines():
        text = line.partition(" #")[0].strip()
        if text and not text.startswith(("#", "-r")):
            yield Requirement(text)


def pins(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for package, version in PIN.findall((ROOT / name).read_text()):
        found.setdefault(package.lower(), []).append(version)
    return found


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_a_lock_has_a_version_that_each_requirement_allows(name: str):
    locked = pins(f"{name}.lock")
    for requirement in requirements(f"{name}.txt"):
        versions = locked.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement.name} is not in the lock: run `make lock`"
        for version in versions:
            assert requirement.specifier.contains(version), f"{requirement}: run `make lock`"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_each_package_of_a_lock_has_its_hashes(name: str):
    text = (ROOT / name).read_text()
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) > 20
    assert all("--hash=sha256:" in block for block in blocks)


def test_both_locks_name_the_same_versions():
    development = pins("requirements-dev.lock")
    for package, versions in pins("requirements.lock").items():
        assert development[package] == versions
