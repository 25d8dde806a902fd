"""Where a request comes from."""

import re
from contextlib import suppress
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest

# Some proxies add the port: 192.0.2.1:55, [2001:db8::1]:443.
WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](:\d+)?|(?P<v4>[^:]*):\d+")


def client_address(request: HttpRequest) -> str:
    """Return the IP address of a request's sender.

    Behind the proxy that SECURE_SSL is for, it is what that proxy has added to X-Forwarded-For:
    whatever stands before the last comma was sent by the client, who may write anything. If that
    is no address, it is the proxy's.
    """
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "") if settings.SECURE_SSL else ""
    last = forwarded.rpartition(",")[2].strip()
    if match := WITH_PORT.fullmatch(last):
        last = match["v6"] or match["v4"] or ""
    with suppress(ValueError):
        return str(ip_address(last))
    return str(request.META.get("REMOTE_ADDR", ""))
