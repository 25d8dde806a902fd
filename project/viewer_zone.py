"""The viewer's zone on every page of this site, not only on those of schedules and runs."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from tasks.admin_pages.viewer_zone import in_viewer_zone


class ViewerZone:
    """Middleware that shows and reads times in the zone that the viewer has chosen."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with in_viewer_zone(request):
            return self._get_response(request)
