"""What waits and what is late, since when, and why."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from redis import Redis
from rq.suspension import suspend

from tasks import clock
from tasks.broker.enqueue import enqueue_run
from tasks.broker.keys import SCHEDULES_KEY, scheduled_key
from tasks.decorators import scheduled_task
from tasks.job_ids import RunId
from tasks.models import Hold, ScheduledTask, Task
from tasks.reports import in_redis
from tasks.reports.holds import read_holds
from tasks.reports.in_redis import read_snapshot
from tasks.reports.waiting import (
    Place,
    WaitingList,
    Why,
    late_schedules,
    waiting,
    waiting_of,
    why_of_queue,
)
from tasks.worker.queues import Queues
from tests.tasks.functions import COROUTINE, ECHO
from tests.tasks.reports.test_facts import SECOND, enqueue, put_worker, run_of
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db


@scheduled_task(name="tests.one_by_one", max_concurrent=1)
def one_by_one() -> None:
    """Do nothing, one at a time."""


@scheduled_task(name="tests.one_an_address", max_concurrent=1, limit_key=lambda url: url)
def one_an_address(url: str) -> None:
    """Do nothing, one at a time for each address."""


@scheduled_task(name="tests.one_a_token", max_concurrent=1, limit_key=lambda token: token)
def one_a_token(token: str) -> None:
    """Do nothing, one at a time for each token."""


def waits(redis: Redis) -> WaitingList:
    return waiting(read_snapshot(redis), ScheduledTask.objects.all())


def why(redis: Redis, queue: str = "default") -> Why:
    return why_of_queue(queue, read_snapshot(redis), read_holds().queues)


def test_the_oldest_waits_first_and_says_since_when(redis_connection: Redis):
    newer, older = make_row(), make_row()
    enqueue(redis_connection, run_of(newer, 30))
    enqueue(redis_connection, run_of(older, 90), "low")
    enqueue(redis_connection, run_of(older, 80), "low")
    found = waits(redis_connection)
    assert [one.schedule_pk for one in found.shown] == [older.pk, newer.pk]
    first = found.shown[0]
    assert (first.number, first.queue, first.is_late) == (2, "low", True)
    assert 89 * SECOND < clock.now() - first.since < 100 * SECOND
    assert (found.waiting, found.late) == (3, 2)
    assert found.late_by == {("default", Why.NO_WORKER): 1, ("low", Why.NO_WORKER): 1}


def test_what_was_due_a_moment_ago_waits_and_is_not_late(redis_connection: Redis):
    schedule = make_row()
    enqueue(redis_connection, run_of(schedule, 3))
    found = waits(redis_connection)
    assert (found.waiting, found.late) == (1, 0)
    assert late_schedules(ScheduledTask.objects.all()) == []


def test_manual_runs_and_backfill_wait_and_are_not_late(redis_connection: Redis):
    schedule = make_row()
    manual = RunId(schedule.job_id, None, ago(60))
    backfill = RunId(schedule.job_id, ago(9_000), is_backfill=True)
    for run_id in (manual, backfill):
        enqueue(redis_connection, run_id.job_id, seconds_ago=20)
    found = waits(redis_connection)
    assert (found.waiting, found.late) == (2, 0)
    assert clock.now() - found.shown[0].since < timedelta(seconds=100)


def test_why_the_jobs_of_a_queue_wait(redis_connection: Redis):
    assert why(redis_connection) is Why.NO_WORKER
    put_worker(redis_connection, "a", job_id="task-1")
    assert why(redis_connection) is Why.BUSY
    put_worker(redis_connection, "b")
    assert why(redis_connection) is Why.IN_TURN
    suspend(redis_connection)
    assert why(redis_connection) is Why.SUSPENDED
    Hold.objects.create(queue="low")
    assert why(redis_connection) is Why.SUSPENDED
    assert why(redis_connection, "low") is Why.PAUSED
    Hold.objects.create(queue="")
    assert why(redis_connection) is Why.PAUSED


def test_what_can_run_beside_others_waits_only_while_no_worker_has_room_beside_what_it_runs(
    redis_connection: Redis,
):
    plain, beside = make_row(), make_row(function=COROUTINE)
    call = Task.objects.create(name="call", function=COROUTINE)
    for job_id in (run_of(plain, 60), run_of(beside, 50), call.job_id):
        enqueue(redis_connection, job_id)

    def whys() -> list[Why]:
        snapshot = read_snapshot(redis_connection)
        shown = waiting(snapshot, ScheduledTask.objects.all(), Task.objects.all()).shown
        of_list = waiting_of([plain, beside])
        assert [one.why for one in shown[:2]] == [of_list[one.pk].why for one in (plain, beside)]
        return [one.why for one in shown]

    put_worker(redis_connection, "w", job_id="task-1", concurrency=3, coroutines=2)
    assert whys() == [Why.BUSY, Why.IN_TURN, Why.IN_TURN]
    put_worker(redis_connection, "w", concurrency=3, coroutines=3)
    assert whys() == [Why.IN_TURN, Why.BUSY, Why.BUSY]
    isolated = make_row(function=COROUTINE, isolated=True)
    enqueue(redis_connection, run_of(isolated, 40))
    assert waiting_of([isolated])[isolated.pk].why is Why.IN_TURN


def test_what_was_put_off_waits_for_its_previous_run_or_to_be_tried_again(
    redis_connection: Redis,
):
    overlapping, failed = make_row(), make_row()
    again = RunId(failed.job_id, ago(60), attempt=2)
    soon = clock.timestamp() + 30
    redis_connection.zadd(
        scheduled_key("default"),
        {run_of(overlapping, 60): soon, again.job_id: soon, "task-1": soon},
    )
    by_pk = {one.schedule_pk: one for one in waits(redis_connection).shown}
    assert (by_pk[overlapping.pk].why, by_pk[overlapping.pk].is_late) == (Why.PREVIOUS_RUN, True)
    assert (by_pk[failed.pk].why, by_pk[failed.pk].is_late) == (Why.RETRY, False)
    assert by_pk[failed.pk].until
    assert len(by_pk) == 2


def test_what_no_scheduler_has_dispatched_is_late(redis_connection: Redis):
    schedule = make_row()
    redis_connection.zadd(SCHEDULES_KEY, {schedule.job_id: ago(60).timestamp()})
    [one] = waits(redis_connection).shown
    assert (one.why, one.is_late) == (Why.NOT_DISPATCHED, True)
    assert late_schedules(ScheduledTask.objects.all()) == [schedule.pk]


def test_background_calls_wait_too_for_who_sees_calls(
    redis_connection: Redis,
):
    call = Task.objects.create(name="call", function=ECHO)
    schedule = make_row()
    enqueue(redis_connection, call.job_id)
    enqueue(redis_connection, run_of(schedule, 5))
    enqueue(redis_connection, "a-job-of-the-sites-own")
    snapshot = read_snapshot(redis_connection)
    found = waiting(snapshot, ScheduledTask.objects.all(), Task.objects.all())
    assert {one.call_pk for one in found.shown} == {call.pk, None}
    [one] = waits(redis_connection).shown
    assert one.schedule_pk == schedule.pk


def test_what_the_reader_may_not_see_is_not_counted(redis_connection: Redis):
    mine, hidden = make_row(), make_row()
    for schedule in (mine, hidden):
        enqueue(redis_connection, run_of(schedule, 60))
    found = waiting(read_snapshot(redis_connection), ScheduledTask.objects.filter(pk=mine.pk))
    assert (found.waiting, found.late) == (1, 1)


def test_of_a_very_long_queue_the_first_jobs_are_read(
    redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(in_redis, "JOBS_READ", 3)
    for _ in range(5):
        enqueue(redis_connection, run_of(make_row(), 60))
    found = waits(redis_connection)
    assert (found.waiting, found.is_partial) == (3, True)


def test_the_list_asks_what_waits_of_its_schedules(redis_connection: Redis):
    waiting_one, other = make_row(), make_row()
    enqueue(redis_connection, run_of(waiting_one, 60))
    found = waiting_of([waiting_one, other])
    assert set(found) == {waiting_one.pk}
    assert found[waiting_one.pk].is_late
    assert found[waiting_one.pk].why_in_words == "No worker serves default."


def test_the_list_stays_usable_without_redis(redis_unavailable: Callable[[bool], None]):
    schedule = make_row()
    redis_unavailable(True)
    assert waiting_of([schedule]) == {}
    assert late_schedules(ScheduledTask.objects.all()) == []


@pytest.mark.parametrize("reason", list(Why))
def test_each_reason_is_a_sentence(reason: Why):
    assert reason.in_words("low").endswith((".", ")."))


def test_what_waits_for_a_place_is_listed_with_the_reason(redis_connection: Redis):
    schedules = [make_row(overlap="wait"), make_row(function="tests.one_by_one")]
    for schedule in schedules:
        for seconds in (40, 30):
            enqueue_run(schedule, RunId(schedule.job_id, ago(seconds)), redis_connection)
    queues = Queues(redis_connection, "rq:worker:w1", "w1", 90)
    while queues.step([], ["default"]).taken:
        pass
    found = waiting(read_snapshot(redis_connection), ScheduledTask.objects.all())
    assert {one.schedule_pk: one.why for one in found.shown} == {
        schedules[0].pk: Why.PREVIOUS_RUN,
        schedules[1].pk: Why.PLACE,
    }
    assert found.waiting == found.late == 2


@pytest.mark.parametrize(
    ("function", "args", "said"),
    [
        ("tests.one_by_one", [], "tests.one_by_one"),
        (
            "tests.one_an_address",
            ["https://h.example/?key=hunter2-hunter2"],
            "tests.one_an_address [https://h.example/?key=•••]",
        ),
        ("tests.one_a_token", ["hunter2-hunter2"], "tests.one_a_token"),
    ],
)
def test_what_waits_for_a_place_says_of_what_only_so_many_run(
    redis_connection: Redis, function: str, args: list[str], said: str
):
    schedule = make_row(function=function, args=args)
    for seconds in (40, 30):
        enqueue_run(schedule, RunId(schedule.job_id, ago(seconds)), redis_connection)
    queues = Queues(redis_connection, "rq:worker:w1", "w1", 90)
    while queues.step([], ["default"]).taken:
        pass
    [found] = waits(redis_connection).shown
    assert found.why_in_words == f"It waits for a place: 1 of 1 of {said}."


def test_a_function_that_this_process_does_not_know_has_no_number_of_places():
    place = Place("shop.gone", 2, None)
    assert Why.PLACE.in_words("low", place).startswith("As many of shop.gone as may run")
