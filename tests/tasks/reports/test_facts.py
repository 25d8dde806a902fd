"""The facts about schedulers, workers, queues and schedules, as Redis and the rows have them."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import QuerySet
from redis import Redis
from rq.utils import utcformat
from rq.worker_registration import REDIS_WORKER_KEYS

from tasks import clock
from tasks.broker.keys import (
    CLOCK_STEP_KEY,
    CLOCKS_KEY,
    CONCURRENCY_FIELD,
    COROUTINES_FIELDS,
    LEADER_KEY,
    SCHEDULERS_KEY,
    SCHEDULES_KEY,
    WORKER_PREFIX,
    queue_key,
    taken_key,
    workers_key,
)
from tasks.job import COROUTINE, Job
from tasks.job_ids import RunId
from tasks.ledger.summaries import summarise
from tasks.models import Hold, ScheduledTask, Task
from tasks.reports.facts import LATEST_READ, read_facts, running_now, worst_failing
from tasks.reports.in_redis import read_snapshot
from tasks.reports.upcoming import upcoming
from tasks.reports.waiting import Why
from tasks.scheduler import Scheduler
from tasks.timing.instants import from_milliseconds, to_milliseconds
from tests.tasks.functions import ECHO
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def everything() -> QuerySet[ScheduledTask]:
    return ScheduledTask.objects.all()


def put_worker(
    redis: Redis,
    name: str,
    queues: str = "default",
    job_id: str = "",
    concurrency: int = 0,
    coroutines: int = 0,
    draining: int | None = None,
) -> None:
    """Have Redis say that a worker serves queues, and is busy with a job if that is given.

    With a `concurrency` it has a second child, which runs so many `coroutines` now. One that is
    `draining` besides has as many left.
    """
    key = WORKER_PREFIX + name
    redis.sadd(REDIS_WORKER_KEYS, key)
    for queue in queues.split(","):
        redis.sadd(workers_key(queue), key)
    redis.hset(key, "queues", queues)
    redis.hset(key, "last_heartbeat", utcformat(clock.now() - 3 * SECOND))
    redis.hset(key, "state", "busy" if job_id else "idle")
    redis.hset(key, mapping={CONCURRENCY_FIELD: concurrency, COROUTINES_FIELDS[0]: coroutines})
    if draining is not None:
        redis.hset(key, COROUTINES_FIELDS[1], draining)
    redis.hset(taken_key(name), "job", job_id)


def enqueue(redis: Redis, job_id: str, queue: str = "default", seconds_ago: float = 0) -> None:
    """Have a job wait on a queue since some time."""
    redis.rpush(queue_key(queue), job_id)
    redis.hset(Job.key_for(job_id), "enqueued_at", utcformat(ago(seconds_ago)))


def run_of(schedule: ScheduledTask, seconds_ago: float = 0) -> str:
    return RunId(schedule.job_id, ago(seconds_ago)).job_id


@pytest.fixture
def round_trips(redis_connection: Redis, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the commands and pipelines that are sent to Redis, as they are sent."""
    sent: list[str] = []
    pipelines, execute = redis_connection.pipeline, redis_connection.execute_command

    def pipeline(*args: Any, **kwargs: Any) -> Any:
        pipe = pipelines(*args, **kwargs)
        send = pipe.execute

        def execute_pipeline() -> Any:
            sent.append("pipeline")
            return send()

        monkeypatch.setattr(pipe, "execute", execute_pipeline)
        return pipe

    def command(*args: Any, **options: Any) -> Any:
        sent.append(str(args[0]))
        return execute(*args, **options)

    monkeypatch.setattr(redis_connection, "pipeline", pipeline)
    monkeypatch.setattr(redis_connection, "execute_command", command)
    return sent


def test_the_leader_comes_first_and_a_scheduler_that_is_silent_is_left_out(
    redis_connection: Redis, scheduler: Scheduler
):
    scheduler.lead_or_stand_by()
    now = clock.timestamp()
    redis_connection.zadd(SCHEDULERS_KEY, {"a standby": now - 2, "a silent one": now - 45})
    leader, standby = read_snapshot(redis_connection).schedulers
    assert (leader.name, leader.leads) == (scheduler.name, True)
    assert (standby.name, standby.leads) == ("a standby", False)
    assert timedelta(seconds=2) <= standby.age < timedelta(seconds=10)


