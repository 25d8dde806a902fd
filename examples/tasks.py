"""Two task functions to try things out with: one fetches a page, one only takes time."""

import asyncio
import time
from email.message import Message
from html.parser import HTMLParser
from typing import Any

from django.utils.translation import gettext as _

from feeds.asking.fetching import Response, fetch
from feeds.asking.rules import rules_of_site
from tasks.decorators import background_task, scheduled_task
from tasks.exceptions import InvalidArguments
from tasks.runs.progress import progress

MAX_BYTES = 2**20
MAX_SECONDS = 3_600
UNSEEN = frozenset({"script", "style", "template", "title", "head"})


@background_task
@scheduled_task
def count_words(url: str) -> dict[str, Any]:
    """Fetch a page of at most 1 MiB and count the words that a reader sees.

    Private addresses are refused unless FEEDS_ALLOWED_HOSTS names them, as for feeds.
    """
    response = asyncio.run(fetch(url, rules=rules_of_site(MAX_BYTES)))
    return {"url": response.url, "words": len(_visible_text(response).split())}


@background_task(timeout=MAX_SECONDS + 60)
@scheduled_task(timeout=MAX_SECONDS + 60)
def long_task(seconds: float) -> dict[str, Any]:
    """Do nothing for a number of seconds (one hour at most), and report progress."""
    if not 0 <= seconds <= MAX_SECONDS:
        raise InvalidArguments(
            _("long_task takes 0 to %(max)d seconds, not %(seconds)s.")
            % {"max": MAX_SECONDS, "seconds": seconds}
        )
    step = min(max(seconds / 100, 0.1), 1.0)
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < seconds:
        progress(elapsed, seconds, _("%(left)d seconds to go") % {"left": seconds - elapsed})
        time.sleep(min(step, seconds - elapsed))
    progress(seconds, seconds)
    return {"seconds": seconds}


class _VisibleText(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unseen += tag in UNSEEN

    def handle_endtag(self, tag: str) -> None:
        self._unseen = max(0, self._unseen - (tag in UNSEEN))

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data)


def _visible_text(response: Response) -> str:
    header = Message()
    header["Content-Type"] = response.content_type or "text/html"
    try:
        text = response.body.decode(header.get_content_charset("utf-8"), "replace")
    except LookupError:  # a charset that Python doesn't know
        text = response.body.decode("utf-8", "replace")
    if header.get_content_type() == "text/plain":
        return text
    page = _VisibleText()
    page.feed(text)
    page.close()
    return " ".join(page.parts)
