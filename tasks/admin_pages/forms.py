"""The admin's forms: names are chosen, not typed, and each error is shown at its field."""

import inspect
import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.forms.fields import InvalidJSONInput
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tasks import clock, registry
from tasks.admin_pages.secrets import MASKED_FIELDS, masked_fields
from tasks.broker.connection import redis_obstacle
from tasks.exceptions import SpecError
from tasks.masking import MASK, MaskedValue, restore
from tasks.models import Calendar, ScheduledTask, Task
from tasks.queue import usable_queues
from tasks.registry import Kind, TaskFunction
from tasks.storable import is_deeper
from tasks.timing.text import format_interval, parse_interval

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
CHOICE_LENGTH = 120
WIDE = {"class": "vLargeTextField"}
DATES = {"spellcheck": "false", **WIDE}


def _function_choices(kind: Kind) -> list[tuple[str, str]]:
    functions = [registry.get(name) for name in registry.names(kind)]
    return [("", "---------"), *((function.name, _choice_text(function)) for function in functions)]


def _choice_text(function: TaskFunction) -> str:
    """Return the signature of a task function, and its summary."""
    signature = function.shown_signature.replace(return_annotation=inspect.Signature.empty)
    text = f"{function.name}{signature}"
    text = f"{text} — {function.summary}" if function.summary else text
    return text if len(text) <= CHOICE_LENGTH else f"{text[: CHOICE_LENGTH - 1]}…"


def _queue_choices() -> list[tuple[str, str]]:
    return [("", "---------"), *((name, name) for name in usable_queues())]


@lru_cache(maxsize=1)
def _zone_choices() -> list[tuple[str, str]]:
    return [(name, name) for name in sorted(available_timezones() - {"localtime"})]


class IntervalField(forms.CharField):
    """A length of time such as 15m, 1h30m or 900 (seconds); its value is in seconds."""

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


