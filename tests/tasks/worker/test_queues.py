"""One step: the end of one job and the next one, for RQ's registries, once."""

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from rq.job import Job as RqJob
from rq.job import JobStatus
from rq.queue import Queue
from rq.registry import FinishedJobRegistry, StartedJobRegistry

from tasks.broker.keys import lease_key
from tasks.broker.leases import LEASE_SECONDS
from tasks.job import Job
from tasks.worker.queues import Finished, Queues, Taken
from tests.tasks.functions import ECHO, QUEUES


@pytest.fixture
def queues(redis_connection: Redis) -> Queues:
    return Queues(redis_connection, "rq:worker:w1", "w1", 90)


def put(redis: Redis, queue: str = "default", **options: object) -> str:
    job = Job.create(ECHO, connection=redis, origin=queue, **options)
    Queue(queue, connection=redis, job_class=Job, serializer=job.serializer).enqueue_job(job)
    return job.id


def finished(taken: Taken, ttl: int = 60, payload: bytes | None = b"[1]") -> Finished:
    return Finished(taken.job_id, taken.execution_id, taken.queue, ttl, payload, 10.0, 12.5)


def fetch(redis: Redis, job_id: str) -> RqJob:
    return Job.fetch(job_id, connection=redis)


def test_without_a_job_there_is_none(queues: Queues):
    answer = queues.step(None, QUEUES)
    assert (answer.taken, answer.left, answer.templates) == (None, False, [])


def test_the_first_job_of_the_first_queue_is_taken(queues: Queues, redis_connection: Redis):
    put(redis_connection, "low")
    first, _ = put(redis_connection, "high"), put(redis_connection, "high")
    taken = queues.step(None, QUEUES).taken
    assert (taken.job_id, taken.queue) == (first, "high")
    assert redis_connection.llen("rq:queue:high") == 1


def test_a_taken_job_is_started_for_rq(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection)
    taken = queues.step(None, ["default"]).taken
    job = fetch(redis_connection, job_id)
    assert (job.get_status(), job.worker_name) == (JobStatus.STARTED, "w1")
    registry = StartedJobRegistry("default", redis_connection)
    assert registry.get_job_and_execution_ids() == [(job_id, taken.execution_id)]
    assert redis_connection.hget("rq:worker:w1", "state") == b"busy"


def test_a_taken_job_is_vouched_for(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection)
    queues.step(None, ["default"])
    assert redis_connection.get(lease_key(job_id)) == b"w1"
    assert 0 < redis_connection.ttl(lease_key(job_id)) <= LEASE_SECONDS


def test_the_fields_make_the_job(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection, args=[1, "ä"], kwargs={"a": None}, timeout=7)
    taken = queues.step(None, ["default"]).taken
    job = Job.from_fields(taken.job_id, taken.fields, redis_connection)
    assert (job.id, job.func_name, job.args, job.kwargs, job.timeout) == (
        job_id,
        ECHO,
        [1, "ä"],
        {"a": None},
        7,
    )


def test_a_finished_job_is_finished_for_rq(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection)
    taken = queues.step(None, ["default"]).taken
    queues.step(finished(taken), [])
    job = fetch(redis_connection, job_id)
    assert job.get_status() == JobStatus.FINISHED
    assert job.return_value() == [1]
    assert FinishedJobRegistry("default", redis_connection).get_job_ids() == [job_id]
    assert StartedJobRegistry("default", redis_connection).count == 0
    assert 0 < redis_connection.ttl(job.key) <= 60
    assert not redis_connection.exists(lease_key(job_id))
    worker = redis_connection.hgetall("rq:worker:w1")
    assert (worker[b"successful_job_count"], worker[b"total_working_time"]) == (b"1", b"2.5")


def test_a_job_without_a_result_has_none(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection)
    queues.step(finished(queues.step(None, ["default"]).taken, payload=None), [])
    assert fetch(redis_connection, job_id).return_value() is None


def test_a_result_lifetime_of_zero_deletes_the_job(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection)
    queues.step(finished(queues.step(None, ["default"]).taken, ttl=0), [])
    assert not redis_connection.exists(Job.key_for(job_id))


def test_a_result_without_a_lifetime_stays(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection)
    queues.step(finished(queues.step(None, ["default"]).taken, ttl=-1), [])
    assert redis_connection.ttl(Job.key_for(job_id)) == -1
    assert FinishedJobRegistry("default", redis_connection).get_job_ids() == [job_id]


def test_a_job_that_was_deleted_meanwhile_does_not_come_back(
    queues: Queues, redis_connection: Redis
):
    job_id = put(redis_connection)
    taken = queues.step(None, ["default"]).taken
    fetch(redis_connection, job_id).delete()
    queues.step(finished(taken), [])
    assert not redis_connection.exists(Job.key_for(job_id))


