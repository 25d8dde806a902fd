"""Backfill runs what never ran of a past range, each occurrence once, whatever Redis loses."""

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from tasks.broker.enqueue import enqueue_run
from tasks.broker.leases import CERTAINTY
from tasks.decorators import NotNow
from tasks.exceptions import NotPossible, UnknownTaskFunction
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.ledger.audit import tallies
from tasks.models import ScheduledTask
from tasks.runs import backfill, lost
from tasks.runs.lost import Watch
from tasks.services import SchedulerService
from tests.tasks import functions
from tests.tasks.functions import CALL, perform, queued, work_off
from tests.tasks.runs.rescue import close_lost_runs
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


@pytest.fixture
def hourly() -> ScheduledTask:
    """Return a schedule that was due five times, and is accounted for."""
    first = ago(4.5 * 3600)
    return make_row(name="hourly", first=first, period_start=first - HOUR)


def due(schedule: ScheduledTask, number: int) -> datetime:
    first = schedule.first
    assert first is not None
    return first + number * HOUR


def record(schedule: ScheduledTask, *statuses: str) -> None:
    for number, status in enumerate(statuses):
        moment = due(schedule, number)
        started = None if status in ("missed", "skipped") else moment
        schedule.runs.create(name="x", due=moment, status=status, started=started, ended=moment)


def ask(schedule: ScheduledTask, **options: Any) -> list[RunId]:
    """Ask for the first three occurrences."""
    return SchedulerService.backfill(schedule, due(schedule, 0) - HOUR, due(schedule, 2), **options)


def run_ids(schedule: ScheduledTask, *numbers: int) -> list[str]:
    return [
        RunId(schedule.job_id, due(schedule, number), is_backfill=True).job_id for number in numbers
    ]


def work_off_all(redis: Redis) -> None:
    while work_off(redis):
        pass


def enqueue_lost_jobs(redis: Redis, clock: SimpleNamespace) -> None:
    """Look for lost jobs until they are certain."""
    ScheduledTask.objects.get().requests.update(requested=ago(60))
    watch = Watch()
    for _ in range(2):
        lost.enqueue_lost_jobs(redis, watch)
        clock.now += CERTAINTY


# What is run


def test_backfill_runs_what_never_ran_and_nothing_else(
    hourly: ScheduledTask, redis_connection: Redis
):
    record(hourly, "missed", "failed", "skipped")
    ended = hourly.runs.get(status="failed").ended
    assert len(ask(hourly)) == 2
    work_off_all(redis_connection)
    assert list(hourly.runs.order_by("due").values_list("status", flat=True)) == [
        "finished",
        "failed",
        "finished",
    ]
    assert hourly.runs.get(status="failed").ended == ended


def test_backfill_runs_what_failed_if_that_is_wanted_as_one_more_attempt(
    hourly: ScheduledTask, redis_connection: Redis
):
    record(hourly, "finished", "failed", "finished")
    assert [run_id.attempt for run_id in ask(hourly, failed=True)] == [2]
    work_off_all(redis_connection)
    run = hourly.runs.get(due=due(hourly, 1))
    assert (run.status, run.attempt) == ("finished", 2)
    assert not hourly.requests.exists()


def test_backfill_leaves_alone_what_failed_and_is_tried_again_by_itself(hourly: ScheduledTask):
    record(hourly, "finished", "failed", "finished")
    ScheduledTask.objects.update(retries=1)
    hourly.runs.filter(status="failed").update(ended=ago(0))
    assert ask(hourly, failed=True) == []


def test_a_failed_run_that_backfill_requested_survives_the_loss_of_redis(
    hourly: ScheduledTask, redis_connection: Redis, clock: SimpleNamespace
):
    record(hourly, "finished", "failed", "finished")
    ask(hourly, failed=True)
    redis_connection.flushall()
    enqueue_lost_jobs(redis_connection, clock)
    work_off_all(redis_connection)
    assert hourly.runs.get(due=due(hourly, 1)).status == "finished"


