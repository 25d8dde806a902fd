"""What people and code do with schedules and background calls: the row and Redis together.

Every change is written to the database first and brought to Redis after the commit. If Redis
is unavailable, the row stands, and the scheduler brings it to Redis once that is back (R1).
"""

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from functools import partial
from itertools import zip_longest
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import Error, IntegrityError, models
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _
from redis import Redis
from redis.exceptions import RedisError

from tasks import registry
from tasks.broker import projection
from tasks.broker.connection import connect, redis_obstacle
from tasks.broker.enqueue import enqueue_run, enqueue_task, withdraw
from tasks.database import CHUNK, atomic, on_commit
from tasks.exceptions import InvalidCalendar, InvalidSchedule, NotPossible, SpecError, TasksError
from tasks.job_ids import RunId
from tasks.ledger.periods import Closing, close_period, close_periods
from tasks.models import Calendar, ScheduledTask, Task
from tasks.reasons import Code, reason
from tasks.registry import Kind
from tasks.runs import backfill
from tasks.runs.stop import stop_jobs
from tasks.timing import spec
from tasks.timing.instants import MICROSECOND, from_milliseconds, to_milliseconds

logger = logging.getLogger(__name__)

TaskFunc = Callable[..., Any] | str
# How many calendars an error lists.
CALENDARS_NAMED = 20
# A first time this short ago means “from now on”.
JUST_NOW = timedelta(minutes=1)

