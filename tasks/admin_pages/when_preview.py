"""What a schedule's form says of its “when” while it is typed: in words, and the next ten due.

The view only computes: GET (or POST, for a long list of dates) changes nothing. What may be secret
isn't sent to it.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo
from functools import cached_property, partial
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.forms.models import construct_instance
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.utils import formats, timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from tasks import clock
from tasks.access import visible
from tasks.admin_pages.addresses import number_in
from tasks.admin_pages.consequences import Situation, consequences, moment
from tasks.admin_pages.formatting import short_duration
from tasks.admin_pages.when_form import IntervalField, WhenForm
from tasks.exceptions import SpecError
from tasks.models import ScheduledTask
from tasks.reports.crowd import FREQUENT, Crowd, crowd_at
from tasks.reports.scope import Schedules
from tasks.timing import spec
from tasks.timing.cron_choice import CronChoice, read_cron
from tasks.timing.describe import describe, describe_seconds
from tasks.timing.upcoming import (
    LONGEST_LOOK,
    Clock,
    ClockChange,
    Due,
    LeftOut,
    Row,
    clock_changes,
    upcoming,
)
from tasks.timing.zones import find_zone

NUMBER = 10
# How many clock changes are marked between the dues: those of rare dues would be in the way.
CHANGES_SHOWN = 4
# Within this a day is named without its year.
NEAR = timedelta(days=300)
SPEC_FIELDS = (
    "first",
    "interval",
    "cron",
    "timezone",
    "repeat",
    "start",
    "end",
    "exclude",
    "calendar",
    "jitter",
)
POLICY_FIELDS = (
    "overlap",
    "catch_up",
    "start_deadline",
    "timeout",
    "isolated",
    "retries",
    "retry_delay",
    "on_disconnect",
    "keep_runs",
    "keep_days",
)


class PreviewForm(WhenForm):
    """The fields on which a preview depends; any of them may be missing or wrong."""

    start_deadline = IntervalField(label=gettext_lazy("Start deadline"))
    timeout = IntervalField(label=gettext_lazy("Timeout"))

    class Meta:
        model = ScheduledTask
        fields = (*SPEC_FIELDS, *POLICY_FIELDS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in POLICY_FIELDS:
            self.fields[name].required = False

    def _post_clean(self) -> None:
        """Check the values as those that are saved, but without the database's constraints."""
        self.instance = construct_instance(self, self.instance, self._meta.fields)
        excluded = self._get_validation_exclusions()  # type: ignore[attr-defined]
        for check in (partial(self.instance.clean_fields, excluded), self.instance.clean):
            try:
                check()
            except ValidationError as error:
                self._update_errors(error)

    def _update_errors(self, errors: ValidationError) -> None:
        for name in errors.error_dict.keys() - self.fields.keys():
            del errors.error_dict[name]
        super()._update_errors(errors)


@dataclass(frozen=True)
class Line:
    """A line of the list: a due in the schedule's zone and in the viewer's, or a mark."""

    day: str = ""
    time: str = ""
    viewer: str = ""
    note: str = ""
    is_mark: bool = False


@dataclass(frozen=True)
class Preview:
    """What the form shows beside “When”."""

    words: str = ""
    first_in: str = ""
    zone: str = ""
    viewer_zone: str = ""
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    crowd: str = ""
    warning: str = ""
    situation: Situation | None = None
    cron: str = ""
    choice: CronChoice | None = None
    zone_now: str = ""

    @cached_property
    def consequences(self) -> Mapping[str, SafeString]:
        """What the policies would do; not every page says it."""
        return {} if self.situation is None else consequences(self.situation)


def preview_of(schedule: ScheduledTask, problem: str = "") -> Preview:
    """Return the preview of a schedule, as far as it says when; `problem`: why it can't be said."""
    now = clock.now()
    zone = find_zone(schedule.timezone) or ZoneInfo("UTC")
    zone_now = f"{now.astimezone(zone):%H:%M}"
    wanted: spec.Spec | None = None
    try:
        wanted = None if problem else _spec_of(schedule)
    except SpecError as error:  # Such a row was written past the services.
        problem = str(error)
    if wanted is None:
        situation = Situation(schedule, [])
        return Preview(warning=problem, situation=situation, cron=schedule.cron, zone_now=zone_now)
    viewer = timezone.get_current_timezone()
    rows = upcoming(wanted, now, NUMBER)
    dues = [row.at for row in rows if isinstance(row, Due)]
    page = _Page(wanted, zone, viewer, now)
    return Preview(
        words=capitalised(describe(wanted)),
        first_in=page.first_in(dues),
        zone=place(zone),
        viewer_zone=place(viewer) if page.has_two_zones else "",
        lines=[page.line(row) for row in page.with_viewers_changes(rows, dues)],
        notes=_notes(schedule, now),
        warning="" if dues else nothing_due(schedule, now),
        situation=Situation(schedule, [due.astimezone(zone) for due in dues]),
        choice=read_cron(schedule.cron) if schedule.cron else None,
        cron=schedule.cron,
        zone_now=zone_now,
    )


