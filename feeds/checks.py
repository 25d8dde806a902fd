"""System checks of the settings for feeds."""

from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core import checks
from django.http.request import validate_host
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from feeds.keeping.retention import DEFAULT, SETTING
from feeds.websub import public_url
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


@checks.register("feeds")
def check_public_url(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require an address at which hubs can reach the site, if there is to be one."""
    url = getattr(settings, public_url.SETTING, "")
    if not url:
        return []
    parts = _site(url)
    if parts is None:
        text = _("FEEDS_PUBLIC_URL is not the address of a site.")
        hint = _("Give its root, such as https://jobs.example.org, without “?” and “#”.")
        return [checks.Error(text, hint=hint, id="feeds.E003")]
    return [*_unreachable(parts), *_unsafe(parts)]


def _site(url: Any) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        is_site = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except (ValueError, AttributeError, TypeError):
        return None
    return parts if is_site and not (parts.query or parts.fragment or "@" in parts.netloc) else None


def _unreachable(parts: SplitResult) -> list[checks.CheckMessage]:
    found: list[checks.CheckMessage] = []
    try:
        reverse("feeds:websub", args=["key"])
    except NoReverseMatch:
        text = _("FEEDS_PUBLIC_URL is set, but the site has no page for hubs.")
        hint = _("Add path(“feeds/”, include(“feeds.urls”)) to its URLs.")
        found.append(checks.Error(text, hint=hint, id="feeds.E004"))
    allowed = settings.ALLOWED_HOSTS
    if not validate_host(parts.hostname or "", allowed) and not (settings.DEBUG and not allowed):
        text = _("The host of FEEDS_PUBLIC_URL is not in ALLOWED_HOSTS: hubs are refused.")
        hint = _("Add %(host)s to ALLOWED_HOSTS.") % {"host": parts.hostname}
        found.append(checks.Warning(text, hint=hint, id="feeds.W001"))
    return found


def _unsafe(parts: SplitResult) -> list[checks.CheckMessage]:
    if parts.scheme == "https":
        return []
    text = _("FEEDS_PUBLIC_URL is not https: who is in between can read what hubs are told.")
    return [checks.Warning(text, hint=_("Serve the site by https."), id="feeds.W002")]
