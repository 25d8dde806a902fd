"""The filter of entries by their feed: its name is typed, with suggestions, not found in a list."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from feeds.models import Feed
from tasks.access import visible
from tasks.admin_pages.addresses import number_in
from tasks.masking import mask_text

# How many feeds are suggested while a name is typed, and how many of them a part of a name means.
SUGGESTED = 20
MOST_MEANT = 100
NAME, KEY = "feed", "feed__id__exact"


class FeedFilter(admin.ListFilter):
    """By a part of the feed's name; or by its key, as the pages of feeds link here."""

    title = gettext_lazy("feed")
    template = "admin/feeds/feed_filter.html"

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        used = {name: str(params.pop(name)[-1]) for name in (NAME, KEY) if name in params}
        self.used_parameters.update(used)
        self._feeds = visible(request.user, Feed.objects.all())
        key = number_in(used.get(KEY))
        self._chosen = None if key is None else self._feeds.filter(pk=key).first()
        self.text = used.get(NAME, "").strip()
        if self._chosen is not None:
            self.text = str(self._chosen)
        self.url = reverse(f"{model_admin.admin_site.name}:feeds_entry_feeds")
        self.others: list[tuple[str, str]] = []

    def expected_parameters(self) -> list[str | None]:
        return [NAME, KEY]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if KEY in self.used_parameters:
            return queryset.filter(feed=self._chosen) if self._chosen else queryset.none()
        if not self.text:
            return queryset
        return queryset.filter(feed__in=_meant(self._feeds, self.text))

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield the way back to all feeds, and note what else is chosen, for the form."""
        self.others = [
            (name, value)
            for name, values in changelist.filter_params.items()
            if name not in (NAME, KEY)
            for value in values
        ]
        yield {
            "selected": not self.used_parameters,
            "query_string": changelist.get_query_string(remove=[NAME, KEY]),
            "display": _("All"),
        }


def suggest(request: HttpRequest) -> JsonResponse:
    """Return the names of feeds that go with what is typed."""
    feeds = visible(request.user, Feed.objects.exclude(title=""))
    named = feeds.filter(title__icontains=request.GET.get("q", "").strip()).order_by("title", "pk")
    names = [mask_text(name) for name in named.values_list("title", flat=True)[:SUGGESTED]]
    return JsonResponse({"names": list(dict.fromkeys(names))})


def _meant(feeds: QuerySet[Feed], text: str) -> list[int]:
    """Return the feeds of exactly this name, or else those with it in theirs."""
    keys = feeds.order_by("pk").values_list("pk", flat=True)
    exact = list(keys.filter(title=text)[:MOST_MEANT])
    return exact or list(keys.filter(title__icontains=text)[:MOST_MEANT])