def test_a_scheduler_that_stops_is_gone_at_once(redis_connection: Redis, scheduler: Scheduler):
    scheduler.lead_or_stand_by()
    scheduler._shut_down()
    assert read_snapshot(redis_connection).schedulers == ()


def test_a_leader_of_an_older_version_is_seen_by_its_lease(redis_connection: Redis):
    redis_connection.set(LEADER_KEY, "old")
    [leader] = read_snapshot(redis_connection).schedulers
    assert (leader.name, leader.leads) == ("old", True)


def test_a_worker_that_is_gone_is_left_out(redis_connection: Redis):
    put_worker(redis_connection, "here", "default,low", job_id="task-1")
    redis_connection.sadd(REDIS_WORKER_KEYS, WORKER_PREFIX + "gone")
    [worker] = read_snapshot(redis_connection).workers
    assert (worker.name, worker.queues) == ("here", ("default", "low"))
    assert (worker.is_busy, worker.job_id) == (True, "task-1")
    assert worker.age >= 2 * SECOND


def test_a_worker_that_runs_coroutines_is_busy_and_has_room_until_it_runs_all_it_may(
    redis_connection: Redis,
):
    put_worker(redis_connection, "a", concurrency=3)
    put_worker(redis_connection, "b", concurrency=3, coroutines=2)
    put_worker(redis_connection, "c", concurrency=3, coroutines=3)
    put_worker(redis_connection, "d", job_id="task-1", concurrency=3)
    put_worker(redis_connection, "e", job_id="task-2")
    workers = read_snapshot(redis_connection).workers
    assert [one.is_busy for one in workers] == [False, True, True, True, True]
    assert [one.has_room(COROUTINE) for one in workers] == [True, True, False, True, False]
    assert [one.has_room("") for one in workers] == [True, True, True, False, False]


def test_the_runs_of_a_child_that_drains_count_as_its_workers(redis_connection: Redis):
    put_worker(redis_connection, "w", concurrency=3, coroutines=1, draining=2)
    [worker] = read_snapshot(redis_connection).workers
    assert (worker.coroutines, worker.draining, worker.is_full) == (3, 1, True)


def test_a_worker_that_took_its_job_long_ago_or_is_rqs_own_is_as_busy_as_its_state_says(
    redis_connection: Redis,
):
    put_worker(redis_connection, "w", job_id="task-1")
    redis_connection.delete(taken_key("w"))
    [worker] = read_snapshot(redis_connection).workers
    assert (worker.runs_one, worker.job_id) == (True, "")


def test_a_queue_has_its_depth_and_since_when_its_first_job_waits(redis_connection: Redis):
    schedule = make_row()
    enqueue(redis_connection, run_of(schedule, 90), seconds_ago=90)
    enqueue(redis_connection, run_of(schedule, 30), seconds_ago=30)
    put_worker(redis_connection, "w", job_id="task-1")
    Hold.objects.create(queue="low", by="ada")
    facts = read_facts(redis_connection, everything())
    queues = {queue.name: queue for queue in facts.queues}
    default, low = queues["default"], queues["low"]
    assert (default.depth, default.workers, default.busy, default.why) == (2, 1, 1, Why.BUSY)
    assert default.oldest
    assert 89 * SECOND < facts.now - default.oldest < 2 * MINUTE
    assert (low.depth, low.oldest, low.why) == (0, None, Why.PAUSED)
    assert low.hold
    assert low.hold.by == "ada"


def test_a_queue_whose_first_job_could_run_beside_others_does_not_wait_for_the_plain_run(
    redis_connection: Redis,
):
    job_id = run_of(make_row(), 90)
    enqueue(redis_connection, job_id, seconds_ago=90)
    put_worker(redis_connection, "w", job_id="task-1", concurrency=2)

    def why() -> Why:
        queues = read_facts(redis_connection, everything()).queues
        return next(queue.why for queue in queues if queue.name == "default")

    assert why() is Why.BUSY
    redis_connection.hset(Job.key_for(job_id), "kind", COROUTINE)
    assert why() is Why.IN_TURN
    put_worker(redis_connection, "w", concurrency=2, coroutines=2)
    assert why() is Why.BUSY


def test_what_others_have_written_for_a_time_is_no_time(redis_connection: Redis):
    enqueue(redis_connection, "other")
    redis_connection.hset(Job.key_for("other"), "enqueued_at", "yesterday")
    [default] = [one for one in read_snapshot(redis_connection).queues if one.name == "default"]
    assert (default.depth, default.oldest) == (1, None)


