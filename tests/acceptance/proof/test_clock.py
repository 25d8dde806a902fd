"""A clock that is set forward and back, by law and by mistake, and a scheduler that was down.

Here the clock is a fake: the scheduler's own class is driven in this process, tick by tick.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import django_rq
import pytest
import rq_scheduler
from django.conf import LazySettings
from redis import Redis

from tasks.broker.connection import open_connection
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.services import SchedulerService
from tests import oracle
from tests.acceptance.proof.checks import Violated
from tests.acceptance.proof.evidence import EPOCH, OCCURRENCE
from tests.acceptance.proof.system import Subject
from tests.jobs import tasks as jobs
from tests.servers import Valkey

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CRONS = [
    "30 2 * * *",
    "0 * * * *",
    "*/10 * * * *",
    "15 1,2,3 * * *",
    "45 1-3 * * SUN",
    "5 0 1-31 * *",
]
ZONES = {
    "Europe/Berlin": [date(2026, 3, 29), date(2026, 10, 25)],
    "America/New_York": [date(2026, 3, 8), date(2026, 11, 1)],
    "Australia/Lord_Howe": [date(2026, 4, 5), date(2026, 10, 4)],
}
DAYS = [(zone, day) for zone, days in ZONES.items() for day in days]
# The tick at which each schedule was put on its queue.
Dispatched = dict[str, list[datetime]]


def change_of(zone: str, day: date) -> datetime:
    """Return when, on this day, the zone's clock is changed."""
    clock = ZoneInfo(zone)
    now = datetime(day.year, day.month, day.day, tzinfo=clock).astimezone(UTC)
    while (now + MINUTE).astimezone(clock).utcoffset() == now.astimezone(clock).utcoffset():
        now += MINUTE
    return now + MINUTE


def ticks(change: datetime) -> list[datetime]:
    """Return what the clock shows at each tick of the scheduler.

    The scheduler is down for most of the hour after the change. Before and after that somebody
    sets the clock two hours forward, and two hours back, by mistake, for one tick.
    """
    every = [change - 5 * HOUR + number * MINUTE for number in range(12 * 60)]
    seen = [at for at in every if not change + 10 * MINUTE < at < change + 50 * MINUTE]
    for mistake in (change - 3 * HOUR, change - 20 * MINUTE, change + 100 * MINUTE):
        place = seen.index(mistake)
        seen[place:place] = [mistake + 2 * HOUR, mistake, mistake - 2 * HOUR]
    return seen


@pytest.fixture
def redis_connection(valkey: Valkey, settings: LazySettings) -> Redis:
    """Return a connection to the Valkey that the code under test uses."""
    settings.RQ_QUEUES = {
        name: queue | {"URL": valkey.url} for name, queue in settings.RQ_QUEUES.items()
    }
    open_connection.cache_clear()
    return valkey.client


