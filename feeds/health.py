"""How feeds are: what is known of them, read for many at once, and the words for it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from django.db.models import Count, Max, Q
from django.utils.html import conditional_escape, escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from feeds.models import Entry, Feed
from feeds.why_not_newer import Answer, Facts, Outcome, Poll, why_not_newer
from tasks import clock
from tasks.admin_pages.times import when
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.reports.holds import read_holds
from tasks.reports.strips import LatestRun, strips
from tasks.reports.waiting import Waiting, waiting_of
from tasks.storable import FAILED_FOR

# How far back entries are counted.
WEEKS = 4
# After these it is said when the feed is due next.
POLLED = {Outcome.NOT_ASKED, Outcome.MISSED, Outcome.FAILING, Outcome.UNCHANGED, Outcome.NEW}
# How each outcome looks, as `tasks.admin_pages.states.LOOKS` has it.
LOOKS = {
    Outcome.NOT_SCHEDULED: "death",
    Outcome.UNSCHEDULABLE: "problem",
    Outcome.ENDED: "death",
    Outcome.HELD: "paused",
    Outcome.PAUSED: "paused",
    Outcome.RUNNING: "running",
    Outcome.WAITING: "late",
    Outcome.NOT_ASKED: "skipped",
    Outcome.MISSED: "missed",
    Outcome.NEVER_POLLED: "waiting",
    Outcome.FAILING: "failed",
    Outcome.UNCHANGED: "active",
    Outcome.NEW: "active",
}
# What each outcome is called.
WORDS = {
    Outcome.NOT_SCHEDULED: gettext_lazy("not scheduled"),
    Outcome.UNSCHEDULABLE: gettext_lazy("problem"),
    Outcome.ENDED: pgettext_lazy("schedule", "ended"),
    Outcome.HELD: pgettext_lazy("schedule", "paused"),
    Outcome.PAUSED: pgettext_lazy("schedule", "paused"),
    Outcome.RUNNING: gettext_lazy("fetching"),
    Outcome.WAITING: pgettext_lazy("schedule", "late"),
    Outcome.NOT_ASKED: gettext_lazy("not asked"),
    Outcome.MISSED: gettext_lazy("missed"),
    Outcome.NEVER_POLLED: gettext_lazy("never fetched"),
    Outcome.FAILING: pgettext_lazy("schedule", "failing"),
    Outcome.UNCHANGED: gettext_lazy("up to date"),
    Outcome.NEW: gettext_lazy("up to date"),
}


@dataclass(frozen=True, slots=True)
class Health:
    """How a feed is now, and what a list shows of it."""

    facts: Facts
    answer: Answer
    runs: Sequence[LatestRun]
    polled_run: int | None
    per_week: float

    @property
    def look(self) -> str:
        return LOOKS[self.answer.outcome]

    @property
    def word(self) -> str:
        return str(WORDS[self.answer.outcome])

    @property
    def sentence(self) -> SafeString:
        """Why there is nothing newer, in a sentence or two."""
        return _sentence(self.facts, self.answer, clock.now())


def health_of(feeds: Sequence[Feed]) -> dict[int, Health]:
    """Return how feeds are, by their keys, in a fixed number of queries.

    `schedule`, with its calendar, is read already.
    """
    now = clock.now()
    schedules = {feed.pk: feed.schedule for feed in feeds if feed.schedule is not None}
    runs = strips([schedule.pk for schedule in schedules.values()])
    rows = _rows(runs.values(), {schedule.pk: schedule for schedule in schedules.values()})
    waiting = waiting_of(list(schedules.values()))
    entries = _entries([feed.pk for feed in feeds], now)
    found = {}
    for feed in feeds:
        schedule = schedules.get(feed.pk)
        of_feed = runs.get(schedule.pk, []) if schedule is not None else []
        recent, newest = entries.get(feed.pk, (0, None))
        late = waiting.get(schedule.pk) if schedule is not None else None
        facts = _facts(feed, of_feed, rows, late, newest)
        polled = _polled(of_feed)
        found[feed.pk] = Health(
            facts,
            why_not_newer(facts),
            of_feed,
            polled[0].pk if polled else None,
            recent / WEEKS,
        )
    return found


def _rows(
    strips: Iterable[Sequence[LatestRun]], schedules: Mapping[int, ScheduledTask]
) -> dict[int, ScheduledTaskInstance]:
    """Return the runs that say how feeds are: of each the newest row, poll, and first failure."""
    keys = set()
    for runs in strips:
        polled, failures = _polled(runs), _failures(runs)
        keys |= {run.pk for run in (*runs[:1], *polled[:1], *failures[-1:])}
    found = ScheduledTaskInstance.objects.defer("log", "traceback").in_bulk(keys)
    for run in found.values():
        run.parent = schedules[run.parent_id]
    return found


def _polled(runs: Sequence[LatestRun]) -> list[LatestRun]:
    """Return those of these runs, newest first, that started and are over."""
    return [run for run in runs if run.status in ("finished", "failed")]


def _failures(runs: Sequence[LatestRun]) -> list[LatestRun]:
    return list(takewhile(lambda run: run.status == "failed", _polled(runs)))


def _entries(keys: Sequence[int], now: datetime) -> dict[int, tuple[int, datetime | None]]:
    """Return of each feed that has any how many entries are recent, and when the last one came."""
    begin = now - timedelta(weeks=WEEKS)
    entries = Entry.objects.filter(feed__in=keys).order_by().values("feed")
    counted = entries.annotate(
        recent=Count("pk", filter=Q(published__gt=begin)), newest=Max("first_seen")
    )
    rows = counted.values_list("feed", "recent", "newest")
    return {feed: (recent, newest) for feed, recent, newest in rows}


def _facts(
    feed: Feed,
    runs: Sequence[LatestRun],
    rows: Mapping[int, ScheduledTaskInstance],
    waiting: Waiting | None,
    newest: datetime | None,
) -> Facts:
    schedule = feed.schedule
    if schedule is None:
        return Facts(None, newest_entry=newest)
    polled, failures = _polled(runs), _failures(runs)
    is_late = waiting is not None and waiting.is_late
    held = [hold.since for hold in read_holds().holds if not hold.queue]
    problem = schedule.masked(schedule.problem_in_words())
    return Facts(
        schedule_status=schedule.status,
        problem=schedule.end_reason() if schedule.status == "death" else problem,
        is_held=schedule.paused_at in held,
        paused_since=schedule.paused_at,
        latest=_poll(feed, rows, runs[:1]),
        polled=_poll(feed, rows, polled[:1]),
        failing_since=_at(rows[failures[-1].pk]) if failures else None,
        waiting_since=waiting.since if waiting is not None and is_late else None,
        waits_because=waiting.why_in_words if waiting is not None and is_late else "",
        newest_entry=newest,
        next_due=schedule.next_due(clock.now()),
    )


def _poll(
    feed: Feed, rows: Mapping[int, ScheduledTaskInstance], runs: Sequence[LatestRun]
) -> Poll | None:
    if not runs:
        return None
    row = rows[runs[0].pk]
    result: Any = row.result if isinstance(row.result, dict) else {}
    new = result.get("new", 0)
    return Poll(row.status, _at(row), plain_reason(feed, row), new if isinstance(new, int) else 0)


def _at(row: ScheduledTaskInstance) -> datetime:
    """Return when a poll ended, or began; of what was no poll, when it would have been."""
    return row.ended if row.ended and row.started else row.started or row.due or row.created


def plain_reason(feed: Feed, row: ScheduledTaskInstance) -> str:
    """Return why a run failed or was none, without its class and without the feed's address."""
    text = row.masked(row.reason)
    if not text.startswith(FAILED_FOR):
        return row.masked(row.reason_in_words())
    name = row.exception_class.rpartition(".")[2]
    text = text.removeprefix(FAILED_FOR).removeprefix(name).removeprefix(":").strip()
    text = text.removeprefix(f"{feed.shown_url}:").strip()
    return text[:1].upper() + text[1:] if text else name


