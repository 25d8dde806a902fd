"""The admin's forms: names are chosen, not typed, and each error is shown at its field."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput
from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tasks import registry
from tasks.admin_pages.argument_fields import (
    ArgumentField,
    CallFields,
    Rows,
    all_rows,
    masked_message,
    require_rows,
)
from tasks.admin_pages.argument_texts import read_json
from tasks.admin_pages.conflicts import Conflict, conflict_of
from tasks.admin_pages.secrets import MASKED_FIELDS, masked_fields
from tasks.admin_pages.tag_fields import NewTagsField
from tasks.admin_pages.times import BOUNDS
from tasks.admin_pages.when_form import IntervalField, WhenForm, zone_choices
from tasks.argument_types import StoredInstance
from tasks.broker.connection import redis_obstacle
from tasks.exceptions import InvalidArguments
from tasks.masking import MaskedValue, restore
from tasks.models import Calendar, ScheduledTask, Task
from tasks.models.schedules import DEFAULT_KEEP_RUNS
from tasks.queue import usable_queues
from tasks.registry import Kind, TaskFunction

CHOICE_LENGTH = 120
WIDE = {"class": "vLargeTextField"}
# The order of the form of a schedule.
AFTER_ARGUMENTS = (
    *("description", "note", "face", "interval", "first", "cron_on", "cron_days", "cron_at"),
    *("cron", "timezone", "calendar", "exclude", "repeat", "start", "end", "jitter", "overlap"),
    *("catch_up", "start_deadline", "retries", "retry_delay", "timeout", "isolated"),
    *("on_disconnect", "keep_runs", "keep_days"),
)
DATES = {"spellcheck": "false", **WIDE}


def _function_choices(kind: Kind) -> list[tuple[str, str]]:
    functions = [registry.get(name) for name in registry.names(kind)]
    return [("", "---------"), *((function.name, _choice_text(function)) for function in functions)]


def _choice_text(function: TaskFunction) -> str:
    """Return the name of a task function, and its summary."""
    text = f"{function.name} — {function.summary}" if function.summary else function.name
    return text if len(text) <= CHOICE_LENGTH else f"{text[: CHOICE_LENGTH - 1]}…"


def _queue_choices() -> list[tuple[str, str]]:
    return [("", "---------"), *((name, name) for name in usable_queues())]


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
            value = read_json(value) if isinstance(value, str) else value
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
            return read_json(data)
        except ValueError:
            return InvalidJSONInput(data)


class LongSelect(forms.Select):
    """A selection among hundreds, made without a template for each of them."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        widget = self.get_context(name, value, attrs)["widget"]
        options = (
            (one["value"], mark_safe(" selected" if one["selected"] else ""), one["label"])
            for _group, some, _place in widget["optgroups"]
            for one in some
        )
        return format_html(
            '<select name="{}"{}>\n{}\n</select>',
            name,
            flatatt(widget["attrs"]),
            format_html_join("\n", '<option value="{}"{}>{}</option>', options),
        )


