"""Feeds with their schedules, for the tests."""

from typing import Any

from asgiref.sync import async_to_sync

from feeds.models import Feed
from feeds.services import schedule_feed
from feeds.tasks import fetch_rss
from tasks.models import ScheduledTask


def polled(url: str, **options: Any) -> tuple[Feed, ScheduledTask]:
    """Schedule a feed; return it and its schedule."""
    feed = schedule_feed(url, **options)
    assert feed.schedule is not None
    return feed, feed.schedule


@async_to_sync
async def poll(feed: Feed) -> dict[str, Any]:
    """Poll a feed, in this thread's transaction; return the result."""
    return await fetch_rss(feed)
