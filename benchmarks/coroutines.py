"""Coroutines: functions that wait, side by side in one worker, with a row for each run."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks import stamps
from benchmarks.figures import Failed, Figure, Values, at_most
from benchmarks.processes import await_idle, cpu_seconds, pss
from benchmarks.questions import Case, Question
from benchmarks.runs import (
    DONE_BY_CELERY,
    DONE_BY_PROCRASTINATE,
    KEYS,
    OUR_FINISHED,
    PEERS_FINISHED,
)
from benchmarks.scale import Scale
from benchmarks.site import ARQ, CELERY, OURS, PEERS, POSTGRESQL, SQLITE, Environment, Site, counter

BOTH = (SQLITE, POSTGRESQL)
AT_A_TIME, PAUSE_SECONDS = 200, 0.2
# From before they are enqueued until all are due: nobody needs longer.
PREPARATION_SECONDS = 8
# The processor's time counts from so long before they are due.
BEFORE_SECONDS = 0.2
TIMEOUT_SECONDS = 60
# Those whose memory is measured wait for longer than it takes all of them to start.
LONG_PAUSE_SECONDS = 40


@dataclass(frozen=True)
class Worker:
    """How somebody's worker is started, with how many calls at a time, and its calls are enqueued.

    `enqueue` is a function for `benchmarks.call`, `finished` a query for the number of finished
    rows. What is started `beside` it isn't measured.
    """

    environment: Environment
    enqueue: str
    command: Callable[[int], tuple[str, ...]]
    finished: str
    beside: tuple[tuple[str, ...], ...] = ()

    @contextmanager
    def running(
        self, site: Site, database: str, at_a_time: int
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Run the worker, and all beside it, inside the block."""
        with ExitStack() as others:
            for command in self.beside:
                others.enter_context(site.running(self.environment, database, *command))
            command = self.command(at_a_time)
            yield others.enter_context(site.running(self.environment, database, *command))

    def all_due_at_once(self, site: Site, database: str, number: int, seconds: float) -> float:
        """Enqueue calls that wait so many seconds; return when they are due, a moment before."""
        due = int(time.time()) + PREPARATION_SECONDS
        site.call(self.environment, database, self.enqueue, number=number, seconds=seconds, due=due)
        if time.time() > due - BEFORE_SECONDS:
            raise Failed(f"enqueueing took longer than {PREPARATION_SECONDS} s")
        if stamps.count(site.stamps):
            raise Failed("one started before it was due")
        time.sleep(due - BEFORE_SECONDS - time.time())
        return due


def _manage(at_a_time: int) -> tuple[str, ...]:
    return ("manage.py", "rqworker", "default", "--concurrency", f"{at_a_time}")


def _procrastinate(at_a_time: int) -> tuple[str, ...]:
    # By default it looks for what has become due every five seconds.
    command = "-m procrastinate --app benchmarks.peers.procrastinate_app.app worker -p 0.1"
    return (*command.split(), "--concurrency", f"{at_a_time}")


def _celery(pool: str) -> Callable[[int], tuple[str, ...]]:
    command = f"-m celery -A benchmarks.peers.celery_app worker -P {pool} -l ERROR -c"
    return lambda at_a_time: (*command.split(), f"{at_a_time}")


def _arq(at_a_time: int) -> tuple[str, ...]:
    call = ("-m", "benchmarks.call", "benchmarks.peers.arq_app:work")
    return (*call, json.dumps({"at_a_time": at_a_time}))


def _peer(
    environment: Environment, name: str, command: Callable[[int], tuple[str, ...]], finished: str
) -> Worker:
    return Worker(environment, f"benchmarks.peers.enqueue:{name}_pauses", command, finished)


