"""The admin's forms: names are chosen, not typed, and errors stand at their field."""

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tasks import registry
from tasks.models import ScheduledTask, Task
from tasks.registry import Kind


def _function_choices(kind: Kind) -> list[tuple[str, str]]:
    choices = [("", "---------")]
    for name in registry.names(kind):
        summary = registry.get(name).summary
        choices.append((name, f"{name} — {summary}" if summary else name))
    return choices


def _queue_choices() -> list[tuple[str, str]]:
    return [(name, name) for name in settings.RQ_QUEUES]


def _zone_choices() -> list[tuple[str, str]]:
    return [(name, name) for name in sorted(available_timezones()) if name != "localtime"]


class JSONWidget(forms.Textarea):
    """A small box for JSON."""

    def __init__(self) -> None:
        super().__init__({"rows": 2, "cols": 60, "class": "vLargeTextField", "spellcheck": "false"})


class ScheduledTaskForm(forms.ModelForm):
    """Add or edit a schedule. The model checks; this one offers the choices."""

    class Meta:
        model = ScheduledTask
        fields = "__all__"  # noqa: DJ007  (the admin's fieldsets say which)
        widgets = {  # noqa: RUF012
            "args": JSONWidget,
            "kwargs": JSONWidget,
            "description": forms.Textarea({"rows": 2, "class": "vLargeTextField"}),
            "note": forms.Textarea({"rows": 2, "class": "vLargeTextField"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offer("function", _function_choices(Kind.SCHEDULED))
        self._offer("queue", _queue_choices())
        self._offer("timezone", _zone_choices())
        if self.instance.pk is None and "timezone" in self.fields:
            self.fields["timezone"].initial = settings.TIME_ZONE

    def _offer(self, field: str, choices: list[tuple[str, str]]) -> None:
        if field not in self.fields:
            return
        known = self.fields[field]
        current = getattr(self.instance, field)
        if current and current not in dict(choices):
            choices = [*choices, (current, current)]
        self.fields[field] = forms.ChoiceField(
            choices=choices, label=known.label, help_text=known.help_text, initial=known.initial
        )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("interval") and not data.get("first") and not data.get("cron"):
            data["first"] = timezone.now()
        for field, empty in (("args", []), ("kwargs", {})):
            if field in data and data[field] is None:
                data[field] = empty
        return data

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        same = ScheduledTask.objects.filter(fingerprint=self.instance.fingerprint)
        if not self.errors and same.exclude(pk=self.instance.pk).exists():
            self.add_error(
                "name",
                ValidationError(
                    _("There is a schedule with this name, function and arguments already.")
                ),
            )


class TaskForm(forms.ModelForm):
    """Enqueue a background call, or reserve it for later."""

    class Meta:
        model = Task
        fields = ("function", "args", "kwargs", "reserved_for")
        widgets = {"args": JSONWidget, "kwargs": JSONWidget}  # noqa: RUF012

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "function" in self.fields:
            self.fields["function"] = forms.ChoiceField(
                choices=_function_choices(Kind.BACKGROUND), label=_("task function")
            )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        for field, empty in (("args", []), ("kwargs", {})):
            if field in data and data[field] is None:
                data[field] = empty
        return data
