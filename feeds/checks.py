"""System checks of the settings for feeds."""

from typing import Any

from django.conf import settings
from django.core import checks
from django.utils.translation import gettext as _

from feeds.keeping.retention import DEFAULT, SETTING
from tasks.ledger.retention import MAX_CALLS, keep_setting
from tasks.models import MAX_KEEP_DAYS


@checks.register("feeds")
def check_keep_entries(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require days and a number that are positive: what isn't kept is deleted."""
    try:
        keep_setting(SETTING, DEFAULT)
    except ValueError:
        wanted = _(
            "%(setting)s is %(value)r: give a mapping with “days” from 1 to %(days)d, "
            "“number” from 1 to %(number)d, or both."
        )
        shown = wanted % {
            "setting": SETTING,
            "value": getattr(settings, SETTING),
            "days": MAX_KEEP_DAYS,
            "number": MAX_CALLS,
        }
        hint = _("Leave it out to keep the newest %(number)d of each feed; {} keeps all.") % DEFAULT
        return [checks.Error(shown, hint=hint, id="feeds.E002")]
    return []
