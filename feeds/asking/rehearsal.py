"""A poll that stores nothing: what it does, and what it would store."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from feeds import sandbox
from feeds.asking import check, recording
from feeds.asking.fetching import Exchange, Response, fetch
from feeds.asking.permission import Decision, Outcome, decide
from feeds.exceptions import FeedError, without_secrets
from feeds.models import Feed
from feeds.reading.result import ParsedFeed
from feeds.storing import Counts
from tasks import clock
from tasks.database import atomic


@dataclass(slots=True)
class Rehearsal:
    """What a poll has done, up to where it came.

    `decision` is what becomes of an occurrence that is due now. `stored` has the columns of the
    feed that the poll would change, each with its value before and after.
    """

    feed: Feed
    decision: Decision
    exchanges: list[Exchange] = field(default_factory=list)
    response: Response | None = None
    parsed: ParsedFeed | None = None
    counts: Counts | None = None
    error: FeedError | None = None
    stored: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def is_asked(self) -> bool:
        """Whether a person may have it asked now."""
        return self.decision.outcome not in (Outcome.RETRY_AFTER, Outcome.HOST_RETRY_AFTER)


def rehearse(url: str) -> Rehearsal:
    """Poll the feed at an address, which need not be known, and store nothing."""
    feed = Feed.objects.filter(url=url).first() or Feed(url=url)
    decision = decide(check.situation(feed, clock.now(), is_wanted=False))
    done = Rehearsal(feed, decision)
    if not done.is_asked:
        return done
    try:
        validators = recording.validators_of(feed)
        done.response = asyncio.run(fetch(url, validators=validators, exchanges=done.exchanges))
        done.parsed = _parsed(feed, done.response)
    except FeedError as error:
        done.error = error
    _record_and_undo(done)
    return done


def _parsed(feed: Feed, response: Response) -> ParsedFeed | None:
    if not recording.is_new(feed, response):
        return None
    return sandbox.parse(response.body, response.content_type, without_secrets(response.url))


def _record(done: Rehearsal) -> None:
    if done.error is not None:
        recording.failed(done.feed, done.error)
    elif done.response is not None:
        done.counts = recording.succeeded(done.feed, done.response, done.parsed)
        recording.settle_move(done.feed, done.response)


class _Undone(Exception):
    """Rolls back."""


def _record_and_undo(done: Rehearsal) -> None:
    """Do what a poll does to the rows, note what that is, and undo it."""
    with suppress(_Undone), atomic():
        if done.feed._state.adding:
            done.feed.save()
        before = _columns(done.feed)
        _record(done)
        after = Feed.objects.filter(pk=done.feed.pk).first()
        if after is not None:
            values = _columns(after)
            done.stored = {
                name: (before[name], new) for name, new in values.items() if before[name] != new
            }
        raise _Undone


def _columns(feed: Feed) -> dict[str, Any]:
    left_out = {"id", "created", "updated", "schedule_id"}
    names = [column.attname for column in Feed._meta.concrete_fields]
    return {name: getattr(feed, name) for name in names if name not in left_out}
