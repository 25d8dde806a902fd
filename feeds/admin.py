"""The admin of feeds: their pages, and those of their entries, are in `feeds.admin_pages`."""

from feeds.admin_pages.documents import FailedDocumentAdmin
from feeds.admin_pages.entries import EntryAdmin
from feeds.admin_pages.feeds import FeedAdmin

__all__ = ["EntryAdmin", "FailedDocumentAdmin", "FeedAdmin"]
