"""The filter by when entries were published: a year, then its months, then their days.

It asks for the first and the last date, which the index knows, and never which dates there are: so
it costs the same for any number of entries.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Max, Min, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from feeds.models import Entry

# How many years are offered: the latest.
OFFERED = 10
YEARS = range(1900, 2101)
PERIOD = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)
A_YEAR, A_MONTH = len("2025"), len("2025-03")


@dataclass(frozen=True, slots=True)
class Period:
    """A year, a month or a day: its name in an address, and its first day."""

    name: str
    first: date

    @property
    def label(self) -> str:
        """What it is called where the year, for a month, or the month, for a day, is known."""
        if len(self.name) == A_YEAR:
            return self.name
        return date_format(self.first, "M" if len(self.name) == A_MONTH else "j")

    @property
    def outer(self) -> list["Period"]:
        """The year of a month, the year and the month of a day."""
        names = [self.name[:length] for length in (A_YEAR, A_MONTH) if length < len(self.name)]
        return [found for name in names if (found := period(name)) is not None]

    @property
    def parts(self) -> list["Period"]:
        """The months of a year, the days of a month, none of a day."""
        if len(self.name) == A_YEAR:
            firsts = [self.first.replace(month=month) for month in range(1, 13)]
            return [Period(f"{first:%Y-%m}", first) for first in firsts]
        days = (self._end() - self.first).days if len(self.name) == A_MONTH else 0
        firsts = [self.first + timedelta(days=day) for day in range(days)]
        return [Period(f"{first:%Y-%m-%d}", first) for first in firsts]

    def bounds(self, zone: tzinfo) -> tuple[datetime, datetime]:
        """Return its begin and its end in a time zone."""
        first, end = (
            datetime(day.year, day.month, day.day, tzinfo=zone) for day in (self.first, self._end())
        )
        return first, end

    def _end(self) -> date:
        if len(self.name) == A_YEAR:
            return self.first.replace(year=self.first.year + 1)
        if len(self.name) == A_MONTH:
            return (self.first + timedelta(days=31)).replace(day=1)
        return self.first + timedelta(days=1)


def period(name: str) -> Period | None:
    """Return a period by its name, such as 2025, 2025-03 or 2025-03-04; None if it is none."""
    found = PERIOD.fullmatch(name)
    if found is None or int(found[1]) not in YEARS:
        return None
    try:
        return Period(name, date(*(int(part or 1) for part in found.groups())))
    except ValueError:
        return None


class PeriodFilter(admin.ListFilter):
    """Years, then the months of the chosen one, then the days of that month."""

    title = gettext_lazy("published")
    template = "admin/feeds/period_filter.html"
    parameter = "published"

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self._chosen: Period | None = None
        if self.parameter in params:
            self._chosen = period(params.pop(self.parameter)[-1])
            if self._chosen is None:
                raise IncorrectLookupParameters(self.parameter)
            self.used_parameters[self.parameter] = self._chosen.name

    def expected_parameters(self) -> list[str | None]:
        return [self.parameter]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self._chosen is None:
            return queryset
        first, end = self._chosen.bounds(timezone.get_current_timezone())
        return queryset.filter(published__gte=first, published__lt=end)

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield all, the chosen period with those that it is in, and its parts."""
        anytime = changelist.get_query_string(remove=[self.parameter])
        is_any = self._chosen is None
        yield {"selected": is_any, "query_string": anytime, "display": _("Any time")}
        way = [] if self._chosen is None else [*self._chosen.outer, self._chosen]
        for one in way:
            yield self._choice(changelist, one) | {"is_outer": True}
        for one in _years() if self._chosen is None else self._chosen.parts:
            yield self._choice(changelist, one)

    def _choice(self, changelist: Any, one: Period) -> dict[str, Any]:
        return {
            "selected": one == self._chosen,
            "query_string": changelist.get_query_string({self.parameter: one.name}),
            "display": one.label,
        }


def _years() -> list[Period]:
    """Return the latest years in which something was published."""
    found = Entry.objects.order_by().aggregate(first=Min("published"), last=Max("published"))
    if found["first"] is None:
        return []
    first, last = (timezone.localtime(found[name]).year for name in ("first", "last"))
    years = range(last, max(first - 1, last - OFFERED), -1)
    return [one for year in years if (one := period(f"{year:04}")) is not None]
