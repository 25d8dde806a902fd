"""Prints changes of records as a diff: + added, ~ changed, - cancelled."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasks.broker.ownership import why_not_in_redis
from tasks.lists import Action, Change
from tasks.masking import mask_json
from tasks.models import ScheduledTask
from tasks.registry import masked_arguments

SIGNS = {Action.ADD: "+", Action.CHANGE: "~", Action.CANCEL: "-", Action.KEEP: " "}


def write_changes(changes: Iterable[Change[Any]], write: Callable[[str], Any]) -> None:
    """Write a line for each record, and below it one for each value that changes."""
    for change in changes:
        kind, name = change.record._meta.verbose_name, " ".join(str(change.record).split())
        line = f"{SIGNS[change.action]} {kind} “{name}”"
        if change.action == Action.ADD and isinstance(change.record, ScheduledTask):
            line += f": {change.record.function}, {change.record.when_in_words()}"
        write(line)
        for field, (old, new) in change.differences.items():
            shown = [_text(field, _masked(change.record, field, value)) for value in (old, new)]
            write(f"    {field}: {' → '.join(shown)}")


def _masked(record: Any, field: str, value: Any) -> Any:
    """Return a value as it may be printed."""
    if isinstance(record, ScheduledTask) and field == "args":
        return masked_arguments(record.function, value, {})[0]
    if isinstance(record, ScheduledTask) and field == "kwargs":
        return masked_arguments(record.function, [], value)[1]
    return mask_json(value)


def _text(field: str, value: Any) -> str:
    if field == "status":
        return str(ScheduledTask.Status(value).label)
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False, default=str)


def summary(changes: Sequence[Change[Any]], *, dry_run: bool) -> str:
    """Return in one line how many records are added, changed, cancelled and unchanged."""
    counts = Counter(change.action for change in changes)
    texts = {
        Action.ADD: ngettext("%(n)d added", "%(n)d added", counts[Action.ADD]),
        Action.CHANGE: ngettext("%(n)d changed", "%(n)d changed", counts[Action.CHANGE]),
        Action.CANCEL: ngettext("%(n)d cancelled", "%(n)d cancelled", counts[Action.CANCEL]),
        Action.KEEP: ngettext("%(n)d unchanged", "%(n)d unchanged", counts[Action.KEEP]),
    }
    line = ", ".join(text % {"n": counts[action]} for action, text in texts.items()) + "."
    return _("%(counts)s Dry run: nothing was written.") % {"counts": line} if dry_run else line


def unprojected(changes: Iterable[Change[Any]]) -> str:
    """Return what to say if Redis doesn't have the changes yet; empty if it has."""
    if not any(getattr(change.record, "projected", None) is False for change in changes):
        return ""
    return why_not_in_redis()
