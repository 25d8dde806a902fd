"""What people and code do with schedules and background calls: the row and Redis together.

Every change is written to the database first and brought to Redis after the commit. If Redis
is unavailable, the row stands, and the scheduler brings it to Redis once that is back (R1).
"""

import copy
import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from functools import partial
from itertools import zip_longest
from typing import Any

from django.db import Error, IntegrityError
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from redis import Redis
from redis.exceptions import RedisError

from tasks import clock, history, registry
from tasks.broker import projection
from tasks.broker.connection import redis_obstacle
from tasks.broker.enqueue import enqueue_run, enqueue_task, withdraw
from tasks.broker.ownership import connect_as_owner
from tasks.database import CHUNK, atomic, connection, on_commit
from tasks.definitions import (
    TaskFunc,
    as_stored,
    dates_as_text,
    new_row,
    refuse_unknown,
    revised,
    validate,
    validate_calendar,
)
from tasks.exceptions import InvalidCalendar, InvalidSchedule, NotPossible, SpecError, TasksError
from tasks.job_ids import RunId
from tasks.ledger import holds as ledger_holds
from tasks.ledger.periods import Closing, close_period, close_periods
from tasks.lists import Action, Change, ScheduleList, Wanted, changes, read_lists
from tasks.masking import mask_text
from tasks.models import Calendar, ScheduledTask, ScheduledTaskInstance, Task
from tasks.outages import database_outage, redis_outage
from tasks.reasons import Code, reason
from tasks.registry import Kind
from tasks.runs import at_once, backfill, holds
from tasks.runs.stop import BY_LENGTH, request_stop, stop_jobs
from tasks.timing import spec
from tasks.timing.instants import MICROSECOND, from_milliseconds, to_milliseconds

logger = logging.getLogger(__name__)

# The number of the lock in PostgreSQL that serializes the storing of lists: it only must be rare.
LISTS_LOCK = 7_220_419_083_551
# The fields that only the services and the ledger change.
STATE_FIELDS = (
    "status",
    "paused_at",
    "settled_through",
    "period_start",
    "pruned_until",
    "problem",
    "list_owner",
)
# What the history calls a change of the status.
ACTIONS: Mapping[str, history.Action] = {
    ScheduledTask.Status.RUNNING: history.Action.RESUMED,
    ScheduledTask.Status.PAUSED: history.Action.PAUSED,
    ScheduledTask.Status.DEATH: history.Action.CANCELED,
}