def _sentence(facts: Facts, answer: Answer, now: datetime) -> SafeString:
    number = facts.polled.new if facts.polled else 0
    values: dict[str, Any] = {
        "since": when(answer.since, now),
        "reason": answer.reason.rstrip("."),
        "next": when(facts.next_due, now),
        "polled": when(facts.polled.at if facts.polled else None, now),
        "number": number,
    }
    shown = {name: conditional_escape(value) for name, value in values.items()}
    return mark_safe(escape(" ".join(_texts(facts, answer))) % shown)


def _texts(facts: Facts, answer: Answer) -> Iterator[str]:
    """Yield the sentences, with names where their values belong."""
    yield _first_text(facts, answer)
    was_failing = facts.polled is not None and facts.polled.status == "failed"
    if answer.outcome is Outcome.NOT_ASKED and was_failing:
        yield _("The last poll, %(polled)s, failed.")
    if answer.outcome in POLLED and facts.next_due is not None:
        yield _("It is due next %(next)s.")


def _first_text(facts: Facts, answer: Answer) -> str:
    match answer.outcome:
        case Outcome.NOT_ASKED | Outcome.MISSED if not answer.reason:
            return _unexplained(answer.outcome)
        case Outcome.UNCHANGED if answer.since is None:
            return _("The last poll, %(polled)s, found no entries in it.")
        case Outcome.NEVER_POLLED if facts.next_due is None:
            return _("It has never been fetched, and nothing is due.")
        case Outcome.NEW if facts.polled is not None:
            return ngettext(
                "The last poll, %(polled)s, brought %(number)s new entry.",
                "The last poll, %(polled)s, brought %(number)s new entries.",
                facts.polled.new,
            )
    texts = {
        Outcome.NOT_SCHEDULED: _("No schedule polls it. Add its address again to make one."),
        Outcome.UNSCHEDULABLE: _("Its schedule can't be followed. %(reason)s."),
        Outcome.ENDED: _("Its schedule has ended: %(reason)s."),
        Outcome.HELD: _("Everything was paused %(since)s."),
        Outcome.PAUSED: _("It was paused %(since)s."),
        Outcome.RUNNING: _("It is being fetched: that began %(since)s."),
        Outcome.WAITING: _("It was due %(since)s and has not been fetched. %(reason)s."),
        Outcome.NOT_ASKED: _("The last time, %(since)s, it was not asked. %(reason)s."),
        Outcome.MISSED: _("The last time, %(since)s, it was missed. %(reason)s."),
        Outcome.NEVER_POLLED: _("It has never been fetched; the first time is %(next)s."),
        Outcome.FAILING: _("It began to fail %(since)s. %(reason)s."),
        Outcome.UNCHANGED: _(
            "The last poll, %(polled)s, found nothing new; its newest entry came %(since)s."
        ),
    }
    return texts[answer.outcome]


def _unexplained(outcome: Outcome) -> str:
    if outcome is Outcome.MISSED:
        return _("The last time, %(since)s, it was missed.")
    return _("The last time, %(since)s, it was not asked.")
