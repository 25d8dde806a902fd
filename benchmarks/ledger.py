"""Ledger: how long the command takes that checks whether the ledger closes."""

import time

from benchmarks.figures import Figure, Values, at_most
from benchmarks.questions import Case, Question
from benchmarks.scale import Scale
from benchmarks.site import OURS, POSTGRESQL, SQLITE, Site

TIMEOUT_SECONDS = 900


def question(scale: Scale) -> Question:
    """Return the question for both databases."""
    schedules = scale.pages[0]
    return Question(
        "ledger",
        (
            Figure("all", f"ledger of {schedules:,} schedules checked, s", at_most(4)),
            Figure("recent", "the same, --since an hour ago, s"),
        ),
        tuple(
            _case(kind, schedules, runs)
            for kind, runs in zip((POSTGRESQL, SQLITE), scale.pages[1:], strict=True)
        ),
        repetitions=1,
    )


def _case(kind: str, schedules: int, runs: int) -> Case:
    def measure(site: Site) -> Values:
        with site.database(OURS, kind) as database:
            target = "benchmarks.ours.ledger:make_closed"
            site.call(
                OURS, database, target, timeout=TIMEOUT_SECONDS, schedules=schedules, runs=runs
            )
            hour_ago = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3_600))
            return {
                "all": _checked(site, database),
                "recent": _checked(site, database, "--since", hour_ago),
            }

    # Only PostgreSQL has goals: SQLite reads all rows.
    return Case(f"**this project**, {kind}, {runs:,} runs", measure, ours=kind == POSTGRESQL)


def _checked(site: Site, database: str, *options: str) -> float:
    """Return how long the command took, from its start; it fails if the ledger doesn't close."""
    started = time.monotonic()
    site.run(OURS, database, "manage.py", "ledger", *options, timeout=TIMEOUT_SECONDS)
    return time.monotonic() - started
