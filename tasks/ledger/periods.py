"""Ends the periods of a schedule: what was expected in one is settled before the next begins.

Only the specs and the rows count here; Redis is never read.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from tasks import clock
from tasks.database import CHUNK, chunks
from tasks.exceptions import SpecError
from tasks.models import Hold, ScheduledTask, ScheduledTaskInstance, SchedulePeriod
from tasks.reasons import Reason
from tasks.timing import spec


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of a schedule's present period at `end`.

    What was due up to then and has no row is missed for this reason, except `still_expected`.
    Why a paused schedule was paused is what the `hold` of everything says, otherwise its own note.
    """

    schedule: ScheduledTask
    end: datetime
    reason: Reason
    still_expected: datetime | None = None
    hold: Hold | None = None


def close_period(
    schedule: ScheduledTask, now: datetime, reason: Reason, still_expected: datetime | None = None
) -> None:
    """End the present period of a schedule at `now`, before its spec or its status changes.

    A live schedule is settled through `now`: what was due and has no row is recorded as missed
    for this reason, except `still_expected`. The caller has locked the schedule's row, changes it
    and saves it; `period_start` and `settled_through` are set for a new period that begins now.
    """
    close_periods([Closing(schedule, now, reason, still_expected)])


def close_periods(closings: Sequence[Closing]) -> None:
    """End the present periods of many schedules as `close_period` does, in few queries."""
    _settle([closing for closing in closings if closing.schedule.is_live])
    periods = [
        _period(one.schedule, one.end, one.hold)
        for one in closings
        if one.schedule.period_start < one.end
    ]
    SchedulePeriod.objects.bulk_create(periods, batch_size=CHUNK)
    for closing in closings:
        closing.schedule.period_start = closing.end


def _period(schedule: ScheduledTask, end: datetime, hold: Hold | None) -> SchedulePeriod:
    note = schedule.note if hold is None else hold.note
    return SchedulePeriod(
        parent=schedule,
        kind=_kind(schedule),
        spec=schedule.spec_json() if schedule.is_live else None,
        note=note if schedule.status == ScheduledTask.Status.PAUSED else "",
        held_by="" if hold is None else hold.by,
        start=schedule.period_start,
        end=end,
    )


def _kind(schedule: ScheduledTask) -> str:
    if schedule.is_live:
        return SchedulePeriod.Kind.ACTIVE
    if schedule.status == ScheduledTask.Status.PAUSED:
        return SchedulePeriod.Kind.PAUSED
    return SchedulePeriod.Kind.DEATH


def _settle(closings: Sequence[Closing]) -> None:
    """Settle schedules through the ends of their periods, before what they expect changes.

    A job that still waits on its queue finds the row and doesn't run, whatever Redis holds.
    """
    for chunk in chunks(_expected_and_unsettled(closings), CHUNK):
        pks, dues = ({one.schedule.pk for one, _ in chunk}, {due for _, due in chunk})
        rows = ScheduledTaskInstance.objects.filter(parent__in=pks, due__in=dues)
        recorded = set(rows.values_list("parent_id", "due"))
        open_dues = [(one, due) for one, due in chunk if (one.schedule.pk, due) not in recorded]
        write(
            [run for one, due in open_dues for run in missed_runs(one.schedule, {due: one.reason})]
        )
    for closing in closings:
        closing.schedule.settled_through = max(closing.schedule.settled_through, closing.end)


def _expected_and_unsettled(closings: Iterable[Closing]) -> Iterator[tuple[Closing, datetime]]:
    """Yield what was due and isn't settled yet, except what is still expected."""
    for closing in closings:
        schedule = closing.schedule
        with suppress(SpecError):  # An invalid spec expects nothing.
            for due in spec.dues(schedule.spec(), schedule.settled_through, closing.end):
                if due != closing.still_expected:
                    yield closing, due


def missed_runs(
    schedule: ScheduledTask, reasons: dict[datetime, Reason]
) -> list[ScheduledTaskInstance]:
    """Return unsaved rows that record occurrences as missed, each for its reason."""
    now = clock.now()
    return [
        ScheduledTaskInstance(
            parent=schedule,
            name=schedule.name,
            due=due,
            status=ScheduledTaskInstance.Status.MISSED,
            ended=now,
            **reason.fields,
        )
        for due, reason in reasons.items()
    ]


def write(runs: Sequence[ScheduledTaskInstance]) -> None:
    """Insert the rows of occurrences; an occurrence that has a row already keeps it."""
    ScheduledTaskInstance.objects.bulk_create(runs, batch_size=CHUNK, ignore_conflicts=True)
