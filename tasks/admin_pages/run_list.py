"""A page of a list of runs, newest first, read in bounded time however many runs there are.

Nothing is counted, and no page is reached by its number: a page begins after the last run of the
one before. A condition that no index answers is checked for at most `MOST_CHECKED` runs a page; the
page then says how far back it looked, and offers to look further.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

PAGE_SIZE = 50
MOST_CHECKED = 20_000


@dataclass(frozen=True, slots=True)
class Conditions:
    """Which runs are wanted: `indexed` conditions are answered by an index, `checked` aren't."""

    indexed: Q
    checked: Q

    @property
    def all(self) -> Q:
        """Both, for who reads chosen runs only."""
        return self.indexed & self.checked


@dataclass(frozen=True, slots=True)
class Page:
    """Some runs, newest first.

    `older` is the id before which the next page begins, None if there is none; `newer` the one
    after which the previous page ends. `looked_back_to` is when the oldest run that was checked was
    recorded, if there may be more behind it.
    """

    runs: list[Any]
    older: int | None
    newer: int | None
    looked_back_to: datetime | None


def older_page(
    runs: QuerySet[Any], wanted: Conditions, before: int | None = None, size: int = PAGE_SIZE
) -> Page:
    """Return the newest wanted runs among those with an id below `before`."""
    scope = runs.filter(wanted.indexed).order_by("-pk")
    if before is not None:
        scope = scope.filter(pk__lt=before)
    end = _end_of_check(scope, wanted)
    if end is not None:
        scope = scope.filter(pk__gte=end)
    found = _read(scope.filter(wanted.checked), size + 1)
    newer = None if before is None else (found[0].pk if found else before - 1)
    if len(found) > size:
        return Page(found[:size], found[size - 1].pk, newer, None)
    if end is None:
        return Page(found, None, newer, None)
    checked = runs.filter(pk=end).values_list("created", flat=True).first()
    return Page(found, end, newer, checked)


def newer_page(runs: QuerySet[Any], wanted: Conditions, after: int, size: int = PAGE_SIZE) -> Page:
    """Return the oldest wanted runs among those with an id above `after`."""
    scope = runs.filter(wanted.indexed, pk__gt=after).order_by("pk")
    end = _end_of_check(scope, wanted)
    if end is not None:
        scope = scope.filter(pk__lte=end)
    found = _read(scope.filter(wanted.checked), size + 1)
    more = len(found) > size
    page = found[:size][::-1]
    newer = page[0].pk if more else end
    return Page(page, page[-1].pk if page else after + 1, newer, None)


def _read(scope: QuerySet[Any], number: int) -> list[Any]:
    """Return the first runs, by their keys: to sort keys alone takes half as long."""
    keys = list(scope.values_list("pk", flat=True)[:number])
    rows = scope.in_bulk(keys)
    return [rows[key] for key in keys if key in rows]


def _end_of_check(scope: QuerySet[Any], wanted: Conditions) -> int | None:
    """Return the id of the last run to check, None if all are checked."""
    if not wanted.checked:
        return None
    ids = scope.values_list("pk", flat=True)
    return next(iter(ids[MOST_CHECKED - 1 : MOST_CHECKED]), None)
