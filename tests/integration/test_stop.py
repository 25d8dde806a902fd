"""A running run is stopped within two seconds, and its row says by whom."""

from datetime import timedelta
from pathlib import Path

import pytest

from tasks import clock
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.services import SchedulerService
from tests.processes import Site, running_both
from tests.servers import wait_for

SOON = timedelta(seconds=2)


@pytest.mark.parametrize("isolated", [False, True])
def test_a_run_that_somebody_stops_ends_within_two_seconds_as_canceled_by_them(
    site: Site, notes: Path, isolated: bool
):
    with running_both(site):
        schedule = SchedulerService.schedule(
            clock.now() + timedelta(seconds=1),
            "tests.jobs.note",
            [str(notes), "x", 60],
            interval=3600,
            isolated=isolated,
            retries=3,
        )
        wait_for(lambda: "start x" in notes.read_text(), "the start of the run")
        run = ScheduledTaskInstance.objects.get()
        before = clock.now()
        SchedulerService.stop_run(run, "ops-lead")
        wait_for(lambda: _status(run) == "canceled", "the end of the run")
        run_id = SchedulerService.run_now(schedule)
        wait_for(lambda: notes.read_text().count("start x") == 2, "the start of the next run")
        following = schedule.runs.of(run_id).get()
        SchedulerService.stop_run(following)
        wait_for(lambda: _status(following) == "canceled", "the end of the next run")
    assert run.ended is not None
    assert run.ended - before <= SOON
    assert run.reason_in_words() == "Stopped by ops-lead."
    assert following.reason_in_words() == "Stopped on request."
    assert [each.attempt for each in schedule.runs.all()] == [1, 1], "neither is retried"
    assert "end x" not in notes.read_text()
    assert ScheduledTask.objects.get().status == "running"


def _status(run: ScheduledTaskInstance) -> str:
    run.refresh_from_db()
    return run.status
