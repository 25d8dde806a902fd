"""No code goes by this machine's own clock (R12)."""

import re
from pathlib import Path

import pytest

BASE_DIR = Path(__file__).resolve().parent.parent.parent
SYSTEMS_CLOCK = re.compile(
    r"""timezone\.now\b | \btime\.time\b | \btime_ns\b | \butcnow\b | \bdatetime\.now\b | \btoday\(
    | \blocal(?:time|date)\(\) | rq\.utils\ import\ .*\bnow\b | \bDateTimeField\(.*\bauto_now""",
    re.VERBOSE,
)
ALLOWED = {
    "tasks/clock.py": "compares the system's clock with Redis's, and has no other at first",
    "tasks/fields.py": "names Django's function in migrations, where it is never called",
}
MODULES = [
    path
    for app in ("tasks", "feeds")
    for path in sorted((BASE_DIR / app).rglob("*.py"))
    if "migrations" not in path.parts
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(BASE_DIR)))
def test_no_module_goes_by_the_systems_clock(path: Path):
    found = SYSTEMS_CLOCK.findall(path.read_text())
    assert bool(found) is (str(path.relative_to(BASE_DIR)) in ALLOWED), found
