"""The admin of feeds. The services do the work."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

# These modules register their own pages.
import feeds.admin_pages.documents
import feeds.admin_pages.entries  # noqa: F401
from feeds import services
from feeds.admin_pages.links import web_link
from feeds.exceptions import BadUrl
from feeds.models import Entry, Feed
from tasks import clock
from tasks.access import visible
from tasks.admin_pages.base import BriefAdmin, time_column
from tasks.admin_pages.formatting import NONE, timestamp
from tasks.admin_pages.links import schedule_page
from tasks.admin_pages.secrets import SecretsAdmin
from tasks.admin_pages.states import badge
from tasks.broker.ownership import why_not_in_redis
from tasks.masking import mask_text
from tasks.models import ScheduledTaskInstance, Tag


class FeedForm(forms.ModelForm):
    """Add a feed by its address; of an existing one, the tags can be changed."""

    class Meta:
        model = Feed
        fields = ("url", "tags")
        widgets: ClassVar = {"url": forms.URLInput({"class": "vURLField", "size": 80})}

    def clean_url(self) -> str:
        try:
            return services.validate_url(self.cleaned_data["url"])
        except BadUrl as error:
            raise ValidationError(error.problem) from error


@admin.register(Feed)
class FeedAdmin(BriefAdmin, SecretsAdmin):
    """Feeds: add and remove. To poll one less often or not at all, change its schedule."""

    form = FeedForm
    filter_horizontal = ("tags",)
    list_display = ("__str__", "address", "entries", "when", "last_run")
    search_fields = ("title",)
    secret_search_fields = ("url",)
    secret_columns = frozenset(
        {"url", "link", "etag", "last_modified", "final_url", "moving_to", "original_url"}
    )
    ordering = ("title", "pk")
    list_per_page = 50
    show_full_result_count = False
    fields = (
        "title",
        "tags",
        "address",
        "site",
        "when",
        "next_due",
        "last_run",
        "entries",
        "created_at",
        "updated_at",
    )
    add_fieldsets = (
        (
            None,
            {
                "fields": ("url", "tags"),
                "description": gettext_lazy(
                    "The feed is fetched every 15 minutes from now on. To change that, edit "
                    "its schedule afterwards."
                ),
            },
        ),
    )

    class Media:
        css: ClassVar = {"all": ["feeds/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Feed]:
        feeds = Feed.objects.with_entry_count().with_last_run().select_related("schedule__calendar")
        tags = Prefetch("tags", visible(request.user, Tag.objects.all()))
        return visible(request.user, feeds.prefetch_related(tags))

    def get_fieldsets(self, request: HttpRequest, obj: Feed | None = None) -> Any:
        return super().get_fieldsets(request, obj) if obj is not None else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Feed | None = None) -> Any:
        return [name for name in self.fields if name != "tags"] if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: Feed, form: Any, change: bool) -> None:
        """Schedule a new feed; of an existing one, only the tags can be changed."""
        if change:
            return
        feed = services.schedule_feed(obj.url)
        obj.__dict__.update(feed.__dict__)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Give a feed's schedule the tags of the feed."""
        before = set(form.instance.tags.all())
        super().save_related(request, form, formsets, change)
        services.tag_schedule(form.instance, before)

    def response_add(self, request: HttpRequest, obj: Feed, post_url_continue: Any = None) -> Any:
        if obj.schedule is not None and obj.schedule.projected is False:
            messages.warning(request, why_not_in_redis())
        return super().response_add(request, obj, post_url_continue)

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

    created_at = time_column("created", gettext_lazy("created"))
    updated_at = time_column("updated", gettext_lazy("updated"))

    @admin.display(description=gettext_lazy("address"))
    def address(self, feed: Feed) -> str:
        return feed.shown_url

    @admin.display(description=gettext_lazy("site"))
    def site(self, feed: Feed) -> SafeString | str:
        return web_link(feed.link, feed.link)

    @admin.display(description=gettext_lazy("entries"), ordering="entry_count")
    def entries(self, feed: Any) -> SafeString:
        url = reverse("admin:feeds_entry_changelist")
        return format_html('<a href="{}?feed__id__exact={}">{}</a>', url, feed.pk, feed.entry_count)

    @admin.display(description=gettext_lazy("schedule"))
    def when(self, feed: Feed) -> SafeString | str:
        if feed.schedule is None:
            return _("not scheduled")
        url = schedule_page(feed.schedule.pk)
        text = feed.schedule.when_in_words()
        if not feed.schedule.is_live:
            text = f"{text} ({feed.schedule.status_in_words()})"
        return format_html('<a href="{}">{}</a>', url, text)

    @admin.display(description=gettext_lazy("next due"))
    def next_due(self, feed: Feed) -> SafeString | str:
        return timestamp(feed.schedule.next_due(clock.now()) if feed.schedule else None)

    @admin.display(description=gettext_lazy("last run"))
    def last_run(self, feed: Any) -> SafeString | str:
        if feed.last_run_id is None:
            return NONE
        url = reverse("admin:tasks_scheduledtaskinstance_change", args=[feed.last_run_id])
        status = ScheduledTaskInstance.Status(feed.last_run_status)
        return format_html('<a href="{}">{}</a>', url, badge(status, str(status.label)))
