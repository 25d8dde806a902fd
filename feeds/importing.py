"""Stores the feeds of a list: all at once, and each for itself."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from feeds import services
from feeds.addresses import typed_url
from feeds.exceptions import BadUrl, shown_url
from feeds.models import Feed
from feeds.opml import Outline
from tasks.database import CHUNK, atomic, chunks
from tasks.definitions import validate
from tasks.lists import row_of
from tasks.services import SchedulerService
from tasks.tags import tags_by_name

# How many feeds one transaction stores: others write in between, and one sees how far it is.
AT_ONCE = 200
# What is said of the feed itself, not of its schedule.
OF_THE_FEED = ("adaptive", "ignores_hints")
Tagged = Feed.tags.through


class Outcome(StrEnum):
    """What became of one feed of a list."""

    NEW = "new"
    KNOWN = "known"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an outline; `problem` says why it was refused. `url` is safe to show."""

    outcome: Outcome
    outline: Outline
    url: str
    feed: Feed | None = None
    problem: str = ""


@dataclass
class _Wanted:
    url: str
    title: str
    tags: dict[str, None] = field(default_factory=dict)


def import_feeds(
    outlines: Iterable[Outline],
    *,
    known: Callable[[QuerySet[Feed]], QuerySet[Feed]] = lambda feeds: feeds,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **options: Any,
) -> list[Result]:
    """Poll the feeds of a list from now on; return what became of each, in the list's order.

    A feed that is here already is only given the tags that it hasn't got, and a schedule if it has
    none: importing the same list again changes nothing. `known` leaves those of the feeds that are
    here to which this may be done. An address that is there several times is one feed with all its
    tags. `options` are those of `schedule_feed`, for the new feeds. `progress` is told how many
    feeds are stored, of how many. Raises SpecError or InvalidSchedule for bad options; then nothing
    is stored.
    """
    options = {name: value for name, value in options.items() if value not in (None, "")}
    own = {name: options.pop(name) for name in OF_THE_FEED if name in options}
    _check(options)
    results, wanted = _sorted_out(outlines)
    stored: dict[str, tuple[Feed, bool]] = {}
    for chunk in chunks(wanted.values(), AT_ONCE):
        with atomic():
            stored |= _store(chunk, options, own, known)
        progress(len(stored), len(wanted))
    return list(_completed(results, stored))


def summary(results: Sequence[Result]) -> str:
    """Return how many feeds of a list were new, known and refused."""
    numbers = {outcome: sum(one.outcome == outcome for one in results) for outcome in Outcome}
    return _("%(new)s new, %(known)s known, %(refused)s refused.") % {
        outcome.value: f"{number:,}" for outcome, number in numbers.items()
    }


def _definition(feed: Feed, options: Mapping[str, Any]) -> dict[str, Any]:
    others = dict(options)
    interval, cron = others.pop("interval", None), others.pop("cron", None)
    return services.definition_of(feed, interval, cron, others)


def _check(options: Mapping[str, Any]) -> None:
    """Raise SpecError or InvalidSchedule if no feed can be scheduled with these options."""
    validate(row_of(_definition(Feed(pk=1, url="http://feeds.example/"), options)))


def _sorted_out(outlines: Iterable[Outline]) -> tuple[list[Result], dict[str, _Wanted]]:
    """Return a preliminary result for each outline, and what is wanted, by its address."""
    results: list[Result] = []
    wanted: dict[str, _Wanted] = {}
    for outline in outlines:
        try:
            url = typed_url(outline.url)
        except BadUrl as error:
            results.append(Result(Outcome.REFUSED, outline, error.url, problem=error.problem))
            continue
        outcome = Outcome.KNOWN if url in wanted else Outcome.NEW
        one = wanted.setdefault(url, _Wanted(url, outline.title))
        one.tags |= dict.fromkeys(outline.tags)
        results.append(Result(outcome, outline, url))
    return results, wanted


def _completed(results: Iterable[Result], stored: Mapping[str, tuple[Feed, bool]]) -> Any:
    for result in results:
        if result.outcome == Outcome.REFUSED:
            yield result
            continue
        feed, is_new = stored[result.url]
        outcome = result.outcome if is_new else Outcome.KNOWN
        yield replace(result, outcome=outcome, url=shown_url(result.url), feed=feed)


def _store(
    wanted: Sequence[_Wanted],
    options: Mapping[str, Any],
    own: Mapping[str, Any],
    known: Callable[[QuerySet[Feed]], QuerySet[Feed]],
) -> dict[str, tuple[Feed, bool]]:
    """Return the stored feeds by their addresses, and whether each is new.

    `own` has columns of the new ones, `options` is for their schedules.
    """
    by_url = {one.url: one for one in wanted}
    feeds = Feed.objects.filter(url__in=by_url)
    before = set(feeds.values_list("url", flat=True))
    new = (Feed(url=one.url, title=one.title, **own) for one in wanted if one.url not in before)
    # Another process may be about to store the same ones.
    Feed.objects.bulk_create(new, ignore_conflicts=True, batch_size=CHUNK)
    rows = feeds.select_related("schedule").order_by("pk")
    locked = list(rows.select_for_update(of=("self",), no_key=True))
    allowed = set(known(feeds.filter(url__in=before)).values_list("pk", flat=True))
    changing = [feed for feed in locked if feed.url not in before or feed.pk in allowed]
    tags = _give_tags(changing, by_url)
    _schedule([feed for feed in changing if feed.schedule_id is None], tags, options)
    return {feed.url: (feed, feed.url not in before) for feed in locked}


def _give_tags(feeds: Sequence[Feed], wanted: Mapping[str, _Wanted]) -> dict[int, list[str]]:
    """Give feeds the tags of the list; return the tags that each has then.

    The schedules of those that have one get them, too.
    """
    names: dict[int, list[str]] = {feed.pk: [] for feed in feeds}
    rows = Tagged.objects.filter(feed__in=names).values_list("feed", "tag__name")
    for pk, name in rows:
        names[pk].append(name)
    known = tags_by_name(name for one in wanted.values() for name in one.tags)
    keys = {tag.name: tag for tag in known.values()}
    links = []
    for feed in feeds:
        given = dict.fromkeys(known[name].name for name in wanted[feed.url].tags)
        missing = [name for name in given if name not in names[feed.pk]]
        names[feed.pk] += missing
        links += [Tagged(feed=feed, tag=keys[name]) for name in missing]
        if missing and feed.schedule is not None:
            feed.schedule.tags.add(*(keys[name] for name in missing))
    Tagged.objects.bulk_create(links, ignore_conflicts=True, batch_size=CHUNK)
    return names


def _schedule(
    feeds: Sequence[Feed], tags: Mapping[int, Sequence[str]], options: Mapping[str, Any]
) -> None:
    definitions = [_definition(feed, options) | {"tags": tags[feed.pk]} for feed in feeds]
    for feed, schedule in zip(feeds, SchedulerService.schedule_many(definitions), strict=True):
        feed.schedule = schedule
    Feed.objects.bulk_update(feeds, ["schedule"], batch_size=CHUNK)
