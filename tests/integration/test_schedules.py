"""Real schedulers and workers: each due gets one row, whatever is killed or lost."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import timezone
from redis import Redis

from tasks.broker.keys import SCHEDULES_KEY
from tasks.ledger.audit import tallies
from tasks.models import ScheduledTask
from tasks.services import SchedulerService, TaskService
from tests.processes import Site, running
from tests.servers import Valkey, wait_for


def every_second(notes: Path, **options: object) -> ScheduledTask:
    return SchedulerService.schedule(
        timezone.now(), "tests.jobs.note", [str(notes)], interval=1, **options
    )


@contextmanager
def system(site: Site, schedulers: int = 1, workers: int = 1) -> Iterator[list[psutil.Process]]:
    """Run schedulers and workers; yields the processes, schedulers first."""
    commands = [("rqscheduler",)] * schedulers + [("rqworker", "default")] * workers
    with ExitStack() as stack:
        yield [
            psutil.Process(stack.enter_context(running(site, *command)).pid) for command in commands
        ]


def wait_for_runs(schedule: ScheduledTask, number: int, seconds: float = 60) -> None:
    def enough() -> bool:
        return schedule.runs.filter(status="finished").count() >= number

    wait_for(enough, f"{number} finished runs", seconds)


def assert_ledger_closes(schedule: ScheduledTask) -> None:
    """Compare the rows with what was due, first + k·interval, up to the newest row."""
    recorded = sorted(schedule.runs.exclude(due=None).values_list("due", flat=True))
    schedule.refresh_from_db()
    step = timedelta(seconds=schedule.interval)
    count = (recorded[-1] - schedule.first) // step + 1
    assert recorded == [schedule.first + step * k for k in range(count)]


def assert_each_ran_once(schedule: ScheduledTask, notes: Path) -> None:
    started = notes.read_text().count("start")
    assert started == schedule.runs.filter(started__isnull=False).count()


def test_two_schedulers_and_two_workers_run_each_occurrence_once(site: Site, notes: Path):
    schedule = every_second(notes)
    with system(site, schedulers=2, workers=2):
        wait_for_runs(schedule, 6)
        SchedulerService.pause(schedule)
        wait_for(lambda: not schedule.runs.running().exists(), "the last run's end")
    assert_ledger_closes(schedule)
    assert_each_ran_once(schedule, notes)


def test_the_template_of_a_schedule_stays_unchanged_while_its_runs_run(
    site: Site, notes: Path, redis_connection: Redis
):
    schedule = every_second(notes)
    before = redis_connection.hgetall(f"rq:job:{schedule.job_id}")
    with system(site):
        wait_for_runs(schedule, 2)
    assert redis_connection.hgetall(f"rq:job:{schedule.job_id}") == before
    assert redis_connection.ttl(f"rq:job:{schedule.job_id}") == -1


def test_another_scheduler_takes_over_from_a_leader_that_was_killed(site: Site, notes: Path):
    schedule = every_second(notes, catch_up="all")
    with system(site, schedulers=2) as [first, *_]:
        wait_for_runs(schedule, 2)
        first.send_signal(signal.SIGKILL)
        wait_for_runs(schedule, 20)
    assert_ledger_closes(schedule)


def test_a_leader_that_was_frozen_does_no_harm_when_it_resumes(site: Site, notes: Path):
    schedule = every_second(notes, catch_up="all")
    with system(site, schedulers=2) as [first, *_]:
        wait_for_runs(schedule, 2)
        first.suspend()
        wait_for_runs(schedule, 16)
        first.resume()
        wait_for_runs(schedule, 20)
        SchedulerService.pause(schedule)
        wait_for(lambda: not schedule.runs.running().exists(), "the last run's end")
    assert_ledger_closes(schedule)
    assert_each_ran_once(schedule, notes)


def test_all_schedules_run_again_after_redis_was_emptied(
    site: Site, notes: Path, redis_connection: Redis
):
    schedule = every_second(notes)
    with system(site):
        wait_for_runs(schedule, 2)
        redis_connection.flushall()
        wait_for_runs(schedule, 8, seconds=30)
    assert_ledger_closes(schedule)


def test_schedulers_and_workers_survive_an_outage_of_redis(site: Site, notes: Path, valkey: Valkey):
    schedule = every_second(notes)
    with system(site) as processes:
        wait_for_runs(schedule, 2)
        valkey.stop(signal.SIGKILL)
        before = schedule.runs.count()
        psutil.wait_procs(processes, timeout=5)
        valkey.start()
        wait_for_runs(schedule, before + 3)
        assert all(process.is_running() for process in processes)
    assert_ledger_closes(schedule)


def test_a_restart_of_scheduler_and_worker_loses_and_doubles_no_run(site: Site, notes: Path):
    schedule = every_second(notes, catch_up="all")
    with system(site):
        wait_for_runs(schedule, 3)
    with system(site):
        wait_for_runs(schedule, 8)
        SchedulerService.pause(schedule)
        wait_for(lambda: not schedule.runs.running().exists(), "the last run's end")
    assert_ledger_closes(schedule)
    assert_each_ran_once(schedule, notes)


def test_the_run_of_a_killed_worker_is_closed_as_lost(site: Site, notes: Path):
    schedule = SchedulerService.schedule(
        timezone.now(), "tests.jobs.note", [str(notes), "long", 600]
    )
    with system(site) as [_, worker]:
        wait_for(lambda: "start" in notes.read_text(), "the run's start")
        worker.send_signal(signal.SIGKILL)
        run = schedule.runs.get()
        wait_for(lambda: schedule.runs.filter(status="failed"), "the run to be closed", seconds=60)
    run.refresh_from_db()
    assert run.reason_in_words() == f"Lost: the worker “{run.worker_name}” died or lost contact."


def test_an_unreadable_member_of_the_scheduled_jobs_stops_no_other_schedule(
    site: Site, notes: Path, redis_connection: Redis
):
    schedule = every_second(notes)
    redis_connection.zadd(SCHEDULES_KEY, {b"\xff\xfe": 1, "schedule-bad": 2})
    redis_connection.set("rq:job:schedule-bad", "not a hash")
    with system(site):
        wait_for_runs(schedule, 3)


def test_a_schedule_whose_function_does_not_exist_has_that_problem_on_its_row(
    site: Site, notes: Path
):
    schedule = every_second(notes)
    bad = every_second(notes, name="bad")
    ScheduledTask.objects.filter(pk=bad.pk).update(function="gone.away")
    with system(site):
        wait_for_runs(schedule, 3)
        wait_for(lambda: ScheduledTask.objects.get(pk=bad.pk).problem, "the problem on the row")
    assert "gone.away" in ScheduledTask.objects.get(pk=bad.pk).problem


def test_the_same_schedule_requested_by_many_threads_at_once_is_one_row(site: Site, notes: Path):
    first = timezone.now() + timedelta(hours=1)
    barrier = threading.Barrier(8)

    def request() -> None:
        barrier.wait()
        SchedulerService.schedule(first, "tests.jobs.note", [str(notes)], interval=60)
        connections.close_all()

    threads = [threading.Thread(target=request) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ScheduledTask.objects.count() == 1


def test_a_reserved_call_runs_when_it_is_due(site: Site, notes: Path):
    call = TaskService.reserve_task(timedelta(seconds=2), "tests.jobs.note", str(notes))
    with system(site):
        wait_for(lambda: "end" in notes.read_text(), "the call")
    call.refresh_from_db()
    assert call.started >= call.reserved_for


def test_runs_of_a_schedule_whose_overlap_policy_is_wait_run_one_after_another(
    site: Site, notes: Path
):
    schedule = every_second(notes, name="one by one", overlap="wait")
    schedule.args = [str(notes), "x", 1.5]
    SchedulerService.save(schedule)
    with system(site, workers=2):
        wait_for_runs(schedule, 3)
    lines = notes.read_text().split()
    assert not any(a == b == "start" for a, b in zip(lines[::2], lines[2::2], strict=False))


def test_the_runs_of_a_backfill_run_one_after_another_even_when_redis_is_emptied(
    site: Site, notes: Path, redis_connection: Redis
):
    now = timezone.now()
    schedule = SchedulerService.schedule(
        now - timedelta(hours=3, minutes=30), "tests.jobs.note", [str(notes), "x", 1], interval=3600
    )
    SchedulerService.backfill(schedule, now - timedelta(hours=4), now)
    with system(site, workers=2):
        wait_for_runs(schedule, 1)
        redis_connection.flushall()
        wait_for_runs(schedule, 4, seconds=90)
    assert not schedule.requests.exists()
    lines = notes.read_text().split()
    assert not any(a == b == "start" for a, b in zip(lines[::2], lines[2::2], strict=False))
    [tally] = tallies([schedule.pk])
    assert tally.closes
    assert tally.due == 4


def test_the_ledger_of_a_schedule_that_is_changed_and_paused_while_it_runs_closes(
    site: Site, notes: Path
):
    schedule = every_second(notes)
    with system(site):
        wait_for_runs(schedule, 2)
        SchedulerService.pause(schedule, "a break")
        SchedulerService.resume(schedule)
        schedule.interval = 2
        SchedulerService.save(schedule)
        wait_for_runs(schedule, schedule.runs.count() + 2)
        SchedulerService.cancel(schedule)
        wait_for(lambda: not schedule.runs.running().exists(), "the last run's end")
    assert list(schedule.periods.order_by("end").values_list("kind", flat=True)) == [
        "active",
        "paused",
        "active",
        "active",
    ]
    call_command("ledger", schedule=str(schedule.pk))


def test_a_schedule_that_runs_once_has_ended_after_its_run(site: Site, notes: Path):
    schedule = SchedulerService.schedule(timezone.now(), "tests.jobs.note", [str(notes)])
    with system(site):
        wait_for(lambda: ScheduledTask.objects.get().status == "death", "the schedule's end")
    assert schedule.periods.get().kind == "active"
    [tally] = tallies([schedule.pk])
    assert (tally.closes, tally.outcomes["finished"]) == (True, 1)


CHANGES: dict[str, Callable[[ScheduledTask], object]] = {
    "cancel": SchedulerService.cancel,
    "pause": SchedulerService.pause,
    "edit": lambda schedule: SchedulerService.schedule(
        schedule.first + timedelta(hours=1), "tests.jobs.note", schedule.args, interval=7200
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_ledger_closes_when_a_schedule_is_changed_just_when_it_is_due(
    site: Site, notes: Path, change: str
):
    """What is dispatched between the changes of the row and of Redis belongs to no period."""
    with system(site):
        regular = every_second(notes)
        wait_for_runs(regular, 1)
        first, gap = timezone.now() + timedelta(seconds=2), timedelta(seconds=0.1)
        schedules = [
            SchedulerService.schedule(
                first + number * gap, "tests.jobs.note", [str(notes), str(number)], interval=3600
            )
            for number in range(30)
        ]
        for number, schedule in enumerate(schedules):
            just_before = schedule.first - timedelta(milliseconds=number % 10)
            time.sleep(max(0.0, (just_before - timezone.now()).total_seconds()))
            CHANGES[change](schedule)
        wait_for_runs(regular, regular.runs.filter(status="finished").count() + 2)
    call_command("ledger")