# The fields of a schedule that people may change. Its `type` follows from the others.
EDITABLE_FIELDS = tuple(
    field.name
    for field in ScheduledTask._meta.concrete_fields
    if field.editable and not field.primary_key and field.name != "type"
)
# The fields that only the services and the ledger change.
STATE_FIELDS = (
    "status",
    "paused_at",
    "settled_through",
    "period_start",
    "pruned_until",
    "problem",
    "synced",
)


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

        `task_func` is a decorated function or its registered name. `options` are other fields of
        `ScheduledTask`: queue, start, end, exclude, calendar, jitter, overlap, catch_up,
        start_deadline, retries, retry_delay, keep_runs, keep_days, note.

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
        options |= {"first": scheduled_time, "interval": interval, "cron": ""}
        options |= {"timezone": timezone or settings.TIME_ZONE}
        options |= {"description": description or "", "repeat": repeat, "timeout": timeout}
        return _insert_or_revise(_new_row(task_func, args, kwargs, name, options))

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
        options |= {"cron": cron_string, "timezone": timezone or settings.TIME_ZONE}
        options |= {"first": None, "interval": None}
        options |= {"description": description or "", "repeat": repeat, "timeout": timeout}
        return _insert_or_revise(_new_row(task_func, args, kwargs, name, options))

    @staticmethod
    def save(schedule: ScheduledTask) -> ScheduledTask:
        """Write an edited (or new) row and bring Redis up to date.

        What the old spec expected is settled first; the new one counts from now on. Raises
        InvalidSchedule if a value is invalid, or if another schedule has the same name, function
        and arguments.
        """
        _validate(schedule)
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

        `changes` may name any of `EDITABLE_FIELDS`, such as name, args, queue, interval, retries
        or note; `exclude` and `calendar` are given as in `schedule`. All other fields keep their
        stored values, even where this copy of the row is older. To turn an interval into a cron
        schedule, pass cron="…", interval=None, first=None.

        The status doesn't change; everything else is as in `save`. Raises InvalidSchedule, also
        for a field that doesn't exist or can't be changed.
        """
        _refuse_unknown(changes)
        with _refusing_duplicates(schedule), atomic():
            schedule.refresh_from_db(from_queryset=ScheduledTask.objects.select_for_update())
            known, changed = copy.copy(schedule), copy.copy(schedule)
            for field, value in _as_stored(changes).items():
                setattr(changed, field, value)
            _validate(changed)
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
        changes: dict[str, Any] = {"paused_at": timezone.now()}
        if note:
            changes["note"] = note
        _change_status(schedule, ScheduledTask.Status.PAUSED, allowed=ScheduledTask.LIVE, **changes)

    @staticmethod
    def resume(schedule: ScheduledTask) -> None:
        """Dispatch a paused or cancelled schedule again; nothing due meanwhile is expected.

        Raises NotPossible for a schedule that is live.
        """
        _change_status(
            schedule,
            ScheduledTask.Status.RUNNING,
            allowed=[ScheduledTask.Status.PAUSED, ScheduledTask.Status.DEATH],
            paused_at=None,
        )

    @staticmethod
    def run_now(schedule: ScheduledTask) -> RunId:
        """Request a run of a schedule now, whatever its status; return the run's identity.

        The schedule's overlap policy applies. Inside a transaction, the run is enqueued after
        the commit. Raises NotPossible if Redis is unavailable or refuses writes,
        UnknownTaskFunction if the schedule's function no longer exists.
        """
        registry.resolve(schedule.function, Kind.SCHEDULED)
        requested = from_milliseconds(to_milliseconds(timezone.now()))
        if obstacle := redis_obstacle():
            raise NotPossible(
                _("“%(name)s” can't be run now. Redis is unavailable: %(why)s")
                % {"name": schedule.name, "why": obstacle}
            )
        with atomic():
            known = ScheduledTask.objects.select_for_update(no_key=True).get(pk=schedule.pk)
            request, _made = known.requests.get_or_create(due=None, requested=requested)
            run_id = request.run_id
            on_commit(partial(_enqueue_requested, known, run_id, connect()))
        return run_id

    @staticmethod
    def backfill(
        schedule: ScheduledTask,
        start: datetime,
        end: datetime,
        limit: int = backfill.DEFAULT_LIMIT,
    ) -> list[RunId]:
        """Request runs of what was due after `start` and up to `end` and never ran; return which.

        These are the dues of the present spec that have no row, or a row that says missed or
        skipped, which is then used for the run. They run one after another, the oldest first (if
        overlap is allowed, several at a time), whatever the schedule's status; pausing or
        cancelling the schedule cancels those that have not started. Inside a transaction, they
        are enqueued after the commit.

        Raises NotPossible if there are more than `limit`, or if the range is empty, ends in the
        future or begins before what retention keeps; UnknownTaskFunction if the schedule's
        function no longer exists.
        """
        return backfill.request(schedule, start, end, limit)

    @staticmethod
    def sync(schedules: Iterable[Mapping[str, Any]]) -> list[ScheduledTask]:
        """Make the stored schedules match a list in code, all or nothing.

        Each item holds the arguments of `schedule` (with `scheduled_time`) or of `cron` (with
        `cron_string`). Schedules made by an earlier `sync` that are no longer in the list are
        cancelled; those made in other ways are left alone.
        """
        with atomic():
            wanted = [_sync_one(item) for item in schedules]
            removed = ScheduledTask.objects.filter(synced=True).exclude(
                pk__in=[schedule.pk for schedule in wanted]
            )
            for schedule in removed.exclude(status=ScheduledTask.Status.DEATH):
                SchedulerService.cancel(schedule)
            ScheduledTask.objects.filter(pk__in=[schedule.pk for schedule in wanted]).update(
                synced=True
            )
        return wanted


def _sync_one(item: Mapping[str, Any]) -> ScheduledTask:
    if "cron_string" in item:
        return SchedulerService.cron(**item)
    if "scheduled_time" in item:
        return SchedulerService.schedule(**item)
    raise InvalidSchedule(
        _("A schedule in code needs “scheduled_time” or “cron_string”: %(item)r.")
        % {"item": dict(item)},
        {},
    )


def _new_row(
    task_func: TaskFunc,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    name: str | None,
    options: dict[str, Any],
) -> ScheduledTask:
    function = registry.resolve(task_func, Kind.SCHEDULED)
    positional, named = list(args or []), dict(kwargs or {})
    function.check_arguments(positional, named)
    options["queue"] = options.get("queue") or function.queue
    try:
        return ScheduledTask(
            name=name or function.name,
            function=function.name,
            args=positional,
            kwargs=named,
            **_as_stored(options),
        )
    except TypeError as error:
        raise InvalidSchedule(str(error), {}) from error


def _as_stored(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert field values from the forms that callers may use to those that the row stores."""
    forms: dict[str, Callable[[Any], Any]] = {"calendar": _calendar, "exclude": _dates_as_text}
    return {
        field: forms[field](value) if field in forms else value for field, value in values.items()
    }


