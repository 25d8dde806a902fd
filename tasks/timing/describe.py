"""A spec in words, for people."""

from datetime import datetime, timedelta
from functools import cache

from django.utils import formats, timezone
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from tasks.timing.cron_words import cron_in_words
from tasks.timing.spec import Spec
from tasks.timing.text import (
    MAX_EXCLUDED,
    format_dates,
    number_of_days,
    parse_dates,
)

# How many excluded dates are named; more are counted.
DATES_NAMED = 2
UNITS = (
    (86_400, lambda n: ngettext("every day", "every %(n)d days", n) % {"n": n}),
    (3_600, lambda n: ngettext("every hour", "every %(n)d hours", n) % {"n": n}),
    (60, lambda n: ngettext("every minute", "every %(n)d minutes", n) % {"n": n}),
    (1, lambda n: ngettext("every second", "every %(n)d seconds", n) % {"n": n}),
)


def describe(spec: Spec) -> str:
    """Return in words when a spec is due: “every 15 minutes”, “once at …”, or a cron explained."""
    parts = [_when(spec)]
    if spec.repeat is not None:
        parts.append(ngettext("%(n)d time", "%(n)d times", spec.repeat) % {"n": spec.repeat})
    if spec.start is not None:
        parts.append(_("from %(time)s") % {"time": _time(spec.start)})
    if spec.end is not None:
        parts.append(_("until %(time)s") % {"time": _time(spec.end)})
    if spec.exclude:
        parts.append(_excluded(spec))
    if spec.offset:
        parts.append(_("shifted by %(span)s") % {"span": _span(spec.offset)})
    return ", ".join(parts)


def _when(spec: Spec) -> str:
    if spec.cron is not None:
        return _("%(when)s (%(zone)s)") % {
            "when": cron_in_words(spec.cron, spec.both_days),
            "zone": spec.timezone,
        }
    if spec.interval is None:
        assert spec.first is not None
        return _("once at %(time)s") % {"time": _time(spec.first)}
    size, phrase = next(unit for unit in UNITS if spec.interval % unit[0] == 0)
    return phrase(spec.interval // size)


def _time(instant: datetime) -> str:
    return formats.date_format(timezone.localtime(instant), "Y-m-d H:i")


def _excluded(spec: Spec) -> str:
    dates = parse_dates(spec.exclude, limit=2 * MAX_EXCLUDED)
    if len(dates) > DATES_NAMED:
        days = number_of_days(spec.exclude)
        named = ngettext("%(n)d day", "%(n)d days", days) % {"n": days}
    else:
        named = _dates(format_dates(dates).splitlines())
    if spec.cron is not None:
        return _("except on %(dates)s") % {"dates": named}
    return _("except on %(dates)s (%(zone)s)") % {"dates": named, "zone": spec.timezone}


def _dates(named: list[str]) -> str:
    if len(named) < DATES_NAMED:
        return "".join(named)
    return _("%(first)s and %(last)s") % {"first": named[0], "last": named[-1]}


def _span(milliseconds: int) -> str:
    if milliseconds < 60_000:
        return _("%(seconds)g s") % {"seconds": milliseconds / 1000}
    return describe_seconds(milliseconds // 1000)


def describe_length(span: timedelta) -> str:
    """Return a length of time in the unit that fits: 12 ms, 3.4 s, 5 min 6 s, 2 h 3 min, 5 h."""
    seconds = span.total_seconds()
    if seconds < 0:
        return f"-{describe_length(-span)}"
    if seconds < 0.9995:
        return _units(get_language())["ms"] % {"milliseconds": round(seconds * 1000)}
    if seconds < 59.95:
        return _units(get_language())["s, to a tenth"] % {"seconds": seconds}
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return _added(minutes=minutes, seconds=seconds)
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return _added(hours=hours, minutes=minutes)
    return _added(days=hours // 24, hours=hours % 24)


def describe_seconds(seconds: int) -> str:
    """Return a whole number of seconds, exactly: 30 s, 45 min, 1 h 30 min."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return _added(days=hours // 24, hours=hours % 24, minutes=minutes, seconds=seconds)


def _added(**numbers: int) -> str:
    """Say a length by its days, hours, minutes and seconds, in this order; what is 0 isn't said."""
    units = _units(get_language())
    parts = [units[unit] % {unit: number} for unit, number in numbers.items() if number]
    return " ".join(parts) or units["seconds"] % {"seconds": 0}


@cache
def _units(language: str | None) -> dict[str, str]:
    """Return the units in the active language: a page says hundreds of lengths."""
    return {
        "ms": _("%(milliseconds)d ms"),
        "s, to a tenth": _("%(seconds).1f s"),
        "seconds": _("%(seconds)d s"),
        "minutes": _("%(minutes)d min"),
        "hours": _("%(hours)d h"),
        "days": _("%(days)d d"),
    }