class SchedulerService:
    """Makes, changes and ends schedules."""

    @staticmethod
    def schedule(
        scheduled_time: datetime,
        task_func: TaskFunc,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        description: str | None = None,
        interval: int | None = None,
        repeat: int | None = None,
        timeout: int | None = None,
        *,
        timezone: str | None = None,
        name: str | None = None,
        **options: Any,
    ) -> ScheduledTask:
        """Schedule a task function once, or every `interval` seconds from `scheduled_time`.

        `task_func` is a decorated function or its registered name. `args` and `kwargs` are of the
        types that its hints name, or their JSON (see `tasks/arguments`). `options` are other
        fields of `ScheduledTask`: queue, start, end, exclude, calendar, jitter, overlap, catch_up,
        start_deadline, isolated, retries, retry_delay, on_disconnect, keep_runs,
        keep_days, note.

        Nothing is due on the dates of `exclude` (dates, or strings such as 2026-12-24 and
        2026-12-24..2026-12-26) and of `calendar` (a `Calendar` or its name), in the time zone
        `timezone`, by default the project's TIME_ZONE. `jitter`, in seconds, delays all
        occurrences by a constant part of it, which differs between schedules.

        Scheduling the same name, function and arguments again changes the existing row: it gets
        these values, and `failed` or `death` becomes `running`. A live schedule that is requested
        again with the same interval “from now on” keeps its first time, and so its rhythm.

        Returns the row; its `projected` says whether Redis has it already. Raises
        UnknownTaskFunction, InvalidArguments or InvalidSchedule.
        """
        options = {"cron": ""} | options | {"first": scheduled_time, "interval": interval}
        options |= {"timezone": timezone, "description": description}
        options |= {"repeat": repeat, "timeout": timeout}
        return _insert_or_revise(new_row(task_func, args, kwargs, name, options))

    @staticmethod
    def cron(
        cron_string: str,
        task_func: TaskFunc,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        description: str | None = None,
        repeat: int | None = None,
        timeout: int | None = None,
        *,
        timezone: str | None = None,
        name: str | None = None,
        **options: Any,
    ) -> ScheduledTask:
        """Schedule a task function by a cron expression in an IANA time zone.

        `timezone` is the project's TIME_ZONE by default; all else is as in `schedule`.
        """
        options |= {"cron": cron_string}
        options |= {"timezone": timezone, "description": description}
        options |= {"repeat": repeat, "timeout": timeout}
        return _insert_or_revise(new_row(task_func, args, kwargs, name, options))

    @staticmethod
    def save(schedule: ScheduledTask) -> ScheduledTask:
        """Write an edited (or new) row and bring Redis up to date.

        What the old spec expected is settled first; the new one counts from now on. Raises
        InvalidSchedule if a value is invalid, or if another schedule has the same name, function
        and arguments.
        """
        validate(schedule)
        with _refusing_duplicates(schedule), atomic():
            if schedule._state.adding:
                _insert(schedule)
            else:
                known = ScheduledTask.objects.select_for_update().get(pk=schedule.pk)
                _keep_state(schedule, known)
                _write_change(known, schedule)
        return schedule

    @staticmethod
    def update(schedule: ScheduledTask, **changes: Any) -> ScheduledTask:
        """Change some fields of an existing schedule and bring Redis up to date; return it.

            SchedulerService.update(schedule, interval=900, overlap="wait")

        `changes` may name any of `tasks.definitions.EDITABLE_FIELDS`, such as name, args, queue,
        interval, retries or note; `exclude` and `calendar` are given as in `schedule`. All other
        fields keep their stored values, even where this copy of the row is older. To turn an
        interval into a cron schedule, pass cron="…", interval=None, first=None.

        The status doesn't change; everything else is as in `save`. Raises InvalidSchedule, also
        for a field that doesn't exist or can't be changed.
        """
        refuse_unknown(changes)
        with _refusing_duplicates(schedule), atomic():
            schedule.refresh_from_db(from_queryset=ScheduledTask.objects.select_for_update())
            known, changed = copy.copy(schedule), copy.copy(schedule)
            for field, value in as_stored(changes).items():
                setattr(changed, field, value)
            validate(changed)
            for stored in ScheduledTask._meta.concrete_fields:
                setattr(schedule, stored.name, getattr(changed, stored.name))
            _write_change(known, schedule)
        return schedule

    @staticmethod
    def cancel(schedule: ScheduledTask) -> None:
        """End a schedule: nothing is dispatched any more, but it keeps its row and its runs."""
        _change_status(schedule, ScheduledTask.Status.DEATH, paused_at=None)

    @staticmethod
    def pause(schedule: ScheduledTask, note: str = "") -> None:
        """Stop dispatch until `resume`; `note` tells people why.

        Raises NotPossible for a schedule that isn't live.
        """
        changes: dict[str, Any] = {"paused_at": clock.now()}
        if note:
            changes["note"] = note
        _change_status(schedule, ScheduledTask.Status.PAUSED, allowed=ScheduledTask.LIVE, **changes)

    @staticmethod
    def resume(schedule: ScheduledTask) -> None:
        """Dispatch a paused or cancelled schedule again; nothing due meanwhile is expected.

        Raises NotPossible for a schedule that is live, and while everything is paused.
        """
        _change_status(
            schedule,
            ScheduledTask.Status.RUNNING,
            allowed=[ScheduledTask.Status.PAUSED, ScheduledTask.Status.DEATH],
            paused_at=None,
        )

    @staticmethod
    def run_now(
        schedule: ScheduledTask,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> RunId:
        """Request a run of a schedule now, whatever its status; return the run's identity.

        With `args` or `kwargs` it is called with these, once, also when it is tried again, instead
        of with the schedule's. The schedule's overlap policy applies. Inside a transaction, the run
        is enqueued after the commit.

        Raises NotPossible if Redis is unavailable or refuses writes, RedisRefused if its keys are
        another database's, UnknownTaskFunction if the schedule's function no longer exists,
        InvalidArguments if it can't be called with these.
        """
        function = registry.resolve(schedule.function, Kind.SCHEDULED)
        arguments: dict[str, Any] | None = None
        if args is not None or kwargs is not None:
            stored = function.store_arguments(list(args or ()), dict(kwargs or {}))
            arguments = dict(zip(("args", "kwargs"), stored, strict=True))
        requested = from_milliseconds(to_milliseconds(clock.now()))
        if obstacle := redis_obstacle():
            raise NotPossible(
                _("“%(name)s” can't be run now. Redis is unavailable: %(why)s")
                % {"name": schedule.name, "why": obstacle}
            )
        redis = connect_as_owner()
        with atomic():
            known = ScheduledTask.objects.select_for_update(no_key=True).get(pk=schedule.pk)
            request, made = known.requests.get_or_create(
                due=None, requested=requested, defaults={"arguments": arguments}
            )
            if not made and request.arguments != arguments:
                raise NotPossible(
                    _("Another run of “%(name)s” was requested at the same time: try again.")
                    % {"name": schedule.name}
                )
            run_id = request.run_id
            on_commit(partial(_enqueue_requested, known, run_id, redis, arguments))
        return run_id

    @staticmethod
    def stop_run(run: ScheduledTaskInstance, by: str = "") -> None:
        """Stop a running run: its process is killed, and it ends as `canceled`, without a retry.

        `by` is the name of the user who stops it, which the row then says. The worker acts within a
        moment; one that is cut off from Redis once it learns it from the database, and the run of
        a dead worker ends when it would be closed as lost. Inside a transaction, it is stopped
        after the commit. Raises NotPossible if the run isn't running.
        """
        request_stop(run, by)

    @staticmethod
    def backfill(
        schedule: ScheduledTask,
        start: datetime,
        end: datetime,
        limit: int = backfill.DEFAULT_LIMIT,
        *,
        failed: bool = False,
    ) -> list[RunId]:
        """Request runs of what was due after `start` and up to `end` and never ran; return which.

        These are the dues of the present spec that have no row, or a row that says missed or
        skipped, which is then used for the run; with `failed` also those whose run has failed and
        isn't tried again by itself: it is one more attempt of that run. They run one after another,
        the oldest first (if overlap is allowed, several at a time), whatever the schedule's status;
        pausing or cancelling the schedule cancels those that have not started. Inside a
        transaction, they are enqueued after the commit.

        Raises NotPossible if there are more than `limit`, or if the range is empty, ends in the
        future or begins before what retention keeps; UnknownTaskFunction if the schedule's
        function no longer exists.
        """
        return backfill.request(schedule, start, end, limit, failed=failed)

    @staticmethod
    def sync(
        schedules: Iterable[Mapping[str, Any]], owner: str | None = None, *, app: str | None = None
    ) -> list[ScheduledTask]:
        """Make the stored schedules match a list in code, all or nothing; return its schedules.

        Each item holds the arguments of `schedule` (with `scheduled_time`) or of `cron` (with
        `cron_string`). What has left the list of this `owner` is cancelled. Without an owner, it
        is what earlier calls without one have made with functions of the same apps; an empty list
        names its `app`. Schedules made in other ways are left alone, until they are on a list.

        Raises InvalidSchedule, whose `errors` name all invalid entries: also those that have the
        same name, function and arguments, or that are on another owner's list. Raises NotPossible
        if a list without an owner would cancel what is on one that has.
        """
        done = sync_lists([ScheduleList(list(schedules), owner, app)])
        return [one.record for one in done if one.action != Action.CANCEL]


def sync_lists(
    lists: Sequence[ScheduleList], *, dry_run: bool = False
) -> list[Change[ScheduledTask]]:
    """Make the stored schedules match these lists, as `SchedulerService.sync` does with one.

    A schedule may move from one of them to another. Returns what was done, or, for a dry run, what
    would be.
    """
    return store(read_lists(lists), lists, dry_run=dry_run)


def take_turns() -> None:
    """Wait until no other process is storing lists; call it first in a transaction, up to its end.

    Without it, one would not see what another is about to insert. SQLite lets only one write. Nor
    does a hold of everything begin or end meanwhile: it locks before it takes rows, too.
    """
    ledger_holds.lock(shared=True)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LISTS_LOCK])


