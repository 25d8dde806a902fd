"""The feeds that are here, as a list."""

from collections import defaultdict

from django.db.models import QuerySet

from feeds.models import Feed
from feeds.opml import Outline
from tasks.models import Tag


def outlines_of(feeds: QuerySet[Feed], tags: QuerySet[Tag] | None = None) -> list[Outline]:
    """Return feeds as outlines, with those of their tags that are in `tags`, or with all."""
    links = Feed.tags.through._default_manager.filter(feed__in=feeds.order_by().values("pk"))
    if tags is not None:
        links = links.filter(tag__in=tags.order_by().values("pk"))
    names: dict[int, list[str]] = defaultdict(list)
    for feed, name in links.order_by("tag__name").values_list("feed", "tag__name"):
        names[feed].append(name)
    rows = feeds.values_list("pk", "url", "title")
    return [Outline(url, title, tuple(names[pk])) for pk, url, title in rows]
