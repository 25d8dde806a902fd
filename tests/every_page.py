"""Every page of ours in the admin, with the rows that there are, for who goes through all of them.

The tests hold how much each asks of the database and of Redis; the benchmark measures how long each
takes.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.db.models import Count, Max, Min
from django.test import Client
from django.urls import reverse

from feeds.models import Entry, FailedDocument, Feed
from tasks import clock
from tasks.models import Calendar, ScheduledTask, ScheduledTaskInstance, Tag, Task

Run = ScheduledTaskInstance
LIVE: dict[str, Any] = {"HTTP_X_LIVE": "1"}
RUNS = "tasks_scheduledtaskinstance_changelist"
SCHEDULES = "tasks_scheduledtask_changelist"
HIT, NO_HIT = "check", "nowhere to be found"


class Page(NamedTuple):
    """A page: what it is called, its address, what is posted to it; whether only a part is live."""

    name: str
    url: str
    posted: dict[str, Any] | None = None
    is_live: bool = False

    def ask(self, client: Client) -> Any:
        """Ask for it, as a browser or the page's own script does."""
        if self.posted is not None:
            return client.post(self.url, self.posted)
        return client.get(self.url, **(LIVE if self.is_live else {}))


def every_page() -> Iterator[Page]:
    """Yield every page, of the busiest schedule and of its latest runs for example."""
    yield from _overview()
    yield from _schedules()
    yield from _of_one_schedule()
    yield from _runs()
    yield from _of_one_run()
    yield from _others()


def _page(name: str, page: str, *args: Any, live: bool = False, **query: Any) -> Page:
    address = reverse(f"admin:{page}", args=args)
    return Page(name, f"{address}?{urlencode(query)}" if query else address, is_live=live)


def _overview() -> Iterator[Page]:
    yield Page("index", reverse("admin:index"))
    yield Page("index of tasks", reverse("admin:app_list", args=["tasks"]))
    yield _page("health line", "tasks_health", live=True)
    yield _page("overview", "tasks_overview")
    yield _page("overview, what is now", "tasks_overview", live=True, part="now")
    yield _page("overview, pictures", "tasks_overview", live=True, part="history")
    yield _page("overview, pictures of 24 h", "tasks_overview", part="history", hours=24)
    yield _page("overview, pictures, page 500", "tasks_overview", part="history", lanes=500)
    yield _page("what-if", "tasks_what_if")
    yield _page("what-if, the coming days", "tasks_what_if", live=True)
    yield _page("pause everything", "tasks_hold")
    yield _page("zone", "tasks_zone")