def store(
    wanted: Sequence[Wanted],
    lists: Sequence[ScheduleList] = (),
    *,
    dry_run: bool = False,
    from_now: bool = False,
) -> list[Change[ScheduledTask]]:
    """Store valid schedules and cancel what has left the lists, all or nothing; return the changes.

    `from_now`: what was due before isn't expected, not even a first time that has just passed.
    Rows are written in the order of their identities: who else writes them can't deadlock with it.
    """
    with atomic():
        take_turns()
        identities = {
            identity
            for one in wanted
            for identity in (one.row.fingerprint, *one.row.former_fingerprints)
        }
        rows = ScheduledTask.objects.select_related("calendar").order_by("pk")
        rows = rows.select_for_update(of=("self",), no_key=True)
        stored = rows.filter(Q(list_owner__isnull=False) | Q(fingerprint__in=identities))
        planned = changes(wanted, lists, list(stored))
        if dry_run:
            return planned
        order = sorted(range(len(planned)), key=lambda i: planned[i].record.fingerprint)
        done = {i: _carry_out(planned[i], from_now) for i in order}
    return [done[i] for i in range(len(planned))]


def _carry_out(change: Change[ScheduledTask], from_now: bool) -> Change[ScheduledTask]:
    schedule = change.record
    if change.action == Action.ADD:
        # Another process may have made it meanwhile, by the same list.
        schedule = _insert_or_revise_valid(schedule, start_given=False, from_now=from_now)
    elif change.action == Action.CANCEL:
        SchedulerService.cancel(schedule)
    elif change.action == Action.CHANGE and change.known is not None:
        _write_change(change.known, schedule, from_now)
    else:
        _project_on_commit(schedule)
    return dataclasses.replace(change, record=schedule)


