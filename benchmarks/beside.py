"""Beside: whether plain functions that compute and coroutines that wait hinder each other."""

from typing import Any

from benchmarks import stamps
from benchmarks.figures import Failed, Figure, Values, at_most
from benchmarks.processes import await_idle
from benchmarks.questions import Case, Question
from benchmarks.runs import OUR_WORKER
from benchmarks.scale import Scale
from benchmarks.site import OURS, POSTGRESQL, SQLITE, Site

NUMBER, ROUNDS = 20, 800_000
WAITING, WAIT_SECONDS = 200, 20
TIMEOUT_SECONDS = 30


def question(scale: Scale) -> Question:
    """Return the question for both databases."""
    return Question(
        "beside",
        (
            Figure("alone", f"{NUMBER} plain runs that compute, one worker, alone, s"),
            Figure("beside", f"the same beside {WAITING} waiting coroutines, times", at_most(1.2)),
            Figure("each", "one of these runs beside them, times", at_most(1.2)),
            Figure("still", "longest stand-still of the coroutines meanwhile, ms", at_most(50)),
        ),
        tuple(_case(kind) for kind in (SQLITE, POSTGRESQL)),
    )


def _case(kind: str) -> Case:
    def measure(site: Site) -> Values:
        with (
            site.database(OURS, kind) as database,
            site.running(OURS, database, *OUR_WORKER, "--concurrency", f"{WAITING}") as worker,
        ):

            def call(function: str, **arguments: float) -> dict[str, Any]:
                return site.call(OURS, database, f"benchmarks.ours.beside:{function}", **arguments)

            await_idle(worker.pid)
            # The first batch isn't measured: the worker is still warming up.
            _warm_up, alone = (call("batch", number=NUMBER, rounds=ROUNDS) for _ in range(2))
            call("wait", number=WAITING, seconds=WAIT_SECONDS)
            if not site.wait_for(lambda: stamps.count(site.stamps) == WAITING, TIMEOUT_SECONDS):
                raise Failed(f"only {stamps.count(site.stamps)} of {WAITING} coroutines started")
            beside = call("batch", number=NUMBER, rounds=ROUNDS)
            still = call("stand_still", begin=beside["begin"], end=beside["end"])
        seconds = alone["end"] - alone["begin"]
        return {
            "alone": seconds,
            "beside": (beside["end"] - beside["begin"]) / seconds,
            "each": beside["each"] / alone["each"],
        } | still

    return Case(f"**this project**, {kind}", measure, ours=True)
