"""A spec in words, for people."""

from datetime import UTC, datetime

from cronsim import CronSim
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasks.spec import Spec

UNITS = (
    (86_400, lambda n: ngettext("every day", "every %(n)d days", n) % {"n": n}),
    (3_600, lambda n: ngettext("every hour", "every %(n)d hours", n) % {"n": n}),
    (60, lambda n: ngettext("every minute", "every %(n)d minutes", n) % {"n": n}),
    (1, lambda n: ngettext("every second", "every %(n)d seconds", n) % {"n": n}),
)


def describe(spec: Spec) -> str:
    """Say when a spec is due: “every 15 minutes”, “once at …”, a cron expression explained."""
    parts = [_when(spec)]
    if spec.repeat is not None:
        parts.append(ngettext("%(n)d time", "%(n)d times", spec.repeat) % {"n": spec.repeat})
    if spec.start is not None:
        parts.append(_("from %(moment)s") % {"moment": _moment(spec.start)})
    if spec.end is not None:
        parts.append(_("until %(moment)s") % {"moment": _moment(spec.end)})
    return ", ".join(parts)


def _when(spec: Spec) -> str:
    if spec.cron is not None:
        return _("%(when)s (%(zone)s)") % {"when": _cron(spec.cron), "zone": spec.timezone}
    if spec.interval is None:
        assert spec.first is not None
        return _("once at %(moment)s") % {"moment": _moment(spec.first)}
    size, phrase = next(unit for unit in UNITS if spec.interval % unit[0] == 0)
    return phrase(spec.interval // size)


def _cron(expression: str) -> str:
    if expression.startswith("@"):
        return expression
    return CronSim(expression, datetime.now(UTC)).explain()


def _moment(moment: datetime) -> str:
    return formats.date_format(timezone.localtime(moment), "Y-m-d H:i")