def test_schedules_that_are_late_and_not_dispatched_are_found(redis_connection: Redis):
    late, next_one = make_row(), make_row()
    scores = {late.job_id: ago(60).timestamp(), next_one.job_id: ago(-60).timestamp()}
    redis_connection.zadd(SCHEDULES_KEY, scores)
    snapshot = read_snapshot(redis_connection)
    assert [job_id for job_id, _ in snapshot.undispatched] == [late.job_id]
    assert snapshot.next_due
    assert snapshot.next_due > snapshot.now


def test_clocks_are_among_the_facts(redis_connection: Redis):
    at = clock.timestamp()
    redis_connection.hset(CLOCKS_KEY, "Worker w", json.dumps([at, 4.2]))
    redis_connection.hset(CLOCKS_KEY, "Worker gone", json.dumps([at - 90, 7.0]))
    redis_connection.set(CLOCK_STEP_KEY, json.dumps([at, -60.0]))
    snapshot = read_snapshot(redis_connection)
    assert snapshot.offsets == {"Worker w": 4.2}
    assert snapshot.step
    assert snapshot.step[1] == -60.0


def test_a_worker_is_shown_with_what_it_runs(redis_connection: Redis):
    schedule = make_row()
    for number in range(1, 4):
        due = ago(number * 300)
        make_run(schedule, due=due, started=due, ended=due + MINUTE)
    summarise()
    put_worker(redis_connection, "w", job_id=run_of(schedule))
    put_worker(redis_connection, "idle")
    run = make_run(schedule, status="running", worker_name="w", started=ago(20), progress=40)
    workers = {one.seen.name: one for one in read_facts(redis_connection, everything()).workers}
    work = workers["w"].work
    assert work
    assert (work.name, work.pk, work.progress) == (schedule.name, run.pk, 40)
    assert work.usual
    assert abs(work.usual - MINUTE) < 3 * SECOND
    assert workers["idle"].work is None


def test_what_a_worker_runs_by_itself_is_told_apart_from_what_it_runs_side_by_side(
    redis_connection: Redis,
):
    plain, *others = [make_row(name=f"s{number}") for number in range(3)]
    due = ago(30)
    put_worker(
        redis_connection, "w", job_id=RunId(plain.job_id, due).job_id, concurrency=9, coroutines=3
    )
    make_run(others[0], status="running", worker_name="w")
    make_run(plain, status="running", worker_name="w", due=due)
    make_run(others[1], status="running", worker_name="w")
    Task.objects.create(
        name="call", function=ECHO, status="running", started=ago(5), worker_name="w"
    )
    [worker] = read_facts(redis_connection, everything(), Task.objects.all()).workers
    assert worker.work
    assert worker.work.name == "s0"
    assert [work.name for work in worker.beside] == ["s1", "s2", "call"]


def test_of_a_worker_that_runs_only_coroutines_none_is_what_keeps_it_from_plain_runs(
    redis_connection: Redis,
):
    put_worker(redis_connection, "w", concurrency=9, coroutines=1)
    make_run(make_row(), status="running", worker_name="w")
    [worker] = read_facts(redis_connection, everything()).workers
    assert (worker.work, len(worker.beside)) == (None, 1)


def test_a_background_call_that_runs_is_shown_to_who_sees_calls():
    Task.objects.create(
        name="call", function=ECHO, status="running", started=ago(5), worker_name="w"
    )
    [work] = running_now(everything(), Task.objects.all())
    assert (work.name, work.schedule_pk) == ("call", None)
    assert running_now(everything()) == []


def test_who_sees_only_some_schedules_learns_nothing_of_when_others_are_due(
    redis_connection: Redis,
):
    own, other, late = make_row(queue="low"), make_row(), make_row()
    scores = {own.job_id: ago(-90), other.job_id: ago(-30), late.job_id: ago(60)}
    redis_connection.zadd(SCHEDULES_KEY, {id: at.timestamp() for id, at in scores.items()})
    facts = read_facts(redis_connection, everything().filter(pk=own.pk))
    assert facts.snapshot
    assert facts.snapshot.next_due == scores[own.job_id]
    assert facts.snapshot.undispatched == ()


