"""The ledger of a day on a schedule's page: each due time, what happened, and why.

Equal neighbours fold into one row; what failed, and what is running, never does.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from html import escape
from itertools import groupby, islice
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext_lazy, ngettext, pgettext
from django.utils.translation import gettext as _

from tasks import clock
from tasks.admin_pages.formatting import one_line, short_duration
from tasks.admin_pages.links import run_pages
from tasks.admin_pages.states import badge, how_many, run_word
from tasks.admin_pages.strips import is_late
from tasks.masking import hiding, mask_text
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.reports.day import HOUR, Entry, Unrecorded, Window, account, hours_of, window_of
from tasks.timing.instants import DAY, MICROSECOND
from tasks.timing.zones import start_of_day

Status = ScheduledTaskInstance.Status
# What doesn't fold: each is worth a look.
SINGLE = (Status.FAILED, Status.RUNNING, Status.CANCELED)
# How many rows are shown at once.
LINES = 200
# How many bars the day's drawing has at most; more dues share them.
BARS = 192
WIDTH, HEIGHT = 960, 40
WORDS = {
    Unrecorded.WAITING: gettext_lazy("waiting"),
    Unrecorded.TO_COME: gettext_lazy("to come"),
    Unrecorded.MISSING: gettext_lazy("without a record"),
    Unrecorded.DELETED: gettext_lazy("deleted by retention"),
    Unrecorded.PAUSED: gettext_lazy("paused"),
    Unrecorded.ENDED: gettext_lazy("ended"),
}
# Whose symbol and colours a state has that is no run's own.
LOOKS = {
    Unrecorded.TO_COME: "reserved",
    Unrecorded.MISSING: "missed",
    Unrecorded.DELETED: "skipped",
    Unrecorded.ENDED: "death",
}
# The worst first: what shares a bar is drawn as the worst of it.
SEVERITY: tuple[str, ...] = (
    Status.FAILED,
    Status.MISSED,
    Unrecorded.MISSING,
    Status.CANCELED,
    Status.RUNNING,
    Unrecorded.WAITING,
    Status.SKIPPED,
    Status.FINISHED,
    Unrecorded.DELETED,
    Unrecorded.TO_COME,
)


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the ledger: one entry, or equal neighbours."""

    begin: datetime
    times: str
    badge: SafeString
    why: str = ""
    run_pk: int | None = None
    run_url: str = ""
    is_folded: bool = False
    backfill: str = ""


@dataclass(frozen=True, slots=True)
class DayLedger:
    """What the panel shows."""

    title: str
    value: str
    before: str
    after: str
    lines: list[Line]
    drawing: SafeString
    summary: str
    totals: list[str]
    axis: list[str]
    unfold: str = ""
    fold: str = ""
    earlier: str = ""
    latest: str = ""
    hour: int | None = None
    hours: list[str] = field(default_factory=list)
    empty: str = ""
    query: dict[str, Any] = field(default_factory=dict)


def day_ledger(
    schedule: ScheduledTask,
    day: date | None,
    hour: int | None,
    *,
    is_unfolded: bool,
    before: datetime | None = None,
    why_waiting: str = "",
) -> DayLedger:
    """Return the ledger of a day of the viewer's calendar, today's by default.

    Its rows are the latest `LINES` of that day, or the latest `before` a time; `why_waiting` says
    what keeps what waits from running.
    """
    zone, now = timezone.get_current_timezone(), clock.now()
    if day is None:
        day, hour = now.astimezone(zone).date(), _hour_of(now, zone)
    window = window_of(schedule, day, hour, zone)
    entries = account(schedule, window)
    if why_waiting:
        entries = [_waiting_for(entry, why_waiting) for entry in entries]
    if before is not None and not any(entry.at < before for entry in entries):
        before = None  # Nothing of that day is earlier.
    lines, totals = _lines(schedule, entries, is_unfolded, before), _totals(entries)
    query = _query(window.day, window.hour)
    unfolded = {"all": 1} if is_unfolded else {}
    previous, following = _neighbours(window, zone)
    oldest = lines[-1].begin if lines else None
    return DayLedger(
        title=_title(window),
        value=window.day.isoformat(),
        before=_link(previous),
        after=_link(following),
        lines=lines,
        drawing=_drawing(entries, window),
        summary=", ".join(totals),
        totals=totals,
        axis=_axis(window),
        unfold=_link(query | {"all": 1}) if any(line.is_folded for line in lines) else "",
        fold=_link(query) if is_unfolded else "",
        earlier=_link(query | unfolded | {"before": oldest.isoformat()})
        if oldest is not None and oldest > entries[0].at
        else "",
        latest=_link(query | unfolded) if before is not None else "",
        hour=window.hour,
        hours=[] if window.hour is None else [_time(at) for at in hours_of(window.day, zone)],
        empty="" if entries else _nothing(schedule, window, now),
        query=query,
    )


