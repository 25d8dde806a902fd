"""Decides what the step of a due schedule is. Pure: `now` is given."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from tasks.broker.projection import DispatchRecord, read_dispatch_record
from tasks.job_ids import RunId
from tasks.timing import catch_up, spec
from tasks.timing.instants import MILLISECOND, from_milliseconds, to_milliseconds

# How many pending occurrences of one schedule are read at once.
PENDING_AT_ONCE = 10_000
ON_TIME_MS = catch_up.ON_TIME // MILLISECOND


class Step(NamedTuple):
    """What dispatch does with a due schedule: enqueues occurrences and moves it forward.

    It is taken only if the schedule still has the score and the version that were seen.
    """

    job_id: str
    score: float
    version: str
    queue: str
    # In milliseconds, -1 if it is never due again.
    next_due: int
    run_job_ids: tuple[str, ...] = ()

    def flat(self) -> tuple[Any, ...]:
        """Return it as the script reads it, with the job ids of the runs at the end."""
        return self[:5] + self.run_job_ids


@dataclass(frozen=True, slots=True)
class LateStep:
    """A step before which the database must have recorded what won't run."""

    step: Step
    plan: catch_up.Plan


def decide_step(job_id: str, score: float, record: bytes, now: int) -> Step | LateStep:
    """Decide a schedule's step at `now` (in ms): what runs, and when it is due next.

    Raises ValueError, KeyError, TypeError or SpecError if the dispatch record is invalid.
    """
    schedule = read_dispatch_record(record)
    first, second = _next_two(schedule, round(score * 1000) - 1)
    if first is None or first > now:
        # The score was not a due of the spec.
        return Step(job_id, score, schedule.version, schedule.queue, _or_never(first))
    on_time = ON_TIME_MS
    if schedule.start_deadline is not None:
        on_time = min(on_time, schedule.start_deadline * 1000)
    if (second is not None and second <= now) or now - first > on_time:
        return _decide_late_step(job_id, score, schedule, first, now)
    runs = (f"{job_id}-{first}",)
    return Step(job_id, score, schedule.version, schedule.queue, _or_never(second), runs)


def _decide_late_step(
    job_id: str, score: float, schedule: DispatchRecord, first: int, now: int
) -> Step | LateStep:
    """Decide by its policies for a schedule that is late or has several occurrences pending."""
    instant, whole_spec = from_milliseconds(now), schedule.spec()
    pending = spec.dues(whole_spec, from_milliseconds(first - 1), instant)
    dues, policy = list(islice(pending, PENDING_AT_ONCE)), schedule.catch_up
    if len(dues) == PENDING_AT_ONCE:
        # The policy decides about the newest occurrences, which are still to come.
        dues, policy = dues[: -catch_up.CATCH_UP_CAP], "none"
    plan = catch_up.plan(dues, instant, policy, schedule.start_deadline)
    after = spec.next_due(whole_spec, dues[-1])
    next_due = -1 if after is None else to_milliseconds(after)
    runs = tuple(RunId(job_id, due).job_id for due in plan.run)
    step = Step(job_id, score, schedule.version, schedule.queue, next_due, runs)
    return LateStep(step, plan) if plan.missed or plan.late else step


def _or_never(due: int | None) -> int:
    return -1 if due is None else due


def _next_two(schedule: DispatchRecord, after: int) -> tuple[int | None, int | None]:
    """Return the first two dues later than `after`, in milliseconds."""
    if schedule.grid is None:
        return _next_two_of_spec(schedule.spec(), after)
    first = schedule.grid.next_due(after)
    return first, None if first is None else schedule.grid.next_due(first)


@lru_cache(maxsize=2_000)
def _next_two_of_spec(whole_spec: spec.Spec, after: int) -> tuple[int | None, int | None]:
    first = spec.next_due(whole_spec, from_milliseconds(after))
    if first is None:
        return None, None
    second = spec.next_due(whole_spec, first)
    return to_milliseconds(first), None if second is None else to_milliseconds(second)
