"""What was changed on all schedules, by whom and when: the newest first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tasks.access import visible
from tasks.admin_pages.addresses import number_in
from tasks.admin_pages.base import TasksAdmin
from tasks.admin_pages.history import WORDS, Line, line_of, names_seen
from tasks.models import NAME_LENGTH, ScheduleChange

PER_PAGE = 50
DAY = timedelta(days=1)


class ChangesForm(forms.Form):
    """Which changes are shown: whose, of which day in the viewer's zone, and of which kind."""

    by = forms.CharField(
        label=gettext_lazy("By"), required=False, max_length=NAME_LENGTH, empty_value=""
    )
    day = forms.DateField(label=gettext_lazy("Day"), required=False, widget=forms.DateInput)
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = [(str(action), words) for action, words in WORDS.items()]
        kind: Any = self.fields["kind"]
        kind.choices = [("", _("Any kind")), *kinds]
        self.fields["day"].widget.input_type = "date"
        self.fields["by"].widget.attrs["placeholder"] = _("By whom")

    def clean_day(self) -> date | None:
        """Refuse a day that has no beginning or no end as a time."""
        day: date | None = self.cleaned_data["day"]
        if day is not None and not date.min + 2 * DAY < day < date.max - 2 * DAY:
            raise forms.ValidationError(_("There is no such day."))
        return day

    def conditions(self) -> Q:
        """Return what is wanted; what isn't valid is left out."""
        self.full_clean()
        data, wanted = self.cleaned_data, Q()
        if by := data.get("by"):
            wanted &= Q(by=by)
        if kind := data.get("kind"):
            wanted &= Q(action=kind)
        if day := data.get("day"):
            wanted &= Q(at__gte=_midnight(day), at__lt=_midnight(day + DAY))
        return wanted


@dataclass(frozen=True, slots=True)
class Changed:
    """A line with the schedule that it is of; `more` next lines say the same of other schedules."""

    line: Line
    more: int


def latest_changes_page(page: TasksAdmin, request: HttpRequest) -> HttpResponse:
    """Show the changes of all schedules that the user may see, a page at a time."""
    if not page.has_view_permission(request):
        raise PermissionDenied
    form = ChangesForm(request.GET)
    changes = visible(request.user, ScheduleChange.objects.all()).filter(form.conditions())
    before = number_in(request.GET.get("before"))
    if before is not None:
        changes = changes.filter(pk__lt=before)
    # No number of all of them, and no page by its number: there may be millions.
    found = list(changes.select_related("schedule").order_by("-pk")[: PER_PAGE + 1])
    shown, seen = found[:PER_PAGE], names_seen(request)
    chosen = {name: request.GET.get(name, "") for name in form.fields}
    chosen = {name: value for name, value in chosen.items() if value}
    context = {
        **page.admin_site.each_context(request),
        "title": _("Changes"),
        "opts": page.opts,
        "form": form,
        "is_any_used": bool(chosen),
        "changed": list(_together([line_of(change, seen) for change in shown])),
        "newest_url": f"?{urlencode(chosen)}" if before is not None else "",
        "older_url": f"?{urlencode(chosen | {'before': shown[-1].pk})}"
        if len(found) > PER_PAGE
        else "",
    }
    return TemplateResponse(request, "admin/tasks/changes.html", context)


def _together(lines: Sequence[Line]) -> Iterator[Changed]:
    """Yield the lines; of neighbours that one step has written of many schedules, the first one."""
    for _key, group in groupby(lines, key=_step):
        first, *others = group
        yield Changed(first, len(others))


def _step(line: Line) -> tuple[Any, ...]:
    change = line.change
    return change.at, change.by, change.action, str(change.changes), change.note


def _midnight(day: date) -> datetime:
    """Return when a day begins in the viewer's zone."""
    return timezone.make_aware(datetime(day.year, day.month, day.day))
