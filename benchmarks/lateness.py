"""Lateness: how long after its due an occurrence is on its queue, and a run starts."""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from benchmarks import arrivals, stamps
from benchmarks.figures import Failed, Figure, Values, at_least, at_most
from benchmarks.keys import QUEUE_KEY
from benchmarks.questions import Case, Question
from benchmarks.scale import Scale
from benchmarks.site import CELERY, OURS, PEERS, SQLITE, Environment, Site

NUMBER = 200
# For a peer to make its schedules before the first due; ours exist before.
PREPARATION_SECONDS = 6
# From a process's first sign of life until it is measured.
SETTLE_SECONDS = 3
TIMEOUT_SECONDS = 60
# A load that leaves two workers mostly idle.
IDLE_NUMBER, IDLE_SPREAD = 20, 0.05
CONCURRENCY = 200


def question(scale: Scale) -> Question:
    """Return the question, measured for `scale.seconds`."""
    seconds = scale.seconds

    def peer(
        who: str,
        function: str,
        key: str = QUEUE_KEY,
        environment: Environment = PEERS,
        anchored: bool = True,
    ) -> Case:
        def measure(site: Site) -> Values:
            first = math.ceil(time.time()) + PREPARATION_SECONDS
            target = f"benchmarks.peers.lateness:{function}"
            arguments = json.dumps({"number": NUMBER, "first": first})
            with (
                site.database(environment, SQLITE) as database,
                site.running(environment, database, "-m", "benchmarks.call", target, arguments),
            ):
                return _arrived(site, key, first, seconds, anchored)

        return Case(who, measure)

    load = f"{NUMBER} due every second for {seconds} s"
    return Question(
        "lateness",
        (
            Figure("p50", f"lateness on the queue, {load}, p50 ms", at_most(3)),
            Figure("p99", f"lateness on the queue, {load}, p99 ms", at_most(6)),
            Figure("drift", "drift over that time, ms", at_most(5)),
            Figure("arrived", "occurrences that arrived, %", at_least(99.9)),
            Figure("start_p50", "lateness of start, idle workers, p50 ms"),
            Figure("start_p99", "lateness of start, idle workers, p99 ms", at_most(6)),
            Figure("coroutine_p50", "the same, coroutines, p50 ms"),
            Figure("coroutine_p99", "the same, coroutines, p99 ms", at_most(12)),
        ),
        (
            Case("**this project**", lambda site: _ours(site, seconds), ours=True),
            peer("rq-scheduler, polling every second", "rq_scheduler"),
            peer("rq CronScheduler", "rq_cron", anchored=False),
            peer("APScheduler", "apscheduler", "queue"),
            peer("celery beat", "celery_beat", "celery", CELERY, anchored=False),
        ),
        repetitions=1,
    )


def _arrived(site: Site, key: str, first: float, seconds: int, anchored: bool) -> Values:
    end = first + seconds + 0.5
    collected = arrivals.collect(site.valkey.client, key, lambda _: time.time() > end)
    return arrivals.every_second(collected, first, seconds, NUMBER, anchored)


def _ours(site: Site, seconds: int) -> Values:
    with site.database(OURS, SQLITE) as database:
        make_schedules(site, database, NUMBER, 0)
        with site.running(OURS, database, "manage.py", "rqscheduler"):
            await_start(site, lambda: site.valkey.client.llen(QUEUE_KEY) > 0)
            first = math.ceil(time.time()) + SETTLE_SECONDS
            values = _arrived(site, QUEUE_KEY, first, seconds, True)
    for key, coroutines in (("start", False), ("coroutine", True)):
        site.clear()
        late = _starts(site, seconds, coroutines)
        values |= {f"{key}_p50": late["p50"], f"{key}_p99": late["p99"]}
    return values


def _starts(site: Site, seconds: int, coroutines: bool) -> Values:
    options = ("--concurrency", f"{CONCURRENCY}") if coroutines else ()
    with site.database(OURS, SQLITE) as database:
        make_schedules(site, database, IDLE_NUMBER, IDLE_SPREAD, coroutines=coroutines)
        with system(site, database, *options):
            after = time.time() + SETTLE_SECONDS
            time.sleep(SETTLE_SECONDS + seconds)
        return site.call(OURS, database, "benchmarks.ours.schedules:start_lateness", after=after)


@contextmanager
def system(site: Site, database: str, *options: str) -> Iterator[None]:
    """Run a scheduler and two workers inside the block, which begins when a run has started.

    `options` are those of the workers.
    """
    worker = ("rqworker", "default", *options)
    with ExitStack() as processes:
        for command in (("rqscheduler",), worker, worker):
            processes.enter_context(site.running(OURS, database, "manage.py", *command))
        await_start(site, lambda: stamps.count(site.stamps) > 0)
        yield


def make_schedules(
    site: Site, database: str, number: int, spread: float, *, coroutines: bool = False
) -> None:
    """Make `number` schedules of ours that are due every second, `spread` seconds apart."""
    site.call(
        OURS,
        database,
        "benchmarks.ours.schedules:every_second",
        number=number,
        first=math.ceil(time.time()) + 1,
        spread=spread,
        coroutines=coroutines,
    )


def await_start(site: Site, started: Callable[[], bool]) -> None:
    """Wait until a condition holds. Raises Failed after `TIMEOUT_SECONDS`."""
    if not site.wait_for(started, TIMEOUT_SECONDS):
        raise Failed(f"nothing happened within {TIMEOUT_SECONDS} s")