def with_crowd(preview: Preview, schedule: ScheduledTask, others: Schedules) -> Preview:
    """Return a preview that also says if many others are due at the same minute."""
    if not preview.lines or (schedule.interval and schedule.interval < FREQUENT):
        return preview
    wanted = _spec_of(schedule)
    due = None if wanted is None else spec.next_due(wanted, clock.now())
    if due is None:
        return preview
    found = crowd_at(due, others.exclude(pk=schedule.pk))
    zone = find_zone(schedule.timezone) or ZoneInfo("UTC")
    return replace(preview, crowd=_crowd_words(found, due.astimezone(zone)))


def _crowd_words(found: Crowd, due: datetime) -> str:
    if not found.is_busy:
        return ""
    free = f"{found.emptiest.astimezone(due.tzinfo):%H:%M}"
    busy = ngettext(
        "%(n)d other is due at %(time)s", "%(n)d others are due at %(time)s", found.others
    ) % {"n": found.others, "time": f"{due:%H:%M}"}
    if not found.others_then:
        return _("%(busy)s; %(time)s is free.") % {"busy": busy, "time": free}
    then = ngettext("only %(n)d at %(time)s", "only %(n)d at %(time)s", found.others_then)
    return f"{busy}; {then % {'n': found.others_then, 'time': free}}."


def _spec_of(schedule: ScheduledTask) -> spec.Spec | None:
    """Return when a schedule is due, None if it doesn't say; a new one has no share of jitter.

    Raises SpecError if that makes no sense.
    """
    if not schedule.cron and schedule.first is None:
        return None
    values = schedule.spec_values() | {"timezone": schedule.timezone}
    if schedule._state.adding:
        values.pop("offset", None)
    return spec.Spec(**values)


@dataclass(frozen=True)
class _Page:
    """How rows are shown: in the schedule's zone and, if that is another one, in the viewer's."""

    spec: spec.Spec
    zone: ZoneInfo
    viewer: tzinfo
    now: datetime

    @property
    def has_two_zones(self) -> bool:
        return str(self.viewer) != str(self.zone)

    def first_in(self, dues: Sequence[datetime]) -> str:
        """Say how long it takes until something is due."""
        if not dues:
            return ""
        return _("first in %(span)s") % {"span": short_duration(dues[0] - self.now)}

    def with_viewers_changes(
        self, rows: Sequence[Row], dues: Sequence[datetime]
    ) -> list[tuple[Row, tzinfo]]:
        """Return the rows with the zone that each is about, the first few clock changes only."""
        found: list[tuple[Row, tzinfo]] = [(row, self.zone) for row in rows]
        if self.has_two_zones and dues and isinstance(self.viewer, ZoneInfo):
            until = min(dues[-1], self.now + LONGEST_LOOK)
            changes = clock_changes(self.viewer, self.now, until)
            found += [(change, self.viewer) for change in changes]
        found.sort(key=lambda pair: (pair[0].at, isinstance(pair[0], Due)))
        changes_seen = [pair for pair in found if isinstance(pair[0], ClockChange)][:CHANGES_SHOWN]
        return [
            pair for pair in found if not isinstance(pair[0], ClockChange) or pair in changes_seen
        ]

    def line(self, row_in_zone: tuple[Row, tzinfo]) -> Line:
        """Return a row as it is shown."""
        row, zone = row_in_zone
        if isinstance(row, Due):
            return self._due(row)
        if isinstance(row, LeftOut):
            last = "" if row.first == row.last else f" – {self._day(row.last)}"
            text = _("%(days)s left out: excluded.")
            return Line(is_mark=True, note=text % {"days": f"{self._day(row.first)}{last}"})
        return Line(is_mark=True, note=self._change(row, zone))

    def _due(self, row: Due) -> Line:
        local = row.at.astimezone(self.zone)
        theirs = row.at.astimezone(self.viewer)
        viewer = _time(theirs)
        if theirs.date() != local.date():
            viewer = f"{self._day(theirs.date())} {viewer}"
        return Line(
            day=self._day(local.date()),
            time=_time(local),
            viewer=viewer if self.has_two_zones else "",
            note=self._note(row.clock),
        )

    def _note(self, clock_: Clock) -> str:
        if clock_ == Clock.MOVED:
            return _("Its time of day doesn’t exist then: it is due when the clocks have changed.")
        if clock_ == Clock.REPEATED:
            return _("This time of day comes twice then.")
        return ""

    def _change(self, change: ClockChange, zone: tzinfo) -> str:
        local = change.at.astimezone(zone)
        text = (
            _("The clocks of %(place)s go forward by %(span)s on %(when)s.")
            if change.shift > timedelta(0)
            else _("The clocks of %(place)s go back by %(span)s on %(when)s.")
        )
        span = describe_seconds(int(abs(change.shift).total_seconds()))
        sentence = text % {"place": place(zone), "span": span, "when": moment(local)}
        return f"{sentence} {self._moved(change)}".strip()

    def _moved(self, change: ClockChange) -> str:
        """Say whether a calendar's times are other ones for the viewer from a change on."""
        if not self.has_two_zones or self.spec.cron is None:
            return ""
        before, after = (self._ahead(at) for at in (change.at - timedelta(seconds=1), change.at))
        if before == after:
            return ""
        span = describe_seconds(int(abs(after - before).total_seconds()))
        if after > before:
            return _("For you it is %(span)s later from here.") % {"span": span}
        return _("For you it is %(span)s earlier from here.") % {"span": span}

    def _ahead(self, at: datetime) -> timedelta:
        """Return by how much the viewer's clocks are ahead of the schedule's."""
        theirs, own = at.astimezone(self.viewer).utcoffset(), at.astimezone(self.zone).utcoffset()
        assert theirs is not None
        assert own is not None
        return theirs - own

    def _day(self, day: date) -> str:
        is_near = day - self.now.date() < NEAR
        near, other = pgettext("date format", "D j M"), pgettext("date format", "D j M Y")
        return formats.date_format(day, near if is_near else other)