@contextmanager
def _refusing_duplicates(schedule: ScheduledTask) -> Iterator[None]:
    """Raise InvalidSchedule if another schedule has this one's name, function and arguments."""
    try:
        yield
    except IntegrityError as error:
        raise InvalidSchedule(
            _("There is already a schedule “%(name)s” with this function and arguments.")
            % {"name": schedule.name},
            {},
        ) from error


def _insert_or_revise(wanted: ScheduledTask) -> ScheduledTask:
    """Insert a schedule, or change the one with the same identity; return the stored one.

    The unique constraint decides which, so two processes at the same time make one row.
    """
    start_given = wanted.start is not None  # before the validation sets it
    validate(wanted)
    return _insert_or_revise_valid(wanted, start_given)


def _insert_or_revise_valid(
    wanted: ScheduledTask, start_given: bool, from_now: bool = False
) -> ScheduledTask:
    with atomic():
        ledger_holds.lock(shared=True)  # Before any row, as a hold of everything does.
        if (former := _stored_formerly(wanted)) is not None:
            return _revise(former, wanted, start_given)
        try:
            with atomic():
                _insert(wanted, from_now)
        except IntegrityError:
            rows = ScheduledTask.objects.select_for_update()
            known = rows.get(fingerprint=wanted.fingerprint)
            return _revise(known, wanted, start_given)
    return wanted


