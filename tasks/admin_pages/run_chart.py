"""The chart of a schedule's runs: how long each took above the line, how late it was below it.

It is drawn on the server, so it needs no script: a bar leads to its run. With more runs than there
is room for, a bar is several of them, and leads closer.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from html import escape
from typing import NamedTuple
from urllib.parse import urlencode

from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from tasks import clock
from tasks.admin_pages.formatting import short_duration
from tasks.admin_pages.links import run_pages
from tasks.admin_pages.states import how_many, run_word
from tasks.admin_pages.times import exact, to_minute
from tasks.ledger.summaries import LATE
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.reports.lengths import LATENESS, duration, since

Status = ScheduledTaskInstance.Status
# How many runs are shown, by the name of the choice; of “all”, the newest that are worth reading.
SIZES = {"200": 200, "1000": 1_000, "all": 3_000}
BARS = 200
# The box of the drawing: the line at BASE, durations above it, lateness below.
WIDTH, TOP, BASE, BOTTOM = 2_000, 24, 150, 202
WIDEST_STEP = 40
LABEL_STEP = 16
# The longest run is cut off if it is so much longer than most that it would flatten them.
TALLEST = 2.5
# Below this length the axis shows seconds.
SHORT = timedelta(minutes=12)
SEVERITY = (
    Status.FAILED,
    Status.MISSED,
    Status.RUNNING,
    Status.CANCELED,
    Status.SKIPPED,
    Status.FINISHED,
)


class Run(NamedTuple):
    """What is read of a run: the chart shows thousands of them, and times take long to read.

    `from_now` says when it was due, or else requested; it is negative but for what is to come.
    """

    pk: int
    status: str
    from_now: timedelta
    duration: timedelta | None
    lateness: timedelta | None


class Bar:
    """One run, or several that are next to each other.

    `at` is when the first was due, or else requested; `status` is the worst end of its runs, `late`
    how late its latest one was if that is worth showing, `durations` are those of the finished
    ones, `outcome` says what came of them, and `label` says it all in words.
    """

    outcome: str
    label: str

    def __init__(self, at: datetime, runs: Sequence[Run], url: str) -> None:
        self.at = at
        self.runs = runs
        self.url = url
        self.counts = Counter(run.status for run in runs)
        self.status = next(status for status in SEVERITY if self.counts[status])
        durations = [(run.status, took) for run in runs if (took := run.duration) is not None]
        self.took = max((took for _status, took in durations), default=None)
        self.took_words = short_duration(self.took)
        self.durations = [took for status, took in durations if status == Status.FINISHED]
        late = [late for run in runs if (late := run.lateness) is not None]
        self.longest_lateness = max(late, default=None)
        is_late = self.longest_lateness is not None and self.longest_lateness > LATE
        self.late = self.longest_lateness if is_late else None


class _Labels:
    """Says in words what bars are: one object for a chart, which looks its texts up only once."""

    def __init__(self) -> None:
        self._form = pgettext("date format", "j M H:i")
        self._took, self._late = _("took %(span)s"), _("%(span)s late")
        self._words = {status: run_word(status) for status in SEVERITY}
        self._how_many = cache(how_many)

    def outcome(self, bar: Bar) -> str:
        if len(bar.runs) == 1:
            return self._words[bar.status]
        words = self._words.items()
        parts = (self._how_many(number, word) for one, word in words if (number := bar.counts[one]))
        return ", ".join(parts)

    def of(self, bar: Bar) -> str:
        parts = [to_minute(bar.at, self._form), bar.outcome]
        if bar.took is not None:
            parts.append(self._took % {"span": bar.took_words})
        if bar.late is not None:
            parts.append(self._late % {"span": short_duration(bar.late)})
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Label:
    """A text beside the drawing, at a height of it."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The drawing, what stands around it, and its values as a table."""

    bars: list[Bar]
    drawing: SafeString
    labels: list[Label]
    axis: list[str]
    summary: str
    number: int
    sizes: list[tuple[str, str, bool]]
    older: str = ""
    newer: str = ""

    @property
    def states(self) -> list[tuple[str, str]]:
        """The states that occur, for the legend, with their words."""
        found = {status for bar in self.bars for status in bar.counts}
        return [(status.value, str(status.label)) for status in SEVERITY[::-1] if status in found]

    @property
    def has_late(self) -> bool:
        return any(bar.late is not None for bar in self.bars)

    @property
    def table(self) -> SafeString:
        """The rows of the table, newest first: hundreds, so they are put together by hand."""
        return mark_safe("".join(map(_row, reversed(self.bars))))