class ArgumentsField(forms.JSONField):
    """A JSON list or a JSON object; an empty field means an empty one."""

    def __init__(self, kind: type[list] | type[dict], **options: Any) -> None:
        self._kind = kind
        widget = forms.Textarea({"rows": 2, "spellcheck": "false", **WIDE})
        super().__init__(required=False, initial=kind, widget=widget, **options)

    def to_python(self, value: Any) -> Any:
        if value in self.empty_values:
            return self._kind()
        try:
            value = _read_json(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValidationError(
                _("This is not valid JSON: %(error)s.") % {"error": error}
            ) from error
        if type(value) is not self._kind:
            raise ValidationError(self.help_text)
        return value

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Return what was typed, parsed if it is valid, so that it can be shown again."""
        if data is None:
            return None
        try:
            return _read_json(data)
        except ValueError:
            return InvalidJSONInput(data)


def _read_json(text: str) -> Any:
    """Return the value of a JSON text; raises ValueError also if it can't be stored."""
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError(_("it is nested too deeply")) from None
    except UnicodeEncodeError:
        raise ValueError(_("it contains a lone surrogate")) from None
    if is_deeper(value):
        raise ValueError(_("it is nested too deeply"))
    return value


class CallForm(forms.ModelForm):
    """What the forms of schedules and of background calls have in common."""

    kind: Kind

    args = ArgumentsField(
        list,
        label=gettext_lazy("Positional arguments"),
        help_text=gettext_lazy('A JSON list, such as [1, "two"].'),
    )
    kwargs = ArgumentsField(
        dict,
        label=gettext_lazy("Named arguments"),
        help_text=gettext_lazy('A JSON object, such as {"name": "value"}.'),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offer("function", _function_choices(self.kind))
        self._shown: dict[str, Any] = {}
        self._stored: dict[str, Any] = {}

    def _mask(self, shown: dict[str, Any]) -> None:
        """Show these values instead of the stored ones, which are kept where they don't change."""
        self._shown, self._stored = shown, {name: self.initial.get(name) for name in shown}
        self.initial = {**self.initial, **shown}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        for name in [name for name in MASKED_FIELDS if name in data]:
            try:
                data[name] = restore(data[name], self._shown.get(name), self._stored.get(name))
            except MaskedValue:
                text = _(
                    "“%(mask)s” stands for a secret that isn't shown. Leave the value as it is, "
                    "or type the secret instead."
                )
                self.add_error(name, text % {"mask": MASK})
        return data

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        """Offer a list of choices for a field; its current value remains one of them."""
        if name not in self.fields:
            return
        known = self.fields[name]
        current = getattr(self.instance, name)
        if current and current not in dict(choices):
            choices = [*choices, (current, current)]
        self.fields[name] = forms.ChoiceField(
            choices=choices, label=known.label, help_text=known.help_text, initial=known.initial
        )

    def _update_errors(self, errors: ValidationError) -> None:
        """Drop the model's errors for fields that already have one, which is their cause."""
        for field in self.errors.keys() & errors.error_dict.keys():
            del errors.error_dict[field]
        super()._update_errors(errors)  # type: ignore[misc]


class ScheduledTaskForm(CallForm):
    """Add or edit a schedule. The model validates; the form offers the choices."""

    kind = Kind.SCHEDULED

    interval = IntervalField(
        required=False,
        label=gettext_lazy("Interval"),
        help_text=gettext_lazy(
            "Such as 15m, 90s, 2h, 1d or 1h30m. Starts now, unless a first time is given."
        ),
    )

    jitter = IntervalField(
        required=False,
        label=gettext_lazy("Jitter"),
        help_text=gettext_lazy(
            "Such as 10m: each schedule is delayed by its own constant share of it, "
            "so that they don't all start at once."
        ),
    )

    class Meta:
        model = ScheduledTask
        fields = "__all__"  # noqa: DJ007  (the admin's fieldsets say which)
        widgets = {
            "description": forms.Textarea({"rows": 2, **WIDE}),
            "note": forms.Textarea({"rows": 2, **WIDE}),
            "exclude": forms.Textarea({"rows": 3, **DATES}),
        }
        help_texts = {
            "name": gettext_lazy("Empty: the name of the task function."),
            "queue": gettext_lazy("Empty: the task function's own queue."),
            "first": gettext_lazy("Without an interval, the schedule runs once, at this time."),
            "cron": gettext_lazy(
                "Minute, hour, day of month, month, day of week, such as “30 6 * * MON-FRI”; "
                "or @hourly, @daily, @weekly, @monthly."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offer("queue", _queue_choices())
        self._offer("timezone", _zone_choices())
        for name in {"name", "queue"} & self.fields.keys():
            self.fields[name].required = False
        if self.instance.pk is not None:
            self._mask(masked_fields(self.instance))
        else:
            self.initial = {"queue": "", "timezone": settings.TIME_ZONE, **self.initial}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        self._fill_in(data)
        self._keep_unchanged_times(data)
        wants_interval = data.get("interval") or "interval" in self.errors
        if wants_interval and not data.get("first") and not data.get("cron"):
            data["first"] = clock.now()
        return data

    def _fill_in(self, data: dict[str, Any]) -> None:
        """Fill in an empty name and queue from the task function."""
        function = data.get("function", "")
        data["name"] = data.get("name") or function
        if not data.get("queue") and function in registry.names(self.kind):
            data["queue"] = registry.get(function).queue

    def _keep_unchanged_times(self, data: dict[str, Any]) -> None:
        """Keep the parts of a second, which the form doesn't show."""
        for field in {"first", "start", "end"} & data.keys() - set(self.changed_data):
            data[field] = getattr(self.instance, field)

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        same = ScheduledTask.objects.filter(fingerprint=self.instance.fingerprint)
        if not self.errors and same.exclude(pk=self.instance.pk).exists():
            self.add_error(
                "name",
                _("There is already a schedule with this name, function and arguments."),
            )


class CalendarForm(forms.ModelForm):
    """Add or edit a calendar."""

    class Meta:
        model = Calendar
        fields = ("name", "dates", "description")
        widgets = {
            "dates": forms.Textarea({"rows": 12, **DATES}),
            "description": forms.Textarea({"rows": 2, **WIDE}),
        }


class TaskForm(CallForm):
    """Enqueue a background call, or reserve it for later."""

    kind = Kind.BACKGROUND

    class Meta:
        model = Task
        fields = ("function", "args", "kwargs", "reserved_for")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "reserved_for" in self.fields:
            bounds = [MinValueValidator(EARLIEST), MaxValueValidator(LATEST)]
            self.fields["reserved_for"].validators += bounds

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if not self.errors and (why := redis_obstacle()):
            text = _("The call can't be enqueued. Redis is unavailable: %(why)s") % {"why": why}
            raise ValidationError(text)
        return data
