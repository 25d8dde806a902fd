"""A hold of everything, as the ledger has it: every schedule that was live has a paused period.

It marks such a schedule by its `paused_at`, which is when the hold began. So one that was paused
before, or that is cancelled meanwhile, doesn't go on when the hold ends.
"""

from datetime import datetime
from typing import Any

from tasks import clock
from tasks.database import CHUNK, chunks, connection
from tasks.ledger.periods import Closing, close_periods
from tasks.models import Hold, ScheduledTask
from tasks.reasons import Code, reason
from tasks.runs import holds

# The number of PostgreSQL's lock by which holds and new live schedules wait for each other: it only
# must be rare.
LOCK = 7_220_419_083_552
Status = ScheduledTask.Status


def lock(*, shared: bool = False) -> None:
    """Wait until no hold of everything begins or ends; call it in a transaction, up to its end.

    `shared`: others that only ask whether there is one may hold it at the same time. SQLite lets
    only one transaction write.
    """
    if connection.vendor == "postgresql":
        function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [LOCK])


def obey(schedule: ScheduledTask) -> bool:
    """Pause a schedule that becomes live while everything is held; return whether it is.

    The caller saves it.
    """
    if not schedule.is_live:
        return False
    lock(shared=True)
    hold = holds.of_everything()
    if hold is not None:
        schedule.status, schedule.paused_at = Status.PAUSED, hold.since
    return hold is not None


def pause_live(hold: Hold) -> list[int]:
    """Pause all live schedules for a hold that begins now; return which, by primary key.

    What was due and has no row is recorded as missed, as with any pause.
    """
    live = ScheduledTask.objects.live().select_for_update(of=("self",)).order_by("pk")
    schedules = list(live)
    # Not when the hold began: a run may have started while this waited for the locks.
    now, why = clock.now(), reason(Code.SCHEDULE_STOPPED)
    close_periods([Closing(schedule, now, why) for schedule in schedules])
    pks = [schedule.pk for schedule in schedules]
    _write(pks, now, status=Status.PAUSED, paused_at=hold.since)
    return pks


def resume_held(hold: Hold) -> list[int]:
    """Make live again what a hold has paused; return which, by primary key.

    Nothing that was due meanwhile is expected: the paused period says by whom, and why. What was
    failing when it last ran is failing still.
    """
    held = ScheduledTask.objects.filter(status=Status.PAUSED, paused_at=hold.since)
    locked = held.select_related("calendar").select_for_update(of=("self",)).order_by("pk")
    schedules = list(locked)
    with_last_run: Any = held.with_last_run()
    failing = set(with_last_run.filter(last_run_status="failed").values_list("pk", flat=True))
    now, why = clock.now(), reason(Code.SCHEDULE_STOPPED)
    close_periods([Closing(schedule, now, why, hold=hold) for schedule in schedules])
    pks = [schedule.pk for schedule in schedules]
    _write([pk for pk in pks if pk not in failing], now, status=Status.RUNNING, paused_at=None)
    _write([pk for pk in pks if pk in failing], now, status=Status.FAILED, paused_at=None)
    return pks


def _write(pks: list[int], now: datetime, **values: Any) -> None:
    """Give schedules these values, and a period that begins now."""
    values |= dict.fromkeys(("period_start", "settled_through", "next_check_at", "updated"), now)
    for chunk in chunks(pks, CHUNK):
        ScheduledTask.objects.filter(pk__in=chunk).update(**values)
