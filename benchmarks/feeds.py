"""Feeds: how many one worker polls a second, and a reader, and what hostile ones delay."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from benchmarks import feed_server
from benchmarks.feed_server import ENTRIES, HOSTILE, LATENCY
from benchmarks.figures import Failed, Figure, Round, Values, at_least, at_most
from benchmarks.processes import await_idle, pss
from benchmarks.questions import Case, Question
from benchmarks.scale import Scale
from benchmarks.site import OURS, POSTGRESQL, READER, SQLITE, Environment, Site, counter
from tests.servers import free_port

BOTH = (SQLITE, POSTGRESQL)
AT_A_TIME = 200
READERS_WORKERS = (20, 40, 80)
WORKER = ("manage.py", "rqworker", "default", "--concurrency", f"{AT_A_TIME}")
SCHEDULER = ("manage.py", "rqscheduler")
ENDED = "SELECT count(*) FROM tasks_scheduledtaskinstance WHERE status <> 'running'"
SECONDS = 600
MEMORY_EVERY = 0.5
# In seconds: how far the good feeds are from each other beside the hostile ones.
APART = 1
# Nobody waits longer for the end of a hostile one.
HOSTILE_SECONDS = 90


def question(scale: Scale) -> Question:
    """Return the question for `scale.feeds` feeds."""
    number, good = scale.feeds
    text = f"{number:,} feeds, {1000 * LATENCY:.0f} ms away"
    return Question(
        "feeds",
        (
            Figure("unchanged", f"{text}, unchanged, per second"),
            Figure("unchanged_ahead", "the same, times the reader's best", at_least(2.5)),
            Figure("new", f"{text}, {ENTRIES} new entries each, per second"),
            Figure("new_ahead", "the same, times the reader's best", at_least(1.5)),
            Figure("memory", "worker and parsers meanwhile, peak PSS, MB", at_most(300)),
            Figure("alone", f"{good} feeds, one a second: the slowest after its due, s"),
            Figure("beside", f"the same beside {len(HOSTILE)} hostile feeds, s", at_most(2)),
        ),
        (*_ours(number, good), *(_reader(number, workers) for workers in READERS_WORKERS)),
        derive=_times_best,
    )


def _times_best(answers: Round) -> Round:
    """Return our rates divided by the best that the reader has with any number of workers."""
    derived: Round = {}
    ours = answers.keys() - READERS
    for key in ("unchanged", "new"):
        best = max((answers[who][key] for who in answers if who in READERS), default=0.0)
        for who in ours:
            if best and key in answers[who]:
                derived.setdefault(who, {})[f"{key}_ahead"] = answers[who][key] / best
    return derived


def _reader_name(workers: int) -> str:
    return f"lemon24/reader, {workers} workers, SQLite"


READERS = {_reader_name(workers) for workers in READERS_WORKERS}


def _reader(number: int, workers: int) -> Case:
    def measure(site: Site) -> Values:
        path = site.directory / f"reader-{workers}.sqlite3"
        try:
            with _serving(site) as port:
                return site.call(
                    READER,
                    "",
                    "benchmarks.peers.reader_app:poll",
                    timeout=SECONDS,
                    path=str(path),
                    port=port,
                    number=number,
                    workers=workers,
                )
        finally:
            for file in site.directory.glob(f"{path.name}*"):
                file.unlink()

    return Case(_reader_name(workers), measure)


def _ours(number: int, good: int) -> Iterator[Case]:
    for kind in BOTH:

        def measure(site: Site, kind: str = kind) -> Values:
            values = _many(site, kind, number)
            site.clear()
            return values | _beside_hostile(site, kind, good)

        yield Case(f"**this project**, {kind}", measure, ours=True)


def _many(site: Site, kind: str, number: int) -> Values:
    """Measure many polls at once: the first ones aren't, the worker is still warming up."""
    entries = number * ENTRIES
    with _Polls.running(site, kind, number, hostile=False) as polls:
        polls.all_at_once(number, new=entries)
        memory = _Memory(polls.worker)
        unchanged = polls.all_at_once(number, new=0)
        feed_server.renew(polls.port)
        new = polls.all_at_once(number, new=entries)
        return {"unchanged": number / unchanged, "new": number / new, "memory": memory.stop()}


