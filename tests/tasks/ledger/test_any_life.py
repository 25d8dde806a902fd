"""The ledger closes over any life of a schedule: edits, pauses, cancels, backfill, lost data."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import django_rq
import pytest
from hypothesis import HealthCheck, given, settings, target
from hypothesis import strategies as st
from redis import Redis

from tasks import clock as one_clock
from tasks.broker.connection import open_connection
from tasks.broker.leases import CERTAINTY
from tasks.broker.reconcile import reconcile
from tasks.exceptions import NotPossible
from tasks.ledger.audit import tallies
from tasks.ledger.retention import prune
from tasks.ledger.settling import SETTLING_TIME, settle
from tasks.models import ScheduledTask
from tasks.runs.lost import Watch, enqueue_lost_jobs
from tasks.services import SchedulerService
from tests.oracle import due_times
from tests.tasks.functions import ECHO, work_off

pytestmark = pytest.mark.django_db(transaction=True)

BEGINNING = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
NAME = "lived"


class Life:
    """One schedule, and the clock that everything around it reads."""

    def __init__(self, redis: Redis) -> None:
        self.now = BEGINNING
        self.redis = redis
        self.lost_dues = Watch()
        redis.flushall()
        open_connection.cache_clear()
        ScheduledTask.objects.all().delete()
        self.scheduler = django_rq.get_scheduler("default")

    def schedule(self) -> ScheduledTask | None:
        return ScheduledTask.objects.first()

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def request(self, spec: dict[str, Any]) -> None:
        """Request the same schedule again, with another spec."""
        if "cron" in spec:
            SchedulerService.cron(
                spec["cron"], ECHO, name=NAME, timezone="Europe/Rome", keep_runs=5
            )
        else:
            first = self.now - timedelta(seconds=spec["ago"])
            SchedulerService.schedule(
                first, ECHO, interval=spec["interval"], name=NAME, keep_runs=5
            )

    def edit(self, spec: dict[str, Any]) -> None:
        schedule = self.schedule()
        if schedule is None:
            return
        if "cron" in spec:
            schedule.cron, schedule.first, schedule.interval = spec["cron"], None, None
        else:
            schedule.cron, schedule.interval = "", spec["interval"]
            schedule.first = self.now - timedelta(seconds=spec["ago"])
        SchedulerService.save(schedule)

    def do(self, action: Callable[[ScheduledTask], Any]) -> None:
        schedule = self.schedule()
        if schedule is not None:
            with suppress(NotPossible):
                action(schedule)

    def backfill(self, seconds: int) -> None:
        begin = self.now - timedelta(seconds=seconds)
        self.do(lambda schedule: SchedulerService.backfill(schedule, begin, self.now, 1_000))

    def dispatch(self) -> None:
        self.scheduler.enqueue_jobs()

    def work(self) -> None:
        work_off(self.redis)

    def do_housekeeping(self) -> None:
        reconcile(self.redis)
        settle(self.redis, self.lost_dues)
        prune()

    def lose_redis(self) -> None:
        self.redis.flushall()

    def come_to_rest(self, pass_certainty: Callable[[], None]) -> None:
        """Let everything happen that is still to come."""
        for _ in range(4):
            self.pass_time(60)
            ScheduledTask.objects.update(next_check_at=self.now)
            self.do_housekeeping()
            enqueue_lost_jobs(self.redis, Watch())
            pass_certainty()
            for _ in range(3):
                self.dispatch()
                self.work()
                self.pass_time(2)


specs = st.one_of(
    st.fixed_dictionaries({"cron": st.sampled_from(["*/10 * * * *", "30 * * * *", "0 2 * * *"])}),
    st.fixed_dictionaries(
        {
            "interval": st.sampled_from([None, 60, 600, 3600]),
            "ago": st.sampled_from([0, 1, 30, 90, 900, -5, -300]),
        }
    ),
)
steps = st.one_of(
    st.tuples(st.just("pass_time"), st.sampled_from([0.5, 7, 61, 610, 3_700, 20_000])),
    st.tuples(st.just("request"), specs),
    st.tuples(st.just("edit"), specs),
    st.tuples(
        st.just("do"),
        st.sampled_from([SchedulerService.pause, SchedulerService.resume, SchedulerService.cancel]),
    ),
    st.tuples(st.just("backfill"), st.sampled_from([60, 3_600])),
    st.sampled_from([("dispatch",), ("work",), ("do_housekeeping",), ("lose_redis",)]),
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(spec=specs, lived=st.lists(steps, max_size=14))
def test_the_ledger_closes_over_any_life_of_a_schedule(
    redis_connection: Redis,
    monkeypatch: pytest.MonkeyPatch,
    clock: Any,
    spec: dict[str, Any],
    lived: list[tuple[Any, ...]],
):
    life = Life(redis_connection)
    with monkeypatch.context() as patch:
        patch.setattr(one_clock, "timestamp", lambda: life.now.timestamp())
        life.request(spec)
        for name, *arguments in lived:
            getattr(life, name)(*arguments)

        def pass_certainty() -> None:
            clock.now += CERTAINTY

        life.come_to_rest(pass_certainty)
        schedule = life.schedule()
        assert schedule is not None
        [tally] = tallies([schedule.pk])
        target(float(tally.due))
        assert (tally.missing.first, tally.unexpected.first, tally.problem) == ([], [], "")
        assert tally.overdue.first == []
        assert_as_the_oracle_says(schedule, life.now)


def assert_as_the_oracle_says(schedule: ScheduledTask, now: datetime) -> None:
    """Compare the rows with what was due by code that shares nothing with the ledger."""
    expected: set[datetime] = set()
    spans = [
        (period.spec, period.start, period.end) for period in schedule.periods.all() if period.spec
    ]
    if schedule.is_live:
        spans.append((schedule.spec_json(), schedule.period_start, now - SETTLING_TIME))
    for values, start, end in spans:
        known = {
            "cron": values["cron"],
            "interval": values["interval"],
            "timezone": values["timezone"],
            "first": values["first"] and datetime.fromisoformat(values["first"]),
        }
        expected |= set(due_times(start, end, **known))
    rows = schedule.runs.filter(due__isnull=False)
    if schedule.pruned_until is not None:
        expected = {due for due in expected if due > schedule.pruned_until}
        rows = rows.filter(due__gt=schedule.pruned_until)
    regular = rows.filter(requested=None).values_list("due", flat=True)
    recorded = set(rows.values_list("due", flat=True))
    assert expected <= recorded
    assert {due for due in regular if due <= now - SETTLING_TIME} <= expected