def _stored_formerly(wanted: ScheduledTask) -> ScheduledTask | None:
    """Return, locked, the schedule that an earlier version of the code stored as another one.

    If that one is stored by its present identity as well, it is this row that counts.
    """
    former = wanted.former_fingerprints - {wanted.fingerprint}
    if not former:
        return None
    rows = ScheduledTask.objects.select_for_update().order_by("pk")
    found = list(rows.filter(fingerprint__in=[wanted.fingerprint, *former]))
    return min(found, key=lambda row: row.fingerprint != wanted.fingerprint, default=None)


def _insert(schedule: ScheduledTask, from_now: bool = False) -> None:
    """Write a new, valid schedule; `from_now`: a first time that has passed isn't expected."""
    now = clock.now()
    first = None if from_now else _first_just_due(schedule, now)
    schedule.settled_through = schedule.period_start = _start_of_period(first, now)
    schedule.save(force_insert=True)
    owner = schedule.list_owner
    history.record(schedule, history.Action.CREATED, {"list_owner": [None, owner]} if owner else {})
    if ledger_holds.obey(schedule):
        schedule.save(update_fields=["status", "paused_at"])
    _project_on_commit(schedule)


def _revise(known: ScheduledTask, wanted: ScheduledTask, start_given: bool) -> ScheduledTask:
    """Give the stored, locked schedule the wanted values, and make it live."""
    schedule = revised(known, wanted, start_given)
    _write_change(known, schedule)
    return schedule


def _keep_state(schedule: ScheduledTask, known: ScheduledTask) -> None:
    """Take from the stored row what isn't the caller's to change."""
    for field in STATE_FIELDS:
        setattr(schedule, field, getattr(known, field))


def _write_change(known: ScheduledTask, schedule: ScheduledTask, from_now: bool = False) -> None:
    """Write a valid schedule over its stored version, whose row the caller has locked.

    `from_now`: a first time of its new spec that has passed isn't expected.
    """
    if schedule.is_live and not known.is_live:
        ledger_holds.obey(schedule)
    if closing := _change_period(known, schedule, from_now):
        close_periods([closing])
    schedule.next_check_at = clock.now()
    schedule.save()
    if changes := history.differences(known, schedule):
        history.record(schedule, history.Action.CHANGED, changes)
    _project_on_commit(schedule)


def _change_period(
    known: ScheduledTask, schedule: ScheduledTask, from_now: bool = False
) -> Closing | None:
    """Set from when the new spec counts; return how the present period ends, if it does.

    It ends if the spec changes, or if the schedule becomes live again.
    """
    changed = known.spec_values() != schedule.spec_values()
    if not changed and known.status != ScheduledTask.Status.DEATH:
        return None
    now = clock.now()
    first = _first_just_due(schedule, now) if changed and not from_now else None
    if first is not None and schedule.first == known.first and first <= known.settled_through:
        first = None  # It has its row already.
    schedule.settled_through = _start_of_period(first, now)
    if not schedule.is_live and schedule.status == known.status:
        return None
    schedule.period_start = schedule.settled_through
    return Closing(known, now, reason(Code.SCHEDULE_CHANGED), first)


def _first_just_due(schedule: ScheduledTask, now: datetime) -> datetime | None:
    """Return when a new spec's first time was due, if nothing has been due since.

    A first time that has just passed, or a single one, is still expected: it was requested.
    """
    new_spec = schedule.spec()
    if new_spec.first is None:
        return None
    first = new_spec.first + timedelta(milliseconds=new_spec.offset)
    return first if spec.latest_due(new_spec, now) == first else None


