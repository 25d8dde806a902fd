"""The pages of entries: their list, and what one of them says."""

import urllib.parse
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from feeds.admin_pages import preview
from feeds.admin_pages.feed_filter import FeedFilter, suggest
from feeds.admin_pages.links import web_link
from feeds.admin_pages.periods import PeriodFilter
from feeds.keeping.search import search
from feeds.models import Entry
from tasks.admin_pages.base import BriefAdmin, time_column
from tasks.admin_pages.formatting import NONE, short_duration, timestamp
from tasks.admin_pages.secrets import SecretsAdmin
from tasks.masking import mask_text


@admin.register(Entry)
class EntryAdmin(BriefAdmin, SecretsAdmin):
    """Entries, as they were in their feeds; they can only be starred, so that they are kept."""

    list_display = ("named", "feed", "published_at", "site")
    list_filter = (FeedFilter, PeriodFilter, "starred")
    list_select_related = ("feed",)
    # So that there is a field for it: what is searched is the full-text index.
    search_fields = ("title",)
    search_help_text = gettext_lazy(
        "Words in the title, the author's name, the text and the categories; “in quotes” as they "
        "stand."
    )
    secret_columns = frozenset(
        {"link", "guid", "summary", "content", "words", "comments", "image", "enclosures"}
    )
    actions = ("star", "unstar")
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    fields = (
        "title",
        "feed",
        "page",
        "author",
        "published_at",
        "updated_at",
        "first_seen_at",
        "says",
        "files",
        "shown_categories",
        "talk",
        "picture",
        "language",
        "published_text",
        "shown_guid",
    )

    class Media:
        css: ClassVar = {"all": ["feeds/admin.css"]}
        js: ClassVar = ["feeds/feed_names.js"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Entry]:
        return super().get_queryset(request).defer("summary", "content")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Entry], search_term: str
    ) -> tuple[QuerySet[Entry], bool]:
        if not search_term.strip():
            return queryset, False
        return queryset.filter(pk__in=search(search_term).order_by().values("pk")), False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("feeds/", view(self.feeds_view), name="feeds_entry_feeds"),
            path("<int:pk>/star/", view(self.star_view), name="feeds_entry_star"),
            path("<int:pk>/frame/", view(self.frame_view), name="feeds_entry_frame"),
            *super().get_urls(),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_star_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may star entries: whoever may change them."""
        return super().has_change_permission(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Entry | None = None) -> Any:
        return self.fields

    # Pages of their own

    def feeds_view(self, request: HttpRequest) -> JsonResponse:
        """Suggest names of feeds to whoever may see entries."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return suggest(request)

    def frame_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what an entry says, for the frame on its page."""
        entry = get_object_or_404(super().get_queryset(request), pk=pk)
        if not self.has_view_permission(request, entry):
            raise PermissionDenied
        return preview.preview(request, entry)

    def star_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Star an entry, or take its star away; a GET only leads to its page (R11)."""
        entry = get_object_or_404(self.get_queryset(request), pk=pk)
        if request.method == "POST":
            if not self.has_star_permission(request):
                raise PermissionDenied
            Entry.objects.filter(pk=pk).update(starred=not entry.starred)
        return HttpResponseRedirect(self.page_of(entry))

    # Actions

    @admin.action(permissions=["star"], description=gettext_lazy("Star: keep for ever"))
    def star(self, request: HttpRequest, queryset: QuerySet[Entry]) -> None:
        changed = self._set_starred(queryset, starred=True)
        done = ngettext("%(number)d is starred.", "%(number)d are starred.", changed)
        messages.success(request, done % {"number": changed})

    @admin.action(permissions=["star"], description=gettext_lazy("Take the star away"))
    def unstar(self, request: HttpRequest, queryset: QuerySet[Entry]) -> None:
        changed = self._set_starred(queryset, starred=False)
        done = ngettext(
            "%(number)d is no longer starred.", "%(number)d are no longer starred.", changed
        )
        messages.success(request, done % {"number": changed})

    def _set_starred(self, queryset: QuerySet[Entry], starred: bool) -> int:
        keys = list(queryset.order_by().values_list("pk", flat=True))
        return Entry.objects.filter(pk__in=keys, starred=not starred).update(starred=starred)

    # Columns and rows

    updated_at = time_column("updated", gettext_lazy("updated"))
    first_seen_at = time_column("first_seen", gettext_lazy("first seen"))

    @admin.display(description=gettext_lazy("published"), ordering="published")
    def published_at(self, entry: Entry) -> SafeString | str:
        return timestamp(entry.published)

    @admin.display(description=gettext_lazy("entry"))
    def named(self, entry: Entry) -> SafeString | str:
        if not entry.starred:
            return str(entry)
        return format_html('<span role="img" aria-label="{}">★</span> {}', _("starred"), entry)

    @admin.display(description=gettext_lazy("page"))
    def site(self, entry: Entry) -> SafeString | str:
        """Link to the entry's page by its host: the whole address leaves no room for titles."""
        host = urllib.parse.urlsplit(entry.link).netloc.rpartition("@")[2]
        return web_link(entry.link, host.removeprefix("www."))

    @admin.display(description=gettext_lazy("page"))
    def page(self, entry: Entry) -> SafeString | str:
        return web_link(entry.link, entry.link)

    @admin.display(description=gettext_lazy("id"))
    def shown_guid(self, entry: Entry) -> str:
        return mask_text(entry.guid)

    @admin.display(description=gettext_lazy("text"))
    def says(self, entry: Entry) -> SafeString | str:
        """Show the text in a frame, and offer the images that it has."""
        if not entry.summary and not entry.content:
            return NONE
        with_images = getattr(entry, "with_images", False)
        url = reverse(f"{self.admin_site.name}:feeds_entry_frame", args=[entry.pk])
        shown = preview.frame(url, with_images)
        if not preview.has_images(entry):
            return shown
        query, text = ("?", _("Hide the images")) if with_images else (f"?{preview.IMAGES}=1", "")
        text = text or _("Load the images (their hosts learn that you are reading)")
        return format_html('{}<p><a href="{}">{}</a></p>', shown, query, text)

    @admin.display(description=gettext_lazy("files"))
    def files(self, entry: Entry) -> SafeString | str:
        rows = ((web_link(file["url"], file["url"]), _described(file)) for file in entry.enclosures)
        return format_html_join("", "<div>{} {}</div>", rows) or NONE

    @admin.display(description=gettext_lazy("categories"))
    def shown_categories(self, entry: Entry) -> str:
        return mask_text(", ".join(entry.categories)) or NONE

    @admin.display(description=gettext_lazy("comments"))
    def talk(self, entry: Entry) -> SafeString | str:
        return web_link(entry.comments, entry.comments)

    @admin.display(description=gettext_lazy("image"))
    def picture(self, entry: Entry) -> SafeString | str:
        return web_link(entry.image, entry.image)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Entry | None:
        """Return the entry, which knows whether its images are requested."""
        entry: Any = super().get_object(request, object_id, from_field)
        if entry is not None:
            entry.with_images = preview.IMAGES in request.GET
        return entry

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["may_star"] = self.has_star_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)


def _described(file: dict[str, Any]) -> str:
    """Return what is said of a file: its type, size and duration."""
    size, duration = file.get("length"), file.get("duration")
    parts = [
        file.get("type") or "",
        filesizeformat(size) if size else "",
        short_duration(timedelta(seconds=duration)) if duration else "",
    ]
    return ", ".join(filter(None, parts))
