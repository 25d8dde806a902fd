"""Two people who edit a schedule at once: the second one is told, and shown the difference."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.utils import timezone
from django.utils.translation import gettext as _

from tasks import registry
from tasks.admin_pages.argument_texts import read_json
from tasks.admin_pages.secrets import masked_fields
from tasks.definitions import EDITABLE_FIELDS
from tasks.models import ScheduledTask
from tasks.timing.describe import describe_seconds

LENGTHS = ("interval", "jitter", "start_deadline", "timeout")
CALL = ("args", "kwargs")
# The history is stamped by this machine's clock, rows by Redis's.
CLOCK_ROOM = timedelta(seconds=5)


@dataclass(frozen=True)
class Difference:
    """A field whose stored value isn't the one that was typed; `opened` is what it was at first."""

    label: str
    opened: str
    stored: str
    typed: str


@dataclass(frozen=True)
class Conflict:
    """Somebody has changed a schedule since its form was opened; `version` is the stored one."""

    sentence: str
    version: str
    differences: list[Difference]


def version_of(schedule: ScheduledTask) -> str:
    """Return what a form remembers of the row that it shows."""
    return schedule.updated.isoformat()


def base_of(schedule: ScheduledTask) -> str:
    """Return the values of the row that a form shows, for the comparison, as JSON."""
    return json.dumps(in_words(schedule), ensure_ascii=False)


def conflict_of(typed: ScheduledTask, data: Mapping[str, Any]) -> Conflict | None:
    """Return what somebody else has changed meanwhile; None if nothing, or if that is known.

    The row stays locked until the end of the transaction, in which the typed values are saved. A
    version that isn't sent is not compared.
    """
    rows = ScheduledTask.objects.select_for_update(no_key=True, of=("self",))
    stored = rows.filter(pk=typed.pk).first()
    seen = {data.get("version"), data.get("save_over")} - {None}
    if stored is None or not seen or version_of(stored) in seen:
        return None
    opened = _opened(data.get("base", ""))
    before, after = in_words(stored), in_words(typed)
    differences = [
        Difference(label, opened.get(label, ""), before.get(label, ""), after.get(label, ""))
        for label in {**before, **after}
        if before.get(label) != after.get(label)
    ]
    # A pause, or a change that both have made, takes nothing away from anybody.
    if not differences:
        return None
    return Conflict(_sentence(stored), version_of(stored), differences)


def _opened(text: str) -> dict[str, str]:
    try:
        values = read_json(text)
    except ValueError:
        return {}
    return {key: str(value) for key, value in values.items()} if isinstance(values, dict) else {}


def _sentence(stored: ScheduledTask) -> str:
    names = {"when": f"{timezone.localtime(stored.updated):%H:%M:%S}"}
    if user := _last_editor(stored):
        text = _("%(user)s has changed this schedule at %(when)s, after you opened it.")
        return text % (names | {"user": user})
    return _("This schedule was changed at %(when)s, after you opened it.") % names


def _last_editor(schedule: ScheduledTask) -> str:
    content_type = get_content_type_for_model(schedule)
    entries = LogEntry.objects.filter(content_type=content_type, object_id=str(schedule.pk))
    entry = entries.filter(action_flag=CHANGE).select_related("user").first()
    is_it = entry is not None and entry.action_time >= schedule.updated - CLOCK_ROOM
    return entry.user.get_username() if entry is not None and is_it else ""


def in_words(schedule: ScheduledTask) -> dict[str, str]:
    """Return the values that people may change, by their labels, without secrets."""
    shown = masked_fields(schedule)
    values: dict[str, str] = {}
    for name in EDITABLE_FIELDS:
        if name in CALL:
            continue
        field = ScheduledTask._meta.get_field(name)
        label = str(field.verbose_name)  # type: ignore[union-attr]
        values[label] = _text(name, shown.get(name, getattr(schedule, name)))
    return values | _arguments(schedule.function, shown)


def _arguments(name: str, shown: Mapping[str, Any]) -> dict[str, str]:
    """Return the arguments by parameter, as far as the function has them."""
    function = registry.find(name)
    try:
        if function is None:
            raise TypeError(name)
        found = function.signature.bind_partial(*shown["args"], **shown["kwargs"]).arguments
    except TypeError:
        found = {field: shown[field] for field in CALL}
    return {label: json.dumps(value, ensure_ascii=False) for label, value in found.items()}


def _text(name: str, value: Any) -> str:
    if value is None or value == "":
        return "–"
    if name in LENGTHS:
        return describe_seconds(value)
    if hasattr(value, "tzinfo"):
        return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S %Z}"
    choices = dict(ScheduledTask._meta.get_field(name).flatchoices)  # type: ignore[union-attr]
    return str(choices.get(value, value))
