"""Limits: of some runs only so many go on at a time; what finds no place waits in a list."""

import dataclasses
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from redis import Redis

from tasks import registry
from tasks.broker import limits
from tasks.broker.enqueue import build_job, enqueue_run, enqueue_task, withdraw
from tasks.broker.in_flight import in_flight
from tasks.broker.keys import SCHEDULES_KEY, lease_key, parked_key, places_key
from tasks.broker.leases import LEASE_SECONDS
from tasks.decorators import background_task, scheduled_task
from tasks.exceptions import InvalidArguments
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import Task
from tasks.services import SchedulerService, TaskService
from tasks.worker.batches import Batches
from tasks.worker.queues import Finished, Queues, Taken
from tests.tasks.functions import ECHO, queued
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db


async def nothing(url: str) -> None:
    """Do nothing."""


@background_task(name="tests.two_at_a_time", max_concurrent=2)
def two_at_a_time() -> None:
    """Do nothing, two at a time."""


@scheduled_task(name="tests.one_a_host", max_concurrent=1, limit_key=lambda host, *rest: host)
@background_task(name="tests.one_a_host", max_concurrent=1, limit_key=lambda host, *rest: host)
async def one_a_host(host: str, path: str = "") -> None:
    """Do nothing, one for each host at a time."""


def host_of(url: str) -> str:
    """Return a host, if there is one."""
    raise ValueError(f"no host in {url!r}")


@scheduled_task(name="tests.no_key", max_concurrent=1, limit_key=host_of)
@background_task(name="tests.no_key", max_concurrent=1, limit_key=host_of)
def no_key(url: str) -> None:
    """Do nothing, with a limit that can't be told."""


def put(redis: Redis, function: str = "tests.two_at_a_time", *args: Any) -> str:
    task = Task.objects.create(name="x", function=function, args=list(args))
    enqueue_task(task, redis)
    return task.job_id


@pytest.fixture
def queues(redis_connection: Redis) -> Queues:
    return Queues(redis_connection, "rq:worker:w1", "w1", 90)


@pytest.fixture
def batches(redis_connection: Redis) -> Batches:
    return Batches(redis_connection, "rq:worker:w1", "w1", 90, "coroutine")


def take(queues: Queues) -> Taken | None:
    return next(iter(queues.step([], ["default"]).taken), None)


def finish(queues: Queues, taken: Taken) -> Taken | None:
    """End a job, and return what the same step takes."""
    finished = Finished(taken.job_id, taken.execution_id, taken.queue, 60, "", 1.0, 2.0)
    return next(iter(queues.step([finished], ["default"]).taken), None)


def test_no_more_jobs_are_taken_than_may_run_at_a_time(queues: Queues, redis_connection: Redis):
    job_ids = [put(redis_connection) for _ in range(4)]
    taken = [take(queues) for _ in range(4)]
    assert [one and one.job_id for one in taken] == [*job_ids[:2], None, None]


def test_whoever_ends_lets_the_one_start_that_has_waited_longest(
    queues: Queues, redis_connection: Redis
):
    job_ids = [put(redis_connection) for _ in range(4)]
    first = take(queues)
    for _ in range(3):
        take(queues)
    assert first is not None
    following = finish(queues, first)
    assert following is not None
    assert following.job_id == job_ids[2]
    assert take(queues) is None


def test_what_waits_for_a_place_keeps_nothing_else_from_being_taken(
    queues: Queues, redis_connection: Redis
):
    for _ in range(5):
        put(redis_connection)
    other = put(redis_connection, ECHO)
    taken = [take(queues) for _ in range(3)]
    assert taken[2] is not None
    assert taken[2].job_id == other
    assert queued(redis_connection) == []


def test_a_limit_by_key_holds_for_each_key(batches: Batches, redis_connection: Redis):
    hosts = ["a", "a", "b", "a", "b", "c"]
    job_ids = [put(redis_connection, "tests.one_a_host", host) for host in hosts]
    taken = batches.step([], ["default"], 10).taken
    assert [one.job_id for one in taken] == [job_ids[0], job_ids[2], job_ids[5]]


def test_a_place_is_freed_when_its_holder_has_died(queues: Queues, redis_connection: Redis):
    job_ids = [put(redis_connection) for _ in range(3)]
    for _ in range(3):
        take(queues)
    places = places_key("tests.two_at_a_time")
    redis_connection.zadd(places, {job_ids[0]: timezone.now().timestamp() - 1})
    limits.bring_back(redis_connection)
    assert queued(redis_connection) == [job_ids[2]]
    taken = take(queues)
    assert taken is not None
    assert taken.job_id == job_ids[2]


def test_nobody_is_brought_back_while_all_places_are_held(queues: Queues, redis_connection: Redis):
    for _ in range(3):
        put(redis_connection)
        take(queues)
    limits.bring_back(redis_connection)
    assert queued(redis_connection) == []


def test_a_place_is_renewed_with_the_lease(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection)
    take(queues)
    places = places_key("tests.two_at_a_time")
    redis_connection.zadd(places, {job_id: 1})
    limits.renew({job_id: "tests.two_at_a_time"}, "w1", redis_connection)
    left = (redis_connection.zscore(places, job_id) or 0) - timezone.now().timestamp()
    assert LEASE_SECONDS - 2 < left < LEASE_SECONDS + 2
    assert redis_connection.get(lease_key(job_id)) == b"w1"


def test_a_renewal_that_comes_too_late_holds_no_place(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection)
    taken = take(queues)
    assert taken is not None
    finish(queues, taken)
    limits.renew({job_id: "tests.two_at_a_time"}, "w1", redis_connection)
    assert redis_connection.zcard(places_key("tests.two_at_a_time")) == 0


