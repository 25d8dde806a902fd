"""One step: it ends a job and takes the next one in RQ's registries, exactly once."""

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from rq.job import Job as RqJob
from rq.job import JobStatus
from rq.queue import Queue
from rq.registry import FinishedJobRegistry, StartedJobRegistry

from tasks.broker.keys import lease_key, taken_key
from tasks.broker.leases import LEASE_SECONDS
from tasks.clock import elapsed_clock
from tasks.job import Job
from tasks.worker.queues import LOOK, Finished, Queues, Taken
from tests.tasks.functions import ECHO, QUEUES
from tests.tasks.worker.lost_answers import lost_answers


@pytest.fixture
def queues(redis_connection: Redis) -> Queues:
    return Queues(redis_connection, "rq:worker:w1", "w1", 90)


def put(redis: Redis, queue: str = "default", **options: object) -> str:
    job = Job.create(ECHO, connection=redis, origin=queue, **options)
    Queue(queue, connection=redis, job_class=Job, serializer=job.serializer).enqueue_job(job)
    return job.id


def finished(taken: Taken, ttl: int = 60, payload: str = "WzFd") -> Finished:
    return Finished(taken.job_id, taken.execution_id, taken.queue, ttl, payload, 10.0, 12.5)


def fetch(redis: Redis, job_id: str) -> RqJob:
    return Job.fetch(job_id, connection=redis)


def test_a_step_takes_no_job_from_empty_queues(queues: Queues):
    answer = queues.step([], QUEUES)
    assert (answer.taken, answer.left_to_rq, answer.templates) == ([], [], [])


def test_a_step_takes_the_first_job_of_the_first_queue_that_has_one(
    queues: Queues, redis_connection: Redis
):
    put(redis_connection, "low")
    first, _ = put(redis_connection, "high"), put(redis_connection, "high")
    [taken] = queues.step([], QUEUES).taken
    assert (taken.job_id, taken.queue) == (first, "high")
    assert redis_connection.llen("rq:queue:high") == 1


def test_the_lease_of_a_taken_job_counts_from_when_its_step_was_first_sent(
    queues: Queues, redis_connection: Redis
):
    put(redis_connection)
    before = elapsed_clock()
    with lost_answers(redis_connection), pytest.raises(RedisConnectionError):
        queues.step([], ["default"])
    sent = elapsed_clock()
    [taken] = queues.step([], ["default"]).taken
    assert before <= taken.leased <= sent


def test_a_taken_job_is_started_in_the_registries_of_rq(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection)
    [taken] = queues.step([], ["default"]).taken
    job = fetch(redis_connection, job_id)
    assert (job.get_status(), job.worker_name) == (JobStatus.STARTED, "w1")
    registry = StartedJobRegistry("default", redis_connection)
    assert registry.get_job_and_execution_ids() == [(job_id, taken.execution_id)]
    assert redis_connection.hget("rq:worker:w1", "state") == b"busy"


def test_a_taken_job_has_a_lease(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection)
    queues.step([], ["default"])
    assert redis_connection.get(lease_key(job_id)) == b"w1"
    assert 0 < redis_connection.ttl(lease_key(job_id)) <= LEASE_SECONDS


def test_a_job_is_made_from_the_fields_that_a_step_returns(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection, args=[1, "ä"], kwargs={"a": None}, timeout=7)
    [taken] = queues.step([], ["default"]).taken
    job = Job.from_fields(taken.job_id, taken.fields, redis_connection)
    assert (job.id, job.func_name, job.args, job.kwargs, job.timeout) == (
        job_id,
        ECHO,
        [1, "ä"],
        {"a": None},
        7,
    )


