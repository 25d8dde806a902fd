"""Recovery: how soon all schedules are back in Redis after it has lost everything."""

import time

from benchmarks.figures import Failed, Figure, Values, at_most
from benchmarks.keys import SCHEDULES_KEY
from benchmarks.questions import Case, Question
from benchmarks.scale import Scale
from benchmarks.site import OURS, POSTGRESQL, SQLITE, Site

TIMEOUT_SECONDS = 120


def question(scale: Scale) -> Question:
    """Return the question for `scale.schedules[0]` schedules, on both databases."""
    number = scale.schedules[0]
    return Question(
        "recovery",
        (Figure("seconds", f"FLUSHALL with {number:,} schedules: all back, s", at_most(12)),),
        tuple(_case(kind, number) for kind in (SQLITE, POSTGRESQL)),
        repetitions=1,
    )


def _case(kind: str, number: int) -> Case:
    def measure(site: Site) -> Values:
        redis = site.valkey.client

        def all_are_back() -> bool:
            # A member and a template each.
            return redis.zcard(SCHEDULES_KEY) == number and redis.dbsize() > number

        with site.database(OURS, kind) as database:
            site.call(OURS, database, "benchmarks.ours.schedules:none_due", number=number)
            with site.running(OURS, database, "manage.py", "rqscheduler"):
                if not site.wait_for(all_are_back, TIMEOUT_SECONDS):
                    raise Failed(f"Redis did not have all schedules within {TIMEOUT_SECONDS} s")
                redis.flushall()
                started = time.monotonic()
                if not site.wait_for(all_are_back, TIMEOUT_SECONDS):
                    back = redis.zcard(SCHEDULES_KEY)
                    raise Failed(f"only {back:,} of {number:,} were back after {TIMEOUT_SECONDS} s")
                return {"seconds": time.monotonic() - started}

    return Case(f"**this project**, {kind}", measure, ours=True)
