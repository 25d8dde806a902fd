"""Schedules and background calls: the row is the truth, Redis follows after the commit."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from redis import Redis

from tasks.broker.connection import connect
from tasks.broker.keys import SCHEDULES_KEY
from tasks.broker.reconcile import reconcile
from tasks.broker.workers import queues_without_worker
from tasks.exceptions import InvalidArguments, InvalidSchedule, NotPossible, UnknownTaskFunction
from tasks.job import Job
from tasks.ledger.settling import settle
from tasks.models import ScheduledTask, Task
from tasks.runs.lost import Watch
from tasks.scheduler import Scheduler
from tasks.services import CalendarService, SchedulerService, TaskService
from tests.tasks import functions
from tests.tasks.functions import ECHO, in_threads, perform, queued
from tests.tasks.in_redis import due_in_redis
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)

RedisUnavailable = Callable[[bool], None]
FIRST = ago(-86_400)
HOUR = timedelta(hours=1)


def every(seconds: int | None = 60, first: datetime = FIRST, **values: Any) -> ScheduledTask:
    return SchedulerService.schedule(first, functions.echo, interval=seconds, **values)


def stored(schedule: ScheduledTask) -> ScheduledTask:
    return ScheduledTask.objects.get(pk=schedule.pk)


def missed(schedule: ScheduledTask) -> list[datetime]:
    return sorted(schedule.runs.filter(status="missed").values_list("due", flat=True))


# Making schedules


def test_a_schedule_is_a_row_and_is_in_redis(redis_connection: Redis):
    schedule = every(60, args=[1], kwargs={"a": 2}, description="why", repeat=3, timeout=9)
    row = stored(schedule)
    assert (row.name, row.function, row.args, row.kwargs) == (ECHO, ECHO, [1], {"a": 2})
    assert (row.type, row.status, row.repeat, row.timeout) == ("schedule", "running", 3, 9)
    assert schedule.projected is True
    assert due_in_redis(redis_connection, schedule) == FIRST


def test_a_cron_schedule_is_in_the_projects_time_zone_unless_another_is_given():
    row = SchedulerService.cron("30 6 * * *", ECHO)
    assert (row.type, row.timezone) == ("cron", settings.TIME_ZONE)
    row = SchedulerService.cron("30 6 * * *", ECHO, timezone="Asia/Seoul")
    assert stored(row).timezone == "Asia/Seoul"


def test_queue_and_name_of_a_schedule_come_from_its_function_unless_given():
    row = SchedulerService.schedule(FIRST, functions.only_scheduled, [1])
    assert (row.name, row.queue) == ("tests.only_scheduled", "low")
    row = SchedulerService.schedule(FIRST, functions.only_scheduled, [1], name="x", queue="high")
    assert (row.name, row.queue) == ("x", "high")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("first", {"first": timezone.now().replace(tzinfo=None)}),
        ("first", {"first": "soon"}),
        ("first", {"first": None}),
        ("interval", {"seconds": 0}),
        ("interval", {"seconds": "15m"}),
        ("queue", {"queue": "unknown"}),
        ("repeat", {"repeat": 0}),
        ("overlap", {"overlap": "unknown"}),
        ("end", {"start": FIRST, "end": FIRST - HOUR}),
    ],
)
def test_an_invalid_schedule_is_refused_at_the_field_and_not_stored(
    field: str, values: dict[str, Any]
):
    with pytest.raises(InvalidSchedule) as caught:
        every(**values)
    assert field in caught.value.errors
    assert not ScheduledTask.objects.exists()


@pytest.mark.parametrize(
    ("field", "cron", "zone"),
    [("cron", "61 * * * *", None), ("cron", "* * *", None), ("timezone", "@daily", "Mars/Base")],
)
def test_an_invalid_cron_expression_or_time_zone_is_refused_at_its_field(
    field: str, cron: str, zone: str | None
):
    with pytest.raises(InvalidSchedule) as caught:
        SchedulerService.cron(cron, ECHO, timezone=zone)
    assert list(caught.value.errors) == [field]


def test_a_schedule_with_an_unknown_option_is_refused():
    with pytest.raises(InvalidSchedule):
        every(colour="red")


def test_only_task_functions_with_matching_arguments_are_scheduled():
    with pytest.raises(UnknownTaskFunction):
        SchedulerService.schedule(FIRST, len)
    with pytest.raises(InvalidArguments):
        SchedulerService.schedule(FIRST, functions.only_scheduled, ["too", "many"])


def test_a_schedule_that_is_rolled_back_leaves_nothing_in_redis(redis_connection: Redis):
    with transaction.atomic():
        schedule = every()
        TaskService.enqueue_task(functions.echo)
        assert schedule.projected is None
        transaction.set_rollback(True)
    assert redis_connection.keys("*") == []
    assert not ScheduledTask.objects.exists()


@pytest.mark.parametrize(("seconds", "expected"), [(5, True), (100, False), (-100, False)])
def test_a_first_time_that_has_just_passed_is_expected(
    seconds: int, expected: bool, scheduler: Any
):
    every(60, ago(seconds))
    assert len(scheduler.enqueue_jobs()) == expected


def test_a_single_time_that_has_passed_is_expected(scheduler: Scheduler):
    every(None, ago(86_400))
    assert len(scheduler.enqueue_jobs()) == 1


# Scheduling again


def test_scheduling_again_changes_the_existing_row(redis_connection: Redis):
    first, second = every(60), every(90, queue="low")
    assert (first.pk, first.job_id) == (second.pk, second.job_id)
    row = ScheduledTask.objects.get()
    assert (row.interval, row.queue, row.created) == (90, "low", first.created)
    assert redis_connection.zcard(SCHEDULES_KEY) == 1


@pytest.mark.parametrize("status", ["failed", "death"])
def test_scheduling_again_makes_a_failing_or_ended_schedule_active(
    redis_connection: Redis, status: str
):
    schedule = every()
    ScheduledTask.objects.update(status=status)
    reconcile(redis_connection)
    every()
    assert stored(schedule).status == "running"
    assert due_in_redis(redis_connection, schedule) == FIRST


def test_scheduling_again_by_cron_changes_the_type_of_a_schedule(redis_connection: Redis):
    every()
    schedule = SchedulerService.cron("0 0 1 1 *", ECHO)
    row = ScheduledTask.objects.get()
    assert (row.type, row.first, row.interval) == ("cron", None, None)
    assert due_in_redis(redis_connection, schedule) == row.next_due(timezone.now())


def test_scheduling_again_leaves_a_paused_schedule_paused(redis_connection: Redis):
    schedule = every()
    SchedulerService.pause(schedule, "holidays")
    every(90)
    row = stored(schedule)
    assert (row.status, row.note, row.interval) == ("paused", "holidays", 90)
    assert due_in_redis(redis_connection, schedule) is None


def test_scheduling_the_same_again_expects_no_occurrence_twice(
    redis_connection: Redis, scheduler: Any
):
    every(60, ago(5))
    [job_id] = scheduler.enqueue_jobs()
    perform(redis_connection, job_id)
    redis_connection.delete(Job.key_for(job_id))
    every(60, ScheduledTask.objects.get().first)
    assert scheduler.enqueue_jobs() == []


def test_scheduling_the_same_again_does_not_restart_the_repeats_of_cron():
    start = SchedulerService.cron("@daily", ECHO, repeat=3).start
    assert SchedulerService.cron("@daily", ECHO, repeat=3).start == start
    assert SchedulerService.cron("@daily", ECHO, repeat=4).start != start


def test_what_a_changed_schedule_still_expected_is_missed():
    schedule = every(60, ago(100), name="x")
    ScheduledTask.objects.update(settled_through=ago(101))
    every(90, FIRST, name="x")
    assert missed(schedule) == [schedule.first, schedule.first + timedelta(seconds=60)]


def test_a_first_time_that_has_not_run_yet_survives_a_change_of_the_schedule(
    redis_connection: Redis, scheduler: Any
):
    first = ago(2)
    every(60, first)
    [job_id] = scheduler.enqueue_jobs()
    schedule = every(90, first)
    perform(redis_connection, job_id)
    assert schedule.runs.get().status == "finished"


def test_a_first_time_that_has_run_does_not_run_again_after_a_change_of_the_schedule(
    redis_connection: Redis, scheduler: Any
):
    first = ago(2)
    schedule = every(60, first)
    perform(redis_connection, scheduler.enqueue_jobs()[0])
    settle(redis_connection, Watch())
    schedule.runs.all().delete()  # by retention
    redis_connection.flushall()
    every(90, first)
    assert scheduler.enqueue_jobs() == []


def test_concurrent_requests_for_the_same_schedule_make_one_row():
    results = in_threads(*[every] * 4)
    assert {schedule.pk for schedule in results} == {ScheduledTask.objects.get().pk}


# Editing


def test_an_edited_schedule_is_in_redis(redis_connection: Redis):
    schedule = every()
    schedule.interval, schedule.args = 90, [7]
    SchedulerService.save(schedule)
    assert Job.fetch(schedule.job_id, connection=redis_connection).args == [7]


def test_an_edited_schedule_cannot_take_the_identity_of_another():
    every(name="taken")
    schedule = every(name="free")
    schedule.name = "taken"
    with pytest.raises(InvalidSchedule, match="“taken”"):
        SchedulerService.save(schedule)


def test_saving_an_old_copy_of_a_schedule_does_not_undo_a_pause():
    schedule = every()
    old = stored(schedule)
    SchedulerService.pause(schedule)
    old.description = "edited"
    SchedulerService.save(old)
    assert stored(schedule).status == "paused"


def test_a_schedule_requested_again_from_now_on_keeps_its_rhythm():
    first = stored(every(3600, timezone.now())).first
    again = every(3600, timezone.now())
    assert stored(again).first == first
    assert not again.runs.exists()


def test_a_schedule_requested_again_with_another_interval_starts_anew():
    every(3600, timezone.now() - timedelta(seconds=30))
    now = timezone.now()
    assert stored(every(7200, now)).first >= now - timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("field", "value"),
    [("interval", 1.5), ("interval", True), ("first", 5), ("repeat", "2"), ("timeout", 1.0)],
)
def test_a_schedule_with_a_value_of_the_wrong_type_is_refused_at_the_field(field: str, value: Any):
    values: dict[str, Any] = {"first": FIRST, "seconds": 60}
    values["seconds" if field == "interval" else field] = value
    with pytest.raises(InvalidSchedule) as caught:
        every(**values)
    assert list(caught.value.errors) == [field]
    assert not ScheduledTask.objects.exists()


# Updating some fields


def test_an_update_changes_the_given_fields_of_a_schedule_only(redis_connection: Redis):
    schedule = every(note="why", overlap="wait", jitter=9)
    before = ScheduledTask.objects.values().get()
    updated = SchedulerService.update(schedule, kwargs={"a": 1}, timeout=9)
    assert updated is schedule
    after = ScheduledTask.objects.values().get()
    changed = {field for field, value in after.items() if value != before.get(field)}
    assert changed - {"updated", "next_check_at"} == {"kwargs", "timeout", "fingerprint"}
    job = Job.fetch(schedule.job_id, connection=redis_connection)
    assert (job.kwargs, job.timeout, schedule.projected) == ({"a": 1}, 9, True)


def test_an_update_of_an_old_copy_of_a_schedule_keeps_newer_changes_of_other_fields():
    schedule = every()
    old = stored(schedule)
    SchedulerService.update(schedule, description="newer")
    SchedulerService.pause(schedule)
    SchedulerService.update(old, interval=90)
    for row in (old, stored(schedule)):
        assert (row.description, row.status, row.interval) == ("newer", "paused", 90)


def test_an_update_settles_what_the_old_spec_of_a_schedule_expected(redis_connection: Redis):
    schedule = every(60, ago(100))
    ScheduledTask.objects.update(settled_through=ago(101))
    SchedulerService.update(schedule, interval=90)
    assert len(missed(schedule)) == 2
    assert due_in_redis(redis_connection, schedule) == schedule.first + timedelta(seconds=180)


def test_an_update_of_a_schedule_takes_dates_and_a_calendar_as_schedule_does():
    calendar = CalendarService.define("Holidays", "2030-01-01")
    schedule = every()
    SchedulerService.update(schedule, calendar="Holidays", exclude=[date(2030, 5, 5), "2030-05-07"])
    row = stored(schedule)
    assert (row.calendar, row.exclude) == (calendar, "2030-05-05\n2030-05-07")


def test_an_update_makes_an_interval_a_cron_schedule():
    schedule = every()
    SchedulerService.update(schedule, cron="@daily", interval=None, first=None)
    row = stored(schedule)
    assert (row.type, row.cron, row.interval, row.first) == ("cron", "@daily", None, None)


@pytest.mark.parametrize("field", ["colour", "status", "job_id", "type", "id", "settled_through"])
def test_an_update_names_a_field_of_the_schedule_that_it_cannot_change(field: str):
    schedule = every()
    with pytest.raises(InvalidSchedule, match=f"“{field}” is not a field .*interval") as caught:
        SchedulerService.update(schedule, **{field: "x", "interval": 90})
    assert list(caught.value.errors) == [field]
    assert stored(schedule).interval == 60


@pytest.mark.parametrize(
    ("field", "value"),
    [("interval", 0), ("timeout", "9"), ("queue", "unknown"), ("cron", "61 * * * *")],
)
def test_an_update_of_a_schedule_with_an_invalid_value_is_refused(field: str, value: Any):
    schedule = every()
    before = ScheduledTask.objects.values().get()
    with pytest.raises(InvalidSchedule) as caught:
        SchedulerService.update(schedule, **{field: value})
    assert field in caught.value.errors
    assert ScheduledTask.objects.values().get() == before


def test_an_update_cannot_give_a_schedule_the_identity_of_another():
    every(name="taken")
    with pytest.raises(InvalidSchedule, match="“taken”"):
        SchedulerService.update(every(name="free"), name="taken")


def test_an_update_of_a_schedule_without_redis_takes_effect_later(
    redis_connection: Redis, redis_unavailable: RedisUnavailable
):
    schedule = every()
    redis_unavailable(True)
    SchedulerService.update(schedule, timeout=9)
    assert schedule.projected is False
    redis_unavailable(False)
    reconcile(redis_connection)
    assert Job.fetch(schedule.job_id, connection=redis_connection).timeout == 9


# Cancel, pause, resume, delete


def test_a_cancelled_schedule_keeps_its_row_and_leaves_redis(redis_connection: Redis):
    schedule = every()
    SchedulerService.cancel(schedule)
    assert stored(schedule).status == "death"
    assert redis_connection.exists(SCHEDULES_KEY, Job.key_for(schedule.job_id)) == 0


def test_a_paused_schedule_is_not_dispatched(redis_connection: Redis):
    schedule = every()
    SchedulerService.pause(schedule, "holidays")
    row = stored(schedule)
    assert (row.status, row.note) == ("paused", "holidays")
    assert row.paused_at is not None
    assert due_in_redis(redis_connection, schedule) is None


def test_what_was_due_during_a_pause_is_not_expected(redis_connection: Redis):
    schedule = every(60, ago(300))
    SchedulerService.pause(schedule)
    ScheduledTask.objects.update(settled_through=ago(290))
    SchedulerService.resume(schedule)
    row = stored(schedule)
    assert (row.status, row.paused_at) == ("running", None)
    assert due_in_redis(redis_connection, schedule) == row.next_due(timezone.now())
    assert not schedule.runs.exists()


def test_what_was_expected_before_a_pause_is_missed():
    schedule = every(60, ago(5))
    SchedulerService.pause(schedule)
    assert missed(schedule) == [schedule.first]


@pytest.mark.parametrize("stop", [SchedulerService.pause, SchedulerService.cancel])
def test_an_occurrence_on_its_queue_does_not_run_after_a_pause_or_cancel(
    stop: Callable[[ScheduledTask], None], redis_connection: Redis, scheduler: Scheduler
):
    schedule = every(60, ago(5))
    [job_id] = scheduler.enqueue_jobs()
    stop(schedule)
    perform(redis_connection, job_id)
    assert [run.status for run in schedule.runs.all()] == ["missed"]


def test_a_cancelled_schedule_that_is_resumed_is_due_again(redis_connection: Redis):
    schedule = every()
    SchedulerService.cancel(schedule)
    SchedulerService.resume(schedule)
    assert stored(schedule).status == "running"
    assert due_in_redis(redis_connection, schedule) is not None


def test_only_a_live_schedule_can_be_paused_and_only_one_that_is_not_can_be_resumed():
    schedule = every()
    with pytest.raises(NotPossible, match="is “active”"):
        SchedulerService.resume(schedule)
    SchedulerService.cancel(schedule)
    with pytest.raises(NotPossible, match="is “ended”"):
        SchedulerService.pause(schedule)


def test_resuming_an_old_copy_of_a_schedule_brings_the_present_spec_to_redis(
    redis_connection: Redis,
):
    old = every(60)
    SchedulerService.pause(old)
    every(90, FIRST + HOUR)
    SchedulerService.resume(old)
    assert due_in_redis(redis_connection, old) == FIRST + HOUR


def test_after_a_concurrent_pause_and_edit_redis_agrees_with_the_row(redis_connection: Redis):
    schedule = every()
    in_threads(
        lambda: SchedulerService.pause(stored(schedule)),
        lambda: every(90),
        lambda: reconcile(connect()),
        lambda: SchedulerService.resume(stored(schedule)),
    )
    is_there = due_in_redis(redis_connection, schedule) is not None
    assert is_there == stored(schedule).is_live


# Run now


def test_run_now_enqueues_a_manual_run(redis_connection: Redis):
    schedule = every()
    run_id = SchedulerService.run_now(schedule)
    assert queued(redis_connection) == [run_id.job_id]
    perform(redis_connection, run_id.job_id)
    assert schedule.runs.get().requested == run_id.requested


@pytest.mark.parametrize("stop", [SchedulerService.pause, SchedulerService.cancel])
def test_run_now_works_for_a_paused_or_cancelled_schedule(
    stop: Callable[[ScheduledTask], None], redis_connection: Redis
):
    schedule = every()
    stop(schedule)
    perform(redis_connection, SchedulerService.run_now(schedule).job_id)
    assert schedule.runs.get().status == "finished"


# Sync


def item(name: str, **values: Any) -> dict[str, Any]:
    return {"name": name, "task_func": ECHO, "scheduled_time": FIRST, "interval": 60, **values}


def test_sync_makes_the_schedules_of_the_list_and_cancels_those_no_longer_in_it():
    manual = every(name="manual")
    cron = {"name": "c", "task_func": ECHO, "cron_string": "@daily"}
    SchedulerService.sync([item("a"), item("b"), cron])
    SchedulerService.sync([item("b", interval=90), cron])
    rows = {
        schedule.name: (schedule.status, schedule.interval)
        for schedule in ScheduledTask.objects.all()
    }
    assert rows == {
        "a": ("death", 60),
        "b": ("running", 90),
        "c": ("running", None),
        "manual": ("running", 60),
    }
    assert stored(manual).list_owner is None


@pytest.mark.parametrize("policy", ["stop", "continue"])
def test_a_list_in_code_says_what_happens_to_a_run_whose_worker_is_cut_off(
    redis_connection: Redis, policy: str
):
    [schedule] = SchedulerService.sync([item("a", on_disconnect=policy)])
    job = Job.fetch(schedule.job_id, connection=redis_connection)
    assert (schedule.on_disconnect, job.meta.get("on_disconnect", "stop")) == (policy, policy)


def test_sync_resumes_a_schedule_that_returns_to_the_list():
    SchedulerService.sync([item("a")])
    SchedulerService.sync([], app="tests")
    SchedulerService.sync([item("a")])
    assert ScheduledTask.objects.get().status == "running"


@pytest.mark.parametrize("wrong", [{"name": "x", "task_func": ECHO}, item("x", interval=0)])
def test_sync_is_all_or_nothing(redis_connection: Redis, wrong: dict[str, Any]):
    SchedulerService.sync([item("old")])
    with pytest.raises(InvalidSchedule):
        SchedulerService.sync([item("new"), wrong])
    assert [schedule.name for schedule in ScheduledTask.objects.live()] == ["old"]
    assert redis_connection.zcard(SCHEDULES_KEY) == 1


# Without Redis


def test_a_schedule_made_without_redis_takes_effect_later(
    redis_connection: Redis, redis_unavailable: RedisUnavailable
):
    redis_unavailable(True)
    schedule = every()
    assert schedule.projected is False
    redis_unavailable(False)
    reconcile(redis_connection)
    assert due_in_redis(redis_connection, schedule) == FIRST


@pytest.mark.parametrize("stop", [SchedulerService.pause, SchedulerService.cancel])
def test_a_schedule_can_be_paused_or_cancelled_without_redis(
    stop: Callable[[ScheduledTask], None],
    redis_connection: Redis,
    redis_unavailable: RedisUnavailable,
):
    schedule = every()
    redis_unavailable(True)
    stop(schedule)
    redis_unavailable(False)
    reconcile(redis_connection)
    assert due_in_redis(redis_connection, schedule) is None


def test_a_schedule_edited_without_redis_takes_effect_later(
    redis_connection: Redis, redis_unavailable: RedisUnavailable
):
    schedule = every()
    redis_unavailable(True)
    schedule.kwargs, schedule.timeout = {"a": 1}, 9
    SchedulerService.save(schedule)
    redis_unavailable(False)
    reconcile(redis_connection)
    job = Job.fetch(schedule.job_id, connection=redis_connection)
    assert (job.kwargs, job.timeout) == ({"a": 1}, 9)


def test_run_now_says_that_redis_is_unavailable(redis_unavailable: RedisUnavailable):
    schedule = every()
    redis_unavailable(True)
    with pytest.raises(NotPossible, match="Redis is unavailable"):
        SchedulerService.run_now(schedule)


def test_without_redis_every_queue_counts_as_without_worker(redis_unavailable: RedisUnavailable):
    redis_unavailable(True)
    assert queues_without_worker() == set(settings.RQ_QUEUES)


# Background calls


def test_a_background_call_is_enqueued_and_recorded(redis_connection: Redis):
    task = TaskService.enqueue_task(functions.echo, 1, a=2)
    assert queued(redis_connection) == [task.job_id]
    perform(redis_connection, task.job_id)
    task.refresh_from_db()
    assert (task.status, task.result) == ("finished", [[1], {"a": 2}])


def test_queue_and_timeout_of_a_background_call_come_from_its_function(redis_connection: Redis):
    task = TaskService.enqueue_task(functions.only_background)
    assert redis_connection.lrange("rq:queue:high", 0, -1) == [task.job_id.encode()]
    assert Job.fetch(task.job_id, connection=redis_connection).timeout == 55


@pytest.mark.parametrize("when", [HOUR, FIRST])
def test_a_reserved_call_waits_for_its_time(redis_connection: Redis, when: Any):
    task = TaskService.reserve_task(when, functions.echo)
    assert (task.status, queued(redis_connection)) == ("reserved", [])
    entries: list[Any] = redis_connection.zrange("rq:scheduled:default", 0, -1, withscores=True)
    [(job_id, at)] = entries
    assert job_id.decode() == task.job_id
    assert at > timezone.now().timestamp() + 3000


def test_a_call_reserved_for_a_naive_datetime_is_refused():
    with pytest.raises(InvalidSchedule, match="no time zone"):
        TaskService.reserve_task(datetime(2030, 1, 1), functions.echo)


@pytest.mark.parametrize(("func", "error"), [(len, UnknownTaskFunction), (ECHO, InvalidArguments)])
def test_an_invalid_background_call_is_refused_and_has_no_row(func: Any, error: type[Exception]):
    with pytest.raises(error):
        TaskService.enqueue_task(func, object())
    assert not Task.objects.exists()


def test_a_background_call_that_cannot_be_enqueued_has_failed(redis_unavailable: RedisUnavailable):
    redis_unavailable(True)
    task = TaskService.enqueue_task(functions.echo)
    assert task.status == "failed"
    assert task.reason_in_words().startswith("It could not be enqueued: ")


@pytest.mark.parametrize("when", [timedelta(), HOUR])
def test_a_waiting_background_call_can_be_cancelled(redis_connection: Redis, when: timedelta):
    task = TaskService.reserve_task(when, functions.echo)
    TaskService.cancel_task(task)
    assert task.status == "canceled"
    assert redis_connection.keys("rq:job:*") == queued(redis_connection) == []


def test_a_running_background_call_can_be_cancelled(redis_connection: Redis):
    task = TaskService.enqueue_task(functions.echo)
    Task.objects.update(status="running", started=timezone.now())
    TaskService.cancel_task(task)
    assert Task.objects.get().status == "canceled"


def test_a_background_call_that_has_ended_cannot_be_cancelled(redis_connection: Redis):
    task = TaskService.enqueue_task(functions.echo)
    perform(redis_connection, task.job_id)
    with pytest.raises(NotPossible, match="has already ended"):
        TaskService.cancel_task(task)


def test_a_background_call_can_be_cancelled_without_redis(redis_unavailable: RedisUnavailable):
    task = TaskService.enqueue_task(functions.echo)
    redis_unavailable(True)
    TaskService.cancel_task(task)
    assert task.status == "canceled"


def test_background_calls_of_a_transaction_are_enqueued_after_its_commit(redis_connection: Redis):
    with transaction.atomic():
        make_row()
        TaskService.enqueue_task(functions.echo)
        assert connection.in_atomic_block
        assert queued(redis_connection) == []
    assert len(queued(redis_connection)) == 1


@pytest.mark.parametrize("field", ["note", "description", "cron", "queue"])
def test_none_for_a_text_of_a_schedule_is_refused_at_its_field(field: str):
    schedule = every()
    with pytest.raises(InvalidSchedule, match=f"{field}: None is not valid"):
        SchedulerService.update(schedule, **{field: None})


def test_a_refused_update_leaves_the_callers_schedule_as_it_is():
    schedule = every()
    with pytest.raises(InvalidSchedule):
        SchedulerService.update(schedule, retries=-5)
    assert schedule.retries == 0
