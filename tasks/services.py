"""What people and code do with schedules and background calls: the row and Redis together.

Every change is written to the database first and brought to Redis after the commit. If Redis
is unavailable, the row stands, and the scheduler brings it to Redis once that is back (R1).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext as _

from tasks import clock, history
from tasks.changes.calendars import settle_users
from tasks.changes.calls import create_call, withdraw_call
from tasks.changes.lists import sync_lists
from tasks.changes.many import schedule_many
from tasks.changes.requests import request_run
from tasks.changes.schedules import (
    change_status,
    insert,
    insert_or_revise,
    keep_state,
    refusing_duplicates,
    update_fields,
    write_change,
)
from tasks.database import atomic, on_commit
from tasks.definitions import (
    TaskFunc,
    dates_as_text,
    new_row,
    validate,
    validate_calendar,
)
from tasks.exceptions import InvalidCalendar, InvalidSchedule, NotPossible
from tasks.job_ids import RunId
from tasks.lists import Action, ScheduleList
from tasks.models import Calendar, ScheduledTask, ScheduledTaskInstance, Task
from tasks.reasons import Code, reason
from tasks.runs import backfill
from tasks.runs.stop import BY_LENGTH, request_stop


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
        return insert_or_revise(new_row(task_func, args, kwargs, name, options))

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
        return insert_or_revise(new_row(task_func, args, kwargs, name, options))

    @staticmethod
    def schedule_many(schedules: Sequence[Mapping[str, Any]]) -> list[ScheduledTask]:
        """Make many schedules at once, all or nothing, in a few queries; return them in order.

        Each item holds the arguments of `schedule` (with `scheduled_time`) or of `cron` (with
        `cron_string`), and may have `tags`: their names. What is stored already is brought up to
        date as by these. Raises InvalidSchedule, whose `errors` name all invalid items.
        """
        return schedule_many(schedules)

    @staticmethod
    def save(schedule: ScheduledTask) -> ScheduledTask:
        """Write an edited (or new) row and bring Redis up to date.

        What the old spec expected is settled first; the new one counts from now on. Raises
        InvalidSchedule if a value is invalid, or if another schedule has the same name, function
        and arguments.
        """
        validate(schedule)
        with refusing_duplicates(schedule), atomic():
            if schedule._state.adding:
                insert(schedule)
            else:
                known = ScheduledTask.objects.select_for_update().get(pk=schedule.pk)
                keep_state(schedule, known)
                write_change(known, schedule)
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
        return update_fields(schedule, changes)

    @staticmethod
    def cancel(schedule: ScheduledTask) -> None:
        """End a schedule: nothing is dispatched any more, but it keeps its row and its runs."""
        change_status(schedule, ScheduledTask.Status.DEATH, paused_at=None)

    @staticmethod
    def pause(schedule: ScheduledTask, note: str = "") -> None:
        """Stop dispatch until `resume`; `note` tells people why.

        Raises NotPossible for a schedule that isn't live.
        """
        changes: dict[str, Any] = {"paused_at": clock.now()}
        if note:
            changes["note"] = note
        change_status(schedule, ScheduledTask.Status.PAUSED, allowed=ScheduledTask.LIVE, **changes)

    @staticmethod
    def resume(schedule: ScheduledTask) -> None:
        """Dispatch a paused or cancelled schedule again; nothing due meanwhile is expected.

        Raises NotPossible for a schedule that is live, and while everything is paused.
        """
        change_status(
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
        return request_run(schedule, args, kwargs)

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
        return backfill.request(*(schedule, start, end, limit), failed=failed, by=history.author())

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


class TaskService:
    """Enqueues, reserves and cancels background calls."""

    @staticmethod
    def enqueue_task(func: TaskFunc, /, *args: Any, **kwargs: Any) -> Task:
        """Call a task function in the background now; return the row that records it.

        The arguments are of the types that its hints name, or their JSON (see `tasks/arguments`).
        If it can't be enqueued, the row says `failed` with the reason. Raises
        UnknownTaskFunction or InvalidArguments, and then there is no row.
        """
        return create_call(func, args, kwargs, None)

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
        return create_call(func, args, kwargs, reserved_for)

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
        on_commit(partial(withdraw_call, task))
