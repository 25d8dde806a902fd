"""Drift: how much later runs start after an hour than at its beginning."""

import time

from benchmarks.figures import Figure, Values, at_most
from benchmarks.lateness import IDLE_NUMBER, IDLE_SPREAD, SETTLE_SECONDS, make_schedules, system
from benchmarks.questions import Case, Question
from benchmarks.scale import Scale
from benchmarks.site import OURS, SQLITE, Site


def question(scale: Scale) -> Question:
    """Return the question, which isn't measured by default."""
    seconds, window = scale.drift
    load = f"{IDLE_NUMBER} due every second for {seconds} s"
    return Question(
        "drift",
        (
            Figure("first", f"lateness of start, {load}, p50 of the first {window} s, ms"),
            Figure("last", f"the same, the last {window} s, ms"),
            Figure("drift", "drift over that time, ms", at_most(1)),
        ),
        (Case("**this project**", lambda site: _measure(site, seconds, window), ours=True),),
        repetitions=1,
        asked_by_default=False,
    )


def _measure(site: Site, seconds: int, window: int) -> Values:
    with site.database(OURS, SQLITE) as database:
        make_schedules(site, database, IDLE_NUMBER, IDLE_SPREAD)
        with system(site, database):
            begin = time.time()
            first = _lateness(site, database, window)
            time.sleep(max(0, begin + seconds - window - time.time()))
            last = _lateness(site, database, window)
    # The promptest tenth is compared: what delays the others is not drift.
    drift = last["promptest"] - first["promptest"]
    return {"first": first["p50"], "last": last["p50"], "drift": drift}


def _lateness(site: Site, database: str, window: int) -> dict[str, float]:
    after = time.time() + SETTLE_SECONDS
    time.sleep(SETTLE_SECONDS + window)
    return site.call(OURS, database, "benchmarks.ours.schedules:start_lateness", after=after)
