"""The part of a schedule's form that says when: once, every so often, or on a calendar."""

from enum import StrEnum
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from tasks import clock
from tasks.exceptions import SpecError
from tasks.timing.cron_choice import CronChoice, On, read_cron, read_times, write_cron
from tasks.timing.text import UNITS, format_interval, parse_interval

# The units that are offered, the longest first: 90 minutes are shown as 90 minutes.
OFFERED_UNITS = {
    "d": gettext_lazy("days"),
    "h": gettext_lazy("hours"),
    "m": gettext_lazy("minutes"),
    "s": gettext_lazy("seconds"),
}
# What the choices of a calendar start with.
USUAL = CronChoice(On.EVERY_DAY, ((7, 30),))


class Face(StrEnum):
    """The kinds of “when” between which people choose."""

    ONCE = "once"
    EVERY = "every"
    CRON = "cron"


FACES = [
    (Face.ONCE, gettext_lazy("Once")),
    (Face.EVERY, gettext_lazy("Every")),
    (Face.CRON, gettext_lazy("Calendar")),
]
# What each face has to say, and what on it doesn't count.
FIELDS_OF = {Face.ONCE: {"first"}, Face.EVERY: {"interval", "first"}, Face.CRON: {"cron"}}
DAYS = [
    ("1", pgettext_lazy("day of the week", "Mon")),
    ("2", pgettext_lazy("day of the week", "Tue")),
    ("3", pgettext_lazy("day of the week", "Wed")),
    ("4", pgettext_lazy("day of the week", "Thu")),
    ("5", pgettext_lazy("day of the week", "Fri")),
    ("6", pgettext_lazy("day of the week", "Sat")),
    ("0", pgettext_lazy("day of the week", "Sun")),
]
ON = [
    (On.EVERY_DAY, gettext_lazy("Every day")),
    (On.WEEKDAYS, gettext_lazy("Monday to Friday")),
    (On.DAYS, gettext_lazy("Some days of the week")),
    (On.FIRST, gettext_lazy("The first of the month")),
    (On.LAST, gettext_lazy("The last day of the month")),
    (On.EVERY_HOUR, gettext_lazy("Every hour, at these minutes")),
]


@lru_cache(maxsize=1)
def zone_choices() -> list[tuple[str, str]]:
    """Return all time zones."""
    return [(name, name) for name in sorted(available_timezones() - {"localtime"})]