def _start_of_period(first: datetime | None, now: datetime) -> datetime:
    """Return the time after which a new spec counts: now, or right before `first`."""
    return now if first is None else first - MICROSECOND


def _change_status(
    schedule: ScheduledTask,
    status: str,
    allowed: Sequence[str] | None = None,
    **changes: Any,
) -> None:
    """Give a schedule another status, and settle what was expected until now."""
    with atomic():
        ledger_holds.lock(shared=True)  # Before any row, as a hold of everything does.
        known = ScheduledTask.objects.select_for_update().get(pk=schedule.pk)
        if allowed is not None and known.status not in allowed:
            raise NotPossible(
                _("The status of “%(name)s” is “%(status)s”: that isn't possible now.")
                % {"name": known.name, "status": known.get_status_display()}
            )
        if status == ScheduledTask.Status.RUNNING:
            _refuse_while_held(known)
        now = clock.now()
        if known.status != status:
            close_period(known, now, reason(Code.SCHEDULE_STOPPED))
            changes["period_start"] = known.period_start
            history.record_status(known, ACTIONS[status], note=str(changes.get("note", "")))
        changes |= {"status": status, "settled_through": now, "updated": now, "next_check_at": now}
        for field, value in changes.items():
            setattr(schedule, field, value)
        schedule.save(update_fields=list(changes))
        if not schedule.is_live:
            _cancel_backfill(known)
        _project_on_commit(schedule)


def _refuse_while_held(schedule: ScheduledTask) -> None:
    if (hold := holds.of_everything()) is not None:
        raise NotPossible(
            _("“%(name)s” can't be resumed: %(by)s has paused everything. Resume everything first.")
            % {"name": schedule.name, "by": hold.by}
        )


def _cancel_backfill(schedule: ScheduledTask) -> None:
    """Cancel the backfill runs of a schedule that have not started."""
    run_ids = [request.run_id for request in backfill.next_requests(schedule)]
    if run_ids:
        schedule.requests.filter(due__isnull=False).delete()
        on_commit(partial(_withdraw_runs, run_ids, schedule.queue))


def _withdraw_runs(run_ids: list[RunId], queue: str) -> None:
    """Take the jobs of cancelled runs out of Redis; any that stay find no request and don't run."""
    try:
        for run_id in run_ids:
            withdraw(run_id.job_id, queue, connect_as_owner())
    except RedisError as error:
        logger.warning(
            "The backfill is cancelled; its jobs stay queued until Redis is back (%s).", error
        )


def _enqueue_requested(
    schedule: ScheduledTask, run_id: RunId, redis: Redis, arguments: dict[str, Any] | None
) -> None:
    try:
        enqueue_run(schedule, run_id, redis, arguments=arguments)
    except RedisError as error:
        logger.warning(
            "The requested run of “%s” starts once Redis is back (%s).", schedule.name, error
        )


def _project_on_commit(schedule: ScheduledTask) -> None:
    schedule.projected = None
    on_commit(partial(_project, schedule))


def _project(schedule: ScheduledTask) -> None:
    """Bring a committed row to Redis; `schedule.projected` tells the caller whether it worked."""
    try:
        row = ScheduledTask.objects.filter(pk=schedule.pk).first()
        if row is not None:
            schedule.problem = projection.project(row, connect_as_owner())
        schedule.projected = row is not None and not schedule.problem
    except (RedisError, Error) as error:
        schedule.projected = False
        _report_unprojected(error)


def _report_unprojected(error: Exception) -> None:
    """Report why Redis doesn't have what is saved: the scheduler brings it there."""
    outage = redis_outage if isinstance(error, RedisError) else database_outage
    outage.report(error)


def unschedule(job_id: str) -> None:
    """Remove a deleted schedule from Redis, later by the scheduler if Redis is unavailable."""
    try:
        projection.remove([job_id], connect_as_owner())
    except RedisError as error:
        redis_outage.report(error)


