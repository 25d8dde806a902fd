"""Feeds that are polled by our own schedules, and what came of it."""

import time
from datetime import UTC, datetime, timedelta

import django_rq
from django.db.models import Max

from benchmarks import feed_server
from feeds.models import Feed
from feeds.services import schedule_feed
from tasks.broker.reconcile import reconcile
from tasks.models import ScheduledTask
from tasks.models import ScheduledTaskInstance as Run

DAY = 86_400
QUEUE = "default"


def schedule(port: int, number: int, hostile: bool) -> None:
    """Have so many feeds polled, by the service, and the hostile ones; none of them is due now."""
    urls = feed_server.addresses(port, number)
    for url in [*urls, *(feed_server.hostile_addresses(port) if hostile else ())]:
        schedule_feed(url, interval=DAY, queue=QUEUE)
    set_due(time.time() + DAY)


def set_due(due: float, every: float = 0, hostile: bool = False) -> None:
    """Make all feeds due then, and next a day later; or one after another, `every` so many seconds.

    Without `hostile` the hostile ones aren't due. With it all of them are, before the others.
    """
    first = datetime.fromtimestamp(int(due), UTC)
    bad = Feed.objects.filter(url__contains=feed_server.HOSTILE_HOST)
    tomorrow = first + timedelta(days=1)
    _set_first(bad.values_list("schedule", flat=True), first if hostile else tomorrow)
    good = Feed.objects.exclude(pk__in=bad).order_by("pk").values_list("schedule", flat=True)
    if every:
        for place, pk in enumerate(good):
            _set_first([pk], first + place * timedelta(seconds=every))
    else:
        _set_first(good, first)
    reconcile(django_rq.get_connection())
    if time.time() > due:
        raise RuntimeError("it took too long to make them due")


def _set_first(schedules: object, first: datetime) -> None:
    rows = ScheduledTask.objects.filter(pk__in=schedules)
    rows.update(first=first, settled_through=first - timedelta(days=1), period_start=first)


def polled(due: float, number: int, new: int) -> dict[str, float]:
    """Return how long after `due` the last of the polls ended, which all have.

    Raises RuntimeError if they aren't so many, or haven't found so many new entries.
    """
    runs = Run.objects.filter(due__gte=datetime.fromtimestamp(int(due), UTC))
    finished = runs.filter(status=Run.Status.FINISHED)
    if finished.count() != number:
        other = runs.exclude(status=Run.Status.FINISHED).first()
        log = "" if other is None else f", such as {other.status}: {other.log[-200:]}"
        raise RuntimeError(f"{finished.count()} polls have finished instead of {number}{log}")
    found = sum(result["new"] for result in finished.values_list("result", flat=True))
    if found != new:
        raise RuntimeError(f"{found} new entries instead of {new}")
    last = finished.aggregate(last=Max("ended"))["last"]
    return {"seconds": last.timestamp() - due}


def slowest_good(due: float, number: int) -> dict[str, float]:
    """Return how long after its due the slowest poll of a good feed ended, which all have."""
    good = Feed.objects.exclude(url__contains=feed_server.HOSTILE_HOST).values("schedule")
    runs = Run.objects.filter(parent__in=good, due__gte=datetime.fromtimestamp(int(due), UTC))
    took = [
        (ended - begun).total_seconds()
        for begun, ended in runs.filter(status=Run.Status.FINISHED).values_list("due", "ended")
    ]
    if len(took) != number:
        raise RuntimeError(f"{len(took)} good feeds have been polled instead of {number}")
    return {"slowest": max(took)}
