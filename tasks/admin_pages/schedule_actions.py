"""What people do with schedules: what each action asks, says beforehand, does and reports."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from tasks import clock
from tasks.admin_pages.consequences import moment
from tasks.admin_pages.formatting import NONE
from tasks.admin_pages.times import in_words
from tasks.broker.workers import queues_without_worker
from tasks.changes import several
from tasks.changes.schedules import update_fields
from tasks.exceptions import NotPossible
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.queue import usable_queues
from tasks.reports.waiting import waiting_of
from tasks.services import SchedulerService
from tasks.timing.moving import CannotMove, Refusal, moved
from tasks.timing.spec import Spec
from tasks.timing.upcoming import Due, upcoming

NOTE_LENGTH = 200
# How many due times show what a move does.
TIMES_SHOWN = 3
UNITS = {"minutes": 60, "hours": 3_600, "days": 86_400}
MAX_AMOUNT = 10_000
Schedules = Sequence[ScheduledTask]
# Why a schedule can't be moved, and what to do instead.
REFUSALS = {
    Refusal.STAYS: gettext_lazy("It would be due at the same times as now."),
    Refusal.WHOLE_INTERVALS: gettext_lazy(
        "It would be due at the same times as now: what repeats moves by a part of its interval."
    ),
    Refusal.PASSED: gettext_lazy("Its only time has passed: give it a new one by “Edit”."),
    Refusal.TO_THE_PAST: gettext_lazy("Its only time would be in the past: move it less far."),
    Refusal.OUT_OF_RANGE: gettext_lazy("That is too far: move it less far."),
    Refusal.NOT_WHOLE_MINUTES: gettext_lazy("A cron expression moves by whole minutes only."),
    Refusal.OTHER_DAYS: gettext_lazy(
        "It would be due on other days than it says: change its cron expression by “Edit”."
    ),
    Refusal.NO_EXPRESSION: gettext_lazy(
        "No single cron expression says the new times: change it by “Edit”, or make two of it."
    ),
}


class NoteField(forms.CharField):
    """Why somebody does something, in a line; empty is fine."""

    def __init__(self) -> None:
        super().__init__(
            label=gettext_lazy("Why? Shown in the history"),
            required=False,
            max_length=NOTE_LENGTH,
            widget=forms.TextInput({"placeholder": gettext_lazy("optional")}),
        )

    def to_python(self, value: Any) -> Any:
        return super().to_python(str(value or "").replace("\0", ""))


class ActionForm(forms.Form):
    """What every action asks: why."""

    # Whether what the form says is to be shown before it may be done.
    needs_preview: ClassVar[bool] = False

    note = NoteField()


class DeleteForm(ActionForm):
    """Why a schedule is deleted: its history goes with it, the log of Django's admin doesn't."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["note"].label = _("Why? Kept in the admin's log")


class MoveForm(ActionForm):
    """How far, and in which direction."""

    needs_preview = True

    amount = forms.IntegerField(
        label=gettext_lazy("By"), min_value=1, max_value=MAX_AMOUNT, initial=15
    )
    unit = forms.ChoiceField(
        label=gettext_lazy("Unit"),
        choices=[
            ("minutes", gettext_lazy("minutes")),
            ("hours", gettext_lazy("hours")),
            ("days", gettext_lazy("days")),
        ],
    )
    direction = forms.ChoiceField(
        label=gettext_lazy("Direction"),
        choices=[("later", gettext_lazy("later")), ("earlier", gettext_lazy("earlier"))],
    )
    field_order = ("amount", "unit", "direction", "note")

    @property
    def by(self) -> timedelta:
        data = self.cleaned_data
        span = timedelta(seconds=data["amount"] * UNITS[data["unit"]])
        return span if data["direction"] == "later" else -span


class QueueForm(ActionForm):
    """The queue, of those that the project has."""

    queue = forms.ChoiceField(label=gettext_lazy("Queue"))
    field_order = ("queue", "note")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        unserved = queues_without_worker()
        queue: Any = self.fields["queue"]
        queue.choices = [
            (name, _("%(queue)s (no worker serves it)") % {"queue": name})
            if name in unserved
            else (name, name)
            for name in usable_queues()
        ]