def test_a_finished_job_is_finished_in_the_registries_of_rq(
    queues: Queues, redis_connection: Redis
):
    job_id = put(redis_connection)
    [taken] = queues.step([], ["default"]).taken
    queues.step([finished(taken)], [])
    job = fetch(redis_connection, job_id)
    assert job.get_status() == JobStatus.FINISHED
    assert job.return_value() == [1]
    assert FinishedJobRegistry("default", redis_connection).get_job_ids() == [job_id]
    assert StartedJobRegistry("default", redis_connection).count == 0
    assert 0 < redis_connection.ttl(job.key) <= 60
    assert not redis_connection.exists(lease_key(job_id))
    worker = redis_connection.hgetall("rq:worker:w1")
    assert (worker[b"successful_job_count"], worker[b"total_working_time"]) == (b"1", b"2.5")


def test_a_finished_job_without_a_result_has_none_in_rq(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection)
    queues.step([finished(queues.step([], ["default"]).taken[0], payload="")], [])
    assert fetch(redis_connection, job_id).return_value() is None


def test_a_finished_job_whose_result_has_no_lifetime_is_deleted(
    queues: Queues, redis_connection: Redis
):
    job_id = put(redis_connection)
    queues.step([finished(queues.step([], ["default"]).taken[0], ttl=0)], [])
    assert not redis_connection.exists(Job.key_for(job_id))


def test_a_finished_job_whose_result_never_expires_stays(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection)
    queues.step([finished(queues.step([], ["default"]).taken[0], ttl=-1)], [])
    assert redis_connection.ttl(Job.key_for(job_id)) == -1
    assert FinishedJobRegistry("default", redis_connection).get_job_ids() == [job_id]


def test_a_job_that_is_deleted_while_it_runs_does_not_come_back_when_it_finishes(
    queues: Queues, redis_connection: Redis
):
    job_id = put(redis_connection)
    [taken] = queues.step([], ["default"]).taken
    fetch(redis_connection, job_id).delete()
    queues.step([finished(taken)], [])
    assert not redis_connection.exists(Job.key_for(job_id))


def test_a_finished_job_with_dependents_is_left_to_rq(queues: Queues, redis_connection: Redis):
    job_id = put(redis_connection)
    redis_connection.sadd(Job.dependents_key_for(job_id), "another")
    [taken] = queues.step([], ["default"]).taken
    assert queues.step([finished(taken)], []).left_to_rq
    assert fetch(redis_connection, job_id).get_status() == JobStatus.STARTED


def test_a_step_that_is_repeated_because_its_answer_was_lost_takes_effect_once(
    queues: Queues, redis_connection: Redis
):
    first, second = put(redis_connection), put(redis_connection)
    [taken] = queues.step([], ["default"]).taken
    with lost_answers(redis_connection), pytest.raises(RedisConnectionError):
        queues.step([finished(taken)], ["default"])
    again = queues.step([finished(taken)], ["default"])
    assert (taken.job_id, again.taken[0].job_id) == (first, second)
    assert again.taken[0].fields[b"status"] == b"started"
    assert redis_connection.hget("rq:worker:w1", "successful_job_count") == b"1"
    assert queues.step([finished(again.taken[0])], ["default"]).taken == []


def test_a_template_on_a_queue_is_reported_and_not_taken(queues: Queues, redis_connection: Redis):
    template = "schedule-" + "a" * 32
    redis_connection.hset(Job.key_for(template), "data", "x")
    redis_connection.rpush("rq:queue:default", template)
    job_id = put(redis_connection)
    answer = queues.step([], ["default"])
    assert (answer.taken[0].job_id, answer.templates) == (job_id, [template])
    assert redis_connection.hgetall(Job.key_for(template)) == {b"data": b"x"}


def test_ids_on_a_queue_without_a_job_are_passed_over(queues: Queues, redis_connection: Redis):
    redis_connection.rpush("rq:queue:default", "gone", b"\xff\xfe")
    job_id = put(redis_connection)
    assert queues.step([], ["default"]).taken[0].job_id == job_id


