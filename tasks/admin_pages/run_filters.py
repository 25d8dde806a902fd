"""The filters of the list of runs: what people choose, and the conditions that it makes."""

from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.db.models import F, FloatField, Func, Q, QuerySet
from django.db.models.lookups import GreaterThan
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tasks.admin_pages.addresses import number_in
from tasks.admin_pages.run_list import Conditions
from tasks.admin_pages.times import BOUNDS
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.reasons import LOST, codes_with

Status = ScheduledTaskInstance.Status
LOST_RUNS = "lost"
# How many schedules a part of a name may mean, and how many are offered while it is typed.
MOST_MEANT = 100
OFFERED = 20
# How many of the newest runs name the workers that are offered, and among how many of all they are
# looked for.
RUNS_ASKED = 300
RUNS_SEARCHED = 10_000
# Runs are recorded in the order of their ids, but several at a time: by how many ids a time may be
# off.
DISORDER = 1_000
LENGTHS = (
    (1, gettext_lazy("1 s")),
    (10, gettext_lazy("10 s")),
    (60, gettext_lazy("1 min")),
    (600, gettext_lazy("10 min")),
    (3_600, gettext_lazy("1 h")),
)


class Seconds(Func):
    """The seconds from one time to another.

    Django's own difference calls back into Python on SQLite, for each row.
    """

    output_field = FloatField()
    template = "EXTRACT(EPOCH FROM (%(expressions)s))"
    arg_joiner = " - "

    def __init__(self, start: str, end: str) -> None:
        super().__init__(F(end), F(start))

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        days = "((julianday(%(expressions)s)) * 86400.0)"
        return self.as_sql(compiler, connection, template=days, arg_joiner=") - julianday(")