def _query(day: date, hour: int | None) -> dict[str, Any]:
    return {"day": day.isoformat()} | ({} if hour is None else {"hour": hour})


def _link(query: dict[str, Any]) -> str:
    return f"?{urlencode(query)}#ledger"


def _neighbours(window: Window, zone: ZoneInfo) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the days, or the hours, before and after."""
    if window.hour is None:
        return _query(window.day - DAY, None), _query(window.day + DAY, None)
    before, after = window.begin - MICROSECOND, window.end
    return _hour_query(before, zone), _hour_query(after, zone)


def _hour_query(at: datetime, zone: ZoneInfo) -> dict[str, Any]:
    return _query(at.astimezone(zone).date(), _hour_of(at, zone))


def _hour_of(at: datetime, zone: ZoneInfo) -> int:
    """Return how many hours after its day's beginning something is."""
    return (at - start_of_day(at.astimezone(zone).date(), zone)) // HOUR


def _title(window: Window) -> str:
    day = formats.date_format(window.day, pgettext("date format", "D j M Y"))
    if window.hour is None:
        return day
    begin, end = timezone.localtime(window.begin), timezone.localtime(window.end)
    return f"{day}, {begin:%H:%M} – {end:%H:%M}"


def _nothing(schedule: ScheduledTask, window: Window, now: datetime) -> str:
    """Say that nothing is due in a window, in the tense in which that is true."""
    if window.end <= schedule.created:
        created = timezone.localtime(schedule.created)
        day = formats.date_format(created, pgettext("date format", "j M Y"))
        at = f"{day} {created:%H:%M}"
        return _("It was created %(at)s: nothing was due before.") % {"at": at}
    if window.end <= now:
        return _("Nothing was due.")
    if window.begin > now:
        return _("Nothing will be due.")
    return _("Nothing was due, and nothing will be.")


def _waiting_for(entry: Entry, why: str) -> Entry:
    return replace(entry, note=why) if entry.state == Unrecorded.WAITING else entry


# Folding


def _lines(
    schedule: ScheduledTask,
    entries: Sequence[Entry],
    is_unfolded: bool,
    before: datetime | None,
) -> list[Line]:
    """Return the rows, newest first, and no more than are shown at once."""
    newest_first = (entry for entry in reversed(entries) if before is None or entry.at < before)
    lines = _Lines(reverse("admin:tasks_scheduledtask_backfill", args=[schedule.pk]))
    with hiding(schedule.secret_values):
        return [lines.of(part) for part in islice(_parts(newest_first, is_unfolded), LINES)]


def _parts(newest_first: Iterable[Entry], is_unfolded: bool) -> Iterator[list[Entry]]:
    """Yield what shares a row, in order: equal neighbours, or each on its own."""
    for _key, group in groupby(enumerate(newest_first), key=lambda pair: _kind(*pair)):
        equal = [entry for _number, entry in group]
        if is_unfolded:
            yield from ([entry] for entry in equal)
        else:
            yield equal[::-1]


def _kind(number: int, entry: Entry) -> tuple[Any, ...]:
    """Return what entries have in common that fold; a number for those that never do."""
    if entry.until is not None or entry.state in SINGLE:
        return number, ""
    is_tried_again = entry.run is not None and entry.run.attempt > 1
    if is_tried_again:
        return number, ""
    late = entry.run is not None and is_late(entry.run)
    return (entry.state, late), _reason(entry)


def _reason(entry: Entry) -> str:
    return mask_text(entry.note) if entry.run is None else entry.run.reason


