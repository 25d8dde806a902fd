"""Changes the dates of a calendar, and with them what its schedules expect."""

import copy
from contextlib import suppress
from functools import partial

from django.db.models import F

from tasks import clock, history
from tasks.changes.projecting import project_calendar
from tasks.database import CHUNK, on_commit
from tasks.exceptions import SpecError
from tasks.ledger.new_specs import change_period, expect_the_same
from tasks.ledger.periods import Closing, close_periods
from tasks.models import Calendar, ScheduledTask
from tasks.reasons import Code, reason


def settle_users(calendar: Calendar) -> None:
    """Settle what a calendar's schedules expect, before its dates change; their history says so."""
    users = ScheduledTask.objects.live().filter(calendar=calendar)
    locked = list(users.select_for_update(of=("self",)).order_by("pk"))
    before = Calendar.objects.get(pk=calendar.pk)
    if before.dates == calendar.dates:
        return
    history.record_calendar(calendar, before.dates)
    now, why = clock.now(), reason(Code.SCHEDULE_CHANGED)
    unaffected: list[int] = []
    changed: list[ScheduledTask] = []
    closings: list[Closing | None] = []
    for known in locked:
        schedule = copy.copy(known)
        known.calendar, schedule.calendar = before, calendar
        with suppress(SpecError):  # then nothing was expected
            if expect_the_same(known, schedule, now):
                # What is in flight stays as it is: the new dates count from the settled time on.
                closings.append(Closing(known, known.settled_through, why))
                unaffected.append(known.pk)
                continue
            closings.append(change_period(known, schedule))
        schedule.next_check_at = schedule.updated = now
        changed.append(schedule)
    close_periods([closing for closing in closings if closing is not None])
    for begin in range(0, len(unaffected), CHUNK):
        rows = ScheduledTask.objects.filter(pk__in=unaffected[begin : begin + CHUNK])
        rows.update(period_start=F("settled_through"), next_check_at=now, updated=now)
    fields = ["settled_through", "period_start", "next_check_at", "updated"]
    ScheduledTask.objects.bulk_update(changed, fields, batch_size=CHUNK)
    on_commit(partial(project_calendar, calendar))
