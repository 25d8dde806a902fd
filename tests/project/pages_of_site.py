"""All addresses of our pages, filled in with records, and what each of them reads of a request."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, get_resolver, reverse

from feeds.models import Entry, FailedDocument, Feed
from feeds.storing import keep_document
from tasks.models import Calendar, Hold, ScheduleChange, ScheduledTask, Tag, Task
from tasks.models import ScheduledTaskInstance as Run
from tests.tasks import functions
from tests.tasks.schedules import make_row, make_run

OUR_APPS = ("tasks", "feeds")
ACTIONS = {
    "scheduledtask": ("run_now", "pause", "resume", "move", "change_queue", "cancel", "delete"),
    "scheduledtaskinstance": ("run_again", "stop"),
    "task": ("cancel", "call_again"),
    "feed": ("fetch_now", "pause", "resume"),
}
TRACEBACK = 'Traceback (most recent call last):\n  File "/x/y.py", line 3, in z\nValueError: no'


@dataclass
class Records:
    """One record of each kind, which belong together; `word` is in the names of all."""

    word: str
    tag: Tag
    calendar: Calendar
    schedule: ScheduledTask
    run: Run
    change: ScheduleChange
    call: Task
    feed: Feed
    entry: Entry
    document: FailedDocument
    hold: Hold

    @property
    def by_model(self) -> dict[str, Any]:
        return {
            "tag": self.tag,
            "calendar": self.calendar,
            "scheduledtask": self.schedule,
            "scheduledtaskinstance": self.run,
            "task": self.call,
            "feed": self.feed,
            "entry": self.entry,
            "faileddocument": self.document,
        }


def make_records(word: str) -> Records:
    """Store one record of each kind, with a word in all names and texts."""
    tag = Tag.objects.create(name=f"tag-{word}")
    calendar = Calendar.objects.create(name=f"calendar {word}", description=f"about {word}")
    schedule = make_row(
        name=f"schedule {word}",
        function=functions.TYPED,
        args=["eu"],
        calendar=calendar,
        description=f"about {word}",
    )
    schedule.tags.add(tag)
    failed = {"traceback": TRACEBACK, "exception_class": "ValueError", "log": f"log {word}"}
    run = make_run(schedule, status="failed", reason=f"Failed for: ValueError: {word}", **failed)
    change = schedule.changes.create(
        action="changed", changes={"description": [f"old {word}", f"about {word}"]}
    )
    call = Task.objects.create(
        name=f"call {word}", function=functions.ECHO, job_id=f"job-{word}", queue="default"
    )
    feed = Feed.objects.create(url=f"https://example.com/{word}", title=f"feed {word}")
    own = make_row(name=f"feed {word}", function="feeds.fetch_rss", args=[feed.pk])
    own.tags.add(tag)
    Feed.objects.filter(pk=feed.pk).update(schedule=own)
    feed.refresh_from_db()
    feed.tags.add(tag)
    entry = Entry.objects.create(feed=feed, title=f"entry {word}", guid=f"guid-{word}")
    keep_document(feed, f"document {word}".encode(), "text/html", f"why {word}")
    document = FailedDocument.objects.get(feed=feed)
    hold = Hold.objects.get_or_create(queue="low", defaults={"by": "boss"})[0]
    return Records(word, tag, calendar, schedule, run, change, call, feed, entry, document, hold)


def our_patterns() -> Iterator[tuple[str, str, str]]:
    """Yield the names of our pages in the admin, with their app and model."""
    names = set()
    for resolver in get_resolver().url_patterns:
        for pattern in getattr(resolver, "url_patterns", ()):
            names |= {one.name for one in _flat(pattern) if one.name}
    for name in sorted(names):
        app, _under, rest = name.partition("_")
        if app in OUR_APPS:
            yield name, app, rest


def _flat(pattern: Any) -> Iterator[URLPattern]:
    if isinstance(pattern, URLPattern):
        yield pattern
    else:
        for one in pattern.url_patterns:
            yield from _flat(one)


def addresses(records: Records) -> list[str]:
    """Return the address of each of our pages about these records, and of each action."""
    found: list[str] = []
    for name, _app, rest in our_patterns():
        model, _under, page = rest.partition("_")
        record = records.by_model.get(model)
        actions = ACTIONS.get(model, ("none",))
        choices: list[list[Any]] = [[]]
        if name == "tasks_resume_hold":
            choices = [[records.hold.pk]]
        elif page == "put_back":
            choices = [[records.schedule.pk, records.change.pk]]
        elif page == "act_on_several":
            choices = [[action] for action in actions]
        elif page == "act":
            choices = [[record.pk, action] for action in actions]
        elif record is not None and page not in LISTS:
            choices = [[record.pk]]
        found += [reverse(f"admin:{name}", args=args) for args in choices]
    return found


LISTS = (
    *("changelist", "add", "preview", "arguments", "choices", "external_jobs", "schedules"),
    *("failures", "latest_changes", "feeds", "lists", "download"),
)
