"""Retention: whether deletion keeps up with two workers, and the database stays small."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from benchmarks import stamps
from benchmarks.figures import Failed, Figure, Values, at_least, at_most
from benchmarks.keys import QUEUE_KEY
from benchmarks.questions import Case, Question
from benchmarks.runs import OUR_WORKER
from benchmarks.scale import Scale
from benchmarks.site import OURS, POSTGRESQL, Site, counter, postgres

# For how long deletion is measured, at most; and how long it may take to begin.
SECONDS, START_SECONDS = 40, 60
TIMES = 10
TIMEOUT_SECONDS = 1_800
RUNS = "tasks_scheduledtaskinstance"
OLD = f"SELECT count(*) FROM {RUNS} WHERE worker_name = 'before'"
# What takes a day otherwise takes minutes here: autovacuum looks that much more often.
HURRIED = {"autovacuum_naptime": "'1s'", "autovacuum_vacuum_cost_delay": "0"}


def question(scale: Scale) -> Question:
    """Return the question for the runs of `scale.kept`, in PostgreSQL."""
    schedules, kept, load = scale.kept
    return Question(
        "retention",
        (
            Figure("deleted", "runs deleted per second beside full load", at_least(1_000)),
            Figure("ran", "runs per second meanwhile, 2 workers"),
            Figure(
                "size",
                f"{schedules * kept:,} runs kept, replaced {TIMES} times: size of their table,"
                " times that of a new one",
                at_most(1.5),
            ),
            Figure("grown", "the same, times that when it had been filled"),
        ),
        (
            Case(
                "**this project**, beside full load",
                lambda site: _deletion(site, schedules, kept, load),
                ours=True,
            ),
            Case("**this project**, size", lambda site: _size(site, schedules, kept), ours=True),
        ),
        repetitions=1,
    )


def _deletion(site: Site, schedules: int, kept: int, load: int) -> Values:
    """Measure how fast a leader that has just started deletes, while workers run what they can."""
    with (
        site.database(OURS, POSTGRESQL) as database,
        counter(database, OLD) as old,
        site.running(OURS, database, *OUR_WORKER),
        site.running(OURS, database, *OUR_WORKER),
    ):
        # Twice as many are deleted as are kept.
        site.call(
            OURS,
            database,
            "benchmarks.ours.retention:fill_up",
            schedules=schedules,
            kept=kept,
            excess=2 * kept,
            load=load,
        )
        before = old()
        with site.running(OURS, database, "manage.py", "rqscheduler"):
            if not site.wait_for(
                lambda: stamps.count(site.stamps) > 0 and old() < before, START_SECONDS
            ):
                raise Failed(f"nothing was run and deleted within {START_SECONDS} s")
            started, before, ran = time.monotonic(), old(), stamps.count(site.stamps)
            site.wait_for(lambda: old() == schedules * kept, SECONDS, 0.2)
            seconds = time.monotonic() - started
            deleted, ran = before - old(), stamps.count(site.stamps) - ran
        if not site.valkey.client.llen(QUEUE_KEY):
            raise Failed("the workers had nothing left to do")
    return {"deleted": deleted / seconds, "ran": ran / seconds}


def _size(site: Site, schedules: int, kept: int) -> Values:
    with site.database(OURS, POSTGRESQL) as database, _hurried_autovacuum():
        sizes = site.call(
            OURS,
            database,
            "benchmarks.ours.retention:turn_over",
            timeout=TIMEOUT_SECONDS,
            schedules=schedules,
            kept=kept,
            times=TIMES,
        )
        _execute(database, f"VACUUM FULL {RUNS}")
        with counter(database, f"SELECT pg_total_relation_size('{RUNS}')") as compact:
            return {
                "size": sizes["at_last"] / compact(),
                "grown": sizes["at_last"] / sizes["filled"],
            }


@contextmanager
def _hurried_autovacuum() -> Iterator[None]:
    """Have PostgreSQL's autovacuum hurry inside the block."""
    server = postgres().url
    for name, value in HURRIED.items():
        _execute(server, f"ALTER SYSTEM SET {name} = {value}")
    _execute(server, "SELECT pg_reload_conf()")
    try:
        yield
    finally:
        for name in HURRIED:
            _execute(server, f"ALTER SYSTEM RESET {name}")
        _execute(server, "SELECT pg_reload_conf()")


def _execute(database: str, command: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(command.encode())
