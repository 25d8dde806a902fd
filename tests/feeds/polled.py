"""Feeds with their schedules, for the tests."""

from typing import Any

from feeds.models import Feed
from feeds.services import schedule_feed
from tasks.models import ScheduledTask


def polled(url: str, **options: Any) -> tuple[Feed, ScheduledTask]:
    """Schedule a feed; return it and its schedule."""
    feed = schedule_feed(url, **options)
    assert feed.schedule is not None
    return feed, feed.schedule
