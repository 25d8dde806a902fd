"""Workers that die, or are stopped, in the middle of a run."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest

from tests.acceptance.proof.checks import check
from tests.acceptance.proof.fork_server import Process, is_alive
from tests.acceptance.proof.system import CONCURRENCY, Schedule, System, next_second
from tests.servers import wait_for

VICTIMS: dict[str, Callable[[Process, int], list[int]]] = {
    "worker": lambda worker, child: [worker.pid],
    "child": lambda worker, child: [child],
    "both": lambda worker, child: [worker.pid, child],
}


def long_runs(seconds: float, interval: int) -> list[Schedule]:
    """Return schedules on two queues, one with retries and one without."""
    first = next_second()
    return [
        Schedule(
            name,
            first,
            interval=interval,
            seconds=seconds,
            options={"queue": queue, "retries": retries, "overlap": "wait"},
        )
        for name, queue, retries in (("once", "lane-1", 0), ("retried", "lane-2", 2))
    ]


def _waits(system: System, schedule: Schedule) -> bool:
    """Return whether an occurrence waits on its queue, or for the end of the one before."""
    places = (f"rq:queue:{schedule.options['queue']}", f"tasks:parked:wait:{schedule.job_id}")
    return any(system.redis.llen(place) for place in places)


@pytest.mark.case(5, 6, 7)
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_run_whose_process_is_killed_is_closed_as_lost_and_tried_again(
    system: System, victim: str
):
    isolated = Schedule(
        "isolated",
        next_second(),
        interval=8,
        seconds=2,
        options={"queue": "lane-3", "overlap": "wait", "isolated": True},
    )
    system.make(*long_runs(seconds=2, interval=8), isolated)
    system.scheduler()
    workers = {
        schedule.name: system.worker(schedule.options["queue"]) for schedule in system.schedules
    }
    for schedule in system.schedules:
        line = system.wait_for_start(schedule)
        system.kill(*VICTIMS[victim](workers[schedule.name], line.pid))
        system.worker(schedule.options["queue"])
    check(system)
    reasons = {run.schedule: run.reason for run in system.runs() if run.status == "failed"}
    assert reasons.keys() == {"once", "isolated"}
    assert all(reason.startswith("lost_") for reason in reasons.values())


@pytest.mark.case(8)
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_run_that_is_killed_while_the_next_run_waits_is_closed_and_the_next_run_runs(
    system: System, victim: str
):
    system.make(*long_runs(seconds=6, interval=4))
    system.scheduler()
    workers = {
        schedule.name: system.worker(schedule.options["queue"]) for schedule in system.schedules
    }
    lines = {schedule.name: system.wait_for_start(schedule) for schedule in system.schedules}
    for schedule in system.schedules:
        wait_for(partial(_waits, system, schedule), "the next occurrence")
        system.kill(*VICTIMS[victim](workers[schedule.name], lines[schedule.name].pid))
        system.worker(schedule.options["queue"])
    check(system)


# With coroutines it isn't the child's main thread that talks to the servers.
TALKER = "child/thread" if CONCURRENCY else "child"


@pytest.mark.parametrize(
    "point", [f"{TALKER}:EVAL rq:worker:after#1", f"{TALKER}:CONNECT:before#1"]
)
def test_a_job_whose_child_dies_before_it_starts_is_run_by_the_next_child(
    system: System, point: str
):
    schedule = Schedule("once", next_second(), interval=3600)
    system.make(schedule)
    scheduler = system.scheduler()
    wait_for(lambda: system.redis.llen("rq:queue:default"), "the job on its queue")
    scheduler.kill()  # Its ledger would dispatch the occurrence again.
    worker = system.worker(point=point)
    system.wait_for_start(schedule)
    assert worker.done.exists()


def _once(system: System, worker: Process, child: int) -> None:
    worker.send(signal.SIGTERM)


def _interrupt(system: System, worker: Process, child: int) -> None:
    worker.send(signal.SIGINT)


def _until_it_ends(system: System, worker: Process, child: int) -> None:
    system.killed |= {worker.pid, child}

    def ended() -> bool:
        worker.send(signal.SIGTERM)
        return worker.poll() is not None

    wait_for(ended, "the end of a worker that is terminated again and again")


def _with_its_children(system: System, worker: Process, child: int) -> None:
    """Do what systemd does: signal all processes at once."""
    system.killed |= {worker.pid, child}
    for pid in (worker.pid, *worker.children()):
        with suppress(ProcessLookupError):  # An idle child ends with the first of the signals.
            os.kill(pid, signal.SIGTERM)


STOPS = [_once, _interrupt, _until_it_ends, _with_its_children]
GENTLE = {"_once", "_interrupt"}


@pytest.mark.case(9)
def test_the_row_of_a_run_is_true_however_its_worker_is_stopped(system: System):
    first = next_second()
    options = [{"queue": f"lane-{n}", "retries": 1} for n in range(1, 5)]
    system.make(
        *(
            Schedule(stop.__name__, first, interval=6, seconds=3, options=own)
            for stop, own in zip(STOPS, options, strict=True)
        )
    )
    system.scheduler()
    workers = [system.worker(str(own["queue"])) for own in options]
    lines = [system.wait_for_start(schedule) for schedule in system.schedules]
    for stop, worker, line in zip(STOPS, workers, lines, strict=True):
        stop(system, worker, line.pid)
    for worker in workers:
        worker.wait(20)
    assert not any(is_alive(line.pid) for line in lines)
    system.worker(*(str(own["queue"]) for own in options))
    system.worker(*(str(own["queue"]) for own in options))
    check(system)
    runs = {(run.schedule, run.due): run for run in system.runs()}
    for name in GENTLE:
        run = runs[name, system.schedules[0].first]
        assert (run.status, run.attempt) == ("finished", 1), str(run)


@pytest.mark.case(15)
def test_a_worker_leaves_no_database_connection_of_children_that_died(system: System):
    first = next_second()
    system.make(
        *(Schedule(f"s{n}", first, interval=2, options={"overlap": "allow"}) for n in range(4)),
        Schedule("crashes", first, interval=2, seconds=30, options={"queue": "lane-1"}),
    )
    system.scheduler()
    system.worker()
    system.worker("lane-1")
    seen: set[int] = set()

    def crashed_often() -> bool:
        for line in system.lines():
            if line.schedule == "crashes" and line.event == "start" and line.pid not in seen:
                seen.add(line.pid)
                system.kill(line.pid)
        return len(seen) >= 8

    wait_for(crashed_often, "runs that crash", 60)
    # The scheduler's three threads, of which one reads what is held, and a child of each worker, or
    # two, of which the one with the loop has a live writer as long as there are runs.
    most = 9 if CONCURRENCY else 5
    wait_for(
        lambda: system.count_connections() <= most, "the end of the connections of killed runs"
    )
    check(system)
    assert system.count_connections() <= most