class ScheduleAction(ABC):
    """An action on schedules, from their list or from the page of one."""

    name: ClassVar[str]
    label: ClassVar[Any]
    # Which permission it takes: `has_<permission>_permission` of the page decides.
    permission: ClassVar[str] = "change"
    form_class: ClassVar[type[ActionForm]] = ActionForm
    # What ends a schedule stands apart from the other buttons.
    is_end: ClassVar[bool] = False

    def asks(self, number: int) -> bool:
        """Return whether it asks before it is done with so many schedules."""
        return True

    @property
    def asks_for_one(self) -> bool:
        """Whether its button on a schedule's page leads to a question."""
        return self.asks(1)

    def suits(self, schedule: ScheduledTask) -> bool:
        """Return whether a schedule's page offers it, by the schedule's status."""
        return True

    @abstractmethod
    def question(self, number: int, name: str) -> str:
        """Return the question; `name` is that of the only schedule."""

    def button(self, number: int) -> str:
        """Return what the button says that does it."""
        return f"{self.label} ({number})" if number > 1 else str(self.label)

    @abstractmethod
    def consequences(self, schedules: Schedules) -> list[str]:
        """Return what will happen, in sentences."""

    def outlook(self, schedule: ScheduledTask, form: Any, is_running: bool) -> str:
        """Return what will come of one schedule; raises NotPossible if nothing can.

        `form` is valid if the action needs a preview; `is_running`: a run of it is going on.
        """
        return ""

    @abstractmethod
    def perform(self, schedule: ScheduledTask, form: Any) -> str:
        """Do it with one schedule; return what came of it. Raises what the services raise."""

    @abstractmethod
    def done(self, number: int) -> str:
        """Return what was done with so many schedules."""


class ActionOnAll(ScheduleAction):
    """An action that is done with all chosen schedules at once, in a fixed number of queries."""

    # What came of each.
    text: ClassVar[Any]

    @abstractmethod
    def perform_all(self, schedules: Schedules, note: str) -> several.Refused:
        """Do it, and leave the lines in the histories; return why it was refused for some."""

    def perform(self, schedule: ScheduledTask, form: Any) -> str:
        refused = self.perform_all([schedule], form.cleaned_data["note"])
        if schedule.pk in refused:
            raise refused[schedule.pk]
        return str(self.text)


class RunNow(ActionOnAll):
    """Requests one run of each, besides what is due."""

    name, label, permission = "run_now", gettext_lazy("Run now"), "run"
    text = gettext_lazy("Manual run requested.")

    def asks(self, number: int) -> bool:
        return number > 1

    def question(self, number: int, name: str) -> str:
        return _question(_("Run “%(name)s” now?"), _("Run %(number)d schedules now?"), number, name)

    def consequences(self, schedules: Schedules) -> list[str]:
        return [
            ngettext(
                "One run is requested. When the schedule is due next doesn't change.",
                "One run of each is requested. When they are due next doesn't change.",
                len(schedules),
            )
        ]

    def outlook(self, schedule: ScheduledTask, form: Any, is_running: bool) -> str:
        if not is_running:
            return ""
        words = {
            ScheduledTask.Overlap.SKIP: _("It is running: the new run will be skipped."),
            ScheduledTask.Overlap.ALLOW: _("It is running: both will run at the same time."),
            ScheduledTask.Overlap.WAIT: _("It is running: the new run waits for its end."),
            ScheduledTask.Overlap.REPLACE: _("It is running: that run will be cancelled."),
        }
        return words[ScheduledTask.Overlap(schedule.overlap)]

    def perform_all(self, schedules: Schedules, note: str) -> several.Refused:
        return several.run_now(schedules, note)

    def done(self, number: int) -> str:
        return ngettext("%d run was enqueued.", "%d runs were enqueued.", number) % number


class Pause(ActionOnAll):
    """Stops dispatch until somebody resumes."""

    name, label, permission = "pause", gettext_lazy("Pause"), "pause"
    text = gettext_lazy("Paused.")

    def suits(self, schedule: ScheduledTask) -> bool:
        return schedule.is_live

    def question(self, number: int, name: str) -> str:
        return _question(_("Pause “%(name)s”?"), _("Pause %(number)d schedules?"), number, name)

    def consequences(self, schedules: Schedules) -> list[str]:
        return [
            *_what_runs_goes_on(schedules),
            *_what_waits_is_missed(schedules),
            _("Nothing is due until somebody resumes, and nothing of it is run afterwards."),
        ]

    def outlook(self, schedule: ScheduledTask, form: Any, is_running: bool) -> str:
        if not schedule.is_live:
            raise NotPossible(_already(schedule))
        return _next_would_be(schedule)

    def perform_all(self, schedules: Schedules, note: str) -> several.Refused:
        return several.pause(schedules, note)

    def done(self, number: int) -> str:
        return ngettext("%d schedule was paused.", "%d schedules were paused.", number) % number