class CalendarService:
    """Makes and changes calendars, and brings the schedules that use them up to date."""

    @staticmethod
    def define(name: str, dates: str | Iterable[date | str], description: str = "") -> Calendar:
        """Make a calendar, or change the one with this name; return it.

        `dates` are given as `exclude` in `SchedulerService.schedule`. Raises InvalidCalendar.
        """
        try:
            text = dates_as_text(dates)
        except InvalidSchedule as error:
            raise InvalidCalendar(str(error), {"dates": error.errors["exclude"]}) from error
        wanted = Calendar(name=name, dates=text, description=description)
        validate_calendar(wanted, validate_unique=False)
        values = {"dates": wanted.dates, "description": description}
        with atomic():
            calendar, is_new = Calendar.objects.get_or_create(name=name, defaults=values)
            if not is_new:
                calendar.dates, calendar.description = wanted.dates, description
                CalendarService.save(calendar)
        return calendar

    @staticmethod
    def save(calendar: Calendar) -> Calendar:
        """Write an edited (or new) calendar, and bring its schedules up to date in Redis.

        If the new dates change what was expected before now, that is settled first. Raises
        InvalidCalendar if a value is invalid.
        """
        validate_calendar(calendar)
        try:
            with atomic():
                if not calendar._state.adding:
                    settle_users(calendar)
                calendar.save()
        except IntegrityError as error:
            text = _("There is already a calendar “%(name)s”.") % {"name": calendar}
            raise InvalidCalendar(text, {"name": [text]}) from error
        return calendar


def settle_users(calendar: Calendar) -> None:
    """Settle what a calendar's schedules expect, before its dates change."""
    users = ScheduledTask.objects.live().filter(calendar=calendar)
    locked = list(users.select_for_update(of=("self",)).order_by("pk"))
    before = Calendar.objects.get(pk=calendar.pk)
    if before.dates == calendar.dates:
        return
    now, why = clock.now(), reason(Code.SCHEDULE_CHANGED)
    unaffected: list[int] = []
    changed: list[ScheduledTask] = []
    closings: list[Closing | None] = []
    for known in locked:
        schedule = copy.copy(known)
        known.calendar, schedule.calendar = before, calendar
        with suppress(SpecError):  # then nothing was expected
            if _expect_the_same(known, schedule, now):
                # What is in flight stays as it is: the new dates count from the settled time on.
                closings.append(Closing(known, known.settled_through, why))
                unaffected.append(known.pk)
                continue
            closings.append(_change_period(known, schedule))
        schedule.next_check_at = schedule.updated = now
        changed.append(schedule)
    close_periods([closing for closing in closings if closing is not None])
    for begin in range(0, len(unaffected), CHUNK):
        rows = ScheduledTask.objects.filter(pk__in=unaffected[begin : begin + CHUNK])
        rows.update(period_start=F("settled_through"), next_check_at=now, updated=now)
    fields = ["settled_through", "period_start", "next_check_at", "updated"]
    ScheduledTask.objects.bulk_update(changed, fields, batch_size=CHUNK)
    on_commit(partial(_project_calendar, calendar))


def _expect_the_same(one: ScheduledTask, other: ScheduledTask, until: datetime) -> bool:
    """Return whether two versions of a schedule expect the same occurrences up to a time."""
    dues = (spec.dues(schedule.spec(), one.settled_through, until) for schedule in (one, other))
    return all(due == other_due for due, other_due in zip_longest(*dues))


def _project_calendar(calendar: Calendar) -> None:
    """Bring the schedules of a committed calendar to Redis."""
    try:
        redis = connect_as_owner()
        users = ScheduledTask.objects.live().filter(calendar=calendar)
        pks = list(users.values_list("pk", flat=True))
        for begin in range(0, len(pks), CHUNK):
            projection.project_all(users.filter(pk__in=pks[begin : begin + CHUNK]), redis)
    except (RedisError, Error) as error:
        _report_unprojected(error)


