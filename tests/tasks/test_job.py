"""Jobs have JSON payloads and call registered functions only."""

import pytest
from redis import Redis
from rq.exceptions import DeserializationError
from rq.job import Job as RqJob

from tasks.exceptions import UnknownTaskFunction
from tasks.job import Job
from tests.tasks import functions


def test_a_payload_is_json(redis_connection: Redis):
    job = Job.create(functions.ECHO, args=[1], id="task-1", connection=redis_connection)
    job.save()
    assert Job.fetch("task-1", connection=redis_connection).args == [1]
    assert job.serializer.loads(job.data)[0] == functions.ECHO


def test_a_pickled_payload_is_never_unpickled(redis_connection: Redis):
    import rq.job

    rq.job.Job.create("os.getpid", id="crafted", connection=redis_connection).save()
    with pytest.raises(DeserializationError):
        _ = Job.fetch("crafted", connection=redis_connection).func_name


def test_a_function_that_is_not_registered_is_never_imported(redis_connection: Redis):
    job = Job.create("os.getpid", id="crafted", connection=redis_connection)
    with pytest.raises(UnknownTaskFunction):
        _ = job.func


def test_a_job_is_the_same_whichever_class_reads_it(redis_connection: Redis):
    ours = Job.create(functions.echo, connection=redis_connection)
    ours.save()
    theirs = RqJob.fetch(ours.id, connection=redis_connection)
    assert ours == theirs
    assert theirs == ours
    assert len({ours, theirs}) == 1
    assert ours != RqJob.create(functions.echo, connection=redis_connection)
    assert ours != ours.id
