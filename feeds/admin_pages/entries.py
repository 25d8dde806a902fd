"""The pages of entries: their list, and what one of them says."""

import urllib.parse
from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Prefetch, QuerySet
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
from feeds.admin_pages.tagging import TAGGING, TAKE, typed_tags
from feeds.keeping.search import search
from feeds.models import Entry
from tasks.access import visible
from tasks.admin_pages.base import BriefAdmin, time_column
from tasks.admin_pages.formatting import NONE, short_duration, timestamp
from tasks.admin_pages.schedule_filters import TagFilter
from tasks.admin_pages.secrets import SecretsAdmin
from tasks.database import CHUNK
from tasks.masking import mask_text
from tasks.models import Tag

Tagged = Entry.tags.through
# Rows of an entry's page that are there only if there is something in them, by their fields.
RARE = {
    "author": "author",
    "updated_at": "updated",
    "files": "enclosures",
    "shown_categories": "categories",
    "talk": "comments",
    "picture": "image",
    "language": "language",
    "published_text": "published_text",
}


class EntryTagFilter(TagFilter):
    """By a tag of the entry itself; only those that an entry has are offered."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        used = Tag.objects.filter(pk__in=Entry.tags.through.objects.values("tag"))
        names = visible(request.user, used).values_list("name", flat=True)
        return [(name, name) for name in names]

    def has_output(self) -> bool:
        return bool(self.lookup_choices) or self.value() is not None


class EntryActionForm(ActionForm):
    """What is done with the chosen entries, and the tags that it is done with."""

    tag = forms.CharField(
        label="",
        required=False,
        widget=forms.TextInput(
            {
                "class": "sl-tag-name",
                "placeholder": gettext_lazy("tag"),
                "aria-label": gettext_lazy("Tag"),
                "maxlength": 200,
            }
        ),
    )


@admin.register(Entry)
class EntryAdmin(BriefAdmin, SecretsAdmin):
    """Entries, as they were in their feeds; they can be starred and tagged, so that they stay."""

    list_display = ("named", "of_feed", "published_at", "site")
    list_filter = (FeedFilter, PeriodFilter, EntryTagFilter, "starred")
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
    action_form = EntryActionForm
    actions = ("star", "unstar", *TAGGING)
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
        js: ClassVar = ["tasks/names.js"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Entry]:
        tags = Prefetch("tags", visible(request.user, Tag.objects.all()))
        return super().get_queryset(request).defer("summary", "content").prefetch_related(tags)

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
            path("<int:pk>/tag/", view(self.tag_view), name="feeds_entry_tag"),
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
        """Return whether the user may star and tag entries: whoever may change them."""
        return super().has_change_permission(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Entry | None = None) -> Any:
        return self.fields

    def get_fields(self, request: HttpRequest, obj: Entry | None = None) -> Any:
        """Leave out what most entries don't have, where this one hasn't."""
        return [name for name in self.fields if obj is None or _is_there(obj, name)]

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

    def tag_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Give an entry the typed tags, or take one away; a GET only leads to its page (R11)."""
        entry = get_object_or_404(self.get_queryset(request), pk=pk)
        if request.method == "POST":
            if not self.has_star_permission(request):
                raise PermissionDenied
            tags = typed_tags(request, self.admin_site)
            change = entry.tags.remove if TAKE in request.POST else entry.tags.add
            change(*tags)
        return HttpResponseRedirect(self.page_of(entry))

    # Actions

    @admin.action(permissions=["star"], description=gettext_lazy("Give tag: keep for ever"))
    def give_tag(self, request: HttpRequest, queryset: QuerySet[Entry]) -> None:
        tags, keys = typed_tags(request, self.admin_site), _keys(queryset)
        links = [Tagged(entry_id=pk, tag=tag) for pk in keys for tag in tags]
        Tagged.objects.bulk_create(links, ignore_conflicts=True, batch_size=CHUNK)
        if tags:
            done = ngettext("%(number)d is tagged.", "%(number)d are tagged.", len(keys))
            messages.success(request, done % {"number": len(keys)})

    @admin.action(permissions=["star"], description=gettext_lazy("Take tag away"))
    def take_tag(self, request: HttpRequest, queryset: QuerySet[Entry]) -> None:
        tags, keys = typed_tags(request, self.admin_site), _keys(queryset)
        if tags:
            taken = Tagged.objects.filter(entry__in=keys, tag__in=tags)
            number = taken.values("entry").distinct().count()
            taken.delete()
            done = ngettext(
                "%(number)d has the tag no longer.", "%(number)d have the tag no longer.", number
            )
            messages.success(request, done % {"number": number})

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
        keys = _keys(queryset)
        return Entry.objects.filter(pk__in=keys, starred=not starred).update(starred=starred)

    # Columns and rows

    updated_at = time_column("updated", gettext_lazy("updated"))
    first_seen_at = time_column("first_seen", gettext_lazy("first seen"))

    @admin.display(description=gettext_lazy("published"), ordering="published")
    def published_at(self, entry: Entry) -> SafeString | str:
        return timestamp(entry.published)

    @admin.display(description=gettext_lazy("entry"))
    def named(self, entry: Entry) -> SafeString | str:
        tags = format_html_join(
            "", ' <span class="sl-tag">{}</span>', ((tag.name,) for tag in entry.tags.all())
        )
        if not entry.starred:
            return format_html("{}{}", entry, tags) if tags else str(entry)
        star = '<span role="img" aria-label="{}">★</span> {}{}'
        return format_html(star, _("starred"), entry, tags)

    @admin.display(description=gettext_lazy("feed"), ordering="feed")
    def of_feed(self, entry: Entry) -> str:
        """Show the feed's name, which may be long: Django would keep it on one line."""
        return str(entry.feed)

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
        entry = context.get("original")
        context["may_star"] = self.has_star_permission(request)
        context["tags"] = [tag.name for tag in entry.tags.all()] if entry is not None else []
        context["all_tags"] = visible(request.user, Tag.objects.all()).values_list(
            "name", flat=True
        )
        context["give"], context["take"] = TAGGING
        return super().render_change_form(request, context, *args, **kwargs)


def _is_there(entry: Entry, row: str) -> bool:
    return row not in RARE or bool(getattr(entry, RARE[row]))


def _keys(queryset: QuerySet[Entry]) -> list[int]:
    return list(queryset.order_by().values_list("pk", flat=True))


def _described(file: dict[str, Any]) -> str:
    """Return what is said of a file: its type, size and duration."""
    size, duration = file.get("length"), file.get("duration")
    parts = [
        file.get("type") or "",
        filesizeformat(size) if size else "",
        short_duration(timedelta(seconds=duration)) if duration else "",
    ]
    return ", ".join(filter(None, parts))