def _refuse_unknown(changes: Iterable[str]) -> None:
    """Raise InvalidSchedule for names of fields that don't exist or can't be edited."""
    errors = {
        name: [
            _("“%(name)s” is not a field of a schedule that can be changed. These are: %(known)s.")
            % {"name": name, "known": ", ".join(EDITABLE_FIELDS)}
        ]
        for name in changes
        if name not in EDITABLE_FIELDS
    }
    if errors:
        raise InvalidSchedule(_joined(errors), errors)


def _joined(errors: Mapping[str, Iterable[str]]) -> str:
    return " ".join(text for texts in errors.values() for text in texts)


def _calendar(wanted: Calendar | str | None) -> Calendar | None:
    """Return a calendar, given as itself or by name; raises InvalidSchedule if it is unknown."""
    if wanted is None or wanted == "":
        return None
    if isinstance(wanted, Calendar) and wanted.pk is not None:
        return wanted
    known = Calendar.objects.filter(name=str(wanted)).first()
    if known is None:
        names = ", ".join(Calendar.objects.values_list("name", flat=True)[:CALENDARS_NAMED])
        text = _("There is no calendar “%(name).100s”. The calendars are: %(known)s.") % {
            "name": wanted,
            "known": names or _("none"),
        }
        raise InvalidSchedule(text, {"calendar": [text]})
    return known


def _dates_as_text(dates: str | Iterable[date | str] | None) -> str:
    """Return excluded dates as the row stores them; raises InvalidSchedule for other values."""
    if dates is None or isinstance(dates, str):
        return dates or ""
    try:
        return "\n".join(_date_as_text(day) for day in dates)
    except TypeError as error:
        text = _("exclude: %(value).100r is not a list of valid dates.") % {"value": dates}
        raise InvalidSchedule(text, {"exclude": [text]}) from error


def _date_as_text(day: date | str) -> str:
    if isinstance(day, datetime) or not isinstance(day, date | str):
        raise TypeError(f"{day!r} is not a valid date")
    return str(day)


def _validate(schedule: ScheduledTask) -> None:
    errors = _wrong_types(schedule)
    if errors:
        raise InvalidSchedule(_joined(errors), errors)
    if schedule.queue not in settings.RQ_QUEUES:
        errors["queue"] = [
            _("There is no queue “%(queue)s”. The queues are: %(known)s.")
            % {"queue": schedule.queue, "known": ", ".join(settings.RQ_QUEUES)}
        ]
    try:
        schedule.clean_fields(exclude={"fingerprint"})  # first: `clean` relies on their types
        schedule.full_clean(validate_unique=False, exclude={"fingerprint"})
    except ValidationError as error:
        errors |= error.message_dict
    if errors:
        raise InvalidSchedule(_joined(errors), errors)


def _wrong_types(schedule: ScheduledTask) -> dict[str, list[str]]:
    """Return an error for each number and time of the wrong type, which Django might convert."""
    errors: dict[str, list[str]] = {}
    for field in ScheduledTask._meta.concrete_fields:
        value = getattr(schedule, field.attname)
        may_be_none = field.null or field.name not in EDITABLE_FIELDS
        if field.primary_key or (value is None and may_be_none):
            continue
        if value is None:
            errors[field.name] = [_("%(name)s: None is not valid.") % {"name": field.name}]
        elif isinstance(field, models.DateTimeField) and not isinstance(value, datetime):
            errors[field.name] = [
                _("%(name)s: %(value)r is not a datetime.") % {"name": field.name, "value": value}
            ]
        elif isinstance(field, models.IntegerField) and type(value) is not int:
            errors[field.name] = [
                _("%(name)s: %(value)r is not a whole number.")
                % {"name": field.name, "value": value}
            ]
    return errors


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
    _validate(wanted)
    with atomic():
        try:
            with atomic():
                _insert(wanted)
        except IntegrityError:
            return _revise(wanted, start_given)
    return wanted


def _insert(schedule: ScheduledTask) -> None:
    """Write a new, valid schedule."""
    now = timezone.now()
    schedule.settled_through = schedule.period_start = _start_of_period(
        _first_just_due(schedule, now), now
    )
    schedule.save(force_insert=True)
    _project_on_commit(schedule)


