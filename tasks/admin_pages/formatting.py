"""How values are shown in the admin. What people or task functions wrote is always escaped."""

import json
from datetime import datetime, timedelta
from html import escape as escape_html
from typing import Any

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from tasks.registry import masked_arguments
from tasks.storable import escape
from tasks.timing.describe import describe_length

NONE = "–"
OUTCOME_LENGTH = 120
# How many characters of JSON are shown of what was stored before there was a limit.
BOX_LENGTH = 256 * 1024


def timestamp(value: datetime | None) -> SafeString | str:
    """Show a time in the site's time zone, to the second."""
    if value is None:
        return NONE
    local = timezone.localtime(value)
    exact = escape_html(f"{local:%Y-%m-%d %H:%M:%S.%f %Z}")
    day, time = exact[:10], exact[11:19]
    # A list has a hundred of them: they are put together by hand.
    return mark_safe(
        f'<time datetime="{local.isoformat()}" title="{exact}">'
        f"<span>{day}</span> <span>{time}</span></time>"
    )


def short_duration(span: timedelta | None) -> str:
    """Show a length of time in the unit that fits: 12 ms, 3.4 s, 5 min 6 s, 2 h 3 min, 4 d 5 h."""
    return NONE if span is None else describe_length(span)


def box(text: str) -> SafeString | str:
    """Show a longer text verbatim, in a box that scrolls."""
    return format_html('<pre class="text">{}</pre>', escape(text)) if text else NONE


def pretty_json(value: Any) -> SafeString | str:
    """Show a JSON value: a short one in a line, a longer one indented in a box."""
    if value is None:
        return NONE
    text = json.dumps(value, ensure_ascii=False)
    if len(text) > BOX_LENGTH:
        return box(f"{text[:BOX_LENGTH]}…")
    if len(text) > OUTCOME_LENGTH:
        return box(json.dumps(value, indent=2, ensure_ascii=False))
    return format_html("<code>{}</code>", escape(text))


def call(function: str, args: list[Any], kwargs: dict[str, Any]) -> SafeString:
    """Show a call as Python writes it, with JSON values, without secrets: feeds.fetch_rss(3)."""
    args, kwargs = masked_arguments(function, args, kwargs)
    values = [json.dumps(value, ensure_ascii=False) for value in args]
    values += [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in kwargs.items()]
    return format_html("<code>{}</code>", escape(f"{function}({', '.join(values)})"))


def progress_bar(percent: int, message: str) -> SafeString:
    """Show how far a run or a background call is."""
    return format_html(
        '<span class="progress"><progress max="100" value="{}"></progress> {} % '
        '<span class="quiet">{}</span></span>',
        percent,
        percent,
        escape(message),
    )


def one_line(text: str) -> str:
    """Show a text in one line of a list, shortened if need be."""
    text = escape(" ".join(text.split()))
    return text if len(text) <= OUTCOME_LENGTH else f"{text[: OUTCOME_LENGTH - 1]}…"
