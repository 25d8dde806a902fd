"""What is to be written together is, and what one of it is at fault for only that one bears."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, cast

import pytest
from django.db import OperationalError
from redis import Redis

from tasks.broker.enqueue import enqueue_run
from tasks.decorators import NotNow
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import ScheduledTask
from tasks.runs import claim, group_writer
from tasks.runs.claim import MustWait
from tasks.runs.group_writer import GroupWriter
from tests.tasks.functions import COROUTINE
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)

Refuse = Callable[[list[Job]], list[BaseException | None]]


@pytest.fixture
def schedule() -> ScheduledTask:
    long_ago = ago(3600)
    values = {"first": long_ago, "interval": 1, "settled_through": long_ago, "overlap": "allow"}
    return make_row(function=COROUTINE, **values)


@pytest.fixture
def jobs(redis_connection: Redis, schedule: ScheduledTask) -> list[Job]:
    """Return the jobs of three occurrences."""
    assert schedule.first is not None
    run_ids = [RunId(schedule.job_id, schedule.first + timedelta(seconds=n)) for n in (10, 20, 30)]
    for run_id in run_ids:
        enqueue_run(schedule, run_id, redis_connection)
    found = [Job.fetch(run_id.job_id, connection=redis_connection) for run_id in run_ids]
    return cast(list[Job], found)


@pytest.fixture
def refuse() -> Iterator[Refuse]:
    """Return a function that refuses jobs while the writer is busy, and what each raises."""
    writer = GroupWriter()

    def refuse(jobs: list[Job]) -> list[BaseException | None]:
        gate = threading.Event()
        writer.call(gate.wait)
        futures = [writer.refuse(job, NotNow("busy")) for job in jobs]
        gate.set()
        return [future.exception(30) for future in futures]

    yield refuse
    writer.close()


def reasons(schedule: ScheduledTask) -> list[tuple[str, str]]:
    runs = schedule.runs.order_by("due")
    return [(run.status, run.reason_in_words()) for run in runs]


REFUSED = ("skipped", "Its check said not now: busy")


def test_refusals_that_come_together_are_recorded_in_one_transaction(
    refuse: Refuse, jobs: list[Job], schedule: ScheduledTask, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(group_writer, "claim_patiently", None)  # which records one by one
    groups: list[int] = []
    together = group_writer._refused_together

    def note(refusals: Any) -> Any:
        groups.append(len(refusals))
        return together(refusals)

    monkeypatch.setattr(group_writer, "_refused_together", note)
    assert refuse(jobs) == [None] * 3
    assert (groups, reasons(schedule)) == ([3], [REFUSED] * 3)


def test_of_refusals_that_cannot_be_recorded_together_only_the_one_at_fault_fails(
    refuse: Refuse, jobs: list[Job], schedule: ScheduledTask, monkeypatch: pytest.MonkeyPatch
):
    for name in ("claim", "claim_patiently"):
        monkeypatch.setattr(group_writer, name, failing(getattr(group_writer, name), jobs[1]))
    first, second, third = refuse(jobs)
    assert (first, third) == (None, None)
    assert isinstance(second, ZeroDivisionError)
    assert reasons(schedule) == [REFUSED] * 2


def failing(claim: Callable[..., Any], at_fault: Job) -> Callable[..., Any]:
    def fail(job: Job, *args: Any) -> Any:
        return 1 / 0 if job.id == at_fault.id else claim(job, *args)

    return fail


def test_a_refused_run_that_must_wait_for_another_one_waits(
    refuse: Refuse, jobs: list[Job], schedule: ScheduledTask, monkeypatch: pytest.MonkeyPatch
):
    def wait(job: Job, *args: Any) -> Any:
        if job.id == jobs[1].id:
            raise MustWait
        return claim.claim(job, *args)

    monkeypatch.setattr(group_writer, "claim", wait)
    first, second, third = refuse(jobs)
    assert (first, third) == (None, None)
    assert isinstance(second, MustWait)
    assert reasons(schedule) == [REFUSED] * 2


def test_no_refusal_is_recorded_while_the_database_is_unavailable(
    refuse: Refuse, jobs: list[Job], schedule: ScheduledTask, monkeypatch: pytest.MonkeyPatch
):
    def unavailable(*args: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(group_writer, "claim", unavailable)
    monkeypatch.setattr(group_writer, "patiently", lambda write: write())
    assert all(isinstance(error, OperationalError) for error in refuse(jobs))
    assert reasons(schedule) == []
