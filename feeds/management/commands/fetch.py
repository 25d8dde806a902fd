"""Show what a poll of a feed does, without storing anything."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from feeds.addresses import typed_url
from feeds.asking.check import in_words
from feeds.asking.fetching import Exchange
from feeds.asking.permission import Decision, Outcome, Why
from feeds.asking.rehearsal import Rehearsal, rehearse
from feeds.exceptions import FeedError, shown_url
from feeds.models import Subscription
from feeds.reading.result import ParsedFeed
from feeds.websub.noting import offered
from feeds.websub.offers import Offer
from feeds.websub.words import push_in_words
from tasks.masking import MASK, is_secret_name, mask_text

# What else is known to be secret in a request or an answer.
SECRET_HEADERS = {"cookie", "set-cookie"}
# How much of a header, or of a value that would be stored, is shown.
SHOWN = 200


class Command(BaseCommand):
    help = "Fetch a feed as a poll does, say what is in it, and store nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url", metavar="URL", help="the address of a feed, known or not")
        parser.add_argument(
            "--explain", action="store_true", help="print each step: requests, answers, decisions"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = rehearse(typed_url(options["url"]))
        except FeedError as error:
            raise CommandError(str(error)) from error
        for line in _explained(done) if options["explain"] else _summed_up(done):
            self.stdout.write(line)
        if done.error is not None:
            raise CommandError(str(done.error))
        if not done.is_asked:
            raise CommandError(f"{done.feed.shown_url}: {in_words(done.decision)}")


def _summed_up(done: Rehearsal) -> Iterator[str]:
    if done.response is not None and done.parsed is None and done.error is None:
        yield _("%(url)s has not changed since the last poll.") % {"url": done.feed.shown_url}
    if done.parsed is not None:
        yield from _document(done.parsed, len(done.response.body) if done.response else 0)


def _explained(done: Rehearsal) -> Iterator[str]:
    yield from _subject(done)
    for number, exchange in enumerate(done.exchanges, 1):
        yield ""
        yield from _exchange(number, exchange)
    if done.response is not None and done.error is None:
        yield ""
        yield _("Document")
        if done.parsed is None:
            yield _("  It is the one that was read last, so it isn't read again.")
        else:
            body = len(done.response.body)
            yield from (f"  {line}" for line in _document(done.parsed, body))
        yield from _hub(done)
    if done.error is not None:
        yield ""
        yield _("It has failed")
        yield f"  {done.error.problem}"
    if done.exchanges:
        yield ""
        yield from _stored(done)


def _subject(done: Rehearsal) -> Iterator[str]:
    feed = done.feed
    yield _("Feed %(url)s") % {"url": feed.shown_url}
    if feed.schedule is None:
        yield _("  No feed of this site is polled at this address.")
    else:
        values = {"name": str(feed.schedule), "when": feed.schedule.when_in_words()}
        yield _("  It is polled by “%(name)s”, %(when)s.") % values
    if feed.original_url:
        yield _("  It has moved here from %(url)s.") % {"url": shown_url(feed.original_url)}
    if feed.adaptive:
        yield _("  It is adaptive: asked by how often it publishes, at least once a day.")
    if feed.ignores_hints:
        yield _("  What is said of when something new is to be expected is ignored.")
    yield f"  {in_words(done.decision)}"
    if done.decision.outcome is not Outcome.ASK and done.is_asked:
        yield _("  An occurrence that is due now would be skipped. You want it: it is asked.")


def _exchange(number: int, exchange: Exchange) -> Iterator[str]:
    url = shown_url(exchange.url)
    yield _("Request %(number)d: GET %(url)s") % {"number": number, "url": url}
    if exchange.waited:
        yield _(
            "  It waited %(seconds).1f s for its turn: requests to a host keep their distance."
        ) % {"seconds": exchange.waited}
    yield from _connection(exchange)
    yield from _headers("> ", exchange.sent)
    if exchange.status is not None:
        yield f"  < {exchange.status}"
        yield from _headers("< ", exchange.received)


def _connection(exchange: Exchange) -> Iterator[str]:
    attempt = exchange.attempt
    for address in attempt.addresses:
        if address == attempt.refused:
            yield _("  Its address %(address)s is private: refused.") % {"address": address}
        elif attempt.refused_port:
            yield _("  Its address is %(address)s, its port is refused.") % {"address": address}
        else:
            yield _("  Its address is %(address)s.") % {"address": address}
    if not attempt.addresses and exchange.status is not None:
        yield _("  An open connection was used again.")


def _headers(mark: str, headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        is_secret = is_secret_name(name) or name.lower() in SECRET_HEADERS
        yield f"  {mark}{name}: {MASK if is_secret else _short(value)}"


def _document(parsed: ParsedFeed, size: int) -> Iterator[str]:
    count = len(parsed.entries)
    yield _("“%(title)s”: %(count)d entries, %(size)d bytes.") % {
        "title": mask_text(parsed.title),
        "count": count,
        "size": size,
    }
    if parsed.defect:
        yield _("It is broken, but could be read: %(defect)s") % {"defect": parsed.defect}
    if parsed.dropped:
        yield _("It has %(count)d entries more than are read.") % {"count": parsed.dropped}
    for entry in parsed.entries[:3]:
        when = "–" if entry.published is None else _shown(entry.published)
        yield f"- {when}  {mask_text(entry.title)}"
    if count > 3:
        yield _("- and %(count)d more") % {"count": count - 3}


def _hub(done: Rehearsal) -> Iterator[str]:
    """Say which hub is named in this answer, or was, and whether it pushes."""
    known = Subscription.objects.filter(feed=done.feed.pk).first() if done.feed.pk else None
    before = None if known is None else Offer(known.hub, known.topic)
    found = None if done.response is None else offered(done.response, done.parsed, before)
    if found is not None:
        values = {"hub": shown_url(found.hub), "topic": shown_url(found.topic)}
        yield _("  Its hub is %(hub)s, where it is known as %(topic)s.") % values
    if words := push_in_words(done.feed):
        yield f"  {words}"


def _stored(done: Rehearsal) -> Iterator[str]:
    yield _("A poll would store")
    if done.counts is not None:
        counts = {
            "new": done.counts.new,
            "updated": done.counts.updated,
            "unchanged": done.counts.unchanged,
        }
        yield _("  %(new)d new, %(updated)d updated and %(unchanged)d unchanged entries") % counts
    for name, (before, after) in done.stored.items():
        yield f"  {name}: {_value(before)} → {_value(after)}"
    if "not_before" in done.stored and done.stored["not_before"][1] is not None:
        why = Why(done.stored.get("not_before_why", ("", done.feed.not_before_why))[1])
        decision = Decision(Outcome[why.name], done.stored["not_before"][1])
        yield f"  {in_words(decision)}"
    yield _("Nothing has been stored.")


def _value(value: Any) -> str:
    if isinstance(value, datetime):
        return _shown(value)
    return "–" if value in (None, "") else _short(str(value))


def _short(text: str) -> str:
    text = mask_text("".join(char if char.isprintable() else "?" for char in text))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _shown(time: datetime) -> str:
    return date_format(timezone.localtime(time), "Y-m-d H:i")