class CallForm(forms.ModelForm):
    """What the forms of schedules and of background calls have in common: the call itself.

    The fields of the arguments are those of the function that is chosen; if it isn't registered,
    or has no place for the stored arguments, they are typed as JSON.
    """

    kind: Kind
    # What an added record starts as: a clone's secrets are this one's.
    source: Any = None
    # Which rows of a model the user may name in an argument.
    nameable: Rows = staticmethod(all_rows)

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
        self._call: tuple[list[Any], dict[str, Any]] | None = None
        self.task_function = registry.find(self.function_name)
        self.call_fields = self._find_call_fields()
        self._named = self._find_named()
        # The chosen function isn't the one whose arguments were on the page that was sent.
        self.is_picking = self.is_bound and (
            "_pick" in self.data
            or self.data.get("fields_of", self.function_name) != self.function_name
        )
        self._add_argument_fields()
        self._name_dates_and_times()

    @property
    def function_name(self) -> str:
        """The name of the function that is chosen, or was."""
        name = self.data.get("function") if self.is_bound else self.initial.get("function")
        return registry.present_name(str(name or self.instance.function or ""))

    @property
    def known(self) -> Any:
        """The record whose values the form starts with, None for a new one."""
        return self.instance if self.instance.pk is not None else self.source

    def _find_call_fields(self) -> CallFields | None:
        function, known = self.task_function, self.known
        if function is None or self.kind not in function.kinds:
            return None
        if known is None or registry.present_name(known.function) != function.name:
            return CallFields(function)
        try:
            return CallFields(function, known.args, known.kwargs)
        except TypeError:
            return None

    def _find_named(self) -> frozenset[StoredInstance]:
        """Return the rows of models that the stored arguments name, as far as these fit."""
        function, known = self.task_function, self.known
        if function is None or known is None or self.call_fields is None:
            return frozenset()
        try:
            return frozenset(function.instances(known.args, known.kwargs))
        except InvalidArguments:
            return frozenset()

    def _add_argument_fields(self) -> None:
        if "function" not in self.fields:
            return
        if self.call_fields is None:
            if not self.function_name:
                del self.fields["args"], self.fields["kwargs"]
            elif self.known is not None:
                shown = masked_fields(self.known)
                self._mask({name: shown[name] for name in ("args", "kwargs")}, self.known)
            return
        for name, field in self.call_fields.fields().items():
            if isinstance(field, ArgumentField):
                field.is_new = self.is_picking
            self.fields[name] = field
        self._add_rest(self.call_fields)

    def _name_dates_and_times(self) -> None:
        """Name the two boxes of a date and a time for screen readers: a label is for one only."""
        for field in self.fields.values():
            if isinstance(field.widget, forms.SplitDateTimeWidget):
                for box, part in zip(field.widget.widgets, (_("date"), _("time")), strict=True):
                    box.attrs["aria-label"] = f"{field.label}: {part}"

    def _order(self, *before: str, after: Sequence[str] = ()) -> None:
        """Put the fields in the order of the page, in which their errors are listed."""
        arguments = self.call_fields.fields() if self.call_fields is not None else ()
        self.order_fields([*before, *arguments, "args", "kwargs", *after])

    def _add_rest(self, call: CallFields) -> None:
        """Let what `*args` and `**kwargs` take be typed as JSON, if the function has them."""
        shown_args, shown_kwargs = call.masked_rest()
        for name, rest, shown, mark in (
            ("args", call.rest_args, shown_args, "*"),
            ("kwargs", call.rest_kwargs, shown_kwargs, "**"),
        ):
            if rest is None:
                del self.fields[name]
                continue
            self.fields[name].label = f"{mark}{call.rest_names[name]}"
            self.initial[name] = shown
            self._shown[name], self._stored[name] = shown, rest

    def _mask(self, shown: dict[str, Any], known: Any) -> None:
        """Show these values instead of the stored ones, which are kept where they don't change."""
        self._shown |= shown
        self._stored |= {name: getattr(known, name) for name in shown}
        self.initial = {**self.initial, **shown}

    def is_valid(self) -> bool:
        return not self.is_picking and super().is_valid()

    def full_clean(self) -> None:
        for field in self.fields.values():
            if isinstance(field, ArgumentField):
                field.nameable = self.nameable
        super().full_clean()
        if self.is_picking:
            self.errors.clear()

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        for name in [name for name in MASKED_FIELDS if name in data]:
            try:
                data[name] = restore(data[name], self._shown.get(name), self._stored.get(name))
            except MaskedValue:
                self.add_error(name, masked_message())
        if self.call_fields is not None:
            self._clean_arguments(self.call_fields, data)
        return data

    def _clean_arguments(self, call: CallFields, data: dict[str, Any]) -> None:
        for name in call.unused(data):
            self.errors.pop(name, None)
        if self.has_argument_errors:
            return
        for name, mark in (("args", "[]"), ("kwargs", "{}")):
            if name not in self.fields and self.data.get(name, "") not in ("", mark):
                text = _("Each argument of this function has a field of its own: give it there.")
                self.add_error("function", text)
                return
        rest_args, rest_kwargs = data.get("args") or [], data.get("kwargs") or {}
        for name in rest_kwargs.keys() & call.parts.keys():
            text = _("“%(name)s” has a field of its own: give it there.")
            self.add_error("kwargs", text % {"name": name})
        try:
            self._call = call.arguments(data, rest_args, rest_kwargs)
        except ValidationError as error:
            self.add_error("function", error)

    @property
    def has_argument_errors(self) -> bool:
        """Whether something is wrong with an argument."""
        names = {"args", "kwargs"}
        if self.call_fields is not None:
            names |= self.call_fields.fields().keys()
        return bool(names & self.errors.keys())

    def _post_clean(self) -> None:
        if self._call is not None:
            for name, value in zip(("args", "kwargs"), self._call, strict=True):
                if name in self.fields:
                    self.cleaned_data[name] = value
                setattr(self.instance, name, value)
        super()._post_clean()  # type: ignore[misc]
        if not self.errors and self.task_function is not None:
            self._require_rows(self.task_function)

    def _require_rows(self, function: TaskFunction) -> None:
        """Refuse a row that is newly named, in whatever field, and that the user may not name."""
        named = function.instances(self.instance.args, self.instance.kwargs)
        try:
            require_rows((one for one in named if one not in self._named), self.nameable)
        except ValidationError as error:
            self.add_error("function", error)

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        """Offer a list of choices for a field; its current value remains one of them."""
        if name not in self.fields:
            return
        known = self.fields[name]
        current = getattr(self.instance, name)
        if current and current not in dict(choices):
            choices = [*choices, (current, current)]
        self.fields[name] = forms.ChoiceField(
            choices=choices,
            label=known.label,
            help_text=known.help_text,
            initial=known.initial,
            widget=LongSelect,
        )

    def _update_errors(self, errors: ValidationError) -> None:
        """Drop the model's errors for fields that already have one, which is their cause.

        What is wrong with the arguments as a whole is said at the function.
        """
        found = errors.error_dict
        for field in {"args", "kwargs"} & found.keys():
            if self.has_argument_errors or "function" in self.errors:
                del found[field]
            elif field not in self.fields:
                found.setdefault("function", []).extend(found.pop(field))
        for field in self.errors.keys() & found.keys():
            del found[field]
        super()._update_errors(errors)  # type: ignore[misc]


