"""The admin of entries; that of feeds is in `feeds.admin_pages`. The services do the work."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy

from feeds.admin_pages.feeds import FeedAdmin
from feeds.models import Entry
from feeds.parsing import without_images
from tasks.admin_pages.base import BriefAdmin, time_column
from tasks.admin_pages.formatting import NONE, timestamp
from tasks.admin_pages.limits import VisibleFilter
from tasks.admin_pages.secrets import SecretsAdmin
from tasks.masking import mask_text

__all__ = ["EntryAdmin", "FeedAdmin"]


def web_link(url: str, text: str) -> SafeString | str:
    """Link to an external page, without telling it where the reader comes from.

    An address with a secret in it is shown without the secret, and so isn't a link.
    """
    if not url:
        return text or NONE
    if (masked := mask_text(url)) != url:
        return masked
    return format_html('<a href="{}" rel="noopener noreferrer">{}</a>', url, text or url)


@admin.register(Entry)
class EntryAdmin(BriefAdmin, SecretsAdmin):
    """Entries, read-only, as they were in their feeds."""

    list_display = ("__str__", "feed", "published_at", "page")
    list_filter = (("feed", VisibleFilter),)
    list_select_related = ("feed",)
    search_fields = ("title", "author")
    secret_columns = frozenset({"link", "guid", "summary", "content"})
    date_hierarchy = "published"
    list_per_page = 50
    show_full_result_count = False
    fields = (
        "title",
        "feed",
        "page",
        "author",
        "published_at",
        "updated_at",
        "first_seen_at",
        "shown_guid",
        "shown_summary",
        "shown_content",
    )

    class Media:
        css: ClassVar = {"all": ["feeds/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Entry]:
        return super().get_queryset(request).defer("summary", "content")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Entry | None = None) -> Any:
        return self.fields

    updated_at = time_column("updated", gettext_lazy("updated"))
    first_seen_at = time_column("first_seen", gettext_lazy("first seen"))

    @admin.display(description=gettext_lazy("published"), ordering="published")
    def published_at(self, entry: Entry) -> SafeString | str:
        return timestamp(entry.published)

    @admin.display(description=gettext_lazy("page"))
    def page(self, entry: Entry) -> SafeString | str:
        return web_link(entry.link, entry.link)

    @admin.display(description=gettext_lazy("id"))
    def shown_guid(self, entry: Entry) -> str:
        return mask_text(entry.guid)

    @admin.display(description=gettext_lazy("summary"))
    def shown_summary(self, entry: Entry) -> SafeString | str:
        return boxed_html(entry.summary)

    @admin.display(description=gettext_lazy("content"))
    def shown_content(self, entry: Entry) -> SafeString | str:
        return boxed_html(entry.content)


def boxed_html(html: str) -> SafeString | str:
    """Show a feed's HTML in a box that scrolls, sanitised once more, without its images."""
    if not html:
        return NONE
    safe = mark_safe(without_images(mask_text(html)))
    return format_html('<div class="feed-html">{}</div>', safe)
