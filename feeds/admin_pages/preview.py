"""An entry's own HTML in a frame: a page of its own, in which nothing runs and nothing is sent.

The frame and the page's own policy both say so. It has no origin, so that nothing in it reaches the
site; links open a window of their own; images are loaded only on request, since they tell their
host who is reading.
"""

import nh3
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from feeds.models import Entry
from tasks.masking import mask_text

SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
SCHEMES = {"http", "https", "mailto"}
IMAGES = "images"


def preview(request: HttpRequest, entry: Entry) -> HttpResponse:
    """Return the page of an entry's summary and content, with images if they are requested."""
    with_images = IMAGES in request.GET
    context = {
        "language": entry.language,
        "title": str(entry),
        "parts": [_shown(part, with_images) for part in (entry.summary, entry.content) if part],
    }
    response = HttpResponse(render_to_string("admin/feeds/entry/preview.html", context))
    images = "http: https:" if with_images else "'none'"
    response["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'self'; img-src {images}; base-uri 'none'; "
        f"form-action 'none'; frame-ancestors 'self'; sandbox {SANDBOX}"
    )
    response["X-Frame-Options"] = "SAMEORIGIN"
    response["Referrer-Policy"] = "no-referrer"
    return response


def frame(url: str, with_images: bool) -> SafeString:
    """Return the frame with the page at this address."""
    query = f"?{IMAGES}=1" if with_images else ""
    return format_html(
        '<iframe class="feed-preview" src="{}{}" sandbox="{}" referrerpolicy="no-referrer" '
        'title="{}"></iframe>',
        *(url, query, SANDBOX, _("What the entry says")),
    )


def has_images(entry: Entry) -> bool:
    """Return whether something is to be seen only on request."""
    return "<img" in entry.summary or "<img" in entry.content


def _shown(html: str, with_images: bool) -> SafeString:
    """Return a feed's HTML, sanitised once more, its secrets masked."""
    tags = nh3.ALLOWED_TAGS if with_images else nh3.ALLOWED_TAGS - {"img"}
    return mark_safe(nh3.clean(mask_text(html), tags=tags, url_schemes=SCHEMES))
