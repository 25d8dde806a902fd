"""How a viewer sees times: in which zone, and whether exactly. Chosen once, kept in cookies.

Until somebody chooses, a script takes the browser's own zone (zone.js). What can't be read as a
zone counts as no choice: then it is the site's. Times near now are in words until somebody wants
them exactly, as where nothing can hover over them: with a finger, a keyboard or a screen reader.
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

from tasks.admin_pages.times import exact_times

COOKIE = "schedule_ledger_zone"
TIMES_COOKIE = "schedule_ledger_times"
IN_WORDS, EXACT = "words", "exact"
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
def as_viewer_wants(request: HttpRequest) -> Iterator[None]:
    """Show times in the viewer's zone, and exactly if that is wanted; read them in that zone."""
    with in_viewer_zone(request), exact_times(request.COOKIES.get(TIMES_COOKIE) == EXACT):
        yield


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
    """Show the form that chooses a zone, or handle it, or the switch between words and exact."""
    back = request.POST.get("next") or request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure()):
        back = reverse("admin:index")
    if request.POST.get("times") in (IN_WORDS, EXACT):
        return _remember(request, TIMES_COOKIE, request.POST["times"], back)
    name = request.POST.get("zone", "")
    if request.method == "POST" and name in zone_names():
        return _remember(request, COOKIE, name, back)
    context |= {
        "title": _("Time zone"),
        "zones": zone_names(),
        "next": back,
        "unknown": name,
        "current": timezone.get_current_timezone_name(),
    }
    return TemplateResponse(request, "admin/tasks/zone.html", context)


def _remember(request: HttpRequest, cookie: str, value: str, back: str) -> HttpResponse:
    response = HttpResponseRedirect(back)
    response.set_cookie(cookie, value, max_age=YEAR, secure=request.is_secure(), samesite="Lax")
    return response
