"""Where a request comes from."""

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the address of a request's sender.

    Behind the proxy that SECURE_SSL is for, it is what that proxy has added to X-Forwarded-For:
    whatever stands before the last comma was sent by the client, who may write anything.
    """
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "") if settings.SECURE_SSL else ""
    return forwarded.rpartition(",")[2].strip() or str(request.META.get("REMOTE_ADDR", ""))
