"""Whether everything is on time: the judgement, from facts alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.models import Hold, ScheduledTask, ScheduledTaskInstance
from tasks.reports.facts import Facts, Failing, QueueFacts, Work, WorkerFacts
from tasks.reports.health import Code, Severity, Verdict, judge
from tasks.reports.in_redis import SchedulerSeen, Snapshot, WorkerSeen
from tasks.reports.waiting import WaitingList, Why

NOW = datetime(2026, 10, 24, 20, 32, 7, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
LEADER = SchedulerSeen("sched-1", True, SECOND)
STANDBY = SchedulerSeen("sched-2", False, SECOND)


def worker(
    name: str = "worker-1",
    queues: str = "default",
    work: Work | None = None,
    concurrency: int = 0,
    beside: tuple[Work, ...] = (),
) -> Any:
    of_second = {"concurrency": concurrency, "coroutines": len(beside)}
    seen = WorkerSeen(name, tuple(queues.split()), SECOND, work is not None, "", **of_second)
    return WorkerFacts(seen, work, beside)


def work(name: str) -> Work:
    return Work(name, 1, 1, "worker-1", NOW - MINUTE, 0, "", None)


def queue(**values: Any) -> QueueFacts:
    defaults = {"name": "default", "depth": 0, "oldest": None, "why": Why.IN_TURN}
    return QueueFacts(**{**defaults, "workers": 1, "busy": 0, "hold": None, **values})


SNAPSHOT = Snapshot(
    now=NOW,
    round_trip=timedelta(milliseconds=0.4),
    schedulers=(LEADER, STANDBY),
    workers=(),
    queues=(),
    undispatched=(),
    next_due=NOW + 4 * SECOND,
    are_suspended=False,
    offsets={},
    step=None,
)
NOTHING_WAITS = WaitingList((), 0, {}, False)
FINE = Facts(
    now=NOW,
    obstacle="",
    snapshot=SNAPSHOT,
    database_round_trip=timedelta(milliseconds=2),
    workers=(worker(), worker("worker-2")),
    queues=(queue(workers=2),),
    waiting=NOTHING_WAITS,
    holds=(),
    known=52,
    live=49,
    paused=0,
    failing=0,
    with_problem=0,
    worst=(),
)


def facts(**values: Any) -> Facts:
    """Return facts of a system where all is well, with changes to them or to the snapshot."""
    of_snapshot = {name: values.pop(name) for name in (*values,) if hasattr(SNAPSHOT, name)}
    in_both = {name: of_snapshot.pop(name) for name in ("workers", "queues") if name in of_snapshot}
    return replace(FINE, snapshot=replace(SNAPSHOT, **of_snapshot), **values, **in_both)


def codes(verdict: Verdict) -> list[Code]:
    return [problem.code for problem in verdict.problems]


def test_a_system_where_all_is_well_says_so_in_a_sentence():
    verdict = judge(FINE)
    assert verdict.is_fine
    assert verdict.severity is None
    assert verdict.headline == "All on time."
    assert verdict.rest == "49 schedules, 2 workers, next due in 4 s."
    assert verdict.short == "All on time · next due in 4 s"


def test_where_nothing_is_due_next_the_sentence_ends_with_the_workers():
    verdict = judge(facts(next_due=None, live=1, workers=(worker(),)))
    assert verdict.rest == "1 schedule, 1 worker."


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"known": 0}, "No schedule yet. Nothing is due until one is added."),
        ({"known": 5, "paused": 2}, "No schedule is active. Paused: 2, ended: 3."),
    ],
)
def test_where_nothing_is_scheduled_nothing_is_called_on_time(counts: dict[str, int], said: str):
    verdict = judge(facts(next_due=None, live=0, **counts))
    assert f"{verdict.headline} {verdict.rest}" == said
    assert f"{verdict.short}." == verdict.headline
    assert verdict.is_fine
    assert verdict.is_idle


def test_without_redis_nothing_else_can_be_said_of_it():
    verdict = judge(
        replace(FINE, snapshot=None, waiting=None, workers=(), queues=(), obstacle="refused")
    )
    assert codes(verdict) == [Code.REDIS_UNAVAILABLE]
    assert "refused" in verdict.rest


@pytest.mark.parametrize(
    ("schedulers", "expected"),
    [
        ((), [Code.NO_SCHEDULER]),
        ((STANDBY,), [Code.NO_LEADER]),
        ((LEADER,), []),
    ],
)
def test_a_scheduler_has_to_run_and_one_to_lead(schedulers: Any, expected: list[Code]):
    assert codes(judge(facts(schedulers=schedulers))) == expected


def test_what_no_scheduler_has_dispatched_is_counted_with_the_oldest():
    late = (("schedule-1", NOW - 3 * MINUTE), ("schedule-2", NOW - MINUTE))
    [problem] = judge(facts(undispatched=late)).problems
    assert problem.text == "2 schedules are due and not dispatched."
    assert "3 min" in problem.detail


def test_without_any_worker_only_that_is_said_of_the_queues():
    waits = queue(workers=0, depth=3, oldest=NOW - MINUTE, why=Why.NO_WORKER)
    assert codes(judge(facts(workers=(), queues=(waits,)))) == [Code.NO_WORKER]


def test_a_queue_with_jobs_and_without_workers_is_named():
    waits = queue(name="low", workers=0, depth=3, oldest=NOW - MINUTE, why=Why.NO_WORKER)
    [problem] = judge(facts(queues=(queue(workers=2), waits))).problems
    assert problem.text == "No worker serves low."
    assert problem.detail == "3 jobs wait on low. The oldest has waited 1 min."


def test_a_queue_without_jobs_needs_no_worker():
    idle = queue(name="low", workers=0, why=Why.NO_WORKER)
    assert judge(facts(queues=(queue(workers=2), idle))).is_fine


def test_when_all_workers_are_busy_the_runs_that_keep_them_are_named():
    oldest = NOW - timedelta(minutes=3, seconds=31)
    behind = queue(depth=320, oldest=oldest, why=Why.BUSY, workers=2, busy=2)
    waiting = WaitingList((), 320, {("default", Why.BUSY): 12}, False)
    busy = (worker(work=work("sync")), worker("worker-2", work=work("index")))
    verdict = judge(facts(queues=(behind,), waiting=waiting, workers=busy))
    [problem] = verdict.problems
    assert verdict.headline == "12 schedules are late."
    assert verdict.rest == (
        "All 2 workers of default are busy. 320 jobs wait on default. "
        "The oldest has waited 3 min 31 s."
    )
    assert [one.name for one in problem.works] == ["sync", "index"]
    assert verdict.severity == Severity.ERROR


def test_when_a_worker_runs_as_many_coroutines_as_it_may_the_oldest_of_these_are_named():
    behind = queue(depth=9, oldest=NOW - MINUTE, why=Why.BUSY, workers=2, busy=2)
    waiting = WaitingList((), 9, {("default", Why.BUSY): 9}, False)
    polls = tuple(work(f"poll {number}") for number in range(5))
    full = worker(work=work("sync"), concurrency=5, beside=polls)
    [problem] = judge(facts(queues=(behind,), waiting=waiting, workers=(full,))).problems
    assert [one.name for one in problem.works] == ["sync", "poll 0", "poll 1", "poll 2"]
    assert problem.more_works == 2
    with_room = worker(work=work("sync"), concurrency=6, beside=polls)
    [problem] = judge(facts(queues=(behind,), waiting=waiting, workers=(with_room,))).problems
    assert [one.name for one in problem.works] == ["sync"]
    assert problem.more_works == 5  # All that run are counted, named or not.


def test_late_schedules_are_counted_whatever_kind_of_runs_they_wait_with():
    behind = queue(depth=9, oldest=NOW - MINUTE, why=Why.BUSY)
    late = {("default", Why.BUSY): 2, ("default", Why.IN_TURN): 1}
    verdict = judge(facts(queues=(behind,), waiting=WaitingList((), 9, late, False)))
    assert verdict.headline == "3 schedules are late."


def test_jobs_that_have_just_been_enqueued_are_no_problem():
    fresh = queue(depth=5, oldest=NOW - SECOND, why=Why.BUSY, workers=2, busy=2)
    assert judge(facts(queues=(fresh,))).is_fine


def test_schedules_that_wait_for_their_own_previous_runs_are_a_warning():
    waiting = WaitingList((), 1, {("default", Why.PREVIOUS_RUN): 1}, False)
    verdict = judge(facts(waiting=waiting))
    assert verdict.headline == "1 schedule waits for its previous run."
    assert verdict.severity == Severity.WARNING


def test_schedules_that_are_late_because_of_a_limit_are_a_warning():
    waiting = WaitingList((), 4, {("", Why.PLACE): 3}, False)
    verdict = judge(facts(waiting=waiting))
    assert verdict.headline == "3 schedules are late because of limits."
    assert verdict.rest == "As many of their runs as may go on at a time are running."
    assert verdict.severity == Severity.WARNING


def test_a_pause_says_since_when_by_whom_and_why():
    hold = Hold(queue="low", since=NOW - 5 * MINUTE, by="ada", note="a move")
    [problem] = judge(facts(holds=(hold,))).problems
    assert (problem.text, problem.detail) == ("Queue low is paused.", "since 20:27 by ada: a move")
    everything = Hold(queue="", since=NOW - timedelta(days=1))
    [problem] = judge(facts(holds=(everything,))).problems
    assert (problem.text, problem.detail) == ("Everything is paused.", "since 2026-10-23 20:32")


def test_the_worst_failing_schedules_are_named_and_the_others_counted():
    parent = ScheduledTask(function="gone")
    reason = "Failed for: no answer\nafter 30 s"
    run = ScheduledTaskInstance(pk=7, parent=parent, reason=reason)
    worst = Failing(1, "Prices", 7, False, NOW - 37 * MINUTE, run)
    first, second = judge(facts(failing=3, worst=(worst,))).problems
    assert first.text == "Prices fails since 19:55, 7 times in a row."
    assert first.detail == "Failed for: no answer"
    assert first.link.endswith("/scheduledtaskinstance/7/change/")
    assert second.text == "2 more schedules fail."
    longest = replace(worst, in_a_row=50, may_be_more=True)
    [first, _others] = judge(facts(failing=3, worst=(longest,))).problems
    assert first.text == "Prices fails since before 19:55, at least 50 times in a row."
    assert second.link.endswith("/scheduledtask/?view=failing")


def test_clocks_that_are_off_and_a_clock_that_was_set_are_said():
    verdict = judge(facts(offsets={"Worker w": -4.2}, step=(NOW - MINUTE, 60.0)))
    assert codes(verdict) == [Code.CLOCK_SET, Code.CLOCK_OFF]
    assert verdict.problems[1].text == "Worker w: its machine's clock is 4 s behind Redis's."


def test_the_worst_problem_comes_first_and_the_line_counts_the_others():
    verdict = judge(facts(offsets={"Worker w": 9.0}, with_problem=1, schedulers=()))
    assert codes(verdict) == [Code.NO_SCHEDULER, Code.NOT_SCHEDULED, Code.CLOCK_OFF]
    assert verdict.headline == "No scheduler runs."
    assert verdict.short == "No scheduler runs · 2 more"


def test_each_problem_says_what_to_do():
    verdict = judge(
        facts(
            schedulers=(),
            are_suspended=True,
            undispatched=(("schedule-1", NOW - MINUTE),),
            holds=(Hold(queue="", since=NOW),),
            failing=1,
            with_problem=2,
            offsets={"Worker w": 9.0},
            step=(NOW, -9.0),
            queues=(queue(name="low", workers=0, depth=1, why=Why.NO_WORKER),),
        )
    )
    assert len(verdict.problems) == 9
    for problem in verdict.problems:
        assert problem.short
        assert problem.text.endswith(".")
        assert problem.fix, problem


@pytest.mark.parametrize("progress", [0, 40])
def test_what_is_left_of_a_run_follows_from_its_progress_or_from_earlier_runs(progress: int):
    run = Work("w", 1, 1, "", NOW - 2 * MINUTE, progress, "", 5 * MINUTE)
    assert run.left(NOW) == 3 * MINUTE
    assert Work("w", 1, 1, "", NOW - 2 * MINUTE, 0, "", MINUTE).left(NOW) is None
