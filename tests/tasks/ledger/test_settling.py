"""Each occurrence that was due has its row."""

from collections.abc import Hashable, Iterable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from tasks.broker.enqueue import enqueue_run
from tasks.broker.in_flight import in_flight
from tasks.broker.keys import SCHEDULES_KEY
from tasks.broker.leases import CERTAINTY, renew_lease
from tasks.broker.reconcile import reconcile
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.ledger import settling
from tasks.ledger.settling import end_refused, settle, settling_steps
from tasks.models import ScheduledTask
from tasks.reasons import Code, reason
from tasks.runs.lost import Watch
from tasks.scheduler import Scheduler
from tasks.services import SchedulerService
from tests.tasks.functions import CHECKED, queued, work_off
from tests.tasks.in_redis import schedules_in_redis
from tests.tasks.schedules import MakeSchedule, ago

pytestmark = pytest.mark.django_db(transaction=True)


def steps(schedule: ScheduledTask, *numbers: int) -> list[datetime]:
    """Return the dues with these numbers, counted from the schedule's first."""
    first, step = schedule.first, timedelta(seconds=schedule.interval or 0)
    assert first is not None
    return [first + step * number for number in numbers]


def rows(schedule: ScheduledTask) -> dict[datetime | None, str]:
    return dict(schedule.runs.order_by("due").values_list("due", "status"))


def settle_lost(redis: Redis, clock: SimpleNamespace) -> None:
    """Settle the ledger until it is certain what is lost."""
    watch = Watch()
    for _ in range(2):
        check_now()
        settle(redis, watch)
        clock.now += CERTAINTY


def check_now() -> None:
    """Have all schedules checked the next time the ledger is settled."""
    ScheduledTask.objects.update(next_check_at=ago(1))


# Nothing expected is lost


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("latest", ["finished", "missed", "missed", "finished"]),
        ("all", ["finished", "finished", "finished", "finished"]),
        ("none", ["finished", "missed", "missed", "missed"]),
    ],
)
def test_after_a_flush_of_redis_lost_occurrences_run_or_are_missed(
    redis_connection: Redis,
    put: MakeSchedule,
    scheduler: Scheduler,
    policy: str,
    expected: list[str],
):
    schedule = put(first=ago(350), interval=100, settled_through=ago(351), catch_up=policy)
    schedule.runs.create(
        name="x", due=schedule.first, status="finished", started=ago(350), ended=ago(349)
    )
    redis_connection.flushall()
    reconcile(redis_connection)
    scheduler.enqueue_jobs()
    work_off(redis_connection)
    assert rows(schedule) == dict(zip(steps(schedule, 0, 1, 2, 3), expected, strict=True))


@pytest.mark.parametrize(
    ("policy", "expected"), [("latest", ["missed", "finished"]), ("none", ["missed", "missed"])]
)
def test_a_lost_occurrence_is_run_or_recorded_as_missed(
    redis_connection: Redis,
    put: MakeSchedule,
    clock: SimpleNamespace,
    policy: str,
    expected: list[str],
):
    schedule = put(first=ago(150), interval=100, settled_through=ago(151), catch_up=policy)
    redis_connection.zadd(SCHEDULES_KEY, {schedule.job_id: ago(-50).timestamp()})
    settle_lost(redis_connection, clock)
    work_off(redis_connection)
    assert rows(schedule) == dict(zip(steps(schedule, 0, 1), expected, strict=True))


def test_a_lost_occurrence_is_not_run_before_it_is_certain_to_be_lost(
    redis_connection: Redis, put: MakeSchedule, clock: SimpleNamespace
):
    put(first=ago(150), settled_through=ago(151))
    watch = Watch()
    settle(redis_connection, watch)
    clock.now += CERTAINTY - 1
    check_now()
    settle(redis_connection, watch)
    assert queued(redis_connection) == []


@pytest.mark.parametrize("where", ["queue", "later", "lease"])
def test_an_occurrence_in_flight_is_not_lost(
    redis_connection: Redis, put: MakeSchedule, clock: SimpleNamespace, where: str
):
    schedule = put(first=ago(150), settled_through=ago(151))
    run_id = RunId(schedule.job_id, schedule.first)
    if where == "lease":
        renew_lease(redis_connection, run_id.job_id, "worker")
    else:
        at = None if where == "queue" else ago(-60)
        enqueue_run(schedule, run_id, redis_connection, at=at)
    before = queued(redis_connection)
    settle_lost(redis_connection, clock)
    assert (rows(schedule), queued(redis_connection)) == ({}, before)


def test_an_occurrence_that_was_due_just_now_is_not_lost(
    redis_connection: Redis, put: MakeSchedule, clock: SimpleNamespace
):
    put(first=ago(20), settled_through=ago(21))
    settle_lost(redis_connection, clock)
    assert queued(redis_connection) == []


