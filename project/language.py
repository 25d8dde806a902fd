"""The switch between languages in the header of each page."""

from http.client import FOUND, TEMPORARY_REDIRECT

from django.http import HttpRequest, HttpResponseBase
from django.views.i18n import set_language


def change_language(request: HttpRequest) -> HttpResponseBase:
    """Change the language, and return to the page.

    One that asks something was the answer to a POST. Its switch sends along what was posted, and
    the browser posts that again: the page asks in the other language.
    """
    response = set_language(request)
    if response.status_code == FOUND and "asked" in request.POST:
        response.status_code = TEMPORARY_REDIRECT
    return response