class _Lines:
    """Puts rows into words; it looks addresses and badges up only once."""

    def __init__(self, backfill_page: str) -> None:
        self._backfill_page = backfill_page
        self._page_of = run_pages()
        self._badge = cache(badge)

    def of(self, entries: Sequence[Entry]) -> Line:
        """Return the row of an entry, or of equal neighbours."""
        first = entries[0]
        run = first.run if len(entries) == 1 else None
        look = LOOKS.get(first.state, first.state)  # type: ignore[call-overload]
        return Line(
            begin=first.at,
            times=_times(entries),
            badge=self._badge(look, _words(entries)),
            why=one_line(_why(entries)),
            run_pk=run.pk if run is not None else None,
            run_url=self._page_of(run.pk) if run is not None else "",
            is_folded=len(entries) > 1,
            backfill=self._backfill(entries),
        )

    def _backfill(self, entries: Sequence[Entry]) -> str:
        """Return the address at which backfill offers to run what these are."""
        first, last = entries[0], entries[-1]
        if first.state not in (Status.MISSED, Status.SKIPPED, Status.FAILED, Unrecorded.MISSING):
            return ""
        bounds = {"begin": first.at.isoformat(), "end": last.at.isoformat()}
        if first.state == Status.FAILED:
            bounds["failed"] = "on"
        return f"{self._backfill_page}?{urlencode(bounds)}"


def _times(entries: Sequence[Entry]) -> str:
    first, last = entries[0], entries[-1]
    if first.until is not None:
        return _from_to(get_language()) % {"begin": _time(first.at), "end": _time(first.until)}
    if len(entries) <= 2:
        return ", ".join(_time(entry.at) for entry in entries)
    return _from_to(get_language()) % {"begin": _time(first.at), "end": _time(last.at)}


@cache
def _from_to(language: str | None) -> str:
    """Return the text of a span in the active language: a day has hundreds of them."""
    return _("%(begin)s to %(end)s")


def _time(at: datetime) -> str:
    """Return a time of the day, with its zone where the clock shows it twice."""
    return _time_in(timezone.get_current_timezone(), at)


# A day has hundreds of them, and the same ones whenever it is refreshed.
@lru_cache(maxsize=5_000)
def _time_in(zone: tzinfo, at: datetime) -> str:
    local = at.astimezone(zone)
    text = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
    is_twice = local.replace(fold=1 - local.fold).utcoffset() != local.utcoffset()
    return f"{text} {local:%Z}" if is_twice else text


def state_words(state: str) -> str:
    """Return the word for what became of a due."""
    if state in WORDS:
        return str(WORDS[Unrecorded(state)])
    return run_word(state)


def _words(entries: Sequence[Entry]) -> str:
    first, number = entries[0], len(entries)
    words = state_words(first.state)
    if number > 1:
        words = how_many(number, words)
    if first.run is not None and first.run.status == Status.FINISHED and is_late(first.run):
        if number > 1:
            return _("%(state)s, late") % {"state": words}
        late = short_duration(first.run.lateness)
        return _("%(state)s, %(span)s late") % {"state": words, "span": late}
    return words


def _why(entries: Sequence[Entry]) -> str:
    first = entries[0]
    parts = [reason] if (reason := _reason(first)) else []
    durations = sorted(
        entry.run.duration
        for entry in entries
        if entry.run is not None and entry.run.duration is not None
    )
    if first.state == Status.RUNNING and durations:
        parts.append(_("for %(span)s") % {"span": short_duration(durations[0])})
    elif len(durations) == 1:
        parts.append(_("took %(span)s") % {"span": short_duration(durations[0])})
    elif durations:
        parts.append(_range(short_duration(durations[0]), short_duration(durations[-1])))
    if len(entries) == 1 and first.run is not None and first.run.attempt > 1:
        parts.append(_("attempt %(number)d") % {"number": first.run.attempt})
    return ", ".join(part.rstrip(".") if len(parts) > 1 else part for part in parts)


def _range(least: str, most: str) -> str:
    if least == most:
        return _("each took %(span)s") % {"span": least}
    return _("between %(least)s and %(most)s") % {"least": least, "most": most}


# The drawing and the sums