def moment(at: datetime) -> str:
    """Return a time as the axis shows it."""
    return to_minute(at, pgettext("date format", "j M H:i"))


def chart_of(schedule: ScheduledTask, size: str, until: int | None) -> Chart:
    """Return the chart of the newest runs, or of those up to the run `until`; in two queries."""
    size, now = size if size in SIZES else "200", clock.now()
    number = SIZES[size]
    read = ("pk", "status", since(now, Coalesce("due", "requested")), duration(now), LATENESS)
    found = schedule.runs.order_by("-id").values_list(*read)
    if until is not None:
        found = found.filter(pk__lte=until)
    newest = list(map(Run._make, found[: number + 1]))
    has_older = len(newest) > number
    runs = newest[:number][::-1]
    bars = _bars(runs, now)
    scale = _Scale(bars)
    return Chart(
        bars=bars,
        drawing=_drawing(bars, scale),
        labels=scale.labels(),
        axis=_axis(bars),
        summary=_summary(runs, scale),
        number=len(runs),
        sizes=[(name, _size_label(name), name == size and until is None) for name in SIZES],
        older=_zoom(size, runs[0].pk - 1) if has_older else "",
        newer=_newer(schedule, size, until, number),
    )


def _newer(schedule: ScheduledTask, size: str, until: int | None, number: int) -> str:
    """Return the address of the runs after those up to `until`."""
    if until is None:
        return ""
    later = schedule.runs.filter(pk__gt=until).order_by("id").values_list("pk", flat=True)
    pks = list(later[:number])
    return _zoom(size, pks[-1] if len(pks) == number else None)


def _zoom(size: str, until: int | None) -> str:
    values: dict[str, str | int] = {"runs": size}
    if until is not None:
        values["until"] = until
    return f"?{urlencode(values)}#chart"


def _size_label(name: str) -> str:
    return _("All") if name == "all" else name