def _revise(wanted: ScheduledTask, start_given: bool) -> ScheduledTask:
    """Give the stored schedule of the same identity the wanted values, and make it live.

    What the caller left open stays: the note, the start of the repeat count, and the rhythm.
    """
    known = ScheduledTask.objects.select_for_update().get(fingerprint=wanted.fingerprint)
    schedule = copy.copy(known)
    for field in (*EDITABLE_FIELDS, "type"):
        setattr(schedule, field, getattr(wanted, field))
    schedule.note = wanted.note or known.note
    if _counts_the_same_repeats(wanted, known) and not start_given:
        schedule.start = known.start
    if _keeps_rhythm(wanted, known):
        schedule.first = known.first
    if known.status in (ScheduledTask.Status.DEATH, ScheduledTask.Status.FAILED):
        schedule.status = ScheduledTask.Status.RUNNING
    _write_change(known, schedule)
    return schedule


def _counts_the_same_repeats(wanted: ScheduledTask, known: ScheduledTask) -> bool:
    """Return whether both are the same cron schedule with the same number of repeats."""
    same = all(
        getattr(wanted, field) == getattr(known, field) for field in ("cron", "timezone", "repeat")
    )
    return same and bool(wanted.cron and wanted.repeat)


def _keeps_rhythm(wanted: ScheduledTask, known: ScheduledTask) -> bool:
    """Return whether “every hour from now on” is requested for what already runs every hour.

    Code may request it at each start, which must not shift the schedule each time.
    """
    same = known.is_live and wanted.interval is not None and wanted.interval == known.interval
    since_first = timezone.now() - wanted.first if same and wanted.first else None
    return since_first is not None and timedelta(0) <= since_first < JUST_NOW


def _keep_state(schedule: ScheduledTask, known: ScheduledTask) -> None:
    """Take from the stored row what isn't the caller's to change."""
    for field in STATE_FIELDS:
        setattr(schedule, field, getattr(known, field))


def _write_change(known: ScheduledTask, schedule: ScheduledTask) -> None:
    """Write a valid schedule over its stored version, whose row the caller has locked."""
    if closing := _change_period(known, schedule):
        close_periods([closing])
    schedule.next_check_at = timezone.now()
    schedule.save()
    _project_on_commit(schedule)


def _change_period(known: ScheduledTask, schedule: ScheduledTask) -> Closing | None:
    """Set from when the new spec counts; return how the present period ends, if it does.

    It ends if the spec changes, or if the schedule becomes live again.
    """
    changed = known.spec_values() != schedule.spec_values()
    if not changed and known.status != ScheduledTask.Status.DEATH:
        return None
    now = timezone.now()
    first = _first_just_due(schedule, now) if changed else None
    if first is not None and schedule.first == known.first and first <= known.settled_through:
        first = None  # It has its row already.
    schedule.settled_through = _start_of_period(first, now)
    if not schedule.is_live:
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
        known = ScheduledTask.objects.select_for_update().get(pk=schedule.pk)
        if allowed is not None and known.status not in allowed:
            raise NotPossible(
                _("The status of “%(name)s” is “%(status)s”: that isn't possible now.")
                % {"name": known.name, "status": known.get_status_display()}
            )
        now = timezone.now()
        if known.status != status:
            close_period(known, now, reason(Code.SCHEDULE_STOPPED))
            changes["period_start"] = known.period_start
        changes |= {"status": status, "settled_through": now, "updated": now, "next_check_at": now}
        for field, value in changes.items():
            setattr(schedule, field, value)
        schedule.save(update_fields=list(changes))
        if not schedule.is_live:
            _cancel_backfill(known)
        _project_on_commit(schedule)


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
            withdraw(run_id.job_id, queue, connect())
    except RedisError as error:
        logger.warning(
            "The backfill is cancelled; its jobs stay queued until Redis is back (%s).", error
        )


def _enqueue_requested(schedule: ScheduledTask, run_id: RunId, redis: Redis) -> None:
    try:
        enqueue_run(schedule, run_id, redis)
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
            schedule.problem = projection.project(row, connect())
        schedule.projected = row is not None and not schedule.problem
    except (RedisError, Error) as error:
        schedule.projected = False
        logger.warning(
            "“%s” is saved and takes effect once Redis is back (%s).", schedule.name, error
        )