def _time(local: datetime) -> str:
    return f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"


def place(zone: tzinfo) -> str:
    """Name a zone by its place: New York."""
    return str(zone).rpartition("/")[2].replace("_", " ")


def capitalised(text: str) -> str:
    """Return a text with its first letter as in a sentence."""
    return text[:1].upper() + text[1:]


def _notes(schedule: ScheduledTask, now: datetime) -> list[str]:
    """Return what else should be known of when it is due."""
    notes = []
    if schedule.interval and schedule.first and schedule.first < now - timedelta(minutes=1):
        text = _("Counted from %(time)s, which has passed: what would have been due isn’t.")
        notes.append(text % {"time": moment(timezone.localtime(schedule.first))})
    if schedule.jitter and schedule._state.adding:
        text = _("Each up to %(span)s later: its share of the jitter is drawn when it is saved.")
        notes.append(text % {"span": describe_seconds(schedule.jitter)})
    if schedule.status == ScheduledTask.Status.PAUSED:
        notes.append(_("It is paused: nothing runs until it is resumed."))
    if schedule.status == ScheduledTask.Status.DEATH:
        notes.append(_("It has ended: nothing runs until it is resumed."))
    return notes


def nothing_due(schedule: ScheduledTask, now: datetime) -> str:
    """Say why nothing will be due, and what to do about it."""
    if schedule.end is not None and schedule.end <= now:
        return _("Nothing will ever be due: “not after” has passed. Give a later one, or none.")
    if not schedule.cron and not schedule.interval:
        return _(
            "This time has passed, so nothing will ever be due. Give a time that is still to come, "
            "or save it and run it by “Run now”."
        )
    if schedule.repeat:
        return _(
            "Nothing will be due any more: it has been due as often as “repeat” says. Give a "
            "larger number, or a later start."
        )
    return _("Nothing will ever be due: see what “not before”, “not after” and “not on” leave.")


def warning_of(schedule: ScheduledTask) -> str:
    """Return the warning that nothing will be due, empty if something will."""
    now = clock.now()
    if not schedule.is_live or schedule.next_due(now) is not None:
        return ""
    return nothing_due(schedule, now)


def usable(form: forms.ModelForm) -> ScheduledTask:
    """Return the schedule as typed, with usual policies for those that have an error."""
    schedule: ScheduledTask = copy.copy(form.instance)
    for name in form.errors.keys() & set(POLICY_FIELDS):
        field: Any = ScheduledTask._meta.get_field(name)
        setattr(schedule, name, field.get_default())
    return schedule


def problem_of(form: forms.ModelForm) -> str:
    """Say which fields of a form keep it from saying when; empty if none does."""
    names = {*SPEC_FIELDS, "cron_on", "cron_days", "cron_at"} & form.errors.keys()
    if not names:
        return ""
    errors = [
        f"{form[name].label}: {' '.join(map(str, form.errors[name]))}" for name in sorted(names)
    ]
    return " ".join(errors)


def preview_view(page: Any, request: HttpRequest) -> HttpResponse:
    """Return the preview of what is typed, as a fragment of the page."""
    data: QueryDict = request.POST if request.method == "POST" else request.GET
    schedule = None
    if pk := data.get("pk", ""):
        schedule = get_object_or_404(page.get_queryset(request), pk=number_in(pk))
    allowed = page.has_change_permission if schedule is not None else page.has_add_permission
    if not (allowed(request, schedule) if schedule is not None else allowed(request)):
        raise PermissionDenied
    form_class = forms.modelform_factory(
        ScheduledTask, form=PreviewForm, formfield_callback=page.callback_of(request)
    )
    typed = data.copy()
    if "_write" in data:  # The choices of the calendar were changed, not the expression.
        typed["cron"] = ""
    form = form_class(typed, instance=schedule)
    form.full_clean()
    form.instance.function = data.get("function", "")[:200]
    preview = with_crowd(
        preview_of(usable(form), problem_of(form)),
        form.instance,
        visible(request.user, ScheduledTask.objects.all()),
    )
    return render(request, "admin/tasks/scheduledtask/when_preview.html", {"preview": preview})