class IntervalInput(forms.MultiWidget):
    """A number and its unit; a text such as 1h30m in place of the number needs no unit."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        number = forms.TextInput({"class": "n4", "inputmode": "text", "autocomplete": "off"})
        units = forms.Select({"aria-label": gettext_lazy("Unit")}, list(OFFERED_UNITS.items()))
        super().__init__({"": number, "unit": units})

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        if attrs and "id" in attrs:  # The label is the number's.
            context["widget"]["subwidgets"][0]["attrs"]["id"] = attrs["id"]
        return context

    def id_for_label(self, id_: str) -> str:
        return id_

    def decompress(self, value: Any) -> list[str]:
        try:
            seconds = parse_interval(value)
        except SpecError:
            return [value or "", self._unit]
        unit = next(unit for unit in OFFERED_UNITS if seconds % UNITS[unit] == 0)
        return [str(seconds // UNITS[unit]), unit]

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        number, unit = super().value_from_datadict(data, files, name)
        text = (number or "").replace(" ", "")
        return f"{text}{unit}" if unit in OFFERED_UNITS and text.isdecimal() else number


class IntervalField(forms.CharField):
    """A length of time such as 15m, 1h30m or 900 (seconds); its value is in seconds."""

    def __init__(self, *, unit: str = "m", **options: Any) -> None:
        super().__init__(widget=IntervalInput(unit), required=False, **options)

    def prepare_value(self, value: Any) -> Any:
        return format_interval(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        try:
            return parse_interval(text.replace(" ", ""))
        except SpecError as error:
            raise ValidationError(str(error)) from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != initial)
        except ValidationError:
            return True


class WhenForm(forms.ModelForm):
    """When a schedule is due. What isn't on the chosen face doesn't count, but stays typed.

    A face need not be chosen, as by a script that sends a form: then what is given decides.
    """

    face = forms.ChoiceField(
        choices=FACES, required=False, widget=forms.RadioSelect, label=gettext_lazy("When")
    )
    interval = IntervalField(label=gettext_lazy("Every"))
    jitter = IntervalField(
        label=gettext_lazy("Jitter"),
        help_text=gettext_lazy(
            "Each schedule is delayed by its own constant share of it, so that they don’t all "
            "start at once."
        ),
    )
    cron_on = forms.ChoiceField(choices=ON, required=False, label=gettext_lazy("On"))
    cron_days = forms.MultipleChoiceField(
        choices=DAYS,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=gettext_lazy("Days"),
    )
    cron_at = forms.CharField(
        required=False,
        label=gettext_lazy("At"),
        widget=forms.TextInput({"class": "n8", "autocomplete": "off"}),
        help_text=gettext_lazy("Several with a comma: 07:30, 19:30."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial = {"timezone": settings.TIME_ZONE, **self.initial} | self._choices()

    def _choices(self) -> dict[str, Any]:
        """Return what the face and the choices of a calendar show at first."""
        cron = self.initial.get("cron") or ""
        choice = read_cron(cron) if cron else USUAL
        face = Face.CRON if cron else Face.EVERY
        if not cron and self.initial.get("first") and not self.initial.get("interval"):
            face = Face.ONCE
        shown = choice or USUAL
        return {
            "face": self.initial.get("face", face),
            "cron_on": shown.on,
            "cron_days": [str(day) for day in sorted(shown.days)],
            "cron_at": shown.at,
        }

    @property
    def chosen_face(self) -> str:
        """The face that the form shows."""
        return str(self["face"].value() or self._face_of(self.data))

    @staticmethod
    def _face_of(data: Any) -> str:
        if data.get("cron"):
            return Face.CRON
        return Face.EVERY if data.get("interval") else Face.ONCE

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        self._keep_unchanged_times(data)
        if face := data.get("face"):
            self._clean_face(face, data)
        wants_interval = data.get("interval") or "interval" in self.errors
        if wants_interval and not data.get("first") and not data.get("cron"):
            data["first"] = clock.now()
        return data

    def _clean_face(self, face: str, data: dict[str, Any]) -> None:
        """Leave out what other faces say, and require what this one must say."""
        for name in {"first", "interval", "cron"} - FIELDS_OF[Face(face)]:
            self.errors.pop(name, None)
            data[name] = "" if name == "cron" else None
        if face == Face.CRON:
            if not data.get("cron") and "cron" not in self.errors:
                self._write_cron(data)
        elif face == Face.ONCE:
            self._require("first", _("Give a date and a time."), data)
        else:
            self._require("interval", _("Say how often: a number, such as 15 minutes."), data)

    def _require(self, name: str, text: str, data: dict[str, Any]) -> None:
        if not data.get(name) and name not in self.errors:
            self.add_error(name, text)

    def _write_cron(self, data: dict[str, Any]) -> None:
        """Write the expression that was chosen, for somebody who has typed none."""
        try:
            data["cron"] = written(data)
        except SpecError as error:
            self.add_error(error.field, str(error))

    def _keep_unchanged_times(self, data: dict[str, Any]) -> None:
        """Keep the parts of a second, which the form doesn't show."""
        if self.instance.pk is None:
            return
        for field in {"first", "start", "end"} & data.keys() - set(self.changed_data):
            data[field] = getattr(self.instance, field)

    def _update_errors(self, errors: ValidationError) -> None:
        """Drop what the model says of fields that follow from the one that has an error already."""
        if {"first", "interval", "cron", "cron_at", "cron_days"} & self.errors.keys():
            for field in ("first", "interval", "cron"):
                errors.error_dict.pop(field, None)
        super()._update_errors(errors)  # type: ignore[misc]


def written(data: Any) -> str:
    """Return the cron expression that the choices on the form say; raises SpecError."""
    on = On(data.get("cron_on") or On.EVERY_DAY)
    days = frozenset(int(day) for day in data.get("cron_days") or ())
    if on == On.DAYS and not days:
        raise SpecError("cron_days", _("Choose at least one day of the week."))
    return write_cron(CronChoice(on, read_times(data.get("cron_at") or ""), days))