def test_a_lost_occurrence_whose_function_is_unknown_stops_no_other(
    redis_connection: Redis, put: MakeSchedule, clock: SimpleNamespace
):
    broken = put(first=ago(150), settled_through=ago(151))
    good = put(first=ago(150), settled_through=ago(151))
    ScheduledTask.objects.filter(pk=broken.pk).update(function="gone")
    settle_lost(redis_connection, clock)
    assert queued(redis_connection) == [RunId(good.job_id, good.first).job_id]


@pytest.mark.parametrize("few", [1, 100], ids=["many dues", "few dues"])
def test_a_schedule_is_settled_through_the_last_due_before_one_without_a_row(
    redis_connection: Redis, put: MakeSchedule, monkeypatch: pytest.MonkeyPatch, few: int
):
    monkeypatch.setattr(settling, "FEW_DUES", few)
    schedule = put(first=ago(350), interval=100, settled_through=ago(351))
    for due in steps(schedule, 0, 1, 3):
        schedule.runs.create(name="x", due=due, status="missed", ended=due)
    settle(redis_connection, Watch())
    schedule.refresh_from_db()
    assert [schedule.settled_through] == steps(schedule, 1)


def test_a_schedule_that_changes_while_it_is_checked_is_not_settled_by_its_old_spec(
    redis_connection: Redis, put: MakeSchedule, monkeypatch: pytest.MonkeyPatch
):
    schedule = put(first=ago(350), interval=100, settled_through=ago(351))
    schedule.runs.create(name="x", due=schedule.first, status="missed", ended=ago(0))

    def change(*args: Any) -> Any:
        schedule.interval = 70
        SchedulerService.save(schedule)
        return in_flight(*args)

    with monkeypatch.context() as patch:
        patch.setattr("tasks.ledger.settling.in_flight", change)
        next(settling_steps(redis_connection, Watch()))
    before = schedule.settled_through
    schedule.refresh_from_db()
    assert schedule.settled_through == before > ago(50)
    assert schedule.next_check_at <= timezone.now()


@pytest.mark.parametrize("recorded", [True, False])
def test_a_schedule_is_checked_again_when_it_is_due_or_soon_if_a_row_is_to_come(
    redis_connection: Redis, put: MakeSchedule, recorded: bool
):
    schedule = put(first=ago(100), interval=600, settled_through=ago(101))
    if recorded:
        schedule.runs.create(name="x", due=schedule.first, status="missed", ended=ago(0))
    settle(redis_connection, Watch())
    schedule.refresh_from_db()
    wait = schedule.next_check_at - timezone.now()
    assert timedelta(0) < wait < timedelta(seconds=510)
    assert (wait > timedelta(seconds=400)) is recorded


def test_schedules_that_need_no_check_cost_one_query(
    redis_connection: Redis, put: MakeSchedule, django_assert_num_queries: Any
):
    for _ in range(3):
        put(next_check_at=ago(-60))
    with django_assert_num_queries(1):
        settle(redis_connection, Watch())


def test_many_schedules_are_settled_with_few_queries(
    redis_connection: Redis, put: MakeSchedule, django_assert_max_num_queries: Any
):
    for _ in range(20):
        schedule = put(first=ago(100), settled_through=ago(101))
        schedule.runs.create(name="x", due=schedule.first, status="missed", ended=ago(0))
    with django_assert_max_num_queries(6):
        settle(redis_connection, Watch())
    assert not ScheduledTask.objects.filter(settled_through__lt=ago(101)).exists()


