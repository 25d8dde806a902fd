"""A run's lease at the database: who still has it, and who finds that the run was ended."""

from typing import Any

import pytest

from tasks.models import ScheduledTask, ScheduledTaskInstance, Task
from tasks.reasons import Code
from tasks.runs.lease import Hold, renew
from tests.tasks.functions import ECHO
from tests.tasks.schedules import ago

pytestmark = pytest.mark.django_db


@pytest.fixture
def running(schedule: ScheduledTask) -> ScheduledTaskInstance:
    return schedule.runs.create(name="x", due=ago(60), started=ago(59), worker_name="w1")


def test_a_worker_renews_the_lease_of_its_run(running: ScheduledTaskInstance):
    assert renew(running.run_job_id, "w1") is Hold.HELD
    running.refresh_from_db()
    assert running.lease_renewed is not None


def test_each_renewal_can_be_told_from_the_one_before(running: ScheduledTaskInstance):
    seen = set()
    for _ in range(3):
        renew(running.run_job_id, "w1")
        running.refresh_from_db()
        seen.add(running.lease_renewed)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("changes", "hold"),
    [
        ({"status": "failed", "ended": ago(1)}, Hold.CLOSED),
        ({"status": "running", "attempt": 2}, Hold.CLOSED),
        ({"worker_name": "w2"}, Hold.CLOSED),
        ({"status": "canceled", "ended": ago(1)}, Hold.STOPPED),
        ({"reason_code": Code.REPLACED}, Hold.STOPPED),
        ({"reason_code": Code.STOPPED_BY, "reason_values": {"by": "x"}}, Hold.STOPPED),
        ({"status": "finished", "ended": ago(1)}, Hold.HELD),
    ],
)
def test_a_worker_learns_what_became_of_its_run(
    running: ScheduledTaskInstance, changes: dict[str, Any], hold: Hold
):
    ScheduledTaskInstance.objects.update(**changes)
    assert renew(running.run_job_id, "w1") is hold
    running.refresh_from_db()
    assert running.lease_renewed is None


def test_a_run_of_a_deleted_schedule_is_closed(
    running: ScheduledTaskInstance, schedule: ScheduledTask
):
    job_id = running.run_job_id
    schedule.delete()
    assert renew(job_id, "w1") is Hold.CLOSED


@pytest.mark.parametrize(("status", "hold"), [("running", Hold.HELD), ("canceled", Hold.STOPPED)])
def test_a_background_call_has_a_lease_as_well(status: str, hold: Hold):
    ended = {} if status == "running" else {"ended": ago(1)}
    task = Task.objects.create(
        name="x", function=ECHO, status=status, started=ago(9), worker_name="w1", **ended
    )
    assert renew(task.run_job_id, "w1") is hold