# Who, on which databases, and whether a thousand at a time are measured as well.
ALL: tuple[tuple[str, tuple[str, ...], bool, Worker], ...] = (
    (
        "**this project**",
        BOTH,
        True,
        Worker(
            OURS,
            "benchmarks.ours.schedules:pauses",
            _manage,
            OUR_FINISHED,
            beside=(("manage.py", "rqscheduler"),),
        ),
    ),
    (
        "procrastinate",
        (POSTGRESQL,),
        True,
        _peer(PEERS, "procrastinate", _procrastinate, DONE_BY_PROCRASTINATE),
    ),
    ("celery gevent", BOTH, False, _peer(CELERY, "celery", _celery("gevent"), DONE_BY_CELERY)),
    ("celery threads", BOTH, False, _peer(CELERY, "celery", _celery("threads"), DONE_BY_CELERY)),
    ("arq", BOTH, True, _peer(ARQ, "arq", _arq, PEERS_FINISHED)),
)


def question(scale: Scale) -> Question:
    """Return the question for `scale.waiting` calls."""
    number, crowd = scale.waiting
    text = f"{number:,} that wait {1000 * PAUSE_SECONDS:.0f} ms, due at once, {AT_A_TIME} at a time"
    return Question(
        "coroutines",
        (
            Figure("seconds_sqlite", f"{text}: all have ended after, s, SQLite", at_most(4)),
            Figure("cpu_sqlite", "CPU of the worker for each, ms, SQLite", at_most(1.5)),
            Figure(
                "seconds_postgresql", f"{text}: all have ended after, s, PostgreSQL", at_most(4)
            ),
            Figure("cpu_postgresql", "CPU of the worker for each, ms, PostgreSQL", at_most(2)),
            Figure("memory", f"worker with {crowd:,} under way, PSS, MB, PostgreSQL", at_most(200)),
        ),
        tuple(
            _case(who, kinds, crowd if has_crowd else 0, worker, number)
            for who, kinds, has_crowd, worker in ALL
        ),
    )


def _case(who: str, kinds: tuple[str, ...], crowd: int, worker: Worker, number: int) -> Case:
    def measure(site: Site) -> Values:
        values: Values = {}
        for kind in kinds:
            site.clear()
            values |= _waits(site, worker, kind, number)
        if crowd:
            site.clear()
            values |= _crowd(site, worker, crowd)
        return values

    return Case(who, measure, ours=worker.environment is OURS)


def _waits(site: Site, worker: Worker, kind: str, number: int) -> Values:
    """Measure how long many waits take, and how much of the processor each."""
    with ExitStack() as stack:
        database = stack.enter_context(site.database(worker.environment, kind))
        finished = stack.enter_context(counter(database, worker.finished))
        process = stack.enter_context(worker.running(site, database, AT_A_TIME))
        await_idle(process.pid)
        due = worker.all_due_at_once(site, database, number, PAUSE_SECONDS)
        used = cpu_seconds(process.pid)
        # Each stamps when it starts and when it ends.
        site.wait_for(lambda: stamps.count(site.stamps) >= 2 * number, TIMEOUT_SECONDS)
        if not site.wait_for(lambda: finished() >= number, TIMEOUT_SECONDS, 0.01):
            raise Failed(
                f"{finished():,} of {number:,} had ended after {TIMEOUT_SECONDS} s, {kind}"
            )
        ended = time.time()
        used = cpu_seconds(process.pid) - used
    key = KEYS[kind]
    return {f"seconds_{key}": ended - due, f"cpu_{key}": 1000 * used / number}


def _crowd(site: Site, worker: Worker, number: int) -> Values:
    """Measure the memory of a worker while all of its runs are under way."""
    with (
        site.database(worker.environment, POSTGRESQL) as database,
        worker.running(site, database, number) as process,
    ):
        await_idle(process.pid)
        worker.all_due_at_once(site, database, number, LONG_PAUSE_SECONDS)
        if not site.wait_for(lambda: stamps.count(site.stamps) >= number, LONG_PAUSE_SECONDS):
            raise Failed(f"only {stamps.count(site.stamps):,} of {number:,} started")
        return {"memory": pss(process.pid)}
