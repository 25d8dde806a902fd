"""Systems whose machines disagree about the time, and clocks that are set while something runs.

The clock of Redis is the one that counts (R12).
"""

import os
import time
from datetime import datetime, timedelta

import pytest

from tests.acceptance.proof.checks import check, check_runs_continue
from tests.acceptance.proof.system import Schedule, System, next_second, now
from tests.faketime import FakeClock
from tests.servers import wait_for

HOUR = 3600
# For how long the clock of a scheduler is off: longer ones than this are for special occasions.
SECONDS = float(os.environ.get("PROOF_CLOCK_SECONDS", "25"))
OFFSETS = [2 * HOUR, -2 * HOUR]


@pytest.fixture
def system(clocked_system: System) -> System:
    if not clocked_system.has_clocks:
        pytest.skip("The system's clock of a process can't be faked on this machine.")
    return clocked_system


@pytest.fixture
def redis_clock(system: System) -> FakeClock:
    assert system.valkey.clock is not None
    return system.valkey.clock


def schedules(**options: object) -> list[Schedule]:
    """Return schedules of which nothing is missed or skipped, however busy this machine is."""
    first = next_second()
    options = {"catch_up": "all", "overlap": "allow", **options}
    return [
        Schedule("interval", first, interval=4, options=options),
        Schedule("cron", first, cron="*/3 * * * * *", options=options),
    ]


def assert_all_finished(system: System, until: datetime | None = None) -> None:
    """Check that each run of what was due until now has finished, at its first attempt."""
    until = until or now()
    check(system, until)
    runs = [run for run in system.runs() if run.due <= until]
    assert {(run.status, run.attempt) for run in runs} == {("finished", 1)}


def said(seconds: int) -> str:
    """Return a part of what a process says whose clock is off."""
    return f" s {'ahead of' if seconds > 0 else 'behind'} Redis's"


def has_ended(system: System, schedule: Schedule) -> bool:
    """Return whether a run of a schedule has reached its end."""
    ends = {line.schedule for line in system.lines() if line.event == "end"}
    return schedule.name in ends


def assert_nothing_is_early(system: System) -> None:
    """Check that no row is about an instant that is still to come, or bears one."""
    runs, latest = system.runs(), now()
    for run in runs:
        times = (run.due, run.started, run.ended)
        assert all(at is None or at <= latest for at in times), str(run)


@pytest.mark.parametrize("seconds", OFFSETS)
def test_a_scheduler_whose_clock_is_off_dispatches_by_redis_clock_and_says_so(
    system: System, seconds: int
):
    clock = system.clock()
    system.make(*schedules())
    scheduler = system.scheduler(clock=clock)
    system.worker()
    check_runs_continue(system)
    clock.set(seconds)
    wait_for(lambda: scheduler.printed(said(seconds)), "a warning")
    time.sleep(SECONDS)
    assert_nothing_is_early(system)
    clock.set(0)
    wait_for(lambda: scheduler.printed("agrees with Redis's again"), "its end")
    assert_all_finished(system)


def test_a_call_that_is_reserved_waits_for_redis_clock(system: System):
    system.scheduler(clock=system.clock(2 * HOUR))
    system.worker()
    system.reserve(HOUR / 2, clock=system.clock(-2 * HOUR))
    schedule = Schedule("plain", next_second(), interval=2)
    system.make(schedule)
    check_runs_continue(system)
    [[status, reserved_for]] = system.query("SELECT status, reserved_for FROM tasks_task")
    assert status == "reserved"
    assert timedelta(0) < reserved_for - now() <= timedelta(seconds=HOUR / 2)


def test_a_scheduler_whose_clock_steps_back_and_forth_neither_loses_nor_doubles_anything(
    system: System,
):
    clock = system.clock()
    system.make(*schedules())
    system.scheduler(clock=clock)
    system.worker()
    for seconds in (40, -40, 2 * HOUR, -30, 600, 0):
        clock.set(seconds)
        time.sleep(3)
    assert_nothing_is_early(system)
    assert_all_finished(system)


@pytest.mark.parametrize("seconds", OFFSETS)
def test_a_run_goes_on_undisturbed_when_the_clock_of_its_worker_is_set(
    system: System, seconds: int
):
    clock = system.clock()
    options = {"retries": 2, "timeout": 30}
    schedule = Schedule("long", next_second(), interval=60, seconds=12, options=options)
    system.make(schedule)
    system.scheduler()
    system.worker(clock=clock)
    system.wait_for_start(schedule)
    wait_for(lambda: list(system.redis.scan_iter("rq:execution:*")), "a renewed lease")
    system.worker()  # It would run a second attempt.
    clock.set(seconds)
    wait_for(lambda: has_ended(system, schedule), "the end of the run", 60)
    assert_all_finished(system, until=schedule.first)
    assert len(system.lines()) == 2
    assert_nothing_is_early(system)


@pytest.mark.parametrize("seconds", [300, -300])
def test_a_worker_whose_clock_is_off_judges_start_deadlines_by_redis_clock(
    system: System, seconds: int
):
    system.make(*schedules(start_deadline=100))
    system.scheduler()
    worker = system.worker(clock=system.clock(seconds))
    wait_for(lambda: worker.printed(said(seconds)), "a warning")
    check_runs_continue(system)
    assert_all_finished(system)
    assert_nothing_is_early(system)


@pytest.mark.parametrize("seconds", [600, -600])
def test_when_redis_own_clock_is_set_nothing_runs_twice_and_living_runs_go_on(
    system: System, redis_clock: FakeClock, seconds: int
):
    first = next_second()
    system.make(
        Schedule("plain", first, interval=5),
        Schedule("long", first, interval=HOUR, seconds=12, options={"retries": 2}),
    )
    scheduler = system.scheduler()
    system.worker()
    system.worker()
    long = system.schedules[1]
    system.wait_for_start(long)
    redis_clock.set(seconds)
    wait_for(lambda: scheduler.printed("Redis's clock was set"), "a warning")
    wait_for(lambda: has_ended(system, long), "the end of the long run", 60)
    if seconds < 0:
        redis_clock.set(0)  # Or nothing new would be due for ten minutes.
    check_runs_continue(system)
    check(system)
    runs = [run for run in system.runs() if run.schedule == "long"]
    assert [(run.status, run.attempt) for run in runs] == [("finished", 1)]


def test_after_redis_clock_was_set_back_a_dead_workers_run_is_closed_and_another_leads(
    system: System, redis_clock: FakeClock
):
    schedule = Schedule("long", next_second(), interval=HOUR, seconds=60)
    system.make(schedule)
    scheduler, worker = system.scheduler(), system.worker()
    system.wait_for_start(schedule)
    system.kill(scheduler.pid, worker.pid, *worker.children())
    redis_clock.set(-HOUR)
    another = system.scheduler()
    wait_for(lambda: another.printed(" leads."), "another leader")
    wait_for(lambda: {run.status for run in system.runs()} == {"failed"}, "the end of the run", 60)