def test_who_sees_only_some_schedules_sees_the_load_of_their_queues_and_no_other_queue(
    redis_connection: Redis,
):
    own, other = make_row(queue="low"), make_row()
    Hold.objects.create(queue="high", by="ada", note="for others")
    for queue in ("low", "default"):
        enqueue(redis_connection, run_of(other, 30), queue, seconds_ago=30)
    facts = read_facts(redis_connection, everything().filter(pk=own.pk))
    assert [(queue.name, queue.depth) for queue in facts.queues] == [("low", 1)]
    assert facts.waiting
    assert (facts.waiting.shown, facts.waiting.waiting, facts.holds) == ((), 0, ())


def test_failing_schedules_have_how_often_they_failed_in_a_row_and_since_when():
    schedule = make_row(status="failed")
    make_run(schedule, due=ago(400), started=ago(400), status="finished")
    first = make_run(schedule, due=ago(300), started=ago(300), status="failed")
    make_run(schedule, due=ago(250), status="skipped")
    last = make_run(schedule, due=ago(200), started=ago(200), status="failed")
    make_run(schedule, due=ago(100), started=ago(100), status="running")
    [failing] = worst_failing(everything())
    assert (failing.in_a_row, failing.last_run.pk) == (2, last.pk)
    assert (failing.since, failing.may_be_more) == (first.due, False)


def test_failures_are_counted_up_to_those_read_and_since_their_due_not_since_they_ran_again():
    schedule = make_row(status="failed")
    for number in range(LATEST_READ + 5):
        make_run(schedule, due=ago(1000 - number), started=ago(1000 - number), status="failed")
    first = schedule.runs.order_by("pk")[5]
    schedule.runs.filter(pk=first.pk).update(started=ago(1), attempt=2)
    [failing] = worst_failing(everything())
    assert (failing.in_a_row, failing.may_be_more) == (LATEST_READ, True)
    assert failing.since == first.due


def test_schedules_are_counted_by_how_they_are(redis_connection: Redis):
    make_row(problem="its function is gone")
    make_row(status="failed")
    make_row(status="paused", paused_at=ago(0))
    make_row(status="death")
    facts = read_facts(redis_connection, everything())
    assert (facts.live, facts.failing, facts.paused, facts.with_problem) == (2, 1, 1, 1)


def test_that_redis_is_unavailable_is_one_of_the_facts(
    redis_connection: Redis, redis_unavailable: Callable[[bool], None]
):
    make_row()
    redis_unavailable(True)
    facts = read_facts(redis_connection, everything())
    assert facts.snapshot is None
    assert facts.waiting is None
    assert facts.obstacle
    assert (facts.live, facts.leader, facts.standbys) == (1, None, ())


def test_the_facts_take_few_round_trips_however_much_there_is(
    redis_connection: Redis, round_trips: list[str], django_assert_max_num_queries: Any
):
    for number in range(30):
        schedule = make_row(status="failed" if number % 2 else "running")
        make_run(schedule, status="failed", due=ago(60))
        make_run(schedule, status="running", worker_name=f"w{number}")
        put_worker(redis_connection, f"w{number}", job_id=run_of(schedule))
        for late in range(5):
            enqueue(redis_connection, run_of(schedule, 20 + late))
    round_trips.clear()
    with django_assert_max_num_queries(11):
        facts = read_facts(redis_connection, everything())
    assert (len(facts.workers), facts.waiting and facts.waiting.late) == (30, 30)
    assert round_trips == ["pipeline", "pipeline"]


def test_what_is_next_due_comes_soonest_first(redis_connection: Redis, round_trips: list[str]):
    schedules = [make_row() for _ in range(4)]
    due = from_milliseconds(to_milliseconds(clock.now()) + 60_000)
    for place, schedule in enumerate(schedules):
        score = (due - place * SECOND).timestamp()
        redis_connection.zadd(SCHEDULES_KEY, {schedule.job_id: score, f"external-{place}": score})
    redis_connection.zadd(SCHEDULES_KEY, {make_row().job_id: ago(5).timestamp()})
    round_trips.clear()
    found = upcoming(redis_connection, everything(), number=3)
    assert [one.schedule for one in found] == schedules[:0:-1]
    assert found[-1].due == due - SECOND
    assert len(round_trips) == 1
    [mine] = upcoming(redis_connection, everything().filter(pk=schedules[0].pk))
    assert (mine.schedule, mine.due) == (schedules[0], due)