def _totals(entries: Sequence[Entry]) -> list[str]:
    counts = Counter(entry.state for entry in entries if entry.until is None)
    number = sum(counts.values())
    totals = [ngettext("%(n)d due time", "%(n)d due times", number) % {"n": number}]
    totals += [
        how_many(counts[state], state_words(state)) for state in reversed(SEVERITY) if counts[state]
    ]
    if number and not counts[Unrecorded.MISSING]:
        totals.append(_("every one accounted for"))
    return totals


def _axis(window: Window) -> list[str]:
    quarter = (window.end - window.begin) / 4
    return [f"{timezone.localtime(window.begin + part * quarter):%H:%M}" for part in range(4)]


def _drawing(entries: Sequence[Entry], window: Window) -> SafeString:
    """Draw a bar for each due, or for dues that share one the worst of them, by when they are."""
    length = window.end - window.begin
    dues = [entry for entry in entries if entry.until is None]
    number = min(max(len(dues), 24), BARS)
    shared: dict[int, list[Entry]] = {}
    for entry in dues:
        place = min(int((entry.at - window.begin) / length * number), number - 1)
        shared.setdefault(place, []).append(entry)
    width = round(WIDTH / number * 0.72, 1)
    words = cache(state_words)
    # A day has hundreds of them: they are put together by hand.
    bars = mark_safe(
        "".join(
            f'<g transform="translate({round(place * WIDTH / number + 1, 1)} 4)">'
            f"<title>{escape(_bar_title(here, words))}</title>{_bar(here, width)}</g>"
            for place, here in sorted(shared.items())
        )
    )
    rules = format_html_join(
        "", '<path class="l-rule" d="M{} 0V44"/>', ([WIDTH / 4 * part] for part in (1, 2, 3))
    )
    return rules + _spans_drawn(entries, window, length) + bars


def _spans_drawn(entries: Sequence[Entry], window: Window, length: timedelta) -> SafeString:
    return format_html_join(
        "",
        '<rect class="f-none" x="{}" y="37" width="{}" height="3"><title>{}</title></rect>',
        (
            (
                round((entry.at - window.begin) / length * WIDTH, 1),
                round((entry.until - entry.at) / length * WIDTH, 1),
                state_words(entry.state),
            )
            for entry in entries
            if entry.until is not None
        ),
    )


def _bar_title(entries: Sequence[Entry], words: Callable[[str], str]) -> str:
    if len(entries) == 1:
        return f"{_time(entries[0].at)}: {_words(entries)}"
    counts = Counter(entry.state for entry in entries)
    parts = (f"{number} {words(one)}" for one in SEVERITY if (number := counts[one]))
    return f"{_times(entries)}: {', '.join(parts)}"


def _bar(entries: Sequence[Entry], width: float) -> str:
    states = {entry.state for entry in entries}
    state = next(one for one in SEVERITY if one in states)
    late = any(entry.run is not None and is_late(entry.run) for entry in entries)
    shape = SHAPES.get(state, '<rect class="f-none" y="33" width="{0}" height="3"/>')
    if late and state == Status.FINISHED:
        shape += '<rect class="f-late" y="10" width="{0}" height="4" rx="1"/>'
    return shape.format(width)


SHAPES: dict[str, str] = {
    Status.FINISHED: '<rect class="f-finished" y="15" width="{0}" height="21" rx="1"/>',
    Status.FAILED: '<rect class="f-failed" width="{0}" height="36" rx="1"/>',
    Status.MISSED: '<rect class="o-missed" y="1" width="{0}" height="34" rx="1"/>',
    Unrecorded.MISSING: '<rect class="o-missed" y="1" width="{0}" height="34" rx="1"/>',
    Status.SKIPPED: '<rect class="f-skipped" y="32" width="{0}" height="4" rx="1"/>',
    Status.CANCELED: '<rect class="f-canceled" y="15" width="{0}" height="9" rx="1"/>'
    '<rect class="f-canceled" y="27" width="{0}" height="9" rx="1"/>',
    Status.RUNNING: '<rect class="o-running" y="15" width="{0}" height="20" rx="1"/>'
    '<rect class="f-running" y="31" width="{0}" height="5" rx="1"/>',
    Unrecorded.WAITING: '<rect class="f-quiet" y="24" width="{0}" height="12" rx="1"/>',
}
