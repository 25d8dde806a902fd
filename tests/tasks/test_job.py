"""A job's id says which run it is; its payload is JSON and names a registered function."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from rq.exceptions import DeserializationError
from rq.job import Job as RqJob
from rq.job import validate_job_id

from tasks.exceptions import UnknownTaskFunction
from tasks.job import EPOCH, Job, RunId, new_schedule_job_id
from tests.tasks import functions

SCHEDULE = "schedule-" + "0" * 32
MOMENT = datetime(2026, 3, 29, 1, 30, 0, 250_000, tzinfo=UTC)

moments = st.integers(-(10**12), 10**14).map(lambda number: EPOCH + timedelta(milliseconds=number))
run_ids = st.one_of(
    st.builds(
        RunId, st.just(SCHEDULE), moments, st.none(), st.integers(1, 101), is_backfill=st.booleans()
    ),
    st.builds(RunId, st.just(SCHEDULE), st.none(), moments, st.integers(1, 101)),
)


@given(run_ids)
def test_a_run_is_read_back_from_its_job_id(run_id: RunId):
    assert RunId.parse(run_id.job_id) == run_id


@given(run_ids)
def test_rq_accepts_the_job_id_of_a_run(run_id: RunId):
    validate_job_id(run_id.job_id)


def test_the_first_attempt_has_no_suffix():
    run_id = RunId(SCHEDULE, MOMENT)
    assert run_id.job_id == f"{SCHEDULE}-1774747800250"
    assert run_id.next_attempt().job_id == f"{SCHEDULE}-1774747800250-2"


def test_an_occurrence_by_backfill_has_a_job_of_its_own():
    run_id = RunId(SCHEDULE, MOMENT, is_backfill=True)
    assert run_id.job_id == f"{SCHEDULE}-b1774747800250"
    assert run_id.next_attempt().job_id == f"{SCHEDULE}-b1774747800250-2"


@pytest.mark.parametrize(
    "job_id",
    [
        SCHEDULE,
        f"task-{'0' * 32}",
        f"{SCHEDULE}-",
        f"{SCHEDULE}-12x",
        f"{SCHEDULE}-1-2-3",
        f"{SCHEDULE}-999999999999999",
        f"{SCHEDULE}-١٢٣",
        "",
    ],
)
def test_other_ids_are_not_those_of_a_run(job_id: str):
    assert RunId.parse(job_id) is None


def test_new_ids_differ():
    assert new_schedule_job_id() != new_schedule_job_id()


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
