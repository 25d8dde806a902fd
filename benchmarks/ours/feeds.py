"""Feeds that are polled by our own schedules, and what came of it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import django_rq
from django.db.models import QuerySet

from benchmarks import feed_server
from feeds.models import Feed
from feeds.services import schedule_feed
from tasks.broker.reconcile import reconcile
from tasks.models import ScheduledTask
from tasks.models import ScheduledTaskInstance as Run

DAY = 86_400
# From before they are made due until they are.
PREPARATION_SECONDS = 8
QUEUE = "default"


def schedule(port: int, number: int, hostile: bool) -> None:
    """Have so many feeds polled, by the service, and the hostile ones; none of them is due now."""
    urls = feed_server.addresses(port, number)
    for url in [*urls, *(feed_server.hostile_addresses(port) if hostile else ())]:
        schedule_feed(url, interval=DAY, queue=QUEUE)
    _set_first(ScheduledTask.objects.all(), _in(DAY))
    reconcile(django_rq.get_connection())


def set_due(every: float = 0, hostile: bool = False) -> dict[str, float]:
    """Make all good feeds due in a moment, and then a day later; return when.

    One after another, if it is said `every` how many seconds. If `hostile`, the hostile ones are
    due at once with the first.
    """
    due = _in(PREPARATION_SECONDS)
    bad = ScheduledTask.objects.filter(pk__in=_hostile().values("schedule"))
    _set_first(bad, due if hostile else _in(DAY))
    good = ScheduledTask.objects.exclude(pk__in=bad).order_by("pk")
    if every:
        for place, pk in enumerate(list(good.values_list("pk", flat=True))):
            _set_first(good.filter(pk=pk), due + place * timedelta(seconds=every))
    else:
        _set_first(good, due)
    reconcile(django_rq.get_connection())
    if time.time() > due.timestamp():
        raise RuntimeError("it took too long to make them due")
    return {"due": due.timestamp()}


def _hostile() -> QuerySet[Feed]:
    return Feed.objects.filter(url__contains=feed_server.HOSTILE_HOST)


def _in(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(time.time() + seconds), UTC)


def _set_first(schedules: QuerySet[ScheduledTask], first: datetime) -> None:
    # As if they had always been due then: a spec that is new takes longer to start.
    schedules.order_by().update(first=first, settled_through=first - timedelta(seconds=1))


def polled(due: float, number: int, new: int) -> dict[str, float]:
    """Return how long after `due` the last of the polls ended, which all have.

    Raises RuntimeError if they aren't so many, or haven't found so many new entries.
    """
    runs = _finished(Run.objects.all(), due, number)
    results: list[Any] = [run.result for run in runs]
    if (found := sum(result["new"] for result in results)) != new:
        raise RuntimeError(f"{found} new entries instead of {new}")
    return {"seconds": max(run.ended.timestamp() for run in runs if run.ended) - due}


def slowest_good(due: float, number: int) -> dict[str, float]:
    """Return how long after its due the slowest poll of a good feed ended, which all have."""
    of_good = Run.objects.exclude(parent__in=_hostile().values("schedule"))
    took = [run.ended - run.due for run in _finished(of_good, due, number) if run.ended and run.due]
    return {"slowest": max(took).total_seconds()}


def _finished(runs: QuerySet[Run], due: float, number: int) -> list[Run]:
    """Return the finished ones of those that were due since then; raises if some aren't."""
    since = list(runs.filter(due__gte=datetime.fromtimestamp(int(due), UTC)))
    finished = [run for run in since if run.status == Run.Status.FINISHED]
    if len(finished) != number:
        other = next((run for run in since if run not in finished), None)
        like = "" if other is None else f"; another is {other.status}: {other.log[-200:]}"
        raise RuntimeError(f"{len(finished)} polls have finished instead of {number}{like}")
    return finished