def test_backfill_gives_an_occurrence_without_a_row_its_row(
    hourly: ScheduledTask, redis_connection: Redis
):
    ask(hourly)
    work_off_all(redis_connection)
    runs = hourly.runs.order_by("due")
    assert [run.due for run in runs] == [due(hourly, number) for number in range(3)]
    assert all(run.is_backfill and run.status == "finished" for run in runs)
    assert not hourly.requests.exists()


def test_backfill_reuses_the_row_that_said_missed(hourly: ScheduledTask, redis_connection: Redis):
    record(hourly, "missed")
    before = hourly.runs.get()
    ask(hourly)
    work_off(redis_connection)
    after = hourly.runs.get(pk=before.pk)
    assert (after.status, after.attempt, after.reason) == ("finished", 1, "")
    assert after.requested is not None


def test_backfill_leaves_occurrences_in_flight_alone(hourly: ScheduledTask):
    ScheduledTask.objects.update(settled_through=due(hourly, 1))
    found = backfill.to_run(ScheduledTask.objects.get(), due(hourly, 0) - HOUR, due(hourly, 3))
    assert [one.due for one in found] == [due(hourly, 0), due(hourly, 1)]


def test_backfill_requested_twice_runs_once(hourly: ScheduledTask, redis_connection: Redis):
    assert (len(ask(hourly)), len(ask(hourly))) == (3, 0)
    work_off_all(redis_connection)
    assert ask(hourly) == []
    assert hourly.runs.count() == 3


def test_backfill_runs_whatever_the_status_of_the_schedule(
    hourly: ScheduledTask, redis_connection: Redis
):
    SchedulerService.cancel(hourly)
    ask(hourly)
    work_off_all(redis_connection)
    assert hourly.runs.filter(status="finished").count() == 3


def test_the_ledger_closes_after_backfill_of_what_was_never_expected(
    hourly: ScheduledTask, redis_connection: Redis
):
    ScheduledTask.objects.update(period_start=timezone.now(), settled_through=timezone.now())
    ask(ScheduledTask.objects.get())
    work_off_all(redis_connection)
    [tally] = tallies([hourly.pk])
    assert (tally.closes, tally.due, tally.outcomes["finished"]) == (True, 3, 3)


@pytest.mark.parametrize(
    ("hours", "limit", "message"),
    [
        ((0, 4), 2, "More than 2 occurrences in that range have not run"),
        ((0, 3), 0, "limit between 1 and 10000"),
        ((0, 3), 10_001, "limit between 1 and 10000"),
        ((3, 3), 9, "The range is empty"),
        ((3, 0), 9, "The range is empty"),
        ((0, 5), 9, "ends in the future"),
    ],
)
def test_an_invalid_range_for_backfill_is_refused(
    hourly: ScheduledTask, hours: tuple[int, int], limit: int, message: str
):
    begin, end = (due(hourly, number) for number in hours)
    with pytest.raises(NotPossible, match=message):
        SchedulerService.backfill(hourly, begin, end, limit)
    assert not hourly.requests.exists()


def test_a_naive_datetime_is_refused_by_backfill(hourly: ScheduledTask):
    with pytest.raises(NotPossible, match="need a time zone"):
        SchedulerService.backfill(hourly, datetime(2020, 1, 1), due(hourly, 2))


def test_a_range_with_too_many_dues_is_refused_by_backfill():
    schedule = make_row(first=ago(200_000), interval=1)
    with pytest.raises(NotPossible, match="More than 100,000 occurrences"):
        SchedulerService.backfill(schedule, ago(200_000), ago(0), 10_000)


def test_backfill_refuses_a_range_whose_runs_retention_has_deleted(hourly: ScheduledTask):
    ScheduledTask.objects.update(pruned_until=due(hourly, 1))
    with pytest.raises(NotPossible, match="have been deleted by retention"):
        ask(ScheduledTask.objects.get())


def test_backfill_names_an_unregistered_function(hourly: ScheduledTask):
    hourly.function = "gone"
    with pytest.raises(UnknownTaskFunction, match="gone"):
        ask(hourly)


# One after another


def test_backfilled_occurrences_run_one_after_another(
    hourly: ScheduledTask, redis_connection: Redis
):
    ask(hourly)
    for number in range(3):
        assert queued(redis_connection) == run_ids(hourly, number)
        work_off(redis_connection)
    assert queued(redis_connection) == []


