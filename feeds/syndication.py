"""Atom feeds of the project's own activity, and of the entries of all feeds with a tag."""

import hashlib
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.syndication.views import Feed
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse, reverse_lazy
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.feedgenerator import Atom1Feed, Enclosure
from django.utils.html import escape
from django.utils.http import http_date
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from feeds.models import Entry
from feeds.reading.text import clean_text
from tasks.access import visible
from tasks.masking import mask_text
from tasks.models import ScheduledTaskInstance, Tag

LATEST = 50


class ActivityFeed(Feed):
    """The runs that ended most recently.

    It is public, so it is there only if the site asks for it (FEEDS_ACTIVITY_FEED), and shows
    names, statuses and times only: no logs, arguments, results or tracebacks, nor why a run
    failed, since that text comes from the task function.
    """

    feed_type = Atom1Feed
    title = gettext_lazy("Latest runs")
    subtitle = gettext_lazy("The latest runs of all schedules.")
    link = reverse_lazy("admin:index")
    feed_url = reverse_lazy("feeds:activity")

    def __call__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not getattr(settings, "FEEDS_ACTIVITY_FEED", False):
            raise Http404("The activity feed is off: FEEDS_ACTIVITY_FEED.")
        return super().__call__(request, *args, **kwargs)

    def items(self) -> QuerySet[ScheduledTaskInstance]:
        runs = ScheduledTaskInstance.objects.filter(ended__isnull=False)
        runs = runs.select_related("parent").defer("log", "traceback", "result")
        return runs.order_by("-ended", "-id")[:LATEST]

    def item_title(self, item: ScheduledTaskInstance) -> str:
        status = item.get_status_display().capitalize()
        return _("%(status)s: %(name)s") % {
            "status": status,
            "name": clean_text(mask_text(item.name)),
        }

    def item_description(self, item: ScheduledTaskInstance) -> str:
        duration = item.duration
        if duration is not None:
            return _("It took %(seconds).1f s.") % {"seconds": duration.total_seconds()}
        return escape(clean_text(item.masked(item.reason_in_words())))

    def item_link(self, item: ScheduledTaskInstance) -> str:
        return reverse("admin:tasks_scheduledtaskinstance_change", args=[item.pk])

    def item_guid(self, item: ScheduledTaskInstance) -> str:
        """Return an id that a run keeps when it is tried again, and that no other site has."""
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{item.parent.job_id}/{item.pk}").urn

    def item_updateddate(self, item: ScheduledTaskInstance) -> datetime | None:
        return item.ended


class TagFeed(Feed):
    """The latest entries of all feeds with a tag.

    For people who may see entries and the tag, and for everybody if the site says so of the tag
    (FEEDS_PUBLIC_TAGS). A request with the ETag or the Last-Modified of before is answered with 304
    if nothing has changed.
    """

    feed_type = Atom1Feed
    link = reverse_lazy("admin:index")

    def __call__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        tag = _tag_for(request.user, kwargs["name"])
        if tag is None:
            raise Http404("No such tag, or not for you: FEEDS_PUBLIC_TAGS.")
        latest = list(_latest(tag).only("digest", "first_seen", "changed", "feed__title"))
        etag, changed = _etag(latest), max(map(_stored_at, latest), default=None)
        seconds = None if changed is None else int(changed.timestamp())
        response = get_conditional_response(request, etag=etag, last_modified=seconds)
        if response is None:
            response = super().__call__(request, *args, **kwargs)
        response["ETag"] = etag
        if seconds is not None:
            response["Last-Modified"] = http_date(seconds)
        if tag.name not in _public_tags():
            patch_cache_control(response, private=True)
        return response

    def get_object(self, request: HttpRequest, name: str) -> Tag:
        return Tag.objects.get(name=name)

    def title(self, tag: Tag) -> str:
        return clean_text(tag.name)

    def subtitle(self, tag: Tag) -> str:
        return _("The latest entries of all feeds with the tag “%(tag)s”.") % {
            "tag": clean_text(tag.name)
        }

    def feed_url(self, tag: Tag) -> str:
        return reverse("feeds:tag", args=[tag.name])

    def items(self, tag: Tag) -> QuerySet[Entry]:
        return _latest(tag).defer("words")

    def item_title(self, item: Entry) -> str:
        return clean_text(str(item)) if item.title else ""

    def item_description(self, item: Entry) -> str:
        return mask_text(item.content or item.summary)

    def item_link(self, item: Entry) -> str:
        """Return its page, that of its feed, or ours of it: one without a secret in it."""
        links = (link for link in (item.link, item.feed.link) if link and mask_text(link) == link)
        return next(links, reverse("admin:feeds_entry_change", args=[item.pk]))

    def item_guid(self, item: Entry) -> str:
        """Return an id that an entry keeps when it changes, and that no other site has."""
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{item.first_seen.isoformat()}/{item.pk}").urn

    def item_author_name(self, item: Entry) -> str:
        return clean_text(mask_text(item.author) or str(item.feed))

    def item_categories(self, item: Entry) -> list[str]:
        return [clean_text(mask_text(category)) for category in item.categories]

    def item_enclosures(self, item: Entry) -> list[Enclosure]:
        return [
            Enclosure(file["url"], str(file.get("length") or 0), file.get("type") or "")
            for file in item.enclosures
            if mask_text(file["url"]) == file["url"]
        ]

    def item_pubdate(self, item: Entry) -> datetime:
        return item.published

    def item_updateddate(self, item: Entry) -> datetime:
        return item.updated or item.changed or item.published


def _public_tags() -> Iterable[str]:
    tags: Iterable[str] = getattr(settings, "FEEDS_PUBLIC_TAGS", ())
    return tags


def _tag_for(user: Any, name: str) -> Tag | None:
    """Return the tag of this name if its entries are for this user."""
    tags = Tag.objects.filter(name=name)
    if name in _public_tags():
        return tags.first()
    may_see_entries = user.has_perm("feeds.view_entry") or user.has_perm("feeds.change_entry")
    return visible(user, tags).first() if may_see_entries else None


def _latest(tag: Tag) -> QuerySet[Entry]:
    entries = Entry.objects.filter(feed__tags=tag).select_related("feed")
    return entries.order_by("-published", "-id")[:LATEST]


def _stored_at(entry: Entry) -> datetime:
    return entry.changed or entry.first_seen


def _etag(latest: Iterable[Entry]) -> str:
    seen = "\n".join(f"{entry.pk} {entry.digest} {entry.feed.title}" for entry in latest)
    return f'"{hashlib.sha256(seen.encode()).hexdigest()[:32]}"'
