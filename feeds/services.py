"""What people and code do with feeds: schedule and remove them, and store their entries."""

import hashlib
import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from feeds.exceptions import BadUrl, UnknownFeed
from feeds.models import MAX_URL, Entry, Feed
from feeds.parsing import ParsedEntry, ParsedFeed
from tasks import clock
from tasks.database import atomic
from tasks.models import ScheduledTask, Tag
from tasks.services import SchedulerService
from tasks.tags import tags_named

TASK_FUNCTION = "feeds.fetch_rss"
DEFAULT_INTERVAL = 15 * 60
# How many of the entries that a feed no longer lists are kept: the newest ones.
KEEP_ENTRIES = 1_000

DEFAULT_PORTS = {"http": 80, "https": 443}
HOST = re.compile(r"[\w.:-]+")
CONTENT_FIELDS = ["title", "link", "author", "summary", "content", "published", "updated", "digest"]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of a document's entries are new, have changed, and are the same as before."""

    new: int = 0
    updated: int = 0
    unchanged: int = 0


def store(feed_id: int, parsed: ParsedFeed, etag: str = "", last_modified: str = "") -> Counts:
    """Store a document's new and changed entries, and its validators for the next request.

    All in one transaction. If several entries have the same guid, the first counts. Two concurrent
    polls of a feed store one after the other. Raises UnknownFeed if the feed was removed meanwhile.
    """
    listed = _first_of_each(parsed.entries)
    with atomic():
        feed = Feed.objects.select_for_update(no_key=True).filter(pk=feed_id).first()
        if feed is None:
            raise _unknown(feed_id)
        stored = {entry.guid: entry for entry in _known_entries(feed)}
        counts = _store_entries(feed, listed, stored)
        _prune([entry for guid, entry in stored.items() if guid not in listed])
        feed.title = parsed.title or feed.title
        feed.link = parsed.link or feed.link
        feed.etag, feed.last_modified = etag, last_modified
        feed.save(update_fields=["title", "link", "etag", "last_modified", "updated"])
    return counts


def validate_url(url: str) -> str:
    """Return a feed's address in its canonical form; raises BadUrl if it is not a valid one.

    Scheme and host become lower-case; the default port and the fragment are dropped; path and
    query stay exactly as they are.
    """
    if any(char.isspace() or not char.isprintable() for char in url):
        raise BadUrl(url, "an address can't contain spaces or control characters.")
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError as error:
        raise BadUrl(url, "this is not a proper web address.") from error
    if parts.scheme not in DEFAULT_PORTS or not host or not HOST.fullmatch(host):
        raise BadUrl(url, "an address starts with http:// or https:// and a host.")
    credentials, at, _ = parts.netloc.rpartition("@")
    host = f"[{host}]" if ":" in host else host
    shown_port = "" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}"
    netloc = f"{credentials}{at}{host}{shown_port}"
    query = f"?{parts.query}" if parts.query else ""
    normal = f"{parts.scheme}://{netloc}{parts.path or '/'}{query}"
    if len(normal.encode()) > MAX_URL:
        raise BadUrl(url, "an address can't be longer than %(limit)d bytes.", limit=MAX_URL)
    return normal


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
) -> Feed:
    """Poll a feed from now on; return it with its `schedule`.

    `interval` is in seconds; `cron` and the dates of `exclude` and `calendar` are in the time
    zone `timezone`; `tags` are names. Whatever isn't given stays as it is; a new schedule is named
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
        if tags is not None:
            tag_feed(feed, tags_named(tags))
    return feed


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


def _unknown(feed_id: int) -> UnknownFeed:
    name = f"Feed {feed_id}"
    return UnknownFeed(name, "it isn't stored (any more). Delete its schedule.")


def _first_of_each(entries: Iterable[ParsedEntry]) -> dict[str, ParsedEntry]:
    listed: dict[str, ParsedEntry] = {}
    for entry in entries:
        listed.setdefault(entry.guid, entry)
    return listed


def _known_entries(feed: Feed) -> Iterable[Entry]:
    return Entry.objects.filter(feed=feed).only("guid", "digest", "published")


def _store_entries(feed: Feed, listed: dict[str, ParsedEntry], stored: dict[str, Entry]) -> Counts:
    now = clock.now()
    changed = [
        _row(feed, entry, stored.get(guid), now)
        for guid, entry in listed.items()
        if guid not in stored or stored[guid].digest != entry.digest
    ]
    # Documents list the newest first: in reverse order, the newest gets the highest id.
    Entry.objects.bulk_create(
        reversed(changed),
        update_conflicts=True,
        unique_fields=["feed", "guid"],
        update_fields=CONTENT_FIELDS,
    )
    new = sum(entry.guid not in stored for entry in changed)
    return Counts(new, len(changed) - new, len(listed) - len(changed))


def _row(feed: Feed, entry: ParsedEntry, known: Entry | None, now: datetime) -> Entry:
    published = entry.published or (known.published if known else entry.updated) or now
    return Entry(
        feed=feed,
        guid=entry.guid,
        title=entry.title,
        link=entry.link,
        author=entry.author,
        summary=entry.summary,
        content=entry.content,
        published=min(published, now),
        updated=entry.updated,
        digest=entry.digest,
        first_seen=now,
    )


def _prune(unlisted: list[Entry]) -> None:
    """Delete all but the newest of these entries, which are given newest first."""
    too_old = [entry.pk for entry in unlisted[KEEP_ENTRIES:]]
    if too_old:
        Entry.objects.filter(pk__in=too_old).delete()


def _new_schedule(
    feed: Feed, interval: int | None, cron: str | None, options: dict[str, Any]
) -> ScheduledTask:
    options = {"args": [feed.pk], "name": feed.shown_url} | options
    if cron is not None:
        return SchedulerService.cron(cron, TASK_FUNCTION, **options)
    interval = DEFAULT_INTERVAL if interval is None else interval
    first = anchor(feed.url, interval, clock.now())
    return SchedulerService.schedule(first, TASK_FUNCTION, interval=interval, **options)


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