def test_a_finished_job_with_dependents_is_left_to_rq(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection)
    redis_connection.sadd(Job.dependents_key_for(job_id), "another")
    taken = queues.step(None, ["default"]).taken
    assert queues.step(finished(taken), []).left
    assert fetch(redis_connection, job_id).get_status() == JobStatus.STARTED


def test_a_step_whose_answer_was_lost_is_done_once(
    queues: Queues, redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    first, second = put(redis_connection), put(redis_connection)
    taken = queues.step(None, ["default"]).taken
    call = queues._call

    def lose_the_answer(args: list[object]) -> None:
        call(args)
        raise RedisConnectionError("the answer is lost")

    with monkeypatch.context() as patch:
        patch.setattr(queues, "_call", lose_the_answer)
        with pytest.raises(RedisConnectionError):
            queues.step(finished(taken), ["default"])
    again = queues.step(finished(taken), ["default"])
    assert (taken.job_id, again.taken.job_id) == (first, second)
    assert again.taken.fields[b"status"] == b"queued" or again.taken.fields[b"data"]
    assert redis_connection.hget("rq:worker:w1", "successful_job_count") == b"1"
    assert queues.step(finished(again.taken), ["default"]).taken is None


def test_a_template_is_found_and_not_taken(queues: Queues, redis_connection: Redis):
    template = "schedule-" + "a" * 32
    redis_connection.hset(Job.key_for(template), "data", "x")
    redis_connection.rpush("rq:queue:default", template)
    job_id = put(redis_connection)
    answer = queues.step(None, ["default"])
    assert (answer.taken.job_id, answer.templates) == (job_id, [template])
    assert redis_connection.hgetall(Job.key_for(template)) == {b"data": b"x"}


def test_ids_without_a_job_are_passed_over(queues: Queues, redis_connection: Redis):
    redis_connection.rpush("rq:queue:default", "gone", b"\xff\xfe")
    job_id = put(redis_connection)
    assert queues.step(None, ["default"]).taken.job_id == job_id


def test_a_job_that_is_no_hash_is_taken_to_be_told_of(queues: Queues, redis_connection: Redis):
    redis_connection.set("rq:job:odd", "not a hash")
    redis_connection.rpush("rq:queue:default", "odd")
    taken = queues.step(None, ["default"]).taken
    job = Job.from_fields(taken.job_id, taken.fields, redis_connection)
    assert job.unreadable is not None


def test_a_job_that_was_not_started_is_put_back_at_the_head_of_its_queue(
    queues: Queues, redis_connection: Redis
):
    job_id, _ = put(redis_connection), put(redis_connection)
    before = redis_connection.hgetall(Job.key_for(job_id))
    taken = queues.step(None, ["default"]).taken
    assert queues.put_back(taken)
    assert redis_connection.lindex("rq:queue:default", 0) == job_id.encode()
    job = fetch(redis_connection, job_id)
    assert (job.get_status(), job.worker_name, job.started_at) == (JobStatus.QUEUED, None, None)
    assert job.enqueued_at.isoformat() in before[b"enqueued_at"].decode().replace("Z", "+00:00")
    assert StartedJobRegistry("default", redis_connection).count == 0
    assert not redis_connection.exists(lease_key(job_id))
    again = queues.step(None, ["default"]).taken
    assert Job.from_fields(again.job_id, again.fields, redis_connection).func_name == ECHO


def test_a_job_is_put_back_once_and_then_left_where_it_is(queues: Queues, redis_connection: Redis):
    put(redis_connection)
    taken = queues.step(None, ["default"]).taken
    assert [queues.put_back(taken), queues.put_back(taken)] == [True, False]
    assert redis_connection.llen("rq:queue:default") == 1
    assert not queues.put_back(queues.step(None, ["default"]).taken)
    assert redis_connection.llen("rq:queue:default") == 0


def test_a_job_that_has_ended_is_not_put_back(queues: Queues, redis_connection: Redis):
    put(redis_connection)
    taken = queues.step(None, ["default"]).taken
    queues.step(finished(taken), [])
    assert not queues.put_back(taken)


def test_what_the_last_step_of_another_process_took_can_be_asked_for(
    queues: Queues, redis_connection: Redis
):
    worker = Queues(redis_connection, "rq:worker:w1", "w1", 90)
    job_id, step_id = put(redis_connection), queues.step_id
    queues.step(None, ["default"])
    taken = worker.taken_by(step_id)
    assert (taken.job_id, taken.queue, taken.execution_id) == (job_id, "default", step_id)
    assert worker.put_back(taken)


def test_a_step_that_comes_after_it_was_asked_for_takes_nothing(
    queues: Queues, redis_connection: Redis
):
    worker = Queues(redis_connection, "rq:worker:w1", "w1", 90)
    put(redis_connection)
    assert worker.taken_by(queues.step_id) is None
    assert queues.step(None, ["default"]).taken is None
    assert redis_connection.llen("rq:queue:default") == 1
