"""Job ids say which run of which schedule they are."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rq.job import validate_job_id

from tasks.job_ids import RunId, new_schedule_job_id
from tasks.timing.instants import EPOCH

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
