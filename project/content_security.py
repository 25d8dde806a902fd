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


class DashboardPolicy:
    """Middleware that allows django-rq's own pages, and no others, what is inline in them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        match = request.resolver_match
        if match is None or not (match.url_name or "").startswith(RQ_PAGES):
            return None
        return _with_inline(view)(request, *args, **kwargs)


def _with_inline(view: Callable[..., HttpResponse]) -> Callable[..., Any]:
    if django.VERSION >= (6, 0):
        from django.views.decorators.csp import csp_override

        return csp_override(POLICY | INLINE_ALLOWED)(view)
    from csp.decorators import csp_replace

    return csp_replace(INLINE_ALLOWED)(view)
