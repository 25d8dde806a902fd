"""Documents that could not be read are kept for a while: few, not all of a long one, masked."""

import hashlib
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from feeds.models import FailedDocument, Feed
from feeds.reading.result import MAX_TEXT
from feeds.reading.words import storable
from tasks import clock
from tasks.database import atomic
from tasks.masking import mask_text

KEPT_FOR = timedelta(days=7)
MOST_OF_A_FEED = 3
MOST = 500
MOST_BYTES = 512 * 2**10  # of one document, before it is compressed


def keep_document(feed: Feed, body: bytes, content_type: str, why: str) -> None:
    """Keep a document that could not be read, so that somebody can look at it; `why` says why.

    Of the same document, only the latest time is noted. Not for use in a transaction that fails.
    """
    now = clock.now()
    values = {
        "at": now,
        "why": mask_text(storable(why)),
        "content_type": storable(content_type)[:MAX_TEXT],
        "size": len(body),
        "packed": zlib.compress(body[:MOST_BYTES]),
    }
    digest = hashlib.sha256(body).hexdigest()
    with atomic():
        FailedDocument.objects.update_or_create(values, feed=feed, digest=digest)
        _prune(feed, now)


def _prune(feed: Feed, now: datetime) -> None:
    documents = FailedDocument.objects.order_by("-at", "-id").values_list("pk", flat=True)
    of_feed = documents.filter(feed=feed)[MOST_OF_A_FEED:]
    too_old = documents.filter(at__lt=now - KEPT_FOR)
    _delete({*of_feed, *too_old})
    _delete(documents[MOST:])


def _delete(keys: Iterable[int]) -> None:
    if wanted := list(keys):
        FailedDocument.objects.filter(pk__in=wanted).delete()
