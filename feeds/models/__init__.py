"""What is stored of feeds: a module for each subject, all of it found here."""

from feeds.models.documents import FailedDocument
from feeds.models.entries import Entry, Tombstone
from feeds.models.feeds import Feed, FeedQuerySet
from feeds.models.hosts import FeedHost
from feeds.models.subscriptions import Subscription

__all__ = [
    "Entry",
    "FailedDocument",
    "Feed",
    "FeedHost",
    "FeedQuerySet",
    "Subscription",
    "Tombstone",
]
