"""The timeline: a lane for each schedule, with a bar for each run, or for many that lie close."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import (
    BooleanField,
    Case,
    Count,
    DateTimeField,
    F,
    Func,
    IntegerField,
    Max,
    Min,
    Q,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from tasks import clock
from tasks.ledger.summaries import LATE, hour_of
from tasks.models import HourlySummary, ScheduledTask, ScheduledTaskInstance
from tasks.reports.lengths import since
from tasks.reports.scope import Schedules
from tasks.reports.weeks import Counted, count_weeks

HOUR = timedelta(hours=1)
LANES = 10
WIDTH = 720
# Bars that are nearer than this many pixels become one.
NEAR = 3
# Runs that were due this long before the window are drawn if they go on in it.
LONGEST = timedelta(hours=6)
Status = ScheduledTaskInstance.Status
FAILING = ScheduledTask.Status.FAILED
NONE = Counted(0, 0)


class Bar(NamedTuple):
    """One run, or `number` runs that lie close and ended the same way.

    `state` is a run's status. `late_since` is the (earliest) due if it started late: the line from
    there to `start` is the lateness. What never ran has no length. `run_pk` is the newest of the
    runs, None if retention has deleted them: then the bar stands for what began in its hour.
    """

    state: str
    start: datetime
    end: datetime
    number: int
    late_since: datetime | None
    run_pk: int | None

    @property
    def is_exception(self) -> bool:
        """Whether it is to be drawn on top, and never becomes one with its neighbours."""
        return self.state != Status.FINISHED or self.late_since is not None


@dataclass(frozen=True, slots=True)
class Lane:
    """One schedule and its bars, in the order in which they are drawn: exceptions come last."""

    schedule_pk: int
    name: str
    status: str
    bars: tuple[Bar, ...]

    @property
    def counts(self) -> Counter[str]:
        """How many runs each state has in the window, and how many of all are `late`."""
        found: Counter[str] = Counter()
        for bar in self.bars:
            found[bar.state] += bar.number
            if bar.late_since is not None:
                found["late"] += bar.number
        return found


@dataclass(frozen=True, slots=True)
class Timeline:
    """A page of lanes; `total` is the number of schedules on all pages."""

    begin: datetime
    end: datetime
    lanes: tuple[Lane, ...]
    total: int


def timeline(
    schedules: Schedules,
    begin: datetime,
    end: datetime,
    page: int = 1,
    per_page: int = LANES,
    width: int = WIDTH,
) -> Timeline:
    """Return a page of lanes from `begin` to `end`, failing and busiest first, in four queries.

    `width` is that of a lane in pixels: runs nearer than `NEAR` of these become one bar, so the
    number of bars is bounded however much runs. What retention has deleted is one bar an hour for
    each state, from the hourly summaries. A run longer than `LONGEST` may be left out after its
    end.
    """
    counted = count_weeks(schedules)
    first = (page - 1) * per_page
    ranked = _ranked(schedules)
    if first + per_page <= counted.get(FAILING, NONE).number:
        ranked = ranked.filter(status=FAILING)  # They come first: the others needn't be sorted.
    shown = list(ranked.values_list("pk", "name", "status")[first : first + per_page])
    near = (end - begin) * NEAR / width
    bars: dict[int, list[Bar]] = defaultdict(list)
    pks = [pk for pk, _, _ in shown]
    for pk, bar in [*_pruned(pks, begin, end), *_runs(pks, begin, end, near)]:
        bars[pk].append(bar)
    lanes = tuple(Lane(pk, name, status, fold(bars[pk], near)) for pk, name, status in shown)
    return Timeline(begin, end, lanes, _number_of_lanes(counted))


def _number_of_lanes(counted: Mapping[str, Counted]) -> int:
    return sum(
        numbers.number if status in ScheduledTask.LIVE else numbers.with_week
        for status, numbers in counted.items()
    )


def fold(bars: Iterable[Bar], near: timedelta) -> tuple[Bar, ...]:
    """Make one bar of neighbours that finished in time and are nearer than `near`. Pure."""
    in_order = sorted(bars, key=lambda bar: (bar.is_exception, bar.start))
    folded: list[Bar] = []
    for bar in in_order:
        last = folded[-1] if folded else None
        if last and not bar.is_exception and bar.start - last.end < near:
            number, end = last.number + bar.number, max(last.end, bar.end)
            folded[-1] = Bar(last.state, last.start, end, number, None, bar.run_pk)
        else:
            folded.append(bar)
    return tuple(folded)


def _ranked(schedules: Schedules) -> Schedules:
    counted = Q(week__isnull=False) | Q(status__in=ScheduledTask.LIVE)
    trouble = Coalesce(F("week__failed") + F("week__missed"), 0)
    busy = Coalesce(F("week__finished") + F("week__failed") + F("week__canceled"), 0)
    calm = Case(When(status=FAILING, then=0), default=1)
    return schedules.filter(counted).order_by(calm, -trouble, -busy, "name", "pk")


class _Bin(Func):
    """The number of a stretch of `seconds` since the epoch in which a datetime lies, in SQL."""

    output_field = IntegerField()
    template = "CAST(FLOOR(%(epoch)s / %(seconds)s) AS %(type)s)"

    def __init__(self, instant: Any, seconds: float) -> None:
        super().__init__(instant, seconds=seconds)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s)::float8 / %(seconds)s)::bigint"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = (
            "CAST((JULIANDAY(%(expressions)s) - 2440587.5) * 86400.0 / %(seconds)s AS integer)"
        )
        return self.as_sql(compiler, connection, template=template, **context)


def _runs(
    pks: Sequence[int], begin: datetime, end: datetime, near: timedelta
) -> list[tuple[int, Bar]]:
    """Return the bars of the runs that have rows, those with the same end in a stretch as one."""
    now = clock.now()
    earliest = begin - LONGEST
    when = Q(due__gte=earliest, due__lt=end) | Q(
        due=None, requested__gte=earliest, requested__lt=end
    )
    going = Q(status=Status.RUNNING)
    start = Coalesce("started", "due", "requested")
    until = Case(
        When(started=None, then=start),
        default=Coalesce("ended", Value(now)),
        output_field=DateTimeField(),
    )
    late = Q(attempt=1, requested=None, started__gt=F("due") + LATE)
    edges = {"first": Min("start"), "last": Max("until"), "first_due": Min("due")}
    since_begin: Any = {name: since(begin, edge) for name, edge in edges.items()}
    rows = (
        ScheduledTaskInstance.objects.filter(when | going, parent__in=pks)
        .annotate(start=start, until=until)
        .filter(start__lt=end, until__gte=begin)
        .annotate(
            bin=_Bin(F("start"), near.total_seconds()),
            is_late=Case(When(late, then=True), default=False, output_field=BooleanField()),
        )
        .order_by()
        .values_list("parent_id", "status", "is_late", "bin")
        .annotate(**since_begin, number=Count("pk"), newest=Max("pk"))
    )
    return [
        (
            parent,
            Bar(status, begin + first, begin + last, number, begin + due if is_late else None, pk),
        )
        for parent, status, is_late, _bin, first, last, due, number, pk in rows
    ]


def _pruned(pks: Sequence[int], begin: datetime, end: datetime) -> list[tuple[int, Bar]]:
    """Return the bars of what retention has deleted, by the hourly summaries."""
    rows = HourlySummary.objects.filter(
        schedule__in=pks, hour__gte=hour_of(begin), hour__lt=end, pruned__isnull=False
    )
    states = set(Status) - {Status.RUNNING}
    return [
        (pk, Bar(state, max(hour, begin), min(hour + HOUR, end), number, None, None))
        for pk, hour, pruned in rows.values_list("schedule", "hour", "pruned")
        for state, number in (pruned or {})["counts"].items()
        if state in states and number
    ]
