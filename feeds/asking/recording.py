"""What a poll leaves in the rows: of the feed, of its entries and of its host."""

import hashlib
import logging
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from django.utils.translation import gettext as _

from feeds import storing
from feeds.addresses import MAX_URL
from feeds.asking import backoff, freshness, gone, moves, moving, network
from feeds.asking.fetching import Response
from feeds.asking.freshness import Fresh, Source
from feeds.asking.gone import Gone
from feeds.asking.moves import Sighting
from feeds.asking.permission import Why
from feeds.asking.validators import Validators, after_document, after_not_modified
from feeds.exceptions import FeedError, HttpStatus, NotAFeed, Unreachable, shown_url
from feeds.interval import LATEST, adapted_interval
from feeds.models import Entry, Feed, FeedHost
from feeds.reading.result import MAX_TEXT, ParsedFeed
from feeds.reading.words import storable
from tasks import clock
from tasks.masking import mask_text

logger = logging.getLogger(__name__)

# Part of a document's digest: raise it when documents are read in another way than before.
READING = 1
DEFAULT_INTERVAL = timedelta(minutes=15)
# What a moved feed goes back from.
NO_FEED_ANY_MORE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


def digest(response: Response) -> str:
    """Return what is the same for the same document, read in the same way."""
    about = f"{READING}\n{response.url}\n{response.content_type}\n".encode("utf-8", "replace")
    return hashlib.sha256(about + response.body).hexdigest()


def is_new(feed: Feed, response: Response) -> bool:
    """Return whether a document has to be read: it isn't the one that has been read last."""
    is_unchanged = response.status == HTTPStatus.NOT_MODIFIED
    return not is_unchanged and digest(response) != feed.body_digest


def validators_of(feed: Feed) -> Validators:
    """Return the validators for the next request."""
    return Validators(feed.final_url, feed.etag, feed.last_modified)


def succeeded(feed: Feed, response: Response, parsed: ParsedFeed | None) -> storing.Counts:
    """Record a poll whose document has been read, or is the one before: `parsed` is None then.

    If it has been redirected, `settle_move` is to be called after it.
    """
    columns = after_success(feed, response, parsed, clock.now())
    if parsed is not None:
        return storing.store(feed, parsed, **columns)
    if changed := _changed(feed, columns):
        Feed.objects.filter(pk=feed.pk).update(**changed)
    storing.prune(feed)
    return storing.Counts()


def changes_nothing(feed: Feed, response: Response) -> bool:
    """Return whether `succeeded` has nothing to do for a document that is the one before.

    It asks the database nothing, and may be called in a coroutine.
    """
    if feed.adaptive or storing.prunes_by_age(feed):
        return False
    return not _changed(feed, after_success(feed, response, None, clock.now()))


def settle_move(feed: Feed, response: Response) -> None:
    """Move a feed that has been redirected for long enough, or say that it will move."""
    now = clock.now()
    seen = _seen(feed, response, now)
    if seen is None:
        return
    if seen.is_settled(now):
        moving.move(feed, seen.to)
        return
    other = Feed.objects.filter(url=seen.to).first()
    text = (
        "%s redirects permanently to %s. If it goes on doing so until %s, that becomes its address."
        if other is None
        else "%s redirects permanently to %s, which is polled, too. If it goes on doing so until "
        "%s, the two become one feed, with the entries of both."
    )
    until = seen.since + moves.SPAN
    logger.warning(text, feed.shown_url, shown_url(seen.to), f"{until:%Y-%m-%d %H:%M} UTC")


def failed(feed: Feed, error: FeedError, unreadable: Response | None = None) -> None:
    """Record a poll that has failed: when it is tried again, and whether a move was a mistake.

    `unreadable` is the document that could not be read, which is kept for a while; of one that is
    too large, or whose compression is broken, the beginning is.
    """
    host = error.host if isinstance(error, Unreachable) else ""
    if not backoff.counts(error, others_answer=network.others_answer(host)):
        if host:
            logger.warning(
                "No other host has answered in the last minute: that may be our own network, and "
                "isn't counted as a failure of this feed."
            )
        return
    now = clock.now()
    if unreadable is not None:
        storing.keep_document(feed, unreadable.body, unreadable.content_type, str(error))
    elif error.beginning:
        note = _("Cut off: this is only its beginning.")
        storing.keep_document(feed, error.beginning, error.content_type, f"{error}\n{note}")
    missed = _missed(feed, error, now)
    columns = after_failure(feed, error, now, _interval(feed, now))
    if missed is not None:
        columns |= _of_sighting(missed)
    Feed.objects.filter(pk=feed.pk).update(**columns)
    span = backoff.retry_after(error)
    if span is not None and isinstance(error, HttpStatus) and error.public_host:
        until = now + min(span, backoff.LONGEST_FOR_HOST)
        name, said = error.public_host.lower()[:255], {"not_before": until, "status": error.status}
        FeedHost.objects.get_or_create(name=name, defaults=said)
        # Another of its feeds may have been told to wait for longer.
        FeedHost.objects.filter(name=name, not_before__lt=until).update(**said)
    if missed is not None and missed.is_settled(now):
        moving.undo(feed)


