"""The list of feeds: how each is, when it was and will be fetched, and how much it publishes."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from feeds.admin_pages.feed_actions import FeedActions
from feeds.admin_pages.feed_rows import draw_rows
from feeds.admin_pages.tagging import TAGGING
from feeds.health import health_of
from feeds.models import Feed
from tasks.access import visible
from tasks.admin_pages.base import CheckedChangeList
from tasks.admin_pages.links import pages, run_pages, schedule_pages
from tasks.admin_pages.lists import ASKS, list_context, tab
from tasks.admin_pages.schedule_filters import ChoiceFilter, TagFilter
from tasks.admin_pages.strips import Strips
from tasks.models import ScheduledTask, ScheduledTaskInstance, Tag

Status = ScheduledTask.Status
REFRESH_MS = 10_000
# The views that have a sign if anything is in them.
SIGNS = {"failing": "failed"}
NUMBERS = ("per_week", "entries")
FAILING = Q(schedule__status=Status.FAILED)
PAUSED = Q(schedule__status=Status.PAUSED)
ENDED = Q(schedule=None) | Q(schedule__status=Status.DEATH)
STARTED = ScheduledTaskInstance.objects.filter(parent=OuterRef("schedule"), started__isnull=False)
# Retention may have deleted the runs of one that was fetched.
NEVER = ~ENDED & Q(schedule__pruned_until=None) & ~Q(Exists(STARTED))
# The views of the list, in their order: what they are called, and what they show.
VIEWS: dict[str, tuple[Any, Q]] = {
    "failing": (gettext_lazy("Failing now"), FAILING),
    "paused": (pgettext_lazy("schedules", "Paused"), PAUSED),
    "never": (gettext_lazy("Never fetched"), NEVER),
    "ended": (gettext_lazy("Not polled any more"), ENDED),
}


class FeedViewFilter(ChoiceFilter):
    """By how feeds are now; the list shows these as tabs."""

    title, parameter_name = gettext_lazy("view"), "view"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, title) for name, (title, _shown) in VIEWS.items()]

    def chosen(self, request: HttpRequest, schedules: Any, value: str) -> Any:
        return schedules.filter(VIEWS[value][1])


class FeedChangeList(CheckedChangeList):
    """Reads what the rows of the page show, in a fixed number of queries."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.health = health_of(self.result_list)


class FeedListAdmin(FeedActions):
    """The list of feeds in the admin."""

    change_list_template = "admin/feeds/feed/change_list.html"
    list_display = ("__str__", "state", "fetched", "next_due", "latest", "per_week", "entries")
    list_filter = (FeedViewFilter, TagFilter)
    search_fields = ("title",)
    secret_search_fields = ("url",)
    secret_columns = frozenset(
        {"url", "link", "etag", "last_modified", "final_url", "moving_to", "original_url"}
    )
    ordering = ("title", "pk")
    sortable_by = ()

    def queues_in_use(self, record: Feed | None) -> Iterable[str]:
        if record is not None:
            return [] if record.schedule is None else [record.schedule.queue]
        live = Feed.objects.filter(schedule__status__in=ScheduledTask.LIVE).order_by()
        return live.values_list("schedule__queue", flat=True).distinct()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CheckedChangeList]:
        return FeedChangeList

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None)
        if context and "cl" in context:
            context |= self._list_context(request, context["cl"])
        return response

    def _list_context(self, request: HttpRequest, cl: Any) -> dict[str, Any]:
        tag_filter = next(spec for spec in cl.filter_specs if spec.parameter_name == "tag")
        labels, rows = self.labels_of_actions(request), list(_rows(cl))
        ends = {"delete_selected": _("Delete") + ASKS}
        return {
            "rows": rows,
            "body": draw_rows(rows, with_boxes=bool(labels)),
            "tabs": _tabs(request, cl),
            "selections": [tag_filter],
            "all_tags": visible(request.user, Tag.objects.all()).values_list("name", flat=True),
            "kept": [("view", cl.params["view"])] if cl.params.get("view") else [],
            "may_choose": bool(labels),
            "actions": [(name, labels[name]) for name in self.buttons if name in labels],
            "tag_actions": [(name, labels[name]) for name in TAGGING if name in labels],
            "end_actions": [(name, label) for name, label in ends.items() if name in labels],
            "refresh_ms": REFRESH_MS,
            **list_context(cl, numbers=NUMBERS),
        }

    # Columns: what they are called, and how they are sorted

    @admin.display(description=gettext_lazy("state"))
    def state(self, feed: Feed) -> str:
        return ""

    @admin.display(description=gettext_lazy("last fetch"))
    def fetched(self, feed: Feed) -> str:
        return ""

    @admin.display(description=gettext_lazy("next"))
    def next_due(self, feed: Feed) -> str:
        return ""

    @admin.display(description=gettext_lazy("last 20 fetches"))
    def latest(self, feed: Feed) -> str:
        return ""

    @admin.display(description=gettext_lazy("a week"))
    def per_week(self, feed: Feed) -> str:
        return ""

    @admin.display(description=gettext_lazy("entries"))
    def entries(self, feed: Feed) -> str:
        return ""


def _tabs(request: HttpRequest, cl: Any) -> list[dict[str, Any]]:
    """Return the views with the number of feeds in each, in one query."""
    feeds = visible(request.user, Feed.objects.all()).order_by()
    counts = {name: Count("pk", filter=shown) for name, (_title, shown) in VIEWS.items()}
    numbers = feeds.aggregate(all=Count("pk"), **counts)
    views = (
        tab(cl, name, title, numbers[name], SIGNS.get(name, ""))
        for name, (title, _shown) in VIEWS.items()
    )
    return [tab(cl, "", _("All"), numbers["all"]), *views]


def _rows(cl: Any) -> Iterator[dict[str, Any]]:
    """Yield what the list shows of each feed."""
    page_of, run_page_of, draw = schedule_pages(), run_pages(), Strips().draw
    select, change = _("Select %(name)s"), pages("feeds_feed_change")
    entries = reverse("admin:feeds_entry_changelist")
    for feed in cl.result_list:
        health = cl.health[feed.pk]
        schedule, polled = feed.schedule, health.facts.polled
        yield {
            "feed": feed,
            "url": change(feed.pk),
            "select": select % {"name": feed},
            "address": feed.shown_url,
            "health": health,
            "detail": health.answer.reason,
            "schedule_url": schedule and page_of(schedule.pk),
            "when": schedule.when_in_words() if schedule else "",
            "fetched": polled and polled.at,
            "run_url": health.polled_run and run_page_of(health.polled_run),
            "new": polled.new if polled else 0,
            "next_due": health.facts.next_due,
            "strip": draw(health.runs),
            "per_week": health.per_week,
            "entries_url": f"{entries}?feed__id__exact={feed.pk}",
            "tags": [tag.name for tag in feed.tags.all()],
        }