@pytest.mark.parametrize("way", ["put off", "returned", "released"])
def test_a_job_that_does_not_start_frees_its_place(
    queues: Queues, redis_connection: Redis, way: str
):
    for _ in range(2):
        put(redis_connection)
    first, second = take(queues), take(queues)
    assert first is not None
    assert second is not None
    waiting = put(redis_connection)
    assert take(queues) is None
    if way == "put off":
        queues.put_off(first, 0.0, {})
    elif way == "returned":
        queues.return_to_queue(first)
    else:
        limits.release(first.job_id, redis_connection)
    assert waiting in queued(redis_connection)


def test_a_job_that_waits_for_a_place_is_in_flight(queues: Queues, redis_connection: Redis):
    job_ids = [put(redis_connection) for _ in range(4)]
    for _ in range(4):
        take(queues)
    jobs = [(job_id, "default") for job_id in job_ids[2:]]
    assert in_flight(jobs, redis_connection) == [True, True]
    redis_connection.lrem(parked_key("tests.two_at_a_time"), 1, job_ids[3])
    assert in_flight(jobs, redis_connection) == [True, False]


def test_a_job_that_waits_for_a_place_can_be_withdrawn(queues: Queues, redis_connection: Redis):
    job_ids = [put(redis_connection) for _ in range(4)]
    first = take(queues)
    for _ in range(3):
        take(queues)
    withdraw(job_ids[2], "default", redis_connection)
    assert first is not None
    following = finish(queues, first)
    assert following is not None
    assert following.job_id == job_ids[3]


def test_a_job_says_by_which_name_it_shares_its_places(redis_connection: Redis):
    job = build_job(Task(function="tests.one_a_host", args=["a\0b", "c"]), "j1", redis_connection)
    job.save()
    fields = redis_connection.hgetall(Job.key_for("j1"))
    assert limits.places_of(fields[b"limit"]) == "tests.one_a_host:a\ufffdb"
    assert fields[b"limit"].startswith(b"1 ")


def test_a_limit_key_that_does_not_reach_the_database_is_no_fault_of_its_arguments(
    redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    def read(*args: Any) -> None:
        raise OperationalError("unavailable")

    function = dataclasses.replace(registry.get("tests.one_a_host"), limit_key=read)
    monkeypatch.setitem(registry._functions, "tests.one_a_host", function)
    with pytest.raises(OperationalError):
        build_job(Task(function="tests.one_a_host", args=["a"]), "j1", redis_connection)


def test_a_limit_key_that_fails_says_so(redis_connection: Redis):
    with pytest.raises(InvalidArguments, match="limit_key of"):
        build_job(Task(function="tests.one_a_host", args=[]), "j1", redis_connection)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis_connection")
def test_a_call_whose_limit_key_fails_ends_as_failed_and_names_the_function():
    call = TaskService.enqueue_task("tests.no_key", "a")
    assert (call.status, call.reason_in_words()) == (
        "failed",
        "It could not be enqueued: The limit_key of “tests.no_key” fails for these arguments: "
        "no host in 'a'.",
    )


@pytest.mark.django_db(transaction=True)
def test_a_schedule_whose_limit_key_fails_has_a_problem_that_names_the_function(
    redis_connection: Redis,
):
    schedule = SchedulerService.cron("0 6 * * *", "tests.no_key", ["a"])
    schedule.refresh_from_db()
    assert schedule.problem == (
        "The limit_key of “tests.no_key” fails for these arguments: no host in 'a'."
    )
    assert redis_connection.zscore(SCHEDULES_KEY, schedule.job_id) is None


@pytest.mark.parametrize(
    "options",
    [
        {"max_concurrent": 0},
        {"max_concurrent": True},
        {"limit_key": str},
        {"max_concurrent": 1, "limit_key": "url"},
        {"max_concurrent": 1, "limit_key": nothing},
    ],
)
def test_a_limit_that_is_none_is_refused(options: dict[str, Any]):
    with pytest.raises(ValueError, match=r"max_concurrent=|limit_key="):
        scheduled_task(name="tests.unlimited", **options)(lambda: None)


def test_the_runs_of_a_schedule_that_wait_for_each_other_take_no_worker_while_they_do(
    queues: Queues, redis_connection: Redis
):
    schedule = make_row(overlap="wait")
    run_ids = [RunId(schedule.job_id, ago(seconds)) for seconds in (3, 2, 1)]
    for run_id in run_ids:
        enqueue_run(schedule, run_id, redis_connection)
    first = take(queues)
    assert first is not None
    assert take(queues) is None
    assert queued(redis_connection) == []
    for run_id in run_ids[1:]:
        first = finish(queues, first)
        assert first is not None
        assert first.job_id == run_id.job_id


def test_a_job_with_two_limits_starts_when_it_has_both_places(
    queues: Queues, redis_connection: Redis
):
    schedules = [make_row(function="tests.two_at_a_time", overlap="wait") for _ in range(2)]
    run_ids = [
        RunId(schedules[index].job_id, ago(seconds))
        for index, seconds in ((0, 9), (0, 8), (1, 7), (1, 6))
    ]
    for run_id in run_ids:
        schedule = next(one for one in schedules if one.job_id == run_id.schedule_job_id)
        enqueue_run(schedule, run_id, redis_connection)
    first, second = take(queues), take(queues)
    assert take(queues) is None
    assert first is not None
    assert second is not None
    assert [first.job_id, second.job_id] == [run_ids[0].job_id, run_ids[2].job_id]
    third = finish(queues, first)
    assert third is not None
    assert third.job_id == run_ids[1].job_id