def _beside_hostile(site: Site, kind: str, good: int) -> Values:
    """Measure polls of good feeds that are due one after another, alone and beside hostile ones."""
    with _Polls.running(site, kind, good, hostile=True) as polls:
        polls.all_at_once(good, new=good * ENTRIES)
        values = {}
        for figure in ("alone", "beside"):
            feed_server.renew(polls.port)
            values[figure] = polls.slowest(good, hostile=figure == "beside")
        return values


@dataclass
class _Polls:
    """Our scheduler and one worker, with feeds that are made due.

    `worker` is its process, `before` how many runs had ended before the feeds were made due.
    """

    site: Site
    environment: Environment
    database: str
    port: int
    ended: Callable[[], int]
    worker: int = 0
    before: int = 0

    @classmethod
    @contextmanager
    def running(cls, site: Site, kind: str, number: int, *, hostile: bool) -> Iterator["_Polls"]:
        """Give them so many feeds, and a fresh database, inside the block."""
        with ExitStack() as stack:
            port = stack.enter_context(_serving(site))
            environment = replace(OURS, variables=_variables(port))
            database = stack.enter_context(site.database(environment, kind))
            ended = stack.enter_context(counter(database, ENDED))
            polls = cls(site, environment, database, port, ended)
            polls.call("schedule", port=port, number=number, hostile=hostile)
            stack.enter_context(site.running(environment, database, *SCHEDULER))
            worker = stack.enter_context(site.running(environment, database, *WORKER))
            await_idle(worker.pid)
            polls.worker = worker.pid
            yield polls

    def all_at_once(self, number: int, new: int) -> float:
        """Return how long it takes to poll all feeds, which are due at once."""
        due = self._set_due()
        self._wait_for(number, SECONDS)
        return float(self.call("polled", due=due, number=number, new=new)["seconds"])

    def slowest(self, good: int, *, hostile: bool) -> float:
        """Return how long after its due the slowest of the good feeds is done."""
        due = self._set_due(every=APART, hostile=hostile)
        number = good + (len(HOSTILE) if hostile else 0)
        self._wait_for(number, good * APART + HOSTILE_SECONDS)
        return float(self.call("slowest_good", due=due, number=good)["slowest"])

    def _set_due(self, **options: Any) -> float:
        self.before = self.ended()
        return float(self.call("set_due", **options)["due"])

    def _wait_for(self, number: int, seconds: float) -> None:
        wanted = self.before + number
        if not self.site.wait_for(lambda: self.ended() >= wanted, seconds, 0.1):
            ended = self.ended() - self.before
            raise Failed(f"{ended:,} of {number:,} polls had ended after {seconds:.0f} s")

    def call(self, function: str, **arguments: Any) -> dict[str, Any]:
        """Call one of our functions in a process of its own."""
        target = f"benchmarks.ours.feeds:{function}"
        return self.site.call(self.environment, self.database, target, **arguments)


def _variables(port: int) -> dict[str, str]:
    """Return the settings by which addresses of this machine may be polled, as fast as any."""
    hosts = [*feed_server.hosts(), feed_server.HOSTILE_HOST]
    return {
        "FEEDS_ALLOWED_HOSTS": " ".join(f"{host}:{port}" for host in hosts),
        "FEEDS_PER_HOST": f"{AT_A_TIME}",
    }


class _Memory:
    """The most memory that a worker and all below it have at once, until it is stopped."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak, self._stopped = pid, 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Stop, and return the peak in MB."""
        self._stopped.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        with suppress(Failed):
            while not self._stopped.wait(MEMORY_EVERY):
                self._peak = max(self._peak, pss(self._pid))


@contextmanager
def _serving(site: Site) -> Iterator[int]:
    """Run the server of the feeds inside the block, which gets its port."""
    port = free_port()
    with site.running(OURS, "", "-m", "benchmarks.feed_server", f"{port}"):
        if not site.wait_for(lambda: _answers(port), 30):
            raise Failed("the server of the feeds doesn't answer")
        yield port


def _answers(port: int) -> bool:
    with suppress(OSError, http.client.HTTPException):
        feed_server.renew(port)
        return True
    return False
