"""What has to be true of a system that had time to settle, whatever happened to it.

Nothing here shares code with the system: rows are read with SQL, the scheduled jobs from Redis,
what really ran from the file that the task functions wrote, and `tests.oracle` says what was due.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import pairwise

from tests.acceptance.proof.evidence import Line
from tests.acceptance.proof.fork_server import is_alive
from tests.acceptance.proof.system import Run, Schedule, System, now
from tests.servers import wait_for

# How long a system may need to settle: longer than it takes until a run counts as lost.
SETTLE_SECONDS = 150.0
STARTED = {"running", "finished", "failed", "canceled"}
# A schedule in Redis that has been due for longer than this isn't being dispatched.
STUCK_SECONDS = 15


class Violated(AssertionError):
    """A system broke a promise: one line for each finding."""


def check(
    system: System,
    until: datetime | None = None,
    settle_seconds: float = SETTLE_SECONDS,
    ignored: Collection[str] = (),
) -> None:
    """Let a system settle what was due until now, then raise Violated if anything is wrong.

    `ignored` are the ids of jobs that need not be in Redis, but may.
    """
    until = until or now()
    if system.subject == "stock":
        found = _stock_findings(system, until)
    else:
        settled = _settles(system, until, settle_seconds, ignored)
        found = list(findings(system, until, ignored))
        if not settled and not found:
            found = ["It did not settle in time: Redis and rows disagree."]
    if found:
        kept = [str(line) for line in found[:40]]
        raise Violated("\n".join([f"{len(found)} findings in {system.directory}:", *kept]))


def check_runs_continue(system: System, seconds: float = 60) -> None:
    """Wait until a run ends from now on; raise Violated if none does."""
    begun = now().timestamp() + 1

    def ended() -> bool:
        return any(line.event == "end" and line.time > begun for line in system.lines())

    try:
        wait_for(ended, "the end of a run", seconds)
    except AssertionError as error:
        raise Violated(f"Nothing runs any more in {system.directory}.") from error


def _settles(system: System, until: datetime, seconds: float, ignored: Collection[str]) -> bool:
    try:
        wait_for(lambda: not any(_unsettled(system, until, ignored)), "a settled system", seconds)
    except AssertionError:
        return False
    return True


def _unsettled(system: System, until: datetime, ignored: Collection[str]) -> Iterator[str]:
    runs = {(run.schedule, run.due): run for run in system.runs()}
    for schedule in system.schedules:
        for due in schedule.dues(until):
            run = runs.get((schedule.name, due))
            if run is None or run.status == "running" or _is_retried(run, schedule):
                yield f"{schedule.name} {due}"
    yield from members(system, ignored)


def _is_retried(run: Run, schedule: Schedule) -> bool:
    return run.status == "failed" and run.attempt <= schedule.retries


def findings(system: System, until: datetime, ignored: Collection[str] = ()) -> Iterator[str]:
    """Return everything that is wrong, a line each."""
    runs = [run for run in system.runs() if run.due is not None and run.due <= until]
    lines = [line for line in system.lines() if line.occurrence and line.occurrence[0] <= until]
    killed = system.killed_processes()
    yield from ledger(system, runs, until)
    for schedule in system.schedules:
        own_runs = {run.due: run for run in runs if run.schedule == schedule.name}
        own_lines = [line for line in lines if line.schedule == schedule.name]
        yield from attempts(schedule, own_runs, own_lines)
        yield from truth(own_runs, own_lines, killed)
        if not schedule.overlaps:
            yield from overlaps(schedule, own_lines)
            yield from at_once(schedule, own_lines)
    yield from members(system, ignored)


def ledger(system: System, runs: list[Run], until: datetime) -> Iterator[str]:
    """Compare the rows with what was due: each is there once, and has ended."""
    counts: dict[str, Counter[datetime]] = defaultdict(Counter)
    for run in runs:
        assert run.due is not None
        counts[run.schedule][run.due] += 1
        if run.status == "running":
            yield f"still running: {run}"
    for schedule in system.schedules:
        rows, expected = counts[schedule.name], set(schedule.dues(until))
        yield from (f"lost: {schedule.name} due {due}" for due in sorted(expected - set(rows)))
        yield from (f"not due: {schedule.name} at {due}" for due in sorted(set(rows) - expected))
        yield from (f"{n} rows: {schedule.name} due {due}" for due, n in rows.items() if n > 1)


def attempts(
    schedule: Schedule, runs: dict[datetime | None, Run], lines: list[Line]
) -> Iterator[str]:
    """Check that each attempt started once at most, and that no more did than allowed."""
    starts = Counter(line.occurrence for line in lines if line.event == "start")
    for occurrence, count in starts.items():
        assert occurrence is not None
        due, attempt = occurrence
        if count > 1:
            yield f"started {count} times: {schedule.name} due {due}, attempt {attempt}"
        if attempt > schedule.retries + 1:
            yield f"one attempt too many: {schedule.name} due {due}, attempt {attempt}"
        if due not in runs:
            yield f"started without a row: {schedule.name} due {due}, attempt {attempt}"
    for run in runs.values():
        if run.attempt > schedule.retries + 1:
            yield f"attempt {run.attempt} of at most {schedule.retries + 1}: {run}"


def truth(runs: dict[datetime | None, Run], lines: list[Line], killed: set[int]) -> Iterator[str]:
    """Check that a row says `finished` if and only if that attempt reached its end.

    With one exception: a process that was killed after the function's last line, and before its
    row was written, can't have recorded its end. Its row says so, or has a later attempt.
    """
    ends = {line.occurrence: line for line in lines if line.event == "end"}
    started = {line.occurrence for line in lines}
    for run in runs.values():
        assert run.due is not None
        if run.status == "finished" and (run.due, run.attempt) not in ends:
            yield f"never reached its end: {run}"
        if run.status not in STARTED and (run.due, run.attempt) in started:
            yield f"was started all the same: {run}"
    for occurrence, line in ends.items():
        assert occurrence is not None
        end_of = runs.get(occurrence[0])
        if end_of is None or (end_of.status, end_of.attempt) == ("finished", occurrence[1]):
            continue
        was_killed = bool({line.pid, line.parent} & killed)
        if not was_killed or end_of.status not in ("failed", "finished", "canceled"):
            yield f"reached its end in attempt {occurrence[1]}: {end_of}; {line}"


def overlaps(schedule: Schedule, lines: list[Line]) -> Iterator[str]:
    """Check that no run started before the previous one had ended (if it wasn't killed)."""
    ends = {line.occurrence: line.time for line in lines if line.event == "end"}
    starts = sorted((line.time, line.occurrence) for line in lines if line.event == "start")
    for (_, before), (started, after) in pairwise(starts):
        if before in ends and ends[before] > started:
            yield f"overlap: {schedule.name}, {before} and {after}"


def at_once(schedule: Schedule, lines: list[Line]) -> Iterator[str]:
    """Check that no two processes had runs going on at the same time, killed or not.

    A run goes on from its first line to its last: those that beat write ten a second.
    """
    spans: dict[tuple[str, int], tuple[float, float]] = {}
    for line in lines:
        begin, _ = spans.setdefault((line.job, line.pid), (line.time, line.time))
        spans[line.job, line.pid] = begin, line.time
    last, last_ended = "", 0.0
    for (job, _), (started, ended) in sorted(spans.items(), key=lambda span: span[1]):
        if started < last_ended:
            overlap = min(ended, last_ended) - started
            yield f"at once for {overlap:.1f} s: {schedule.name}, {last} and {job}"
        if ended > last_ended:
            last, last_ended = job, ended


def members(system: System, ignored: Collection[str] = ()) -> Iterator[str]:
    """Check that each schedule with more to come is in Redis, due in the future, and no other."""
    known = {
        job_id: score
        for job_id, score in system.members().items()
        if job_id.startswith("schedule-") and job_id not in ignored
    }
    wanted = {schedule.job_id for schedule in system.schedules if schedule.is_due_after(now())}
    yield from (f"not in Redis: schedule {job_id}" for job_id in wanted - set(known))
    yield from (f"in Redis without need: schedule {job_id}" for job_id in set(known) - wanted)
    for job_id, score in known.items():
        if score < now().timestamp() - STUCK_SECONDS:
            yield f"stuck in Redis: schedule {job_id}, since {score}"


# The stock classes: their job ids don't identify an occurrence, so the distances between the starts
# of a schedule have to do. They are judged by what their users can see.


def _stock_findings(system: System, until: datetime) -> list[str]:
    """Return what is wrong, once everything that still works has had time to run again."""
    with suppress(AssertionError):
        wait_for(lambda: not any(_silent(system, until)), "runs of all schedules", 30)
    found = [*_stock_rows(system), *_silent(system, until)]
    known = system.members()
    for schedule in system.schedules:
        if schedule.job_id not in known:
            found.append(f"not in Redis any more: {schedule.name}")
        elif known[schedule.job_id] < now().timestamp() - STUCK_SECONDS:
            found.append(f"stuck in Redis: {schedule.name}")
        for before, after in pairwise(_starts(system, schedule)):
            if after - before < (schedule.interval or 0) * 0.6:
                found.append(f"twice within {after - before:.1f} s: {schedule.name} at {after:.1f}")
    return found


def _silent(system: System, until: datetime) -> Iterator[str]:
    for schedule in system.schedules:
        latest = max(_starts(system, schedule), default=0.0)
        if latest < until.timestamp():
            yield f"nothing runs any more: {schedule.name} since {latest:.1f}"


def _starts(system: System, schedule: Schedule) -> list[float]:
    lines = [line for line in system.lines() if line.schedule == schedule.name]
    return sorted(line.time for line in lines if line.event == "start")


def _stock_rows(system: System) -> Iterator[str]:
    """Find rows that say `running` though their process has died: they never change.

    A row is followed by the first line of its run.
    """
    lines = system.lines()
    for run in system.runs():
        if run.status != "running" or run.started is None:
            continue
        started = run.started.timestamp()
        pids = (
            line.pid
            for line in lines
            if (line.schedule, line.event) == (run.schedule, "start") and line.time >= started
        )
        pid = next(pids, None)
        if pid is not None and not is_alive(pid):
            yield f"still running, but its process has died: {run}"