class Resume(ActionOnAll):
    """Dispatches paused or ended schedules again, without asking: it loses nothing."""

    name, label, permission = "resume", gettext_lazy("Resume"), "pause"
    text = gettext_lazy("Resumed.")

    def asks(self, number: int) -> bool:
        return False

    def suits(self, schedule: ScheduledTask) -> bool:
        return not schedule.is_live

    def question(self, number: int, name: str) -> str:
        return _question(_("Resume “%(name)s”?"), _("Resume %(number)d schedules?"), number, name)

    def consequences(self, schedules: Schedules) -> list[str]:
        return [_("What was due meanwhile isn't run afterwards.")]

    def perform_all(self, schedules: Schedules, note: str) -> several.Refused:
        return several.resume(schedules, note)

    def done(self, number: int) -> str:
        return ngettext("%d schedule was resumed.", "%d schedules were resumed.", number) % number


class Move(ScheduleAction):
    """Shifts when schedules are due."""

    name, label, form_class = "move", gettext_lazy("Move in time"), MoveForm

    def suits(self, schedule: ScheduledTask) -> bool:
        return schedule.status != ScheduledTask.Status.DEATH

    def question(self, number: int, name: str) -> str:
        return _question(
            _("Move “%(name)s” in time?"), _("Move %(number)d schedules in time?"), number, name
        )

    def consequences(self, schedules: Schedules) -> list[str]:
        return [
            _(
                "All coming due times move by this, and cron expressions keep their days. What "
                "repeats at an interval goes on without a gap: 2 hours later is the same as 30 "
                "minutes later to what is due every 90 minutes. What waits or runs already stays."
            )
        ]

    def outlook(self, schedule: ScheduledTask, form: Any, is_running: bool) -> str:
        changed, now = _with(schedule, _moved(schedule, form.by)), clock.now()
        words = {
            "old": _next_times(schedule.spec(), now),
            "new": _next_times(changed.spec(), now),
            "when": changed.when_in_words(),
        }
        return _("%(when)s. Next due: %(old)s → %(new)s") % words

    def perform(self, schedule: ScheduledTask, form: Any) -> str:
        update_fields(schedule, _moved(schedule, form.by), from_now=True)
        return _("Moved: %(when)s, next due %(due)s.") % {
            "when": schedule.when_in_words(),
            "due": _time(schedule.next_due(clock.now())),
        }

    def done(self, number: int) -> str:
        return ngettext("%d schedule was moved.", "%d schedules were moved.", number) % number


class ChangeQueue(ScheduleAction):
    """Puts the coming runs on another queue."""

    name, label, form_class = "change_queue", gettext_lazy("Change queue"), QueueForm

    def question(self, number: int, name: str) -> str:
        return _question(
            _("Put “%(name)s” on another queue?"),
            _("Put %(number)d schedules on another queue?"),
            number,
            name,
        )

    def consequences(self, schedules: Schedules) -> list[str]:
        return [_("Coming runs go to that queue. What waits on the old one already runs there.")]

    def outlook(self, schedule: ScheduledTask, form: Any, is_running: bool) -> str:
        return _("now on “%(queue)s”") % {"queue": schedule.queue}

    def perform(self, schedule: ScheduledTask, form: Any) -> str:
        old, new = schedule.queue, form.cleaned_data["queue"]
        if old == new:
            raise NotPossible(
                _("“%(name)s” is on “%(queue)s” already.") % {"name": schedule.name, "queue": new}
            )
        SchedulerService.update(schedule, queue=new)
        return _("Queue: “%(new)s”, not “%(old)s”.") % {"new": new, "old": old}

    def done(self, number: int) -> str:
        text = ngettext(
            "%d schedule is on another queue now.", "%d schedules are on another queue now.", number
        )
        return text % number


class Cancel(ActionOnAll):
    """Ends schedules, and keeps their rows and runs."""

    name, label, is_end = "cancel", gettext_lazy("Cancel"), True
    text = gettext_lazy("Cancelled.")

    def suits(self, schedule: ScheduledTask) -> bool:
        return schedule.status != ScheduledTask.Status.DEATH

    def question(self, number: int, name: str) -> str:
        return _question(_("Cancel “%(name)s”?"), _("Cancel %(number)d schedules?"), number, name)

    def button(self, number: int) -> str:
        return ngettext("Cancel schedule", "Cancel %(n)d schedules", number) % {"n": number}

    def consequences(self, schedules: Schedules) -> list[str]:
        return [
            *_what_runs_goes_on(schedules),
            _("No coming due time will run."),
            ngettext(
                "The schedule stays, with its history and its runs (%(runs)d), and can be resumed.",
                "The schedules stay, with their history and runs (%(runs)d), and can be resumed.",
                len(schedules),
            )
            % {"runs": number_of_runs(schedules)},
        ]

    def outlook(self, schedule: ScheduledTask, form: Any, is_running: bool) -> str:
        if schedule.status == ScheduledTask.Status.DEATH:
            raise NotPossible(_already(schedule))
        return _next_would_be(schedule)

    def perform_all(self, schedules: Schedules, note: str) -> several.Refused:
        return several.cancel(schedules, note)

    def done(self, number: int) -> str:
        text = ngettext("%d schedule was cancelled.", "%d schedules were cancelled.", number)
        return text % number