def test_a_job_whose_key_is_not_a_hash_is_taken_as_unreadable(
    queues: Queues, redis_connection: Redis
):
    redis_connection.set("rq:job:odd", "not a hash")
    redis_connection.rpush("rq:queue:default", "odd")
    [taken] = queues.step([], ["default"]).taken
    job = Job.from_fields(taken.job_id, taken.fields, redis_connection)
    assert job.unreadable is not None


def test_a_job_that_was_not_started_is_returned_to_the_head_of_its_queue(
    queues: Queues, redis_connection: Redis
):
    job_id, _ = put(redis_connection), put(redis_connection)
    before = redis_connection.hgetall(Job.key_for(job_id))
    [taken] = queues.step([], ["default"]).taken
    assert queues.return_to_queue(taken)
    assert redis_connection.lindex("rq:queue:default", 0) == job_id.encode()
    job = fetch(redis_connection, job_id)
    assert (job.get_status(), job.worker_name, job.started_at) == (JobStatus.QUEUED, None, None)
    assert job.enqueued_at.isoformat() in before[b"enqueued_at"].decode().replace("Z", "+00:00")
    assert StartedJobRegistry("default", redis_connection).count == 0
    assert not redis_connection.exists(lease_key(job_id))
    [again] = queues.step([], ["default"]).taken
    assert Job.from_fields(again.job_id, again.fields, redis_connection).func_name == ECHO


def test_a_job_is_returned_to_its_queue_once_and_not_again_when_it_was_taken_again(
    queues: Queues, redis_connection: Redis
):
    put(redis_connection)
    [taken] = queues.step([], ["default"]).taken
    assert [queues.return_to_queue(taken), queues.return_to_queue(taken)] == [True, False]
    assert redis_connection.llen("rq:queue:default") == 1
    assert not queues.return_to_queue(queues.step([], ["default"]).taken[0])
    assert redis_connection.llen("rq:queue:default") == 0


def test_a_job_that_has_ended_is_not_returned_to_its_queue(queues: Queues, redis_connection: Redis):
    put(redis_connection)
    [taken] = queues.step([], ["default"]).taken
    queues.step([finished(taken)], [])
    assert not queues.return_to_queue(taken)


def test_the_job_that_the_last_step_of_another_process_took_can_be_found(
    queues: Queues, redis_connection: Redis
):
    worker = Queues(redis_connection, "rq:worker:w1", "w1", 90)
    job_id, step_id = put(redis_connection), queues.step_id
    queues.step([], ["default"])
    [taken] = worker.repeat(step_id).taken
    assert (taken.job_id, taken.queue, taken.execution_id) == (job_id, "default", f"{step_id}-0")
    assert worker.return_to_queue(taken)


def test_a_step_that_arrives_after_it_was_asked_about_takes_no_job(
    queues: Queues, redis_connection: Redis
):
    worker = Queues(redis_connection, "rq:worker:w1", "w1", 90)
    put(redis_connection)
    assert worker.repeat(queues.step_id).taken == []
    assert queues.step([], ["default"]).taken == []
    assert redis_connection.llen("rq:queue:default") == 1


def put_kinds(redis: Redis, *kinds: str) -> list[str]:
    """Put jobs on a queue; those of a kind can run beside others."""
    job_ids = [put(redis) for _ in kinds]
    for job_id, kind in zip(job_ids, kinds, strict=True):
        redis.hset(Job.key_for(job_id), "kind", kind)
    return job_ids


def left_on_queue(redis: Redis) -> list[str]:
    return [job_id.decode() for job_id in redis.lrange("rq:queue:default", 0, -1)]


@pytest.mark.parametrize(("kind", "expected"), [("", 0), ("plain", 2)])
def test_a_step_takes_the_first_job_of_its_kind(redis_connection: Redis, kind: str, expected: int):
    job_ids = put_kinds(redis_connection, "coroutine", "coroutine", "", "")
    queues = Queues(redis_connection, "rq:worker:w1", "w1", 90, kind)
    [taken] = queues.step([], ["default"]).taken
    assert taken.job_id == job_ids[expected]
    del job_ids[expected]
    assert left_on_queue(redis_connection) == job_ids


