"""What waits, runs or is scheduled for later is in flight."""

from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis
from redis.client import Pipeline

from tasks.broker.in_flight import in_flight
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