def after_success(
    feed: Feed, response: Response, parsed: ParsedFeed | None, now: datetime
) -> dict[str, Any]:
    """Return the columns of a feed after such a poll; `parsed` is None if nothing has changed."""
    columns = moving.NO_FAILURES | _of_sighting(_seen(feed, response, now))
    if response.status == HTTPStatus.NOT_MODIFIED:
        columns |= _of_validators(after_not_modified(validators_of(feed), response.headers))
    else:
        columns |= _of_validators(after_document(response.url, response.headers))
    update_seconds = feed.update_seconds
    if parsed is not None:
        dates = _dates(parsed)
        update_seconds = freshness.believed(parsed.update_seconds, dates, now)
        columns |= {"update_seconds": update_seconds, **noted(parsed)}
        columns["body_digest"] = digest(response)
        columns["skip_hours"] = list(parsed.skip_hours) or None
        columns["skip_days"] = list(parsed.skip_days) or None
    hints = freshness.longest(
        freshness.by_headers(response.headers, now), freshness.by_document(update_seconds)
    )
    heeded = None if feed.ignores_hints else hints
    adapted = _adapted(feed, parsed, now) if feed.adaptive else None
    return columns | _of_wait(freshness.longest(adapted, heeded), now)


def noted(parsed: ParsedFeed) -> dict[str, Any]:
    """Return what was wrong with a document that could be read nevertheless, for people."""
    defect = mask_text(storable(parsed.defect))[:MAX_TEXT]
    return {"defect": defect, "dropped": parsed.dropped}


def after_failure(
    feed: Feed, error: FeedError, now: datetime, interval: timedelta
) -> dict[str, Any]:
    """Return the columns of a feed after a poll that has failed."""
    failures = feed.failures + 1
    columns: dict[str, Any] = {"failures": failures}
    until, why = backoff.until(failures, interval, error, now), Why.FAILURES
    if isinstance(error, HttpStatus) and error.status == HTTPStatus.GONE:
        said = gone.said_again(_gone(feed), now)
        columns |= {"gone_since": said.since, "gone_times": said.times}
        columns["gone_for_good"] = now if said.is_for_good(now) else None
        until, why = gone.asked_again(now), Why.GONE
    elif (span := backoff.retry_after(error)) is not None and now + span > until:
        until, why = now + span, Why.RETRY_AFTER
    return columns | {"not_before": until, "not_before_why": str(why)}


def is_no_feed(error: FeedError) -> bool:
    """Return whether there is no feed at an address, as opposed to one that can't be had now."""
    if isinstance(error, HttpStatus):
        return error.status in NO_FEED_ANY_MORE
    return isinstance(error, NotAFeed)


def sighting(columns: dict[str, Any]) -> Sighting | None:
    """Return where a feed redirects to, as its columns have it; None if it doesn't."""
    if not columns["moving_to"] or columns["moving_since"] is None:
        return None
    return Sighting(columns["moving_to"], columns["moving_since"], columns["moving_times"])


def _changed(feed: Feed, columns: dict[str, Any]) -> dict[str, Any]:
    return {name: new for name, new in columns.items() if getattr(feed, name) != new}


def _dates(parsed: ParsedFeed) -> list[datetime | None]:
    return [entry.published or entry.updated for entry in parsed.entries]


def _adapted(feed: Feed, parsed: ParsedFeed | None, now: datetime) -> Fresh | None:
    """Return for how long a feed is left alone by how often it publishes.

    By the newest entries that are stored, and by those that its document lists now.
    """
    stored = Entry.objects.filter(feed=feed).order_by("-published", "-id")
    dates: list[datetime | None] = list(stored.values_list("published", flat=True)[:LATEST])
    if parsed is not None:
        dates += _dates(parsed)
    return freshness.by_entries(adapted_interval(dates, _interval(feed, now), now))


def _of_wait(fresh: Fresh | None, now: datetime) -> dict[str, Any]:
    if fresh is None:
        return {"not_before": None, "not_before_why": ""}
    why = Why.ADAPTIVE if fresh.source is Source.ENTRIES else Why.FRESH
    return {"not_before": fresh.until(now), "not_before_why": str(why)}


def _seen(feed: Feed, response: Response, now: datetime) -> Sighting | None:
    to = response.moved_to
    is_storable = to is not None and len(to.encode()) <= MAX_URL
    return moves.seen(_seen_before(feed), feed.url, to if is_storable else None, now)


def _missed(feed: Feed, error: FeedError, now: datetime) -> Sighting | None:
    """Return how often there was no feed where a feed has moved to, None if it stays there."""
    if not is_no_feed(error) or not moves.can_go_back(feed.moved_at, now):
        return None
    return moves.missed(_seen_before(feed), feed.original_url, now)


def _seen_before(feed: Feed) -> Sighting | None:
    return sighting({name: getattr(feed, name) for name in _of_sighting(None)})


def _gone(feed: Feed) -> Gone | None:
    """Return since when it is said to be gone; what was believed and tried again counts anew."""
    if feed.gone_since is None or feed.gone_for_good is not None:
        return None
    return Gone(feed.gone_since, feed.gone_times)


def _interval(feed: Feed, now: datetime) -> timedelta:
    """Return the interval of a feed's schedule: from the next due to the one after it."""
    schedule = feed.schedule
    if schedule is None:
        return DEFAULT_INTERVAL
    if schedule.interval:
        return timedelta(seconds=schedule.interval)
    first = schedule.next_due(now)
    second = None if first is None else schedule.next_due(first)
    return DEFAULT_INTERVAL if first is None or second is None else second - first


def _of_validators(validators: Validators) -> dict[str, Any]:
    return {
        "final_url": validators.url,
        "etag": validators.etag,
        "last_modified": validators.last_modified,
    }


def _of_sighting(seen: Sighting | None) -> dict[str, Any]:
    if seen is None:
        return {"moving_to": "", "moving_since": None, "moving_times": 0}
    return {"moving_to": seen.to, "moving_since": seen.since, "moving_times": seen.times}
