"""The site's Content-Security-Policy: nothing inline, nothing from another host.

Django 6 sends it by itself, django-csp before.
"""

from collections.abc import Callable
from typing import Any

import django
from django.http import HttpRequest, HttpResponse

SELF, NONE, INLINE = "'self'", "'none'", "'unsafe-inline'"
POLICY = {
    "default-src": [NONE],
    "script-src": [SELF],
    "style-src": [SELF],
    "img-src": [SELF, "data:"],
    "font-src": [SELF],
    "connect-src": [SELF],
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
}
# django-rq's pages have scripts and styles in their text.
INLINE_ALLOWED = {"script-src": [SELF, INLINE], "style-src": [SELF, INLINE]}
RQ_PAGES = "django_rq_"
# The page of an entry shows what it says in a frame, whose page has a policy of its own.
FRAME_ALLOWED = {"frame-src": [SELF]}
PAGE_WITH_FRAME = "feeds_entry_change"


class DashboardPolicy:
    """Middleware that allows some pages, and no others, what they need.

    Those of django-rq have something inline; the page of an entry has a frame.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        name = (request.resolver_match and request.resolver_match.url_name) or ""
        if name.startswith(RQ_PAGES):
            return _with(INLINE_ALLOWED, view)(request, *args, **kwargs)
        if name == PAGE_WITH_FRAME:
            return _with(FRAME_ALLOWED, view)(request, *args, **kwargs)
        return None


def _with(allowed: dict[str, list[str]], view: Callable[..., HttpResponse]) -> Callable[..., Any]:
    if django.VERSION >= (6, 0):
        from django.views.decorators.csp import csp_override

        return csp_override(POLICY | allowed)(view)
    from csp.decorators import csp_replace

    return csp_replace(allowed)(view)
