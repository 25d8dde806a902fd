"""Lanes: a row for each schedule over time, drawn on the server. Height is severity."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from html import escape
from typing import NamedTuple

from django.utils import formats, timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from tasks.admin_pages.formatting import short_duration
from tasks.admin_pages.links import run_pages, schedule_page
from tasks.admin_pages.states import how_many, run_word
from tasks.admin_pages.times import to_minute
from tasks.models import ScheduledTaskInstance
from tasks.reports.heatmap import Cell, Heatmap, Row
from tasks.reports.timeline import Bar, Lane, Timeline

HOUR = timedelta(hours=1)
# How far apart the labels of the axis are, by the length of the timeline in hours.
TICKS = {1: timedelta(minutes=10), 6: HOUR, 24: 4 * HOUR}
# Lanes are drawn in a box of this size and stretched to the width of the page.
WIDTH, LANE_HEIGHT, HEAT_HEIGHT = 720, 30, 26
# The narrowest bar.
NARROWEST = 2.0
# A label isn't shown where it would stand out of the picture, in parts of its width.
LAST_LABEL = 0.95
# How many kinds of trouble are named beside a row: there is no room for more.
NAMED = 2
Status = ScheduledTaskInstance.Status


class Shape(NamedTuple):
    """A rectangle of the stylesheet's class, from the top of a lane."""

    look: str
    y: float
    height: float


SHAPES = {
    "finished": [Shape("f-finished", 12.8, 12.2)],
    "failed": [Shape("f-failed", 4, 21)],
    "missed": [Shape("o-missed", 4.75, 19.5)],
    "skipped": [Shape("f-skipped", 21, 4)],
    "canceled": [Shape("f-canceled", 12.8, 5), Shape("f-canceled", 20, 5)],
    "running": [Shape("o-running", 12.8, 11.4), Shape("f-running", 20, 5)],
}
BAND = [Shape("f-band", 19, 6)]
LATE = Shape("f-late", 21, 4)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A row as the template shows it: a name with its link, the picture, and a verdict in words.

    `state` gives the verdict its colour and symbol; it is empty if there is nothing to say.
    """

    name: str
    url: str
    picture: SafeString
    verdict: str
    state: str


class Label(NamedTuple):
    """A label of the axis: where it stands, in percent of the width, and its text."""

    x: str
    text: str


def labels(ticks: Iterable[datetime], begin: datetime, end: datetime, form: str) -> list[Label]:
    """Return the labels of an axis; `form` is as Django's template filter `date` has it."""
    places = ((tick, (tick - begin) / (end - begin)) for tick in ticks)
    return [
        Label(f"{100 * x:.2f}%", formats.date_format(timezone.localtime(tick), form))
        for tick, x in places
        if x < LAST_LABEL
    ]


