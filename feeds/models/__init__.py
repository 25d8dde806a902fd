"""What is stored of feeds: a module for each subject, all of it found here."""

from feeds.models.entries import Entry
from feeds.models.feeds import MAX_URL, Feed, FeedQuerySet
from feeds.models.hosts import FeedHost

__all__ = ["MAX_URL", "Entry", "Feed", "FeedHost", "FeedQuerySet"]