def test_a_step_looks_for_a_job_of_its_kind_only_so_far(redis_connection: Redis):
    put_kinds(redis_connection, *["coroutine"] * LOOK, "")
    queues = Queues(redis_connection, "rq:worker:w1", "w1", 90, "plain")
    assert queues.step([], ["default"]).taken == []
    redis_connection.lpop("rq:queue:default")
    assert queues.step([], ["default"]).taken


def test_a_step_takes_as_many_jobs_as_it_is_told_in_the_order_of_the_queues(
    queues: Queues, redis_connection: Redis
):
    low = [put(redis_connection, "low") for _ in range(3)]
    high = [put(redis_connection, "high") for _ in range(2)]
    taken = queues.step([], QUEUES, 4).taken
    assert [one.job_id for one in taken] == [*high, *low[:2]]
    assert len({one.execution_id for one in taken}) == 4
    assert redis_connection.llen("rq:queue:low") == 1


def test_jobs_that_were_taken_ahead_go_back_to_the_head_of_their_queue_any_number_of_times(
    queues: Queues, redis_connection: Redis
):
    job_ids = [put(redis_connection) for _ in range(3)]
    for _ in range(2):
        taken = queues.step([], ["default"], 2).taken
        assert [queues.give_back(one) for one in reversed(taken)] == [True, True]
        assert left_on_queue(redis_connection) == job_ids
    assert fetch(redis_connection, job_ids[0]).get_status() == JobStatus.QUEUED
    assert StartedJobRegistry("default", redis_connection).get_job_ids() == []
    assert not redis_connection.exists(lease_key(job_ids[0]))


def test_a_job_that_has_ended_or_that_another_worker_has_is_not_given_back(
    queues: Queues, redis_connection: Redis
):
    put(redis_connection)
    [taken] = queues.step([], ["default"]).taken
    assert queues.give_back(taken)
    [again] = Queues(redis_connection, "rq:worker:w2", "w2", 90).step([], ["default"]).taken
    assert not queues.give_back(taken)
    queues.step([finished(again)], [])
    assert not queues.give_back(again)
    assert left_on_queue(redis_connection) == []


def test_a_worker_reports_what_its_child_has_finished(queues: Queues, redis_connection: Redis):
    first, second = put(redis_connection), put(redis_connection)
    taken = queues.step([], ["default"], 2).taken
    redis_connection.sadd(f"{Job.key_for(second)}:dependents", "other")
    assert queues.report([finished(one) for one in taken]) == [second]
    assert FinishedJobRegistry("default", redis_connection).get_job_ids() == [first]
    assert StartedJobRegistry("default", redis_connection).get_job_ids() == [second]


def test_a_step_that_never_arrived_reports_what_finished_before_when_it_is_asked_about(
    queues: Queues, redis_connection: Redis
):
    put(redis_connection)
    [taken] = queues.step([], ["default"]).taken
    worker = Queues(redis_connection, "rq:worker:w1", "w1", 90)
    worker.repeat(queues.step_id, [finished(taken)])
    assert FinishedJobRegistry("default", redis_connection).get_job_ids() == [taken.job_id]


def test_what_runs_is_noted_unless_there_has_been_another_step(
    queues: Queues, redis_connection: Redis
):
    put(redis_connection), put(redis_connection)
    runs = lambda: redis_connection.hget(taken_key("w1"), "job")  # noqa: E731
    first, other = queues.step([], ["default"], 2).taken
    seen = [runs()]
    queues.note_running(other.job_id, other.execution_id)
    seen.append(runs())
    queues.step([], ["empty"])
    queues.note_running(first.job_id, first.execution_id)
    seen.append(runs())
    assert seen == [first.job_id.encode(), other.job_id.encode(), b""]
