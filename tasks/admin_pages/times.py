"""How times are shown: relative near now, exact on hover, in the viewer's zone."""

from datetime import UTC, datetime, timedelta

from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from tasks.admin_pages.formatting import NONE

# Which times are accepted: others have no time in some zones.
EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
BOUNDS = (MinValueValidator(EARLIEST), MaxValueValidator(LATEST))
NEAR = timedelta(hours=24)
WEEK = timedelta(days=6)


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


def exact(value: datetime) -> str:
    """Return a time in full, with its zone: 2026-10-24 22:32:07.120 CEST (Europe/Berlin)."""
    local = timezone.localtime(value)
    shown = f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d} {local:%Z}"
    zone = timezone.get_current_timezone_name()
    return shown if zone in shown else f"{shown} ({zone})"


def when(value: datetime | None, now: datetime) -> SafeString | str:
    """Show a time: in words, and exactly on hover."""
    if value is None:
        return NONE
    return format_html(
        '<time class="sl-when" datetime="{}" title="{}">{}</time>',
        value.isoformat(),
        exact(value),
        in_words(value, now),
    )
