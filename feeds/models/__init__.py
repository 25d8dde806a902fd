"""What is stored of feeds: a module for each subject, all of it found here."""

from feeds.models.entries import Entry
from feeds.models.feeds import MAX_URL, Feed, FeedQuerySet

__all__ = ["MAX_URL", "Entry", "Feed", "FeedQuerySet"]
