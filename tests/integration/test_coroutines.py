"""Real workers that run coroutine functions side by side."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tasks.models import ScheduledTaskInstance, Task
from tasks.services import TaskService
from tests.processes import Site, running
from tests.servers import wait_for

MEET = "tests.jobs.meet"


@contextmanager
def worker(site: Site, concurrency: int = 20) -> Iterator[psutil.Process]:
    """Run a worker inside the block; return its process."""
    with running(site, "rqworker", "default", "--concurrency", str(concurrency)) as process:
        yield psutil.Process(process.pid)


def ended(*records: Task | ScheduledTaskInstance) -> bool:
    for record in records:
        record.refresh_from_db()
    return all(record.ended for record in records)


def test_coroutines_run_side_by_side_each_with_its_own_row_and_log(site: Site, notes: Path):
    calls = [
        TaskService.enqueue_task(MEET, str(notes), f"number {number}", 10) for number in range(10)
    ]
    with worker(site):
        wait_for(lambda: ended(*calls), "the ends of all calls")
    assert [(call.status, call.result) for call in calls] == [
        ("finished", f"number {number}") for number in range(10)
    ]
    for number, call in enumerate(calls):
        assert [line.partition(": ")[2] for line in call.log.splitlines()] == [
            f"I am number {number}"
        ]