class Ours:
    """The project's scheduler, and the clock that it reads.

    freezegun won't do: its datetimes lose which of two repeated hours they mean.
    """

    def __init__(self, zone: str, start: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = start
        monkeypatch.setattr("tasks.clock.timestamp", lambda: self._now.timestamp())
        for cron in CRONS:
            SchedulerService.cron(cron, jobs.witness, ["", cron], name=cron, timezone=zone)
        self._names = dict(ScheduledTask.objects.values_list("job_id", "name"))
        self._scheduler = django_rq.get_scheduler()
        self._redis = self._scheduler.connection
        self.dispatched: list[tuple[str, datetime]] = []

    def tick(self, now: datetime) -> None:
        self._now = now
        self._scheduler.enqueue_jobs()
        for job_id in drain(self._redis):
            match = OCCURRENCE.fullmatch(job_id)
            assert match is not None
            due = EPOCH + timedelta(milliseconds=int(match[1]))
            self.dispatched.append((self._names[job_id.rpartition("-")[0]], due))

    def findings(self, zone: str, seen: list[datetime]) -> Iterator[str]:
        """Compare what was dispatched, or recorded as missed, with what was due."""
        rows = ScheduledTaskInstance.objects.values_list("name", "due", "status")
        yield from (f"a row that says {status}" for _, _, status in rows if status != "missed")
        recorded = self.dispatched + [(name, due) for name, due, _ in rows]
        expected = [
            (cron, due)
            for cron in CRONS
            for due in oracle.due_times(seen[0], max(seen), cron=cron, timezone=zone)
        ]
        yield from (f"lost: {cron} at {due}" for cron, due in set(expected) - set(recorded))
        yield from (f"not due: {cron} at {due}" for cron, due in set(recorded) - set(expected))
        if len(recorded) != len(set(recorded)):
            yield "something was dispatched twice"


class Stock:
    """rq-scheduler in a process whose time zone is the one that is tested."""

    def __init__(self, zone: str, start: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = start
        self._zone = ZoneInfo(zone)
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        monkeypatch.setattr("rq_scheduler.utils.datetime", self._fake())
        monkeypatch.setattr("rq_scheduler.scheduler.datetime", self._fake())
        self._redis = django_rq.get_connection()
        self._scheduler = rq_scheduler.Scheduler("default", connection=self._redis)
        jobs = {cron: self._scheduler.cron(cron, print, use_local_timezone=True) for cron in CRONS}
        self._names = {job.id: cron for cron, job in jobs.items()}
        self._ticks: list[tuple[datetime, set[str]]] = []

    def _fake(self) -> Any:
        clock = self

        class Fake(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return clock._now.astimezone(clock._zone).replace(tzinfo=None)

            @classmethod
            def utcnow(cls) -> Any:
                return clock._now.replace(tzinfo=None)

        return Fake

    def tick(self, now: datetime) -> None:
        self._now = now
        self._scheduler.enqueue_jobs()
        self._ticks.append((now, {self._names[job_id] for job_id in drain(self._redis)}))

    def findings(self, zone: str, seen: list[datetime]) -> Iterator[str]:
        """Compare each tick with what was due since the latest time so far."""
        for cron in CRONS:
            latest = seen[0]
            for now, dispatched in self._ticks:
                dues = oracle.due_times(latest, now, cron=cron, timezone=zone)
                if bool(dues) != (cron in dispatched):
                    yield f"{'lost' if dues else 'not due'}: {cron} at {now}"
                latest = max(latest, now)


def drain(redis: Redis) -> list[str]:
    """Return and remove what was put on the queue."""
    job_ids: Any = redis.lrange("rq:queue:default", 0, -1)
    redis.delete("rq:queue:default")
    return [job_id.decode() for job_id in job_ids]


@pytest.fixture
def drive(
    subject: Subject,
    redis_connection: Redis,
    transactional_db: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[str, list[datetime]], None]]:
    """Return a function that has a scheduler tick at these times, and checks what it did."""

    def run(zone: str, seen: list[datetime]) -> None:
        driven = (Ours if subject == "ours" else Stock)(zone, seen[0], monkeypatch)
        for now in seen[1:]:
            driven.tick(now)
        found = list(driven.findings(zone, seen))
        if found:
            raise Violated("\n".join([f"{len(found)} findings:", *found[:40]]))

    yield run
    monkeypatch.undo()
    time.tzset()


@pytest.mark.case(0)
def test_with_a_clock_that_is_never_changed_every_occurrence_is_dispatched_once(
    drive: Callable[[str, list[datetime]], None],
):
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    drive("UTC", [noon + number * MINUTE for number in range(24 * 60)])


@pytest.mark.case(19)
@pytest.mark.parametrize(("zone", "day"), DAYS)
def test_a_clock_that_is_changed_neither_loses_nor_doubles_an_occurrence(
    drive: Callable[[str, list[datetime]], None], zone: str, day: date
):
    drive(zone, ticks(change_of(zone, day)))
