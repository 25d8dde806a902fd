"""PURE: the hub that a feed names, and by which address that hub knows the feed."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from feeds.addresses import validate_url
from feeds.exceptions import BadUrl
from feeds.reading.text import web_link
from tasks.masking import mask_text

# A link of the header `Link`, up to the next one.
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_PARAMETER = re.compile(r';\s*(rel|anchor)\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Offer:
    """Where changes of a topic, which is a feed's address, can be subscribed to."""

    hub: str
    topic: str


def offer(
    headers: Mapping[str, str], url: str, document: Offer | None, known: Offer | None
) -> Offer | None:
    """Return what an answer from `url` offers; None if it names no hub that can be asked.

    Its headers come first. `document` is what its document names, each "" if it names none; if the
    document has not been read, because it is the one that we have, what is `known` still holds. A
    feed that doesn't say what its own address is has the one that answered. An address with a
    secret in it, of the hub or the feed, is told to nobody.
    """
    said = links(headers, url)
    before = document or known or Offer("", "")
    hub = said.get("hub") or before.hub
    topic = said.get("self") or before.topic or url
    if not hub or mask_text(hub) != hub or mask_text(topic) != topic:
        return None
    try:
        return Offer(validate_url(hub), _as_it_is(topic))
    except BadUrl:
        return None


def links(headers: Mapping[str, str], base: str) -> dict[str, str]:
    """Return the first web link of each relation in the headers `Link`: about `base`, from there.

    Those with an anchor are about something else.
    """
    found: dict[str, str] = {}
    for target, text in _LINK.findall(", ".join(_lines(headers))):
        parameters: dict[str, str] = {}
        for name, quoted, plain in _PARAMETER.findall(text):
            parameters.setdefault(name.lower(), quoted or plain)
        if "anchor" in parameters or not (link := web_link(target, base)):
            continue
        for relation in parameters.get("rel", "").lower().split():
            found.setdefault(relation, link)
    return found


def _lines(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield the headers `Link`, of which an answer can have several."""
    several: Any = getattr(headers, "getall", None)
    yield from several("Link", ()) if several is not None else filter(None, [headers.get("Link")])


def _as_it_is(topic: str) -> str:
    """Return a topic if it is a web address; hubs compare it letter by letter."""
    validate_url(topic)
    return topic