def test_settling_checks_each_schedule_once_a_round(
    redis_connection: Redis, put: MakeSchedule, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(settling, "CHECKED_AT_ONCE", 2)
    monkeypatch.setattr(settling, "CHECK_AGAIN", timedelta(seconds=-1))
    schedules = [put(first=ago(10), settled_through=ago(11)) for _ in range(5)]
    checked: list[Any] = []

    class RecordingWatch(Watch):
        def confirmed(
            self, suspects: Iterable[Any], part: Hashable = None, seconds: float = CERTAINTY
        ) -> list[Any]:
            checked.append(part)
            return super().confirmed(suspects, part, seconds)

    settle(redis_connection, RecordingWatch())
    assert sorted(checked) == [schedule.pk for schedule in schedules]
    assert ScheduledTask.objects.filter(next_check_at__lte=timezone.now()).count() == 5


# The end of a schedule


@pytest.fixture
def exhausted(put: MakeSchedule) -> ScheduledTask:
    """Return a schedule whose only occurrence has run."""
    schedule = put(first=ago(60), interval=None, settled_through=ago(61))
    schedule.runs.create(
        name="x", due=schedule.first, status="finished", started=ago(59), ended=ago(58)
    )
    return schedule


def status(schedule: ScheduledTask) -> str:
    schedule.refresh_from_db()
    return schedule.status


def test_an_exhausted_schedule_ends_and_leaves_redis(
    exhausted: ScheduledTask, redis_connection: Redis
):
    settle(redis_connection, Watch())
    assert status(exhausted) == "death"
    assert redis_connection.keys("rq:*") == []


@pytest.mark.parametrize(
    "values",
    [{"status": "running", "ended": None}, {"status": "failed"}],
    ids=["still running", "to be retried"],
)
def test_an_exhausted_schedule_with_a_run_to_come_does_not_end(
    exhausted: ScheduledTask, redis_connection: Redis, values: dict[str, Any]
):
    ScheduledTask.objects.update(retries=1)
    exhausted.runs.update(**values)
    exhausted.runs.create(
        name="x", requested=ago(1), status="finished", started=ago(1), ended=ago(1)
    )
    settle(redis_connection, Watch())
    assert status(exhausted) == "running"


def test_an_exhausted_schedule_whose_last_attempt_has_failed_ends(
    exhausted: ScheduledTask, redis_connection: Redis
):
    exhausted.runs.update(status="failed")
    settle(redis_connection, Watch())
    assert status(exhausted) == "death"


def test_a_schedule_with_more_dues_to_check_does_not_end(
    put: MakeSchedule, redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(settling, "DUES_AT_ONCE", 2)
    schedule = put(first=ago(400), interval=100, repeat=4, settled_through=ago(401))
    for due in steps(schedule, 0, 1):
        schedule.runs.create(name="x", due=due, status="missed", ended=due)
    settle(redis_connection, Watch())
    assert status(schedule) == "running"


def test_a_lost_occurrence_whose_check_killed_its_process_twice_is_missed(
    redis_connection: Redis, put: MakeSchedule, clock: SimpleNamespace
):
    schedule = put(function=CHECKED, first=ago(60), interval=None, settled_through=ago(61))
    run_id = RunId(schedule.job_id, schedule.first)
    enqueue_run(schedule, run_id, redis_connection)
    redis_connection.lpop("rq:queue:default")
    redis_connection.hset(Job.key_for(run_id.job_id), "put_back", "the first execution")
    settle_lost(redis_connection, clock)
    run = schedule.runs.get()
    assert (run.status, run.reason_code) == ("missed", Code.NEVER_STARTED)
    assert queued(redis_connection) == []


# A schedule whose function's check has said not at all


def refused(schedule: ScheduledTask, seconds_ago: float) -> None:
    """Record that the check said so, that long ago."""
    due = ago(seconds_ago)
    why = reason(Code.CHECK_NOT_AT_ALL, text="it is gone", at=due)
    schedule.runs.create(name="x", due=due, status="skipped", ended=due, **why.fields)


def test_a_schedule_whose_check_said_not_at_all_ends_and_leaves_redis(
    redis_connection: Redis, put: MakeSchedule
):
    schedule, other = put(period_start=ago(60)), put(period_start=ago(60))
    refused(schedule, 5)
    end_refused(redis_connection)
    schedule.refresh_from_db()
    assert schedule.status == "death"
    assert schedules_in_redis(redis_connection) == {other.job_id}
    assert [period.kind for period in schedule.periods.all()] == ["active"]


def test_backfill_that_is_still_to_run_is_withdrawn_when_a_check_ends_the_schedule(
    redis_connection: Redis, put: MakeSchedule
):
    schedule = put(period_start=ago(60))
    schedule.requests.create(due=ago(1_000), requested=ago(9))
    refused(schedule, 5)
    end_refused(redis_connection)
    assert schedule.requests.count() == 0


def test_a_retry_that_was_refused_at_last_ends_a_schedule_that_was_edited_meanwhile(
    redis_connection: Redis, put: MakeSchedule
):
    schedule = put(period_start=ago(60))
    why = reason(Code.CHECK_NOT_AT_ALL, text="it is gone", at=ago(1))
    failed = {"status": "failed", "started": ago(3_600), "ended": ago(3_600)}
    schedule.runs.create(name="x", due=ago(3_600), **failed, **why.fields)
    end_refused(redis_connection)
    schedule.refresh_from_db()
    assert schedule.status == "death"


def test_a_schedule_that_is_resumed_after_its_check_has_ended_it_stays_active(
    redis_connection: Redis, put: MakeSchedule
):
    schedule = put(period_start=ago(60))
    refused(schedule, 120)
    end_refused(redis_connection)
    schedule.refresh_from_db()
    assert schedule.status == "running"


def test_a_schedule_that_is_paused_is_not_ended_by_its_check(
    redis_connection: Redis, put: MakeSchedule
):
    schedule = put(period_start=ago(60), status="paused", paused_at=ago(3))
    refused(schedule, 5)
    end_refused(redis_connection)
    schedule.refresh_from_db()
    assert schedule.status == "paused"