def _bars(runs: Sequence[Run], now: datetime) -> list[Bar]:
    each, page_of, labels = max(-(-len(runs) // BARS), 1), run_pages(), _Labels()
    bars = []
    for begin in range(0, len(runs), each):
        chunk = runs[begin : begin + each]
        if each == 1:
            url = page_of(chunk[0].pk)
        else:
            last = min(begin + each // 2 + SIZES["200"] // 2, len(runs) - 1)
            url = _zoom("200", runs[last].pk)
        bar = Bar(now + chunk[0].from_now, chunk, url)
        bar.outcome = labels.outcome(bar)
        bar.label = labels.of(bar)
        bars.append(bar)
    return bars


class _Scale:
    """How long and how late the drawing shows, and the percentiles that it marks."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        durations = sorted(took for bar in bars for took in bar.durations)
        self.p50 = durations[len(durations) // 2] if durations else None
        self.p95 = (
            durations[min(len(durations) * 95 // 100, len(durations) - 1)] if durations else None
        )
        longest = max((bar.took for bar in bars if bar.took is not None), default=timedelta(0))
        most = longest if self.p95 is None else min(longest, self.p95 * TALLEST)
        self.longest = most if most > timedelta(0) else longest or timedelta(seconds=1)
        self.latest = max((bar.late for bar in bars if bar.late is not None), default=None)

    def height(self, took: timedelta) -> float:
        return round(min(took / self.longest, 1) * (BASE - TOP), 1)

    def depth(self, late: timedelta) -> float:
        assert self.latest is not None
        return round(max(late / self.latest * (BOTTOM - BASE - 2), 3), 1)

    def marks(self) -> list[tuple[float, str]]:
        """Return the heights of the percentiles, with their names."""
        values = [("p50", self.p50), ("p95", self.p95)]
        return [
            (BASE - self.height(value), f"{name} {short_duration(value)}")
            for name, value in values
            if value is not None and value > timedelta(0)
        ]

    def labels(self) -> list[Label]:
        """Return the texts beside the drawing, none over another."""
        labels: list[Label] = []
        for y, text in [(float(BASE), "0"), *self.marks()]:
            highest = labels[-1].y - LABEL_STEP if labels else y
            labels.append(Label(min(y, highest), text))
        if self.latest is not None:
            late = _("%(span)s late") % {"span": short_duration(self.latest)}
            labels.append(Label(BOTTOM, late))
        return labels


def _drawing(bars: Sequence[Bar], scale: _Scale) -> SafeString:
    """Draw the bars. A page has hundreds of them: they are put together by hand."""
    step = min(WIDTH / max(len(bars), 1), WIDEST_STEP)
    left, width = WIDTH - step * len(bars), round(step * 0.62, 1)
    parts = []
    for place, bar in enumerate(bars):
        label, x = escape(bar.label), round(left + step * place, 1)
        parts.append(
            f'<a href="{escape(bar.url)}" tabindex="{0 if place == len(bars) - 1 else -1}"'
            f' aria-label="{label}"><title>{label}</title>'
            f'<g transform="translate({x} 0)">{_shapes(bar, scale, width)}'
            f'<rect class="hit" width="{width}" height="{BOTTOM}"/></g></a>'
        )
    parts += [f'<path class="l-dash" d="M0 {y}H{WIDTH}"/>' for y, _name in scale.marks()]
    return mark_safe("".join(parts))


def _row(bar: Bar) -> str:
    late, took = short_duration(bar.longest_lateness), bar.took_words
    return (
        f'<tr><td class="nw"><a href="{escape(bar.url)}">{escape(exact(bar.at))}</a></td>'
        f'<td>{escape(bar.outcome)}</td><td class="r nw">{escape(late)}</td>'
        f'<td class="r nw">{escape(took)}</td></tr>'
    )


def _shapes(bar: Bar, scale: _Scale, width: float) -> str:
    """Draw the state: its form says as much as its colour; and below the line, how late it was."""
    above = _above(bar, scale, width)
    if bar.late is None:
        return above
    height = scale.depth(bar.late)
    return f'{above}<rect class="f-late" y="{BASE + 2}" width="{width}" height="{height}"/>'


def _above(bar: Bar, scale: _Scale, width: float) -> str:
    if bar.status == Status.FAILED:
        return f'<rect class="f-failed" y="8" width="{width}" height="{BASE - 8}"/>'
    if bar.status == Status.MISSED:
        middle = width / 2
        return f'<path class="dash-missed" stroke-width="{width}" d="M{middle} 8V{BASE}"/>'
    look = f"f-{bar.status.value}"
    if bar.status == Status.SKIPPED or bar.took is None:
        return f'<rect class="{look}" y="{BASE - 4}" width="{width}" height="4"/>'
    height = max(scale.height(bar.took), 3)
    y = round(BASE - height, 1)
    return (
        f'<rect class="{look} bar-fade" y="{y}" width="{width}" height="{height}"/>'
        f'<rect class="{look}" y="{y}" width="{width}" height="3"/>'
    )


def _axis(bars: Sequence[Bar]) -> list[str]:
    """Return the times at the beginning, in between and at the end."""
    if not bars:
        return []
    places = sorted({round(part * (len(bars) - 1) / 3) for part in range(4)})
    if bars[-1].at - bars[0].at < SHORT:
        return [f"{timezone.localtime(bars[place].at):%H:%M:%S}" for place in places]
    return [moment(bars[place].at) for place in places]


def _summary(runs: Sequence[Run], scale: _Scale) -> str:
    """Say in a sentence what the drawing shows."""
    counts = Counter(run.status for run in runs)
    parts = [ngettext("%(n)d run", "%(n)d runs", len(runs)) % {"n": len(runs)}]
    parts += [how_many(counts[one], run_word(one)) for one in reversed(SEVERITY) if counts[one]]
    text = _("Duration and lateness: %(parts)s.") % {"parts": ", ".join(parts)}
    if scale.p50 is None:
        return text
    words = _("Median %(p50)s, 95th percentile %(p95)s.") % {
        "p50": short_duration(scale.p50),
        "p95": short_duration(scale.p95),
    }
    return f"{text} {words}"