def ticks(begin: datetime, end: datetime, step: timedelta) -> list[datetime]:
    """Return the round times of the viewer's clock in a range, `step` apart."""
    midnight = timezone.localtime(begin).replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight + -(-(begin - midnight) // step) * step
    count = (end - first) // step + 1
    return [first + number * step for number in range(max(count, 0))]


def midnights(begin: datetime, end: datetime) -> list[datetime]:
    """Return the beginnings of the viewer's days in a range, of which some are 23 or 25 hours."""
    zone = timezone.get_current_timezone()
    days = (end - begin) // (24 * HOUR) + 2
    first = begin.astimezone(zone).date()
    starts = (
        datetime.combine(first + timedelta(days=number), datetime.min.time(), zone)
        for number in range(days)
    )
    return [start for start in starts if begin <= start < end]


# The timeline


def timeline_labels(timeline: Timeline) -> list[Label]:
    """Return the labels above a timeline."""
    # Translators: a time of day, as Django's template filter `date` has it.
    form = pgettext("date format", "H:i")
    return labels(_timeline_ticks(timeline), timeline.begin, timeline.end, form)


def _timeline_ticks(timeline: Timeline) -> list[datetime]:
    span = timeline.end - timeline.begin
    return ticks(timeline.begin, timeline.end, TICKS[round(span / HOUR)])


def timeline_rows(timeline: Timeline, waiting: Mapping[int, datetime]) -> list[Drawn]:
    """Draw the lanes of a timeline; `waiting` is since when a schedule's next run waits, by pk."""
    scale = _Scale(timeline.begin, timeline.end)
    rules = [scale.x(tick) for tick in _timeline_ticks(timeline)]
    grid = _grid(rules, LANE_HEIGHT, "l-hair", baseline=25.5)
    words = _Words()
    return [
        _lane(lane, scale, grid, waiting.get(lane.schedule_pk), words) for lane in timeline.lanes
    ]


@dataclass(frozen=True, slots=True)
class _Scale:
    begin: datetime
    end: datetime

    def x(self, at: datetime) -> float:
        """Return where a time is in the picture."""
        within = min(max(at, self.begin), self.end)
        return WIDTH * ((within - self.begin) / (self.end - self.begin))


class _Words:
    """Says what bars are: one object for all of a picture, which looks its texts up only once."""

    def __init__(self) -> None:
        self._zone = timezone.get_current_timezone()
        self._word = cache(run_word)
        self._late = _("%(state)s, %(span)s late")

    def of(self, bar: Bar) -> str:
        at, word = f"{bar.start.astimezone(self._zone):%H:%M:%S}", self._word(bar.state)
        words = f"{at}: {bar.number} {word}" if bar.number > 1 else f"{at}: {word}"
        if bar.late_since is None:
            return words
        span = short_duration(bar.start - bar.late_since)
        return self._late % {"state": words, "span": span}


def _lane(
    lane: Lane, scale: _Scale, grid: SafeString, since: datetime | None, words: _Words
) -> Drawn:
    page_of = run_pages()
    bars = mark_safe("".join(_bar(bar, scale, page_of, words) for bar in lane.bars))
    waits = "" if since is None else _rect(LATE, scale.x(since), WIDTH - scale.x(since))
    counts = lane.counts
    verdict, state = _lane_verdict(counts, since is not None)
    picture = format_html(
        '<svg class="sl-lane" viewBox="0 0 {} {}" preserveAspectRatio="none" role="group" '
        'aria-label="{}">{}{}{}</svg>',
        WIDTH,
        LANE_HEIGHT,
        ": ".join((lane.name, _in_words(counts) or _("no run"))),
        grid,
        bars,
        waits,
    )
    return Drawn(lane.name, schedule_page(lane.schedule_pk), picture, verdict, state)


def _bar(bar: Bar, scale: _Scale, page_of: Callable[[int], str], words: _Words) -> str:
    """Draw a bar. A page has hundreds of them: they are put together by hand."""
    left = scale.x(bar.start)
    width = max(scale.x(bar.end) - left, NARROWEST)
    left = min(left, WIDTH - width)
    is_band = bar.number > 1 and not bar.is_exception
    shapes = BAND if is_band else SHAPES[bar.state]
    drawn = "".join(_rect(shape, left, width) for shape in shapes)
    if bar.late_since is not None:
        from_due = scale.x(bar.late_since)
        drawn = _rect(LATE, from_due, max(left - from_due, NARROWEST)) + drawn
    drawn = f"<title>{escape(words.of(bar))}</title>{drawn}"
    if bar.run_pk is None:
        return f"<g>{drawn}</g>"
    return f'<a href="{page_of(bar.run_pk)}" tabindex="-1">{drawn}</a>'


def _rect(shape: Shape, left: float, width: float) -> SafeString:
    return mark_safe(
        f'<rect class="{shape.look}" x="{left:.1f}" y="{shape.y}" width="{width:.1f}"'
        f' height="{shape.height}"/>'
    )


def _lane_verdict(counts: Counter[str], waits: bool) -> tuple[str, str]:
    """Return in words what is worst in a lane, and its state."""
    if waits:
        counts = counts + Counter(late=1)
    words = _in_words(Counter({name: counts[name] for name in ("failed", "missed", "late")}))
    if counts["failed"]:
        return words, "failed"
    if words:
        return words, "late"
    if counts["running"]:
        return str(Status.RUNNING.label), ""
    if rest := _in_words(Counter({name: counts[name] for name in ("canceled", "skipped")})):
        return rest, ""
    return (_("on time") if counts else "–"), ""


def _in_words(counts: Mapping[str, int]) -> str:
    """Return how many runs ended how: “2 failed, 1 late”."""
    order = ("failed", "missed", "canceled", "skipped", "finished", "running")
    parts = [how_many(counts[name], run_word(name)) for name in order if counts.get(name)]
    if number := counts.get("late"):
        parts.append(ngettext("%d late", "%d late", number) % number)
    return ", ".join(parts)


# Trouble by hour


def heat_labels(heat: Heatmap) -> list[Label]:
    """Return the labels above the hours: the viewer's days."""
    begin, end = _heat_range(heat)
    # Translators: a day of the week and of the month, as Django's template filter `date` has it.
    form = pgettext("date format", "D j")
    return labels(midnights(begin, end), begin, end, form)


def heat_rows(heat: Heatmap) -> list[Drawn]:
    """Draw the hours of each schedule."""
    begin, end = _heat_range(heat)
    scale = _Scale(begin, end)
    grid = _grid([scale.x(day) for day in midnights(begin, end)], HEAT_HEIGHT, "l-rule")
    # The same hours, and mostly the same trouble, come again in each row.
    hour_words, cell_words = cache(_hour_in_words), cache(_cell)

    def words(hour: datetime, cell: Cell) -> str:
        return escape(f"{hour_words(hour)}: {cell_words(cell.failed, cell.missed, cell.late)}")

    return [_heat_row(row, scale, grid, words) for row in heat.rows]


def _heat_range(heat: Heatmap) -> tuple[datetime, datetime]:
    return heat.hours[0], heat.hours[-1] + HOUR


def _heat_row(
    row: Row, scale: _Scale, grid: SafeString, words: Callable[[datetime, Cell], str]
) -> Drawn:
    width = WIDTH * (HOUR / (scale.end - scale.begin))
    fine: list[str] = []
    trouble: list[str] = []
    for hour, cell in sorted(row.cells.items()):
        left = scale.x(hour) + 0.1 * width
        if shape := _heat_shape(cell):
            rect = _rect(shape, left, 0.8 * width)
            trouble.append(f"<g><title>{words(hour, cell)}</title>{rect}</g>")
        else:
            fine.append(f"M{left:.1f} 19h{0.8 * width:.2f}v4h-{0.8 * width:.2f}z")
    counts = {"failed": row.failed, "missed": row.missed, "late": row.late}
    worst = [name for name in counts if counts[name]][:NAMED]
    verdict = _in_words({name: counts[name] for name in worst})
    picture = format_html(
        '<svg class="sl-lane" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}<path class="f-band" d="{}"/>{}</svg>',
        WIDTH,
        HEAT_HEIGHT,
        ": ".join((row.name, _in_words(counts) or _("on time"))),
        grid,
        "".join(fine),
        mark_safe("".join(trouble)),
    )
    url = schedule_page(row.schedule_pk)
    return Drawn(row.name, url, picture, verdict or _("on time"), "")


def _heat_shape(cell: Cell) -> Shape | None:
    if cell.failed:
        return Shape("f-failed", 1, 22)
    if cell.missed:
        return Shape("o-missed", 1.75, 20.5)
    return Shape("f-late", 12, 11) if cell.late else None


def _hour_in_words(hour: datetime) -> str:
    return to_minute(hour, pgettext("date format", "D j, H:i"))


def _cell(failed: int, missed: int, late: int) -> str:
    return _in_words({"failed": failed, "missed": missed, "late": late})


def _grid(
    rules: Sequence[float], height: int, look: str, baseline: float | None = None
) -> SafeString:
    def lines() -> Iterator[str]:
        if baseline is not None:
            yield f"M0 {baseline}H{WIDTH}"
        for x in rules:
            yield f"M{x:.1f} 0V{height}"

    return format_html('<path class="{}" d="{}"/>', look, "".join(lines()))


def legend() -> list[tuple[SafeString, str]]:
    """Return the forms of a timeline with their words."""
    looks = [(SHAPES[status.value], str(status.label)) for status in LEGEND]
    looks += [([LATE], _("waited: due, not yet started")), (BAND, _("too dense to draw singly"))]
    return [
        (
            format_html(
                '<svg viewBox="0 4 10 22" aria-hidden="true">{}</svg>',
                format_html_join("", "{}", ([_rect(shape, 1, 8)] for shape in shapes)),
            ),
            words,
        )
        for shapes, words in looks
    ]


LEGEND = (
    Status.FINISHED,
    Status.FAILED,
    Status.MISSED,
    Status.SKIPPED,
    Status.CANCELED,
    Status.RUNNING,
)
