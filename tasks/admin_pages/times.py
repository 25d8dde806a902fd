"""How times are shown: relative near now, exact on hover or if wanted, in the viewer's zone."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from html import escape

from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils import formats, timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _

from tasks.admin_pages.formatting import NONE

# Which times are accepted: others have no time in some zones.
EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
BOUNDS = (MinValueValidator(EARLIEST), MaxValueValidator(LATEST))
NEAR = timedelta(hours=24)
WEEK = timedelta(days=6)
_are_exact: ContextVar[bool] = ContextVar("are_exact", default=False)


@contextmanager
def exact_times(wanted: bool) -> Iterator[None]:
    """Show all times exactly inside the block, if that is wanted."""
    before = _are_exact.set(wanted)
    try:
        yield
    finally:
        _are_exact.reset(before)


def are_exact() -> bool:
    """Return whether times are shown exactly."""
    return _are_exact.get()


def about(span: timedelta) -> str:
    """Show roughly how long it is to something, or since: 4 s, 12 min, 3 h 58 min, 14 h."""
    seconds = round(span.total_seconds())
    if seconds < 60:
        return _("%(seconds)d s") % {"seconds": seconds}
    minutes = round(seconds / 60)
    if minutes < 60:
        return _("%(minutes)d min") % {"minutes": minutes}
    hours, minutes = divmod(minutes, 60)
    if hours < 10 and minutes:
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
    return _("%(hours)d h") % {"hours": hours}


def in_words(value: datetime, now: datetime) -> str:
    """Return a time for people: “in 4 min” or “3 h ago” within 24 hours, otherwise its date."""
    distance = value - now
    if abs(distance) < timedelta(seconds=0.5):
        return _("now")
    if abs(distance) < NEAR:
        words = _("in %(span)s") if distance > timedelta() else _("%(span)s ago")
        return words % {"span": about(abs(distance))}
    local = timezone.localtime(value)
    if timedelta() < distance < WEEK:
        # Translators: a day of the coming week and a time, as Django's template filter `date`.
        return formats.date_format(local, pgettext("date format", "D H:i"))
    if local.year == timezone.localtime(now).year:
        # Translators: a day of this year and a time, as Django's template filter `date`.
        return formats.date_format(local, pgettext("date format", "j M H:i"))
    # Translators: a day of another year, as Django's template filter `date`.
    return formats.date_format(local, pgettext("date format", "j M Y"))


def to_minute(value: datetime, form: str) -> str:
    """Return a time to the minute; `form` is as Django's template filter `date` has it."""
    minute = timezone.localtime(value).replace(second=0, microsecond=0, tzinfo=None)
    return _to_minute(minute, form, get_language())


# A picture has hundreds of them, and shows the same ones again when it is refreshed.
@lru_cache(maxsize=5_000)
def _to_minute(local: datetime, form: str, language: str | None) -> str:
    return formats.date_format(local, form)


def exact(value: datetime) -> str:
    """Return a time in full, with its zone: 2026-10-24 22:32:07.120 CEST (Europe/Berlin)."""
    local = timezone.localtime(value)
    shown = f"{local.replace(tzinfo=None).isoformat(' ', 'milliseconds')} {local.tzname()}"
    zone = timezone.get_current_timezone_name()
    return shown if zone in shown else f"{shown} ({zone})"


def when(value: datetime | None, now: datetime) -> SafeString | str:
    """Show a time: in words, and exactly on hover; or the other way round."""
    if value is None:
        return NONE
    shown, more = in_words(value, now), exact(value)
    if are_exact():
        shown, more = f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}", shown
    return mark_safe(
        f'<time class="sl-when" datetime="{value.isoformat()}" title="{escape(more)}">'
        f"{escape(shown)}</time>"
    )
