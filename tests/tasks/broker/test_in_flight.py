"""What waits, runs or is scheduled for later is in flight."""

from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis
from redis.client import Pipeline
from rq.job import JobStatus
from rq.registry import StartedJobRegistry

from tasks.broker.in_flight import in_flight, keep_started
from tasks.broker.leases import renew_lease
from tasks.job import Job
from tasks.services import TaskService
from tests.tasks.functions import ECHO

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_queue_is_searched_only_for_jobs_that_are_older_than_its_head(
    redis_connection: Redis, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
):
    calls = [TaskService.enqueue_task(ECHO) for _ in range(5)]
    lost = calls[0]
    redis_connection.lrem("rq:queue:default", 1, lost.job_id)
    searched: list[str] = []
    original = Pipeline.lpos

    def lpos(self: Any, key: str, value: str) -> Any:
        searched.append(value)
        return original(self, key, value)

    monkeypatch.setattr(Pipeline, "lpos", lpos)
    jobs = [(call.job_id, "default") for call in calls]
    assert in_flight(jobs, redis_connection) == [False, True, True, True, True]
    assert searched == [lost.job_id]


def test_a_job_that_is_nowhere_is_not_in_flight(redis_connection: Redis):
    assert in_flight([("missing", "default")], redis_connection) == [False]


def test_a_leased_job_is_in_flight(redis_connection: Redis):
    renew_lease(redis_connection, "leased", "w1")
    assert in_flight([("leased", "default"), ("other", "default")], redis_connection) == [
        True,
        False,
    ]


def test_a_job_that_is_scheduled_for_later_is_in_flight(redis_connection: Redis):
    redis_connection.zadd("rq:scheduled:low", {"later": 1})
    assert in_flight([("later", "low"), ("later", "default")], redis_connection) == [True, False]


def test_rq_neither_fails_nor_repeats_a_job_whose_run_is_not_lost(redis_connection: Redis):
    registry = StartedJobRegistry("default", redis_connection, job_class=Job)
    kept, abandoned = (TaskService.enqueue_task(ECHO).job_id for _ in range(2))
    for job_id in (kept, abandoned):
        Job.fetch(job_id, connection=redis_connection).set_status(JobStatus.STARTED)
        redis_connection.zadd(registry.key, {f"{job_id}:execution": 1})
    keep_started({kept}, redis_connection)
    registry.cleanup()
    statuses = [
        Job.fetch(job_id, connection=redis_connection).get_status() for job_id in (kept, abandoned)
    ]
    assert statuses == [JobStatus.STARTED, JobStatus.FAILED]
    assert registry.get_job_ids() == [kept]


def test_a_job_that_rq_does_not_count_as_started_any_more_is_not_started_again(
    redis_connection: Redis,
):
    keep_started({"ended"}, redis_connection)
    assert redis_connection.keys("rq:wip:*") == []


def test_a_job_that_waits_behind_a_lost_job_is_in_flight(redis_connection: Redis):
    head, behind = (TaskService.enqueue_task(ECHO).job_id for _ in range(2))
    redis_connection.delete(Job.key_for(head))
    jobs = [(behind, "default"), ("missing", "default")]
    assert in_flight(jobs, redis_connection) == [True, False]
