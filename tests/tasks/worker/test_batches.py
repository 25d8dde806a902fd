"""One step of a coroutine child: it ends jobs and takes as many new ones as can start."""

from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from rq.registry import FinishedJobRegistry, StartedJobRegistry

from tasks.broker.keys import COROUTINES_FIELDS, lease_key
from tasks.worker.batches import Batches
from tasks.worker.queues import Finished, Queues, Taken
from tests.tasks.worker.lost_answers import lost_answers
from tests.tasks.worker.test_queues import fetch, left_on_queue, put, put_kinds


@pytest.fixture
def batches(redis_connection: Redis) -> Batches:
    return Batches(redis_connection, "rq:worker:w1", "w1", 90, "coroutine")


def ids(taken: list[Taken]) -> list[str]:
    return [one.job_id for one in taken]


def finished(taken: Taken) -> Finished:
    return Finished(taken.job_id, taken.execution_id, taken.queue, 60, "", 10.0, 10.2)


def test_a_step_takes_as_many_jobs_of_its_kind_as_can_start(
    batches: Batches, redis_connection: Redis
):
    job_ids = put_kinds(redis_connection, "coroutine", "", "coroutine", "coroutine")
    assert ids(batches.step([], ["default"], 2).taken) == [job_ids[0], job_ids[2]]
    assert left_on_queue(redis_connection) == [job_ids[1], job_ids[3]]
    assert ids(batches.step([], ["default"], 2).taken) == [job_ids[3]]


def test_a_step_says_in_the_workers_hash_how_many_of_its_jobs_go_on(
    batches: Batches, redis_connection: Redis
):
    put_kinds(redis_connection, "coroutine", "coroutine", "coroutine")

    def going_on() -> Any:
        return redis_connection.hget(batches.worker_key, COROUTINES_FIELDS[0])

    first = batches.step([], ["default"], 2).taken
    assert going_on() == b"2"
    batches.step([finished(first[0])], ["default"], 1, going_on=1)
    assert going_on() == b"2"
    batches.step([finished(first[1])], [], 0, going_on=0)
    assert going_on() == b"0"


def test_a_step_takes_no_job_if_none_can_start(batches: Batches, redis_connection: Redis):
    put_kinds(redis_connection, "coroutine")
    assert batches.step([], ["default"], 0).taken == []


def test_each_taken_job_is_started_with_a_lease_and_an_execution_of_its_own(
    batches: Batches, redis_connection: Redis
):
    put_kinds(redis_connection, "coroutine", "coroutine")
    taken = batches.step([], ["default"], 10).taken
    registry = StartedJobRegistry("default", redis_connection)
    assert sorted(registry.get_job_and_execution_ids()) == sorted(
        (one.job_id, one.execution_id) for one in taken
    )
    assert len({one.execution_id for one in taken}) == 2
    assert all(redis_connection.get(lease_key(one.job_id)) == b"w1" for one in taken)


def test_a_step_ends_all_jobs_that_have_finished(batches: Batches, redis_connection: Redis):
    put_kinds(redis_connection, "coroutine", "coroutine")
    taken = batches.step([], ["default"], 10).taken
    batches.step([finished(one) for one in taken], [], 0)
    assert sorted(FinishedJobRegistry("default", redis_connection).get_job_ids()) == sorted(
        ids(taken)
    )
    assert StartedJobRegistry("default", redis_connection).count == 0


def test_a_finished_job_with_dependents_is_left_to_rq(batches: Batches, redis_connection: Redis):
    put_kinds(redis_connection, "coroutine", "coroutine")
    first, second = batches.step([], ["default"], 10).taken
    redis_connection.sadd(f"rq:job:{first.job_id}:dependents", "x")
    left = batches.step([finished(first), finished(second)], [], 0).left_to_rq
    assert left == [first.job_id]


def test_a_step_whose_answer_was_lost_takes_effect_once(batches: Batches, redis_connection: Redis):
    job_ids = put_kinds(redis_connection, *["coroutine"] * 4)
    with lost_answers(redis_connection), pytest.raises(RedisConnectionError):
        batches.step([], ["default"], 2)
    taken = batches.step([], ["default"], 2).taken
    assert ids(taken) == job_ids[:2]
    assert taken[0].fields[b"status"] == b"started"
    assert left_on_queue(redis_connection) == job_ids[2:]


def test_what_a_dead_process_took_is_known_by_its_step(batches: Batches, redis_connection: Redis):
    job_ids = put_kinds(redis_connection, "coroutine", "coroutine")
    step = batches.step_id
    taken = batches.step([], ["default"], 2).taken
    others = Batches(redis_connection, "rq:worker:w1", "w1", 90, "coroutine")
    assert [(one.job_id, one.execution_id) for one in others.repeat(step).taken] == [
        (one.job_id, one.execution_id) for one in taken
    ]
    assert all(map(others.return_to_queue, taken))
    assert sorted(left_on_queue(redis_connection)) == sorted(job_ids)
    assert fetch(redis_connection, job_ids[0]).get_status() == "queued"


def test_two_coroutine_children_of_a_worker_take_their_steps_apart(
    batches: Batches, redis_connection: Redis
):
    put_kinds(redis_connection, "coroutine", "coroutine")
    successor = Batches(redis_connection, "rq:worker:w1", "w1", 90, "coroutine", number=1)
    step = batches.step_id
    taken = batches.step([], ["default"], 1).taken
    successor.step([], ["default"], 1)
    assert ids(batches.repeat(step).taken) == ids(taken)
    numbers = redis_connection.hmget(batches.worker_key, COROUTINES_FIELDS[:2])
    assert numbers == [b"1", b"1"]


def test_both_children_of_a_worker_take_their_steps_apart(
    batches: Batches, redis_connection: Redis
):
    put_kinds(redis_connection, "coroutine")
    put(redis_connection)
    step = batches.step_id
    taken = batches.step([], ["default"], 2).taken
    Queues(redis_connection, "rq:worker:w1", "w1", 90, "plain").step([], ["default"])
    assert ids(batches.repeat(step).taken) == ids(taken)
