"""How an argument is typed into a form: the text for its JSON, what it is read as, in words."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.forms.utils import from_current_timezone
from django.utils import timezone
from django.utils.dateparse import parse_duration
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tasks.argument_types import (
    SCALARS,
    UNREADABLE,
    ArgumentType,
    Choice,
    Instance,
    ListOf,
    OrNone,
    Scalar,
    Unfit,
)
from tasks.storable import is_deeper
from tasks.timing.text import INTERVAL_TEXT, format_interval, parse_interval

Words = str | Promise
WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,4000}")
LINE = {"spellcheck": "false", "autocomplete": "off"}
# JSON longer than this is written over several lines.
LINE_LENGTH = 60


@dataclass(frozen=True)
class Typed:
    """How a type is typed: `kind` in words, `wrong` what to do about an unreadable text.

    `read` returns a value or its JSON, and raises one of UNREADABLE; `show` takes JSON.
    """

    kind: Words
    wrong: Words
    show: Callable[[Any], str]
    read: Callable[[str], Any]
    attrs: Mapping[str, str]
    input_type: str = "text"


def _whole_number(text: str) -> int:
    if not WHOLE_NUMBER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _show_time(stored: Any) -> str:
    local = timezone.localtime(datetime.fromisoformat(stored))
    return local.replace(tzinfo=None, microsecond=0).isoformat()


def _read_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if timezone.is_aware(time) else from_current_timezone(time)


def _show_duration(stored: Any) -> str:
    span = parse_duration(stored)
    whole = span is not None and span > timedelta(0) and span % timedelta(seconds=1) == timedelta(0)
    return format_interval(int(span.total_seconds())) if whole and span is not None else str(stored)


def _read_duration(text: str) -> timedelta | None:
    compact = text.replace(" ", "").lower()
    if INTERVAL_TEXT.fullmatch(compact):
        return timedelta(seconds=parse_interval(compact))
    return parse_duration(text)


TYPED: Mapping[Any, Typed] = {
    str: Typed(gettext_lazy("text"), gettext_lazy("Give a text."), str, str, {}),
    int: Typed(
        gettext_lazy("whole number"),
        gettext_lazy("Give a whole number, such as 7."),
        str,
        _whole_number,
        {"inputmode": "numeric", "class": "n8"},
    ),
    float: Typed(
        gettext_lazy("number"),
        gettext_lazy("Give a number, such as 2.5."),
        str,
        float,
        {"inputmode": "decimal", "class": "n8"},
    ),
    bool: Typed(
        gettext_lazy("yes or no"),
        gettext_lazy("Choose yes or no."),
        json.dumps,
        {"true": True, "false": False}.__getitem__,
        {},
    ),
    date: Typed(
        gettext_lazy("date"),
        gettext_lazy("Give a date, such as 2026-01-31."),
        str,
        date.fromisoformat,
        {"class": "n16"},
        "date",
    ),
    datetime: Typed(
        gettext_lazy("date and time"),
        gettext_lazy("Give a date and a time, such as 2026-01-31 06:30."),
        _show_time,
        _read_time,
        {"class": "n16", "step": "1"},
        "datetime-local",
    ),
    timedelta: Typed(
        gettext_lazy("length of time"),
        gettext_lazy("Give a length of time, such as 15m, 1h30m or 2d."),
        _show_duration,
        _read_duration,
        {"class": "n8"},
    ),
    Decimal: Typed(
        gettext_lazy("decimal"),
        gettext_lazy("Give a decimal number, such as 12.50."),
        str,
        Decimal,
        {"inputmode": "decimal", "class": "n8"},
    ),
    UUID: Typed(
        gettext_lazy("UUID"),
        gettext_lazy("Give a UUID, such as 9a3f8b62-0c1d-4e5f-8a7b-6c5d4e3f2a1b."),
        str,
        UUID,
        {"class": "w100"},
    ),
}


def typed(of: ArgumentType) -> Typed:
    """Return how a type is typed: JSON as it is unless something is plainer."""
    if isinstance(of, OrNone):
        return typed(of.type)
    if isinstance(of, Scalar):
        return next(TYPED[hint] for hint, scalar in SCALARS.items() if scalar is of)
    if isinstance(of, Choice):
        known = ", ".join(str(stored) for stored, _value in of.choices)
        kind = _("one of %(known)s") % {"known": known}
        wrong = _("Choose one of %(known)s.") % {"known": known}
        return Typed(kind, wrong, json.dumps, read_json, {})
    if isinstance(of, Instance):
        name = of.model._meta.verbose_name
        wrong = _("Give the primary key of a stored %(model)s.") % {"model": name}
        return Typed(str(name), wrong, str, str, {"class": "n16"})
    if isinstance(of, ListOf) and isinstance(of.item, Scalar | Choice):
        return _lines(of)
    return JSON


def _lines(of: ListOf) -> Typed:
    """Return how a list of plain values is typed: each on a line of its own."""
    item = typed(of.item)
    if isinstance(of.item, Choice):
        plain = {str(stored): stored for stored, _value in of.item.choices}
        item = Typed(item.kind, item.wrong, str, plain.__getitem__, {})
    kind = _("list, one a line: %(kind)s") % {"kind": item.kind}

    def show(stored: Any) -> str:
        return "\n".join(item.show(one) for one in stored)

    def read(text: str) -> list[Any]:
        return [_line(item, of.item, number, line) for number, line in _numbered(text)]

    return Typed(kind, item.wrong, show, read, {"rows": "3", "class": "w100"})


def _numbered(text: str) -> list[tuple[int, str]]:
    lines = enumerate(text.splitlines(), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def _line(item: Typed, of: ArgumentType, number: int, text: str) -> Any:
    try:
        return of.store(item.read(text))
    except (*UNREADABLE, KeyError, Unfit):
        wrong = _("Line %(number)d: %(wrong)s") % {"number": number, "wrong": item.wrong}
        raise ValidationError(wrong) from None


def fits_lines(stored: Any) -> bool:
    """Return whether a list can be shown with each value on a line of its own, and read again."""
    texts = [one for one in stored if isinstance(one, str)]
    return all(text.strip() == text and len(text.splitlines()) == 1 for text in texts)


def read_json(text: str) -> Any:
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


def show_json(value: Any) -> str:
    """Return the text of a JSON value: a short one in a line, a longer one indented."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LINE_LENGTH else json.dumps(value, ensure_ascii=False, indent=2)


JSON = Typed(
    "JSON",
    gettext_lazy('Give JSON, such as 7, "text", [1, 2] or {"a": 1}.'),
    show_json,
    read_json,
    {"rows": "2", "class": "w100 mono"},
)


def widget(of: ArgumentType, how: Typed, *, is_long: bool) -> forms.Widget:
    """Return the widget in which a type is typed."""
    attrs = {**LINE, **how.attrs}
    if "rows" in attrs or is_long:
        return forms.Textarea({"rows": "3", "class": "w100", **attrs})
    made = forms.TextInput({"class": "w100", **attrs})
    made.input_type = how.input_type
    return made