def _schedules() -> Iterator[Page]:
    number = ScheduledTask.objects.count()
    yield _page("schedules", SCHEDULES)
    yield _page("schedules, refreshed", SCHEDULES, live=True)
    yield _page("schedules, last page", SCHEDULES, p=max(-(-number // 50), 1))
    yield _page("schedules, search", SCHEDULES, q=HIT)
    yield _page("schedules, search without a hit", SCHEDULES, q=NO_HIT)
    for place, name in ((1, "name"), (2, "state"), (6, "success"), (7, "duration")):
        yield _page(f"schedules by {name}", SCHEDULES, o=f"-{place}")
    for view in ("failing", "late", "running", "paused", "never", "ended"):
        yield _page(f"schedules: {view}", SCHEDULES, view=view)
    some = ScheduledTask.objects.exclude(tags=None).first() or ScheduledTask.objects.first()
    if some is not None:
        yield _page("schedules of a function", SCHEDULES, function=some.function)
        yield _page("schedules of a queue", SCHEDULES, queue=some.queue)
    if tag := Tag.objects.first():
        yield _page("schedules of a tag", SCHEDULES, tag=tag.name)
    if calendar := Calendar.objects.first():
        query = {"calendar__id__exact": calendar.pk}
        yield _page("schedules of a calendar", SCHEDULES, **query)
    yield _page("schedules of no list", SCHEDULES, list="-")
    pks = list(ScheduledTask.objects.live().values_list("pk", flat=True)[:200])
    act = reverse("admin:tasks_scheduledtask_act_on_several", args=["pause"])
    yield Page("pause 200 schedules?", act, {"ids": ",".join(map(str, pks))})
    yield _page("add a schedule", "tasks_scheduledtask_add")
    preview = {"when": "cron", "cron": "*/5 * * * *", "timezone": "Europe/Berlin"}
    if some is not None:
        function = {"function": some.function}
        yield _page("add a schedule, fields", "tasks_scheduledtask_arguments", **function)
    yield _page("add a schedule, preview", "tasks_scheduledtask_preview", **preview)
    yield _page("external jobs", "tasks_scheduledtask_external_jobs")
    changes = "tasks_scheduledtask_latest_changes"
    yield _page("changes", changes)
    yield _page("changes of a day", changes, day=f"{clock.now():%Y-%m-%d}", kind="changed")
    yield _page("changes by nobody", changes, by=NO_HIT)


def _of_one_schedule() -> Iterator[Page]:
    by_number = Run.objects.order_by().values("parent").annotate(number=Count("pk"))
    pk = by_number.order_by("-number", "parent")[0]["parent"]
    schedule = ScheduledTask.objects.get(pk=pk)
    yield _page("schedule", "tasks_scheduledtask_page", pk)
    yield _page("schedule, refreshed", "tasks_scheduledtask_page", pk, live=True)
    yield _page("schedule, chart of all runs", "tasks_scheduledtask_page", pk, runs="all")
    yesterday = f"{clock.now() - timedelta(days=1):%Y-%m-%d}"
    yield _page("schedule, another day", "tasks_scheduledtask_page", pk, day=yesterday)
    yield _page("schedule, a day unfolded", "tasks_scheduledtask_page", pk, day=yesterday, all=1)
    yield _page("history", "tasks_scheduledtask_changes", pk)
    yield _page("history, Django's", "tasks_scheduledtask_history", pk)
    yield _page("edit", "tasks_scheduledtask_change", pk)
    yield _page("run with", "tasks_scheduledtask_run_with", pk)
    yield _page("backfill", "tasks_scheduledtask_backfill", pk)
    now = clock.now()
    asked = {"begin": now - timedelta(hours=6), "end": now}
    values = {name: f"{at:%Y-%m-%dT%H:%M:%S}" for name, at in asked.items()} | {"limit": "100"}
    address = reverse("admin:tasks_scheduledtask_backfill", args=[pk])
    yield Page("backfill?", address, values)
    if change := schedule.changes.order_by("-pk").first():
        yield _page("put back?", "tasks_scheduledtask_put_back", pk, change.pk)
    for action in ("pause", "cancel", "delete", "move", "change_queue"):
        address = reverse("admin:tasks_scheduledtask_act", args=[pk, action])
        yield Page(f"{action} a schedule?", address, {})


def _runs() -> Iterator[Page]:
    bounds = Run.objects.aggregate(first=Min("pk"), last=Max("pk"))
    first = bounds["first"] or 1
    yield _page("runs", RUNS)
    yield _page("runs, middle page", RUNS, before=(first + (bounds["last"] or 1)) // 2)
    yield _page("runs, last page", RUNS, before=first + 50)
    yield _page("runs, search", RUNS, q=HIT)
    yield _page("runs, search without a hit", RUNS, q=NO_HIT)
    for status in ("running", "finished", "failed", "lost", "missed", "skipped", "canceled"):
        yield _page(f"runs: {status}", RUNS, status=status)
    some = Run.objects.exclude(exception_class="").order_by("-pk").select_related("parent").first()
    if some is not None:
        yield _page("runs of a schedule", RUNS, schedule=some.parent.name)
        yield _page("runs of a function", RUNS, function=some.parent.function)
        yield _page("runs with an exception", RUNS, status="failed", failure=some.exception_class)
        yield _page("runs of a worker", RUNS, worker=some.worker_name)
    yield _page("runs of a schedule that isn't there", RUNS, schedule=NO_HIT)
    yield _page("runs that were late", RUNS, late=60)
    yield _page("runs that took long", RUNS, took=600)
    now = clock.now()
    times = {"since": now - timedelta(days=2), "until": now - timedelta(days=1)}
    query = {name: f"{at:%Y-%m-%dT%H:%M}" for name, at in times.items()}
    yield _page("runs of a day", RUNS, **query)
    yield _page("runs, names offered", "tasks_scheduledtaskinstance_schedules", q=HIT)
    yield _page("failures", "tasks_scheduledtaskinstance_failures")
    yield _page("failures of 30 days", "tasks_scheduledtaskinstance_failures", days=30)


def _of_one_run() -> Iterator[Page]:
    for status in ("finished", "failed", "running"):
        run = Run.objects.filter(status=status).order_by("-pk").first()
        if run is None:
            continue
        change = "tasks_scheduledtaskinstance_change"
        yield _page(f"run, {status}", change, run.pk)
        yield _page(f"run, {status}, refreshed", change, run.pk, live=True)
        if status == "finished":
            yield _page("run, compared", change, run.pk, compare="")
        if status == "running":
            yield _page("run, its log refreshed", "tasks_scheduledtaskinstance_live_log", run.pk)
        yield _page(f"run, {status}, log", "tasks_scheduledtaskinstance_log", run.pk)


def _others() -> Iterator[Page]:
    kinds: tuple[tuple[str, Any], ...] = (
        ("tags", Tag),
        ("calendars", Calendar),
        ("calls", Task),
        ("feeds", Feed),
        ("entries", Entry),
        ("unreadable documents", FailedDocument),
    )
    for name, model in kinds:
        prefix = f"{model._meta.app_label}_{model._meta.model_name}"
        yield _page(name, f"{prefix}_changelist")
        yield _page(f"{name}, search without a hit", f"{prefix}_changelist", q=NO_HIT)
        if model not in (Entry, FailedDocument):
            yield _page(f"{name}, add", f"{prefix}_add")
        if one := model.objects.order_by("-pk").first():
            yield _page(f"{name}, one of them", f"{prefix}_change", one.pk)
            if model is not Entry:
                yield _page(f"{name}, delete?", f"{prefix}_delete", one.pk)
        if one and model is Task:
            yield _page("calls, log", "tasks_task_log", one.pk)
            yield _page("calls, log refreshed", "tasks_task_live_log", one.pk)
            function = {"function": one.function}
            yield _page("calls, fields of a function", "tasks_task_arguments", **function)
        if model is Feed:
            yield _page("feeds, lists", "feeds_feed_lists")
            yield _page("feeds, all as a list", "feeds_feed_download")
        if one and model is Entry:
            yield _page("entries, text of one", "feeds_entry_frame", one.pk)
            yield _page("entries, names of feeds offered", "feeds_entry_feeds", q=HIT)
            yield _page(
                "entries, a month", f"{prefix}_changelist", published=f"{clock.now():%Y-%m}"
            )
        pages = max(-(-model.objects.count() // 50), 1)
        yield _page(f"{name}, last page", f"{prefix}_changelist", p=pages)
