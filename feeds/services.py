"""What people and code do with feeds: schedule and remove them."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from feeds.addresses import validate_url
from feeds.exceptions import UnknownFeed
from feeds.models import Feed
from tasks import clock
from tasks.database import atomic
from tasks.models import ScheduledTask, Tag
from tasks.queue import usable_queues
from tasks.services import SchedulerService
from tasks.tags import tags_named

TASK_FUNCTION = "feeds.fetch_rss"
DEFAULT_INTERVAL = 15 * 60
# The queue of new feeds, where the site has one of this name.
QUEUE = "feeds"


def schedule_feed(
    url: str,
    *,
    interval: int | None = None,
    cron: str | None = None,
    timezone: str | None = None,
    queue: str | None = None,
    name: str | None = None,
    exclude: str | None = None,
    calendar: str | None = None,
    jitter: int | None = None,
    tags: Iterable[str] | None = None,
    adaptive: bool | None = None,
    ignores_hints: bool | None = None,
) -> Feed:
    """Poll a feed from now on; return it with its `schedule`.

    `interval` is in seconds; `cron` and the dates of `exclude` and `calendar` are in the time
    zone `timezone`; `tags` are names. `adaptive` and `ignores_hints` are the feed's own, as its
    model explains them. Whatever isn't given stays as it is; a new schedule is named
    after the address and polls every 15 minutes. A cancelled schedule is resumed, a paused one
    stays paused. Raises BadUrl, SpecError or InvalidSchedule; then nothing is stored.
    """
    url = validate_url(url)
    given: dict[str, Any] = {"timezone": timezone, "queue": queue, "name": name}
    given |= {"exclude": exclude, "calendar": calendar, "jitter": jitter}
    options = {field: value for field, value in given.items() if value not in (None, "")}
    with atomic():
        feed = Feed.objects.get_or_create(url=url)[0]
        feed = Feed.objects.select_for_update(no_key=True).get(pk=feed.pk)
        if feed.schedule is None:
            feed.schedule = _new_schedule(feed, interval, cron, options)
            feed.save(update_fields=["schedule", "updated"])
        else:
            _update_schedule(feed.schedule, url, interval, cron, options)
        set_asking(feed, adaptive=adaptive, ignores_hints=ignores_hints)
        if tags is not None:
            tag_feed(feed, tags_named(tags))
    return feed


def set_asking(feed: Feed, **wanted: bool | None) -> None:
    """Set how a feed is asked: `adaptive`, `ignores_hints`; None leaves it as it is."""
    given = {name: value for name, value in wanted.items() if value is not None}
    for name, value in given.items():
        setattr(feed, name, value)
    if given:
        feed.save(update_fields=[*given, "updated"])


def tag_feed(feed: Feed, tags: Iterable[Tag]) -> None:
    """Give a feed exactly these tags, and its schedule these instead of those it had from it."""
    with atomic():
        before = set(feed.tags.all())
        feed.tags.set(tags)
        tag_schedule(feed, before)


def tag_schedule(feed: Feed, before: Iterable[Tag]) -> None:
    """Give a feed's schedule the feed's tags, instead of those that the feed had before."""
    if feed.schedule is not None:
        after = set(feed.tags.all())
        feed.schedule.tags.remove(*(set(before) - after))
        feed.schedule.tags.add(*after)


def remove_feed(url: str) -> Feed:
    """Remove a feed with its entries, its schedule and its runs; raises BadUrl, UnknownFeed.

    Its address may be given as it is shown, with its secrets masked, if no other is shown so.
    """
    url = validate_url(url)
    feed = Feed.objects.filter(url=url).first() or _shown_as(url)
    feed.delete()
    return feed


def _shown_as(url: str) -> Feed:
    """Return the feed whose address is shown so; raises UnknownFeed unless there is just one."""
    feeds = Feed.objects.select_related("schedule").order_by("pk").iterator()
    found = [feed for feed in feeds if feed.shown_url == url]
    if not found:
        raise UnknownFeed(url, "there is no such feed. See schedule_rss --list.")
    if len(found) > 1:
        names = ", ".join(f"{feed.pk} “{feed.schedule or feed}”" for feed in found)
        raise UnknownFeed(
            url,
            "several feeds are shown so: %(names)s. Give the whole address, or use the admin.",
            names=names,
        )
    return found[0]


def anchor(url: str, interval: int, now: datetime) -> datetime:
    """Return a feed's first time: within one interval from now, at the feed's own offset in it.

    The offset follows from the address, so that many feeds spread evenly over the interval.
    (An invalid interval is refused when the schedule is stored.)
    """
    interval = max(interval, 1)
    offset = int.from_bytes(hashlib.sha256(url.encode()).digest()) % interval
    seconds = int(now.timestamp())
    return datetime.fromtimestamp(seconds + interval - (seconds - offset) % interval, UTC)


def _new_schedule(
    feed: Feed, interval: int | None, cron: str | None, options: dict[str, Any]
) -> ScheduledTask:
    definition = definition_of(feed, interval, cron, options)
    schedule = SchedulerService.schedule if cron is None else SchedulerService.cron
    return schedule(**definition)


def definition_of(
    feed: Feed, interval: int | None, cron: str | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of `SchedulerService.schedule` or `cron` for a feed's new schedule."""
    definition = {"task_func": TASK_FUNCTION, "args": [feed.pk], "name": feed.shown_url, **options}
    if QUEUE in usable_queues():
        definition.setdefault("queue", QUEUE)
    if cron is not None:
        return definition | {"cron_string": cron}
    interval = DEFAULT_INTERVAL if interval is None else interval
    first = anchor(feed.url, interval, clock.now())
    return definition | {"scheduled_time": first, "interval": interval}


def _update_schedule(
    schedule: ScheduledTask,
    url: str,
    interval: int | None,
    cron: str | None,
    options: dict[str, Any],
) -> None:
    """Change the given values of a feed's schedule, and resume it if it is cancelled."""
    if interval is None and not schedule.cron and not schedule.interval:
        interval = DEFAULT_INTERVAL
    if cron is not None:
        options |= {"cron": cron, "first": None, "interval": None}
    elif interval not in (None, schedule.interval):  # the same one keeps its anchor
        options |= {
            "cron": "",
            "first": anchor(url, interval, clock.now()),
            "interval": interval,
        }
    SchedulerService.update(schedule, **options)
    if schedule.status == ScheduledTask.Status.DEATH:
        SchedulerService.resume(schedule)
    # Scheduled again, it is active until a run fails again.
    failed = ScheduledTask.objects.filter(pk=schedule.pk, status=ScheduledTask.Status.FAILED)
    if failed.update(status=ScheduledTask.Status.RUNNING):
        schedule.status = ScheduledTask.Status.RUNNING
