"""Overhead: what one run costs besides its function, and how long a single one takes."""

from benchmarks.figures import Figure, Values, at_most
from benchmarks.questions import Case, Question
from benchmarks.runs import OUR_FINISHED, OUR_WORKER
from benchmarks.scale import Scale
from benchmarks.site import OURS, POSTGRESQL, SQLITE, Site
from benchmarks.workers import Workers

NUMBER = 2000
# Isolated runs take longer.
FEWER_ISOLATED = 4
SINGLE = 50
SECONDS = 12
ENQUEUE = "benchmarks.ours.schedules:all_due_now"


def question(scale: Scale) -> Question:
    """Return the question for one worker."""
    number = NUMBER // scale.fewer_runs
    return Question(
        "overhead",
        (
            Figure("each", "one run of a no-op among many, 1 worker, ms", at_most(2)),
            Figure("isolated", "what a process of its own adds to it, ms", at_most(8)),
            Figure("latency", "run now → row finished, idle worker, p50 ms"),
        ),
        tuple(_case(kind, number) for kind in (SQLITE, POSTGRESQL)),
    )


def _case(kind: str, number: int) -> Case:
    def measure(site: Site) -> Values:
        worker = Workers(OURS, ENQUEUE, (OUR_WORKER,), OUR_FINISHED)
        each = 1000 / worker.rate(site, kind, number, SECONDS)
        site.clear()
        isolating = Workers(OURS, f"{ENQUEUE}_isolated", (OUR_WORKER,), OUR_FINISHED)
        isolated = 1000 / isolating.rate(site, kind, number // FEWER_ISOLATED, SECONDS)
        site.clear()
        with (
            site.database(OURS, kind) as database,
            site.running(OURS, database, *OUR_WORKER),
        ):
            latency = site.call(
                OURS, database, "benchmarks.ours.schedules:one_by_one", number=SINGLE
            )
        return {"each": each, "isolated": isolated - each} | latency

    return Case(f"**this project**, {kind}", measure, ours=True)
