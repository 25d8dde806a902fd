"""Lateness: how long after its due moment an occurrence is on its queue, and a run starts."""

import json
import math
import time
from contextlib import ExitStack

from benchmarks import arrivals
from benchmarks.figures import Case, Figure, Question, Values, at_least, at_most
from benchmarks.scale import Scale
from benchmarks.site import CELERY, OURS, PEERS, SQLITE, Environment, Site

NUMBER = 200
# Time to make the schedules and start the processes before the first due moment.
PREPARATION = 6
# A load that leaves two workers idle.
IDLE_NUMBER, IDLE_SPREAD = 20, 0.05


def question(scale: Scale) -> Question:
    """Return the question for so many seconds."""
    seconds = scale.seconds

    def peer(
        who: str,
        function: str,
        key: str = "rq:queue:default",
        environment: Environment = PEERS,
        anchored: bool = True,
    ) -> Case:
        def measure(site: Site) -> Values:
            first = math.ceil(time.time()) + PREPARATION
            target = f"benchmarks.peers.lateness:{function}"
            arguments = json.dumps({"number": NUMBER, "first": first})
            with (
                site.database(environment, SQLITE) as database,
                site.running(environment, database, "-m", "benchmarks.child", target, arguments),
            ):
                return _arrived(site, key, first, seconds, anchored)

        return Case(who, measure)

    load = f"{NUMBER} due every second for {seconds} s"
    return Question(
        "lateness",
        (
            Figure("p50", f"lateness on the queue, {load}, p50 ms", at_most(10)),
            Figure("p99", f"lateness on the queue, {load}, p99 ms", at_most(25)),
            Figure("drift", "drift over that time, ms", at_most(5)),
            Figure("arrived", "occurrences that came, %", at_least(99.9)),
            Figure("start_p50", "lateness of start, idle workers, p50 ms"),
            Figure("start_p99", "lateness of start, idle workers, p99 ms", at_most(60)),
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
        first = math.ceil(time.time()) + PREPARATION
        _make_schedules(site, database, NUMBER, first, 0)
        with site.running(OURS, database, "manage.py", "rqscheduler"):
            values = _arrived(site, "rq:queue:default", first, seconds, True)
    site.clear()
    return values | _starts(site, seconds)


def _starts(site: Site, seconds: int) -> Values:
    with site.database(OURS, SQLITE) as database:
        first = math.ceil(time.time()) + PREPARATION
        _make_schedules(site, database, IDLE_NUMBER, first, IDLE_SPREAD)
        with ExitStack() as processes:
            processes.enter_context(site.running(OURS, database, "manage.py", "rqscheduler"))
            for _ in range(2):
                processes.enter_context(
                    site.running(OURS, database, "manage.py", "rqworker", "default")
                )
            time.sleep(max(0, first + seconds - time.time()))
        # The workers' first runs are left out.
        late = site.call(
            OURS, database, "benchmarks.ours.schedules:start_lateness", after=first + 2
        )
    return {"start_p50": late["p50"], "start_p99": late["p99"]}


def _make_schedules(site: Site, database: str, number: int, first: float, spread: float) -> None:
    target = "benchmarks.ours.schedules:every_second"
    site.call(OURS, database, target, number=number, first=first, spread=spread)
