"""What is stored of feeds: a module for each subject, all of it found here."""

from feeds.models.entries import Entry
from feeds.models.feeds import Feed, FeedQuerySet

__all__ = ["Entry", "Feed", "FeedQuerySet"]
