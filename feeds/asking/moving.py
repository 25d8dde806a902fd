"""Gives a feed another address: the one that it has moved to, or its original one again."""

import logging
from datetime import datetime
from typing import Any

from feeds.asking import hosts, moves
from feeds.exceptions import shown_url
from feeds.keeping.uniting import unite_entries
from feeds.models import Feed
from tasks import clock
from tasks.database import atomic
from tasks.models import ScheduledTask
from tasks.services import SchedulerService

logger = logging.getLogger(__name__)

NO_FAILURES: dict[str, Any] = {
    "failures": 0,
    "gone_since": None,
    "gone_times": 0,
    "gone_for_good": None,
}
NO_WAIT: dict[str, Any] = {"not_before": None, "not_before_why": ""}


def move(feed: Feed, to: str) -> None:
    """Give a feed the address that it has moved to; if that is a feed already, unite the two."""
    with atomic():
        other = Feed.objects.select_for_update(no_key=True).filter(url=to).first()
        own = Feed.objects.select_for_update(no_key=True).filter(pk=feed.pk, url=feed.url).first()
        if own is None:
            return
        if other is not None:
            unite(own, other)
            return
        now = clock.now()
        original = own.original_url if moves.can_go_back(own.moved_at, now) else own.url
        _give(own, to, original=original, moved=now)
    logger.warning("%s has moved to %s.", feed.shown_url, shown_url(to))


def undo(feed: Feed) -> None:
    """Give a moved feed its original address again: there is no feed at the new one any more.

    Its failures there don't count here.
    """
    with atomic():
        own = Feed.objects.select_for_update(no_key=True).filter(pk=feed.pk, url=feed.url).first()
        if own is None or own.moved_at is None:
            return
        if Feed.objects.filter(url=own.original_url).exists():
            return
        _give(own, own.original_url, original="", moved=None)
        Feed.objects.filter(pk=own.pk).update(**NO_FAILURES, **NO_WAIT)
    logger.warning(
        "There is no feed at %s any more: its address is %s again.",
        feed.shown_url,
        shown_url(feed.original_url),
    )


def unite(moved: Feed, other: Feed) -> Feed:
    """Make one feed of two, of which one has moved to the address of the other; return it.

    It has the entries and the tags of both (of an entry that both have, its own), and the older
    schedule that is live; the other one ends. That isn't undone. To be called in a transaction.
    """
    kept, left = (moved, other) if _is_older(moved, other) else (other, moved)
    to, original = other.url, moved.original_url or moved.url
    _end(left.schedule, to)
    unite_entries(kept, left)
    kept.tags.add(*left.tags.all())
    if kept.schedule is not None:
        kept.schedule.tags.add(*left.tags.all())
    # Its schedule stays, with its runs: one may be going on, the one in which this happens.
    left.schedule = None
    left.save(update_fields=["schedule"])
    left.delete()
    _give(kept, to, original=original, moved=None)
    logger.warning("%s and %s are one feed now.", shown_url(original), shown_url(to))
    return kept


def _end(schedule: ScheduledTask | None, to: str) -> None:
    if schedule is not None and schedule.status != ScheduledTask.Status.DEATH:
        SchedulerService.update(schedule, note=f"One feed with {shown_url(to)}.")
        SchedulerService.cancel(schedule)


def _is_older(one: Feed, other: Feed) -> bool:
    """Return whether the schedule of `one` is the one to be kept: live ones go before others."""
    return _rank(one.schedule) <= _rank(other.schedule)


def _rank(schedule: ScheduledTask | None) -> tuple[bool, bool, int]:
    if schedule is None:
        return True, True, 0
    return False, not schedule.is_live, schedule.pk


def _give(feed: Feed, url: str, *, original: str, moved: datetime | None) -> None:
    """Give a feed an address; its schedule is named after it, and limited with those of its host.

    What came from the address before says nothing about what is to be expected from this one.
    """
    before = feed.shown_url
    is_back = original == url
    feed.url, feed.original_url = url, "" if is_back else original
    feed.moved_at = None if is_back else moved
    feed.moving_to, feed.moving_since, feed.moving_times = "", None, 0
    feed.save(
        update_fields=[
            "url",
            "original_url",
            "moved_at",
            "moving_to",
            "moving_since",
            "moving_times",
            "updated",
        ]
    )
    hosts.forget(feed.pk)
    if feed.schedule is not None:
        names = {"name": feed.shown_url} if feed.schedule.name == before else {}
        SchedulerService.update(feed.schedule, **names)
