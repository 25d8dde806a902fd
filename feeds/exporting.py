"""The feeds that are here, as a list."""

from django.db.models import Prefetch, QuerySet

from feeds.models import Feed
from feeds.opml import Outline
from tasks.models import Tag


def outlines_of(feeds: QuerySet[Feed], tags: QuerySet[Tag] | None = None) -> list[Outline]:
    """Return feeds as outlines, with those of their tags that are in `tags`, or with all."""
    shown = Tag.objects.all() if tags is None else tags
    rows = feeds.only("url", "title").prefetch_related(Prefetch("tags", shown))
    return [Outline(one.url, one.title, tuple(tag.name for tag in one.tags.all())) for one in rows]
