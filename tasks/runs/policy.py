"""Whether a run may start. Pure: the situation goes in, a named outcome comes out.

`claim` reads the situation from the database and Redis, and does what the outcome says. The SQL in
`sql` starts the first attempt of an occurrence in one statement where nothing stands in its way;
whenever it doesn't, `claim` asks here. A test over all combinations holds both paths to `decide`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tasks.job_ids import RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.reasons import Code, Reason, reason
from tasks.registry import Answer, NotAtAll

Overlap = ScheduledTask.Overlap
Status = ScheduledTaskInstance.Status


class Outcome(StrEnum):
    """What becomes of a run that is about to start."""

    START = "start"
    REPLACE = "replace"  # Have the runs that are still going stopped, and check again later.
    WAIT = "wait"  # Check again later.
    MISSED = Status.MISSED.value  # Record that it never ran, and why.
    SKIPPED = Status.SKIPPED.value
    ALREADY_RECORDED = "already recorded"
    NOT_EXPECTED = "not expected"
    NO_SCHEDULE = "no schedule"


@dataclass(frozen=True, slots=True)
class Decision:
    """An outcome; one that is recorded as `MISSED` or `SKIPPED` has its reason."""

    outcome: Outcome
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """The row that a run already has."""

    status: str
    attempt: int
    is_backfill: bool


@dataclass(frozen=True, slots=True)
class Running:
    """Another run of the schedule that is still going; `due` is None for a manual run.

    `is_replaced` says whether it is to be stopped already, because another run replaces it.
    """

    due: datetime | None
    is_backfill: bool
    is_replaced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything that the decision depends on.

    `has_request` says whether the request for a manual run or a backfill is still there. `is_due`
    says whether the schedule's spec, as it is now, yields this occurrence. `has_spooled_ends`:
    ends of runs wait to be written, so a run that seems to be going may have ended. `answer` is
    what the task function's own check said. `start_deadline` is in seconds.
    """

    run_id: RunId
    now: datetime
    overlap: str
    start_deadline: int | None
    settled_through: datetime
    is_live: bool
    is_due: bool
    has_request: bool
    row: Row | None
    running: tuple[Running, ...]
    has_spooled_ends: bool
    answer: Answer | None


def decide(situation: Situation | None) -> Decision:
    """Return what becomes of the run; `situation` is None if its schedule has been deleted."""
    if situation is None:
        return Decision(Outcome.NO_SCHEDULE)
    if not _is_open(situation):
        return Decision(Outcome.ALREADY_RECORDED)
    if not _is_expected(situation):
        return Decision(Outcome.NOT_EXPECTED)
    if situation.answer is not None:
        return Decision(Outcome.SKIPPED, _reason_of(situation.answer, situation.now))
    if _is_past_start_deadline(situation):
        seconds = situation.start_deadline
        return Decision(Outcome.MISSED, reason(Code.PAST_START_DEADLINE, seconds=seconds))
    return _by_overlap(situation)


def _is_open(situation: Situation) -> bool:
    """Return whether no row, and no settled ledger, stands in the way of this attempt."""
    run_id, row = situation.run_id, situation.row
    if run_id.is_backfill and (situation.has_request or run_id.attempt == 1):
        return situation.has_request and _is_next_attempt(run_id, row)
    if row is None:
        is_settled = run_id.due is not None and run_id.due <= situation.settled_through
        return run_id.attempt == 1 and not is_settled
    return (
        row.status == Status.FAILED
        and row.attempt == run_id.attempt - 1
        and row.is_backfill == run_id.is_backfill
    )


def _is_next_attempt(run_id: RunId, row: Row | None) -> bool:
    """Return whether backfill may make this attempt: what never ran has had none.

    A run that has failed gets a new number, by which its earlier worker can't write any more.
    """
    if row is not None and row.status == Status.FAILED:
        return row.attempt == run_id.attempt - 1
    never_ran = row is None or row.status in (Status.MISSED, Status.SKIPPED)
    return never_ran and run_id.attempt == 1


def _is_expected(situation: Situation) -> bool:
    """Return whether the schedule, as it is now, expects this run.

    A change settles the ledger up to its own time. What was dispatched after that, before Redis
    got the change, belongs to no period: it gets no row. A later attempt has its row already.
    """
    if situation.run_id.is_requested:
        return True
    return situation.is_live and (situation.run_id.attempt > 1 or situation.is_due)


def _is_past_start_deadline(situation: Situation) -> bool:
    run_id = situation.run_id
    if situation.start_deadline is None or run_id.is_requested or run_id.attempt > 1:
        return False
    assert run_id.due is not None
    return situation.now > run_id.due + timedelta(seconds=situation.start_deadline)


def _reason_of(answer: Answer, now: datetime) -> Reason:
    if isinstance(answer, NotAtAll):
        return reason(Code.CHECK_NOT_AT_ALL, text=answer.reason, at=now)
    return reason(Code.CHECK_NOT_NOW, text=answer.reason)


def _by_overlap(situation: Situation) -> Decision:
    """Apply the overlap policy.

    A retry is never skipped, since its run is already on record: it waits. Backfill and the
    regular runs also wait for each other: neither takes anything away from the other. What is
    replaced is still going until its worker has ended it, which can take a while if that is cut
    off.
    """
    if situation.overlap == Overlap.ALLOW or not situation.running:
        return Decision(Outcome.START)
    run_id = situation.run_id
    with_backfill = run_id.is_backfill or any(other.is_backfill for other in situation.running)
    if situation.has_spooled_ends or situation.overlap == Overlap.WAIT or with_backfill:
        return Decision(Outcome.WAIT)
    if situation.overlap == Overlap.REPLACE:
        are_replaced = all(other.is_replaced for other in situation.running)
        return Decision(Outcome.WAIT if are_replaced else Outcome.REPLACE)
    if run_id.attempt > 1:
        return Decision(Outcome.WAIT)
    return Decision(Outcome.SKIPPED, _still_going(situation.running[0]))


def _still_going(other: Running) -> Reason:
    if other.due is None:
        return reason(Code.PREVIOUS_MANUAL_RUN)
    return reason(Code.PREVIOUS_RUN, due=other.due)