class ScheduledTaskForm(WhenForm, CallForm):
    """Add or edit a schedule. The model validates; the form offers the choices."""

    kind = Kind.SCHEDULED
    conflict: Conflict | None = None
    may_add_tags = False

    new_tags = NewTagsField()
    start_deadline = IntervalField(label=gettext_lazy("Start deadline"))
    timeout = IntervalField(label=gettext_lazy("Timeout"))

    class Meta:
        model = ScheduledTask
        fields = "__all__"  # noqa: DJ007  (the admin's fieldsets say which)
        widgets = {
            "name": forms.TextInput({"class": "w100"}),
            "cron": forms.TextInput({"class": "mono n16", "spellcheck": "false"}),
            "description": forms.Textarea({"rows": 2, **WIDE}),
            "note": forms.Textarea({"rows": 2, **WIDE}),
            "exclude": forms.Textarea({"rows": 2, **DATES}),
            "tags": forms.CheckboxSelectMultiple,
        }
        help_texts = {
            "name": gettext_lazy("Empty: the name of the task function."),
            "queue": gettext_lazy("Empty: the task function's own queue."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offer("queue", _queue_choices())
        self._offer("timezone", zone_choices())
        for name in {"name", "queue"} & self.fields.keys():
            self.fields[name].required = False
        for name in {"start", "end"} & self.fields.keys():
            self.fields[name].validators += BOUNDS
        if self.known is not None:
            shown = masked_fields(self.known)
            self._mask({name: shown[name] for name in ("description", "note")}, self.known)
        if not self.may_add_tags:
            del self.fields["new_tags"]
        self._order("function", "name", "queue", "tags", "new_tags", after=AFTER_ARGUMENTS)
        if self.instance.pk is None:
            self.initial = {**self.initial, "queue": self.initial.get("queue", "")}

    @property
    def has_limits(self) -> bool:
        """Whether the form shows its limits at once."""
        return self._says_any("repeat", "start", "end", "jitter")

    @property
    def has_more_policies(self) -> bool:
        """Whether the form shows its rarer policies at once."""
        usual = {"on_disconnect": ScheduledTask.OnDisconnect.STOP, "keep_runs": DEFAULT_KEEP_RUNS}
        return self._says_any("isolated", "on_disconnect", "keep_runs", "keep_days", usual=usual)

    def _says_any(self, *names: str, usual: Mapping[str, Any] | None = None) -> bool:
        """Return whether one of these has an error, or another value than usual."""
        for name in names:
            value = self[name].value()
            value = "".join(map(str, value)) if isinstance(value, list) else value
            plain = {"", str((usual or {}).get(name, ""))}
            if name in self.errors or ("" if value is None else str(value)) not in plain:
                return True
        return False

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        self._fill_in(data)
        return data

    def _fill_in(self, data: dict[str, Any]) -> None:
        """Fill in an empty name and queue from the task function."""
        function = data.get("function", "")
        data["name"] = data.get("name") or function
        if not data.get("queue") and function in registry.names(self.kind):
            data["queue"] = registry.get(function).queue

    def _post_clean(self) -> None:
        super()._post_clean()
        same = ScheduledTask.objects.filter(fingerprint=self.instance.fingerprint)
        if not self.errors and same.exclude(pk=self.instance.pk).exists():
            self.add_error(
                "name",
                _("There is already a schedule with this name, function and arguments."),
            )
        if self.instance.pk is not None and not self.is_picking:
            self.conflict = conflict_of(self.instance, self.data)
            if self.conflict is not None:
                self.add_error(None, self.conflict.sentence)


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
        self._order("function", after=["reserved_for"])
        if "reserved_for" in self.fields:
            self.fields["reserved_for"].validators += BOUNDS

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if not self.errors and (why := redis_obstacle()):
            text = _("The call can't be enqueued. Redis is unavailable: %(why)s") % {"why": why}
            raise ValidationError(text)
        return data