class Delete(ScheduleAction):
    """Deletes schedules with all that is known about them."""

    name, label, permission, is_end = "delete", gettext_lazy("Delete"), "delete", True
    form_class = DeleteForm

    def question(self, number: int, name: str) -> str:
        return _question(_("Delete “%(name)s”?"), _("Delete %(number)d schedules?"), number, name)

    def button(self, number: int) -> str:
        return ngettext("Delete schedule", "Delete %(n)d schedules", number) % {"n": number}

    def consequences(self, schedules: Schedules) -> list[str]:
        return [
            *_what_runs_goes_on(schedules),
            _("No coming due time will run."),
            _("All that is known about it is deleted too. Runs: %(runs)d. This can't be undone.")
            % {"runs": number_of_runs(schedules)},
            _("To keep the runs and the history, cancel instead."),
        ]

    def outlook(self, schedule: ScheduledTask, form: Any, is_running: bool) -> str:
        return _next_would_be(schedule)

    def perform(self, schedule: ScheduledTask, form: Any) -> str:
        schedule.delete()
        return _("Deleted.")

    def done(self, number: int) -> str:
        return ngettext("%d schedule was deleted.", "%d schedules were deleted.", number) % number


ACTIONS: dict[str, ScheduleAction] = {
    action.name: action
    for action in (RunNow(), Pause(), Resume(), Move(), ChangeQueue(), Cancel(), Delete())
}


def going_on(schedules: Schedules) -> list[int]:
    """Return the schedules of the runs that are going on, of these: one for each run."""
    runs = ScheduledTaskInstance.objects.running().filter(parent__in=_keys(schedules))
    return list(runs.order_by().values_list("parent", flat=True))


def number_of_runs(schedules: Schedules) -> int:
    """Return how many runs of these schedules are recorded."""
    return ScheduledTaskInstance.objects.filter(parent__in=_keys(schedules)).count()


def _keys(schedules: Schedules) -> list[int]:
    return [schedule.pk for schedule in schedules]


def _question(one: str, several: str, number: int, name: str) -> str:
    return (one if number == 1 else several) % {"number": number, "name": name}


def _what_waits_is_missed(schedules: Schedules) -> list[str]:
    if not waiting_of(schedules):
        return []
    return [_("Occurrences that wait on a queue now never start: they are recorded as missed.")]


def _what_runs_goes_on(schedules: Schedules) -> list[str]:
    if not (number := len(going_on(schedules))):
        return []
    text = ngettext(
        "%d run is going on: it ends by itself.",
        "%d runs are going on: they end by themselves.",
        number,
    )
    return [text % number]


def _already(schedule: ScheduledTask) -> str:
    words = {"name": schedule.name, "status": schedule.get_status_display()}
    return _("“%(name)s” is %(status)s already.") % words


def _next_would_be(schedule: ScheduledTask) -> str:
    now = clock.now()
    due = schedule.next_due(now)
    return _("would be due next %(due)s") % {"due": in_words(due, now)} if due else ""


def _time(due: datetime | None) -> str:
    return NONE if due is None else f"{timezone.localtime(due):%Y-%m-%d %H:%M:%S}"


def _next_times(when: Spec, now: datetime) -> str:
    """Return the next few due times, the date only where it is another one than before."""
    times, last = [], None
    for row in upcoming(when, now, TIMES_SHOWN):
        if isinstance(row, Due):
            local = timezone.localtime(row.at)
            clock_time = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
            times.append(clock_time if local.date() == last else moment(local))
            last = local.date()
    return ", ".join(times) or NONE


def _moved(schedule: ScheduledTask, by: timedelta) -> dict[str, Any]:
    """Return the fields that change when a schedule moves; raises NotPossible."""
    if schedule.status == ScheduledTask.Status.DEATH:
        raise NotPossible(_("It has ended: resume it first."))
    try:
        after: Spec = moved(schedule.spec(), by, clock.now())
    except CannotMove as error:
        raise NotPossible(str(REFUSALS[error.refusal])) from error
    return {"first": after.first} if after.cron is None else {"cron": after.cron}


def _with(schedule: ScheduledTask, values: dict[str, Any]) -> ScheduledTask:
    """Return a copy of a schedule with other values, not stored."""
    copied = copy.copy(schedule)
    for field, value in values.items():
        setattr(copied, field, value)
    return copied
