"""How the runs of each schedule went over the last 7 days."""

from typing import NamedTuple

from django.db.models import Count, F

from tasks.broker.connection import once_a_page
from tasks.models import ScheduledTaskQuerySet
from tasks.reports.scope import Schedules

SHOWN = ("finished", "failed", "lost", "missed", "late", "success", "p50", "p95")


def with_week(schedules: ScheduledTaskQuerySet) -> ScheduledTaskQuerySet:
    """Annotate schedules with their last 7 days, to be shown and sorted by, at no further query.

    `week_success` is a share from 0 to 1: of what finished, failed or was missed, what finished.
    `week_p50` and `week_p95` are the durations of finished runs, as timedeltas, right to within
    5 %. `week_finished`, `week_failed` (with the lost), `week_lost`, `week_missed` and `week_late`
    are counts. All are None for a schedule without runs, so sort with `nulls_last`. They are up to
    date to within a minute or so, and what retention has deleted counts.
    """
    return schedules.annotate(**{f"week_{name}": F(f"week__{name}") for name in SHOWN})


class Counted(NamedTuple):
    """How many schedules have a status, and how many of them have a week."""

    number: int
    with_week: int


def count_weeks(schedules: Schedules) -> dict[str, Counted]:
    """Return, by status, how many schedules there are, and how many have a week.

    On a page, read once, they are its viewer's.
    """

    def read() -> dict[str, Counted]:
        counted = schedules.order_by().values_list("status")
        found = counted.annotate(number=Count("*"), with_week=Count("week"))
        return {status: Counted(*numbers) for status, *numbers in found}

    return once_a_page("weeks of schedules", read)