def unschedule(job_id: str) -> None:
    """Remove a deleted schedule from Redis, later by the scheduler if Redis is unavailable."""
    try:
        projection.remove([job_id], connect())
    except RedisError as error:
        logger.warning(
            "The deleted schedule %s stays in Redis until Redis is back (%s).", job_id, error
        )


class CalendarService:
    """Makes and changes calendars, and brings the schedules that use them up to date."""

    @staticmethod
    def define(name: str, dates: str | Iterable[date | str], description: str = "") -> Calendar:
        """Make a calendar, or change the one with this name; return it.

        `dates` are given as `exclude` in `SchedulerService.schedule`. Raises InvalidCalendar.
        """
        try:
            text = _dates_as_text(dates)
        except InvalidSchedule as error:
            raise InvalidCalendar(str(error), {"dates": error.errors["exclude"]}) from error
        wanted = Calendar(name=name, dates=text, description=description)
        _validate_calendar(wanted, validate_unique=False)
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
        _validate_calendar(calendar)
        try:
            with atomic():
                if not calendar._state.adding:
                    _change_calendar(calendar)
                calendar.save()
        except IntegrityError as error:
            text = _("There is already a calendar “%(name)s”.") % {"name": calendar}
            raise InvalidCalendar(text, {"name": [text]}) from error
        return calendar


def _validate_calendar(calendar: Calendar, **options: Any) -> None:
    try:
        calendar.full_clean(**options)
    except ValidationError as error:
        raise InvalidCalendar(_joined(error.message_dict), error.message_dict) from error


def _change_calendar(calendar: Calendar) -> None:
    """Settle what a calendar's schedules expect, before its dates change."""
    users = ScheduledTask.objects.live().filter(calendar=calendar)
    locked = list(users.select_for_update(of=("self",)).order_by("pk"))
    before = Calendar.objects.get(pk=calendar.pk)
    if before.dates == calendar.dates:
        return
    now, why = timezone.now(), reason(Code.SCHEDULE_CHANGED)
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
        redis = connect()
        users = ScheduledTask.objects.live().filter(calendar=calendar)
        pks = list(users.values_list("pk", flat=True))
        for begin in range(0, len(pks), CHUNK):
            projection.project_all(users.filter(pk__in=pks[begin : begin + CHUNK]), redis)
    except (RedisError, Error) as error:
        logger.warning(
            "Calendar “%s” is saved and takes effect once Redis is back (%s).", calendar, error
        )


class TaskService:
    """Enqueues, reserves and cancels background calls."""

    @staticmethod
    def enqueue_task(func: TaskFunc, /, *args: Any, **kwargs: Any) -> Task:
        """Call a task function in the background now; return the row that records it.

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
        reserved_for = timezone.now() + when if isinstance(when, timedelta) else when
        if timezone.is_naive(reserved_for):
            raise InvalidSchedule(
                _("%(time)s has no time zone: give an aware datetime.") % {"time": reserved_for},
                {},
            )
        return _create_task(func, args, kwargs, reserved_for)

    @staticmethod
    def cancel_task(task: Task) -> None:
        """Cancel a call that waits, or stop one that is running on its worker.

        Raises NotPossible if it has already ended.
        """
        now = timezone.now()
        unfinished = [*Task.WAITING, Task.Status.RUNNING]
        cancelled = Task.objects.filter(pk=task.pk, status__in=unfinished).update(
            status=Task.Status.CANCELED, ended=now, **reason(Code.CALL_CANCELLED).fields
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
    positional, named = list(args), dict(kwargs)
    function.check_arguments(positional, named)
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
        enqueue_task(task, connect())
    except (RedisError, TasksError) as error:
        why = reason(Code.NOT_ENQUEUED, error=str(error))
        Task.objects.filter(pk=task.pk, status__in=Task.WAITING).update(
            status=Task.Status.FAILED, ended=timezone.now(), **why.fields
        )
        task.refresh_from_db()
        logger.error("Background call “%s” could not be enqueued: %s", task.name, error)


def _withdraw(task: Task) -> None:
    """Remove a cancelled call from Redis, and stop it if it is running."""
    redis = connect()
    try:
        if task.started is not None:
            stop_jobs([task.job_id], redis)
        else:
            withdraw(task.job_id, task.queue, redis)
    except RedisError as error:
        logger.warning("“%s” is cancelled, but Redis is unavailable: %s", task.name, error)