class LocalTime(forms.DateTimeInput):
    """A time in the viewer's zone, with the browser's own calendar."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


class RunFilters(forms.Form):
    """What can be chosen; each field is a part of the list's address."""

    q = forms.CharField(required=False, label=gettext_lazy("Search names and reasons"))
    schedule = forms.CharField(required=False, label=gettext_lazy("Schedule"))
    status = forms.ChoiceField(required=False, label=gettext_lazy("Status"))
    function = forms.ChoiceField(required=False, label=gettext_lazy("Function"))
    failure = forms.CharField(required=False, label=gettext_lazy("Exception"))
    place = forms.CharField(required=False, label=gettext_lazy("Raised at"))
    worker = forms.ChoiceField(required=False, label=gettext_lazy("Worker"))
    late = forms.IntegerField(
        required=False, label=gettext_lazy("Late"), min_value=0, max_value=10**9
    )
    took = forms.IntegerField(
        required=False, label=gettext_lazy("Took"), min_value=0, max_value=10**9
    )
    since = forms.DateTimeField(
        required=False, widget=LocalTime(), label=gettext_lazy("Since"), validators=BOUNDS
    )
    until = forms.DateTimeField(
        required=False, widget=LocalTime(), label=gettext_lazy("Until"), validators=BOUNDS
    )

    # Those that are always shown; the others are folded until one is used.
    FIRST = ("q", "schedule", "status", "function")

    def __init__(self, data: Any, schedules: QuerySet[Any], runs: QuerySet[Any]) -> None:
        """Offer what is among these schedules and runs: those that the user may see."""
        values = {name: data.get(name, "") for name in self.base_fields}
        values["status"] = values["status"] or data.get("status__exact", "")
        super().__init__(values)
        self._schedules = schedules.order_by("name", "pk")
        self._runs = runs
        fields: dict[str, Any] = self.fields
        statuses = [(one.value, str(one.label)) for one in Status]
        statuses.insert(3, (LOST_RUNS, _("lost")))
        fields["status"].choices = [("", _("Any status")), *statuses]
        fields["function"].choices = [("", _("Any function")), *_pairs(self._functions())]
        workers = {*self._workers(), self.data["worker"].replace("\0", "")} - {""}
        fields["worker"].choices = [("", _("Any worker")), *_pairs(sorted(workers))]
        for name, text in (("late", _("Late by more than %s")), ("took", _("Took more than %s"))):
            lengths = [(seconds, text % label) for seconds, label in LENGTHS]
            none = _("Any lateness") if name == "late" else _("Any duration")
            fields[name].widget = forms.Select(choices=[("", none), *lengths])
        for field in fields.values():
            field.widget.attrs |= {"aria-label": field.label}
        fields["q"].widget = forms.TextInput(
            {"type": "search", "placeholder": fields["q"].label, "aria-label": fields["q"].label}
        )
        fields["failure"].widget.attrs |= {"placeholder": _("Any exception")}
        fields["place"].widget.attrs |= {"placeholder": _("Any file:line")}
        fields["schedule"].widget = forms.TextInput(
            {
                "placeholder": _("Any schedule"),
                "aria-label": fields["schedule"].label,
                "list": "schedule-names",
                "autocomplete": "off",
            }
        )

    @property
    def is_any_used(self) -> bool:
        return any(self.data[name] for name in self.fields)

    @property
    def is_more_used(self) -> bool:
        """Whether one of the folded fields is used."""
        return any(self.data[name] for name in self.fields if name not in self.FIRST)

    def chosen(self, name: str) -> Any:
        """Return a value, None if it is empty or invalid."""
        self.is_valid()
        value = self.cleaned_data.get(name)
        return None if value in ("", None) else value

    def conditions(self) -> Conditions:
        """Return the conditions; an invalid value matches nothing."""
        if not self.is_valid():
            return Conditions(Q(pk__in=[]), Q())
        return Conditions(self._indexed(), self._checked())

    def _indexed(self) -> Q:
        wanted = Q()
        if (schedules := self.meant_schedules()) is not None:
            wanted &= Q(parent=schedules[0]) if len(schedules) == 1 else Q(parent__in=schedules)
        status = self.chosen("status")
        if status:
            wanted &= Q(status=Status.FAILED if status == LOST_RUNS else status)
        return wanted & self._by_time()

    def _by_time(self) -> Q:
        """Return bounds of ids for the chosen times: the runs are read in the order of ids."""
        runs, wanted = self._runs, Q()
        since, until = self.chosen("since"), self.chosen("until")
        if since:
            later = runs.filter(created__gte=since).order_by("created", "pk")
            first = later.values_list("pk", flat=True).first()
            wanted &= Q(pk__gte=first - DISORDER) if first else Q(pk__in=[])
        if until:
            earlier = runs.filter(created__lt=until).order_by("-created", "-pk")
            last = earlier.values_list("pk", flat=True).first()
            wanted &= Q(pk__lte=last + DISORDER) if last else Q(pk__in=[])
        return wanted

    def _checked(self) -> Q:
        conditions: dict[str, Callable[[Any], Q]] = {
            "failure": lambda name: (
                Q(exception_class=name) | Q(reason_code=name, exception_class="")
            ),
            "place": _raised_at,
            "function": lambda name: Q(parent__in=_schedules_of(name)),
            "worker": lambda name: Q(worker_name=name),
            "late": lambda seconds: Q(
                GreaterThan(Seconds("due", "started"), seconds), attempt=1, requested=None
            ),
            "took": lambda seconds: Q(GreaterThan(Seconds("started", "ended"), seconds)),
            "since": lambda time: Q(created__gte=time),
            "until": lambda time: Q(created__lt=time),
            "q": _containing,
        }
        wanted = Q()
        if self.chosen("status") == LOST_RUNS:
            wanted &= Q(reason_code__in=LOST)
        for name, condition in conditions.items():
            if value := self.chosen(name):
                wanted &= condition(value)
        return wanted

    def _functions(self) -> list[str]:
        functions = self._schedules.order_by("function").values_list("function", flat=True)
        return list(functions.distinct())

    def _workers(self) -> set[str]:
        newest = ScheduledTaskInstance.objects.order_by("-pk").values_list("pk", flat=True).first()
        runs = self._runs.filter(pk__gt=(newest or 0) - RUNS_SEARCHED, started__isnull=False)
        runs = runs.order_by("-pk")
        return set(runs.values_list("worker_name", flat=True)[:RUNS_ASKED])

    def meant_schedules(self) -> list[int] | None:
        """Return the ids of the schedules that are meant, None if all are.

        A number is an id; else it is the name, or a part of names.
        """
        text = self.chosen("schedule")
        if text is None:
            return None
        if (pk := number_in(text)) is not None:
            return [pk]
        exactly = self._schedules.filter(name=text).values_list("pk", flat=True)[:MOST_MEANT]
        partly = self._schedules.filter(name__icontains=text).values_list("pk", flat=True)[
            :MOST_MEANT
        ]
        return list(exactly) or list(partly)


def offered_names(schedules: QuerySet[Any], text: str) -> list[str]:
    """Return names of schedules that contain a text, those that begin with it first."""
    names = schedules.order_by("name").values_list("name", flat=True).distinct()
    first = list(names.filter(name__istartswith=text)[:OFFERED])
    others = names.filter(name__icontains=text).exclude(name__in=first)
    return first + list(others[: OFFERED - len(first)])


def _schedules_of(function: str) -> Any:
    return ScheduledTask.objects.filter(function=function).order_by().values("pk")


def _raised_at(place: str) -> Q:
    """Return the condition that a run's traceback goes through a line: “shop/tasks.py:35”.

    It finds frames and nothing else, so that nobody searches what a traceback may hide.
    """
    file, _colon, line = place.rpartition(":")
    if not file or not line.isdecimal():
        return Q(pk__in=[])
    return Q(traceback__contains=f'{file}", line {line}, in ')


def _containing(words: str) -> Q:
    """Return the condition that a run's name, or its reason, contains these words."""
    found = Q(name__icontains=words) | Q(reason__icontains=words)
    codes = codes_with(words)
    return found | Q(reason_code__in=codes) if codes else found


def _pairs(values: Iterable[str]) -> list[tuple[str, str]]:
    return [(value, value) for value in values]
