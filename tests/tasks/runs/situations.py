"""Everything that counts when a run asks whether it may start: as a situation, and as rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product

from django.utils import timezone
from redis import Redis

from tasks.broker.keys import SPOOL_KEY
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.runs import spool
from tasks.runs.policy import Row, Running, Situation
from tests.tasks.functions import ECHO
from tests.tasks.schedules import make_row

OVERLAPS = ("skip", "allow", "wait", "replace")
# Which other run is going, and whether ends of runs wait on the spool.
OTHERS = (
    (None, False),
    ("regular", False),
    ("regular", True),
    ("backfill", False),
    ("manual", False),
)
KINDS = ("regular", "backfill", "manual")
ATTEMPTS = (1, 2)
# None, and passed: the occurrence was due half a minute ago.
START_DEADLINES = (None, 5)
STATES = ("running", "failed", "paused", "death", "settled", "changed")
ROWS = (None, "missed", "finished", "failed")
LATE = timedelta(seconds=30)
Status = ScheduledTaskInstance.Status


@dataclass(frozen=True, slots=True)
class Case:
    """One combination. `is_fresh`: the schedule was changed a moment ago."""

    overlap: str
    other: str | None
    has_spooled_ends: bool
    kind: str
    attempt: int
    start_deadline: int | None
    state: str
    row: str | None
    has_request: bool
    is_fresh: bool

    def situation(self, run_id: RunId, now: datetime) -> Situation:
        """Return what the policy has to decide on, made without any row."""
        due = run_id.due
        others = {
            "regular": Running(now - timedelta(hours=1), False),
            "backfill": Running(now - timedelta(hours=1), True),
            "manual": Running(None, False),
        }
        return Situation(
            run_id=run_id,
            now=now,
            overlap=self.overlap,
            start_deadline=self.start_deadline,
            settled_through=now if self.state == "settled" else (due or now) - LATE,
            is_live=self.state not in ("paused", "death"),
            is_due=self.state != "changed",
            has_request=self.has_request,
            row=self.row and Row(self.row, self._row_attempt, self.kind == "backfill"),
            running=tuple(others[name] for name in [self.other] if name is not None),
            has_spooled_ends=self.has_spooled_ends,
            answer=None,
        )

    @property
    def _row_attempt(self) -> int:
        return max(self.attempt - 1, 1)

    def store(self, redis: Redis) -> RunId:
        """Write the rows of the case; return which run asks."""
        now = timezone.now()
        due = now.replace(microsecond=0) - LATE
        schedule = self._schedule(due)
        requested = due if self.kind == "manual" else None
        run_id = RunId(
            schedule.job_id,
            due=None if self.kind == "manual" else due,
            requested=requested,
            attempt=self.attempt,
            is_backfill=self.kind == "backfill",
        )
        if self.row is not None:
            self._row(self.row, schedule, run_id, now)
        if self.other is not None:
            self._other(schedule, now)
        if self.has_request:
            schedule.requests.create(due=run_id.due, requested=requested or now)
        redis.delete(SPOOL_KEY)
        if self.has_spooled_ends:
            spool.push(redis, "task-of-somebody", "finished")
        return run_id

    def _schedule(self, due: datetime) -> ScheduledTask:
        is_stored = {"running", "failed", "paused", "death"}
        schedule = make_row(
            function=ECHO,
            first=due + timedelta(milliseconds=500 if self.state == "changed" else 0),
            interval=60,
            overlap=self.overlap,
            start_deadline=self.start_deadline,
            status=self.state if self.state in is_stored else "running",
            paused_at=due if self.state == "paused" else None,
            settled_through=due + LATE if self.state == "settled" else due - timedelta(seconds=1),
            period_start=due - timedelta(seconds=1 if self.is_fresh else 3_600),
        )
        if self.is_fresh:
            ScheduledTask.objects.filter(pk=schedule.pk).update(created=due - timedelta(days=1))
        return schedule

    def _row(self, status: str, schedule: ScheduledTask, run_id: RunId, now: datetime) -> None:
        never_ran = status in (Status.MISSED, Status.SKIPPED)
        is_requested = run_id.is_backfill or run_id.due is None
        schedule.runs.create(
            name=schedule.name,
            due=run_id.due,
            requested=(run_id.requested or now) if is_requested else None,
            status=status,
            attempt=self._row_attempt,
            started=None if never_ran else now,
            ended=None if status == Status.RUNNING else now,
            worker_name="another",
        )

    def _other(self, schedule: ScheduledTask, now: datetime) -> None:
        hour_ago = now - timedelta(hours=1)
        schedule.runs.create(
            name=schedule.name,
            due=None if self.other == "manual" else hour_ago,
            requested=None if self.other == "regular" else hour_ago,
            status=Status.RUNNING,
            started=hour_ago,
        )


def cases(overlap: str, kind: str, is_fresh: bool) -> Iterator[Case]:
    """Yield all combinations with this overlap policy and this kind of run."""
    requests = (True, False) if kind == "backfill" else (kind == "manual",)
    dimensions = product(OTHERS, ATTEMPTS, START_DEADLINES, STATES, ROWS, requests)
    for (other, spooled), attempt, deadline, state, row, has_request in dimensions:
        yield Case(
            overlap, other, spooled, kind, attempt, deadline, state, row, has_request, is_fresh
        )
