"""How many schedules there are."""

from collections import Counter
from typing import NamedTuple

from django.db.models import Count, Q

from tasks.broker.connection import once_a_page
from tasks.models import ScheduledTask
from tasks.reports.scope import Schedules

NAME = "numbers of schedules"


class Numbers(NamedTuple):
    """How many schedules are in each status, and how many live ones can't be scheduled."""

    by_status: Counter[str]
    with_problem: int

    @property
    def known(self) -> int:
        """How many there are in any status."""
        return self.by_status.total()

    @property
    def live(self) -> int:
        """How many are being scheduled."""
        return sum(self.by_status[status] for status in ScheduledTask.LIVE)


def numbers_of(schedules: Schedules) -> Numbers:
    """Return how many of these schedules there are; on a page, read once, they are its viewer's.

    It takes two queries, which are quicker than one that does both: an index has the statuses.
    """
    return once_a_page(NAME, lambda: _read(schedules.order_by()))


def keep_for_page(numbers: Numbers) -> None:
    """Let `numbers_of` return what a page of the viewer's schedules has counted anyway."""
    once_a_page(NAME, lambda: numbers)


def _read(schedules: Schedules) -> Numbers:
    by_status = schedules.values_list("status").annotate(number=Count("*"))
    with_problem = schedules.filter(~Q(problem=""), status__in=ScheduledTask.LIVE)
    return Numbers(Counter(dict(by_status)), with_problem.count())
