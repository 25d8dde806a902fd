"""The zone in which a viewer sees times: chosen once, kept in a cookie of the browser.

Until somebody chooses, a script takes the browser's own zone (zone.js). What can't be read as a
zone counts as no choice: then it is the site's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

COOKIE = "schedule_ledger_zone"
YEAR = 365 * 24 * 3600


@cache
def zone_names() -> list[str]:
    """Return the names of all zones: those of places first, then the rest."""
    names = sorted(available_timezones() - {"localtime", "Factory"})
    return sorted(names, key=lambda name: "/" not in name)


def chosen_zone(request: HttpRequest) -> ZoneInfo | None:
    """Return the zone that the viewer has chosen, if any."""
    name = request.COOKIES.get(COOKIE, "")
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@contextmanager
def in_viewer_zone(request: HttpRequest) -> Iterator[None]:
    """Show, and read, times in the viewer's zone; in the current one if none is chosen."""
    zone = chosen_zone(request)
    if zone is None:
        yield
        return
    with timezone.override(zone):
        yield


def zone_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Show the form that chooses a zone, or handle it."""
    back = request.POST.get("next") or request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure()):
        back = reverse("admin:index")
    name = request.POST.get("zone", "")
    if request.method == "POST" and name in zone_names():
        response = HttpResponseRedirect(back)
        response.set_cookie(COOKIE, name, max_age=YEAR, secure=request.is_secure(), samesite="Lax")
        return response
    context |= {
        "title": _("Time zone"),
        "zones": zone_names(),
        "next": back,
        "unknown": name,
        "current": timezone.get_current_timezone_name(),
    }
    return TemplateResponse(request, "admin/tasks/zone.html", context)