class TaskService:
    """Enqueues, reserves and cancels background calls."""

    @staticmethod
    def enqueue_task(func: TaskFunc, /, *args: Any, **kwargs: Any) -> Task:
        """Call a task function in the background now; return the row that records it.

        The arguments are of the types that its hints name, or their JSON (see `tasks/arguments`).
        If it can't be enqueued, the row says `failed` with the reason. Raises
        UnknownTaskFunction or InvalidArguments, and then there is no row.
        """
        return _create_task(func, args, kwargs, None)

    @staticmethod
    def reserve_task(
        when: datetime | timedelta, func: TaskFunc, /, *args: Any, **kwargs: Any
    ) -> Task:
        """Call a task function in the background at a time, or after a delay.

        Raises InvalidSchedule for a naive datetime; everything else is as in `enqueue_task`.
        """
        reserved_for = clock.now() + when if isinstance(when, timedelta) else when
        if timezone.is_naive(reserved_for):
            raise InvalidSchedule(
                _("%(time)s has no time zone: give an aware datetime.") % {"time": reserved_for},
                {},
            )
        return _create_task(func, args, kwargs, reserved_for)

    @staticmethod
    def cancel_task(task: Task, by: str = "") -> None:
        """Cancel a call that waits, or stop one that is running on its worker.

        `by` is the name of the user who does, which the row then says. Raises NotPossible if it has
        already ended.
        """
        now = clock.now()
        why = reason(Code.CALL_CANCELLED)
        if by:
            why = reason(Code.CALL_CANCELLED_BY, by=by[:BY_LENGTH])
        unfinished = [*Task.WAITING, Task.Status.RUNNING]
        cancelled = Task.objects.filter(pk=task.pk, status__in=unfinished).update(
            status=Task.Status.CANCELED, ended=now, **why.fields
        )
        task.refresh_from_db()
        if not cancelled:
            raise NotPossible(
                _("“%(name)s” has already ended: it is %(status)s.")
                % {"name": task.name, "status": task.get_status_display()}
            )
        on_commit(partial(_withdraw, task))


def _create_task(
    func: TaskFunc, args: Sequence[Any], kwargs: Mapping[str, Any], reserved_for: datetime | None
) -> Task:
    function = registry.resolve(func, Kind.BACKGROUND)
    positional, named = function.store_arguments(list(args), dict(kwargs))
    task = Task.objects.create(
        name=function.name,
        function=function.name,
        args=positional,
        kwargs=named,
        queue=function.queue,
        timeout=function.timeout,
        status=Task.Status.QUEUED if reserved_for is None else Task.Status.RESERVED,
        reserved_for=reserved_for,
    )
    on_commit(partial(_enqueue, task))
    return task


def _enqueue(task: Task) -> None:
    try:
        redis = connect_as_owner()
        if at_once.runs_at_once(task) and at_once.run(task, redis):
            task.refresh_from_db()
            return
        enqueue_task(task, redis)
    except (RedisError, TasksError) as error:
        why = reason(Code.NOT_ENQUEUED, error=str(error))
        Task.objects.filter(pk=task.pk, status__in=Task.WAITING).update(
            status=Task.Status.FAILED, ended=clock.now(), **why.fields
        )
        task.refresh_from_db()
        logger.error(
            "Background call “%s” could not be enqueued: %s", task.name, mask_text(str(error))
        )


def _withdraw(task: Task) -> None:
    """Remove a cancelled call from Redis, and stop it if it is running."""
    try:
        redis = connect_as_owner()
        if task.started is not None:
            stop_jobs([task.job_id], redis)
        else:
            withdraw(task.job_id, task.queue, redis)
    except RedisError as error:
        logger.warning("“%s” is cancelled, but Redis is unavailable: %s", task.name, error)
