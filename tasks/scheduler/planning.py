"""Decides what a due schedule's step is. Pure: `now` is given."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from tasks.broker import projection
from tasks.broker.projection import Template
from tasks.job_ids import RunId
from tasks.timing import catch_up, spec
from tasks.timing.instants import MILLISECOND, from_milliseconds, to_milliseconds

# How many pending occurrences of one schedule are looked at in one go.
PENDING_AT_ONCE = 10_000
ON_TIME = catch_up.ON_TIME // MILLISECOND
# A schedule's step, as the script takes it: job id, the score and the version seen, queue, next
# due in ms or -1, and the job ids of its occurrences.
Step = list[Any]


@dataclass(frozen=True, slots=True)
class LateStep:
    """A step that may be taken only when the database has heard of what won't run."""

    step: Step
    plan: catch_up.Plan


def plan(job_id: str, score: float, text: bytes, now: int) -> Step | LateStep:
    """Decide a schedule's step at `now` (in ms): what runs, and when it is due next.

    Raises ValueError, KeyError, TypeError or SpecError if the text is bad.
    """
    template = projection.read_dispatch_record(text)
    first, second = _next_two(template, round(score * 1000) - 1)
    if first is not None and first <= now:
        allowed = ON_TIME
        if template.start_deadline is not None:
            allowed = min(allowed, template.start_deadline * 1000)
        if (second is not None and second <= now) or now - first > allowed:
            return _plan_late(job_id, score, template, first, now)
        due = -1 if second is None else second
        return [job_id, score, template.version, template.queue, due, f"{job_id}-{first}"]
    # The moment was not one of the spec's.
    due = -1 if first is None else first
    return [job_id, score, template.version, template.queue, due]


def _plan_late(
    job_id: str, score: float, template: Template, first: int, now: int
) -> Step | LateStep:
    """Decide for a schedule that is late, or has several occurrences pending, by its policies."""
    moment, whole = from_milliseconds(now), template.spec()
    dues = list(islice(spec.dues(whole, from_milliseconds(first - 1), moment), PENDING_AT_ONCE))
    policy = template.catch_up
    if len(dues) == PENDING_AT_ONCE:
        # The newest are still to come, and it is for them that the policy decides.
        dues, policy = dues[: -catch_up.CATCH_UP_CAP], "none"
    decided = catch_up.plan(dues, moment, policy, template.start_deadline)
    after = spec.next_due(whole, dues[-1])
    step = [job_id, score, template.version, template.queue]
    step.append(-1 if after is None else to_milliseconds(after))
    step += [RunId(job_id, due).job_id for due in decided.run]
    return LateStep(step, decided) if decided.missed or decided.late else step


def _next_two(template: Template, after: int) -> tuple[int | None, int | None]:
    """Return the first two due instants after a moment, in ms."""
    if template.grid is None:
        return _next_two_of_spec(template.spec(), after)
    first = template.grid.next_due(after)
    return first, None if first is None else template.grid.next_due(first)


@lru_cache(maxsize=2_000)
def _next_two_of_spec(whole: spec.Spec, after: int) -> tuple[int | None, int | None]:
    first = spec.next_due(whole, from_milliseconds(after))
    if first is None:
        return None, None
    second = spec.next_due(whole, first)
    return to_milliseconds(first), None if second is None else to_milliseconds(second)
