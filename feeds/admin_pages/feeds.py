"""The admin of feeds: what registers the pages, and how feeds are deleted."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from feeds.admin_pages.feed_lists import FeedListsAdmin
from feeds.models import Entry, Feed
from tasks.masking import mask_text
from tasks.models import ScheduledTaskInstance


@admin.register(Feed)
class FeedAdmin(FeedListsAdmin):
    """Feeds: look at, add, tag, pause and remove them, and move lists of them."""

    class Media:
        css: ClassVar = {"all": ["feeds/admin.css"]}

    def get_deleted_objects(
        self, objs: QuerySet[Feed] | Sequence[Feed], request: HttpRequest
    ) -> tuple[list[Any], dict[Any, int], set[Any], list[Any]]:
        """Count what is deleted with the feeds instead of listing thousands of entries."""
        feeds = list(objs)
        runs = ScheduledTaskInstance.objects.filter(parent__in=[f.schedule_id for f in feeds])
        counts = {
            Feed._meta.verbose_name_plural: len(feeds),
            Entry._meta.verbose_name_plural: Entry.objects.filter(feed__in=feeds).count(),
            ScheduledTaskInstance._meta.verbose_name_plural: runs.count(),
        }
        allowed = all(self.has_delete_permission(request, feed) for feed in feeds)
        missing = set() if allowed else {Feed._meta.verbose_name}
        return [str(feed) for feed in feeds], counts, missing, []

    def secrets_of(self, record: Feed) -> dict[str, Any]:
        hidden = mask_text(record.url) != record.url
        return {_("address"): record.url} if hidden else {}