def test_some_backfilled_occurrences_run_at_a_time_where_overlap_is_allowed(
    hourly: ScheduledTask, redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tasks.runs.backfill.RUNS_AT_ONCE", 2)
    ScheduledTask.objects.update(overlap="allow")
    ask(hourly)
    assert queued(redis_connection) == run_ids(hourly, 0, 1)
    perform(redis_connection, run_ids(hourly, 0)[0])
    assert queued(redis_connection) == run_ids(hourly, 1, 2)


@pytest.mark.parametrize("overlap", ["skip", "wait", "replace"])
def test_backfill_waits_for_the_running_run(
    hourly: ScheduledTask, redis_connection: Redis, overlap: str
):
    ScheduledTask.objects.update(overlap=overlap)
    going = hourly.runs.create(name="x", due=due(hourly, 4), started=ago(1))
    ask(hourly)
    [job_id] = run_ids(hourly, 0)
    perform(redis_connection, job_id)
    going.refresh_from_db()
    assert (going.status, hourly.runs.count(), hourly.requests.count()) == ("running", 1, 3)
    assert redis_connection.zscore("rq:scheduled:default", job_id) is not None


@pytest.mark.parametrize("overlap", ["skip", "wait", "replace"])
def test_a_regular_run_waits_for_backfill(
    hourly: ScheduledTask, redis_connection: Redis, overlap: str
):
    ScheduledTask.objects.update(overlap=overlap, settled_through=due(hourly, 3))
    going = hourly.runs.create(name="x", due=due(hourly, 0), requested=ago(2), started=ago(1))
    run_id = RunId(hourly.job_id, due(hourly, 4))
    enqueue_run(hourly, run_id, redis_connection)
    perform(redis_connection, run_id.job_id)
    going.refresh_from_db()
    assert (going.status, hourly.runs.count()) == ("running", 1)
    assert redis_connection.zscore("rq:scheduled:default", run_id.job_id) is not None


# Called off


@pytest.mark.parametrize("end", [SchedulerService.pause, SchedulerService.cancel])
def test_pause_and_cancel_withdraw_backfill(
    hourly: ScheduledTask, redis_connection: Redis, end: Any
):
    ask(hourly)
    end(hourly)
    assert (queued(redis_connection), hourly.requests.count()) == ([], 0)


def test_the_job_of_a_withdrawn_request_does_not_run(
    hourly: ScheduledTask, redis_connection: Redis
):
    record(hourly, "missed")
    ask(hourly)
    hourly.requests.all().delete()
    work_off(redis_connection)
    assert [run.status for run in hourly.runs.all()] == ["missed"]


def test_withdrawn_backfill_can_be_requested_again(hourly: ScheduledTask, redis_connection: Redis):
    ask(hourly)
    SchedulerService.pause(hourly)
    ask(hourly)
    work_off_all(redis_connection)
    assert hourly.runs.filter(status="finished").count() == 3


# What goes wrong


def test_a_backfill_job_that_redis_lost_is_enqueued_again(
    hourly: ScheduledTask, redis_connection: Redis, clock: SimpleNamespace
):
    ask(hourly)
    redis_connection.flushall()
    enqueue_lost_jobs(redis_connection, clock)
    assert queued(redis_connection) == run_ids(hourly, 0)


@pytest.mark.parametrize("status", ["queued", "finished"])
def test_a_backfill_job_that_was_popped_and_lost_is_enqueued_again(
    hourly: ScheduledTask, redis_connection: Redis, clock: SimpleNamespace, status: str
):
    ask(hourly)
    redis_connection.delete("rq:queue:default")
    redis_connection.hset(Job.key_for(run_ids(hourly, 0)[0]), "status", status)
    enqueue_lost_jobs(redis_connection, clock)
    assert queued(redis_connection) == run_ids(hourly, 0)


def test_backfill_requested_without_redis_runs_when_redis_is_back(
    hourly: ScheduledTask, redis_connection: Redis, redis_unavailable: Any, clock: SimpleNamespace
):
    redis_unavailable(True)
    ask(hourly)
    redis_unavailable(False)
    enqueue_lost_jobs(redis_connection, clock)
    assert queued(redis_connection) == run_ids(hourly, 0)


def test_a_failed_backfilled_run_is_tried_again(
    hourly: ScheduledTask, redis_connection: Redis, behave: Any
):
    ScheduledTask.objects.update(retries=1, function=CALL)
    hourly.refresh_from_db()
    behave(lambda: 1 / 0)
    ask(hourly)
    [first] = run_ids(hourly, 0)
    perform(redis_connection, first)
    assert set(queued(redis_connection)) == {f"{first}-2", *run_ids(hourly, 1)}
    behave(lambda: 1)
    perform(redis_connection, f"{first}-2")
    run = hourly.runs.get()
    assert (run.status, run.attempt, run.is_backfill) == ("finished", 2, True)


def test_a_lost_backfilled_run_is_closed_and_the_next_one_follows(
    hourly: ScheduledTask, redis_connection: Redis, clock: SimpleNamespace
):
    ask(hourly)
    redis_connection.flushall()
    hourly.requests.filter(due=due(hourly, 0)).delete()
    run = hourly.runs.create(
        name="x", due=due(hourly, 0), requested=ago(2), started=ago(1), worker_name="w1"
    )
    close_lost_runs(redis_connection, clock)
    run.refresh_from_db()
    assert run.status == "failed"
    assert queued(redis_connection) == run_ids(hourly, 1)


def test_the_regular_job_of_a_backfilled_occurrence_does_not_run_too(
    hourly: ScheduledTask, redis_connection: Redis
):
    run_id = RunId(hourly.job_id, due(hourly, 0))
    enqueue_run(hourly, run_id, redis_connection)
    ask(hourly)
    work_off_all(redis_connection)
    assert hourly.runs.get(due=due(hourly, 0)).is_backfill


def test_a_manual_run_that_redis_lost_is_enqueued_again(
    hourly: ScheduledTask, redis_connection: Redis, clock: SimpleNamespace
):
    SchedulerService.run_now(hourly)
    redis_connection.flushall()
    enqueue_lost_jobs(redis_connection, clock)
    [job_id] = queued(redis_connection)
    perform(redis_connection, job_id)
    assert hourly.runs.get().status == "finished"
    assert not hourly.requests.exists()


def test_a_skipped_manual_run_is_not_requested_any_more(
    hourly: ScheduledTask, redis_connection: Redis
):
    hourly.runs.create(name="x", due=due(hourly, 4), started=ago(1))
    SchedulerService.run_now(hourly)
    work_off(redis_connection)
    assert hourly.runs.get(due=None).status == "skipped"
    assert not hourly.requests.exists()


def test_a_failed_run_that_was_refused_at_first_is_run_when_it_is_requested_again(
    hourly: ScheduledTask,
    redis_connection: Redis,
    clock: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
):
    ScheduledTask.objects.update(function=functions.CHECKED, args=[1, 2])
    hourly.refresh_from_db()
    record(hourly, "finished", "failed", "finished")
    answers = [NotNow("no")]
    monkeypatch.setattr(functions, "check", lambda *_: answers.pop() if answers else None)
    ask(hourly, failed=True)
    work_off_all(redis_connection)
    assert hourly.runs.get(due=due(hourly, 1)).status == "failed"
    ask(hourly, failed=True)
    enqueue_lost_jobs(redis_connection, clock)
    work_off_all(redis_connection)
    assert hourly.runs.get(due=due(hourly, 1)).status == "finished"


def test_a_job_of_another_attempt_leaves_a_request_alone(
    hourly: ScheduledTask, redis_connection: Redis
):
    record(hourly, "finished", "failed", "finished")
    ask(hourly, failed=True)
    redis_connection.flushall()
    # What a version enqueues that knows nothing of attempts among requests.
    first = RunId(hourly.job_id, due(hourly, 1), is_backfill=True)
    enqueue_run(hourly, first, redis_connection)
    work_off_all(redis_connection)
    run = hourly.runs.get(due=due(hourly, 1))
    assert (run.status, run.attempt) == ("finished", 2)
