"""What an address says: numbers that the database can hold, and texts that a page can use."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import BadRequest, FieldDoesNotExist, ValidationError
from django.http import HttpRequest
from django.utils import timezone

from tasks.admin_pages.times import BOUNDS

# The largest number that the databases hold.
MOST = 2**63 - 1
# Longer than anything that our pages link to, or that web servers take.
LONGEST_VALUE = 10_000


def number_in(text: str | None) -> int | None:
    """Return the whole number that a part of an address is; None for anything else.

    A number that the database can't hold names nothing there, so it is none either.
    """
    if not text or not text.isdecimal() or len(text) > len(str(MOST)):
        return None
    number = int(text)
    return number if number <= MOST else None


def refuse_odd_values(request: HttpRequest) -> None:
    """Raise BadRequest if an address holds what no link or form of ours puts there.

    The databases refuse a NUL in a text, and SQLite a very long text to be searched for.
    """
    for name, values in request.GET.lists():
        if any("\0" in text or len(text) > LONGEST_VALUE for text in (name, *values)):
            raise BadRequest("The address holds a NUL or a very long value.")


def initial_values(opts: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an address fills a form in with, without what the model's fields can't hold."""
    values: dict[str, Any] = {}
    for name, text in given.items():
        try:
            field = opts.get_field(name)
            if field.concrete:
                values[name] = _value(field, text)
        except FieldDoesNotExist:
            values[name] = text
        except (ValidationError, OverflowError):
            continue
    return values


def _value(field: Any, text: Any) -> Any:
    value = field.to_python(text) if isinstance(text, str) else text
    if not isinstance(value, datetime):
        return value
    value = value if timezone.is_aware(value) else timezone.make_aware(value)
    for check in BOUNDS:
        check(value)
    return value
