"""Where hubs find this site."""

from django.conf import settings
from django.urls import get_script_prefix, reverse

SETTING = "FEEDS_PUBLIC_URL"


def public_url() -> str:
    """Return the site's public address, "" if it has none: then no hub is asked for anything."""
    return str(getattr(settings, SETTING, "")).rstrip("/")


def callback_url(key: str) -> str:
    """Return where a hub finds the subscription with this key.

    The public address is that of the site's root: the prefix that this process knows it by, if it
    does, is in it already.
    """
    path = reverse("feeds:websub", args=[key])
    return f"{public_url()}/{path.removeprefix(get_script_prefix())}"
