"""Histograms of lengths of time: they can be added up, and give percentiles.

A length is counted in the bucket `n` if it is at least `LEAST` · `GROWTH`^n and less than the next
one's beginning; what is shorter than `LEAST` is counted in the first. A percentile is the geometric
middle of its bucket, so it is wrong by at most 5 %, or by a millisecond if that is more.
"""

import math
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db.models import Func, IntegerField, QuerySet

from tasks.database import connection

# Counts by bucket; its keys are texts, as JSON has them.
Histogram = Mapping[str, int]

LEAST = 0.001
GROWTH = 1.1


def add(*histograms: Histogram) -> dict[str, int]:
    """Return the sum of histograms."""
    total: Counter[str] = Counter()
    for one in histograms:
        total.update(one)
    return dict(total)


def percentile(histogram: Histogram, share: float) -> timedelta | None:
    """Return the length that this share of all is not longer than; None if there are none."""
    rank = math.ceil(share * sum(histogram.values()))
    counted = 0
    for number in sorted(histogram, key=int):
        counted += histogram[number]
        if counted >= rank > 0:
            return timedelta(seconds=LEAST * GROWTH ** (int(number) + 0.5))
    return None


class Bucket(Func):
    """The bucket of the time from a second datetime to a first one, in SQL; neither is null."""

    output_field = IntegerField()
    arity = 2

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self._as_sql(
            compiler, connection, "EXTRACT(EPOCH FROM (%(expressions)s))::float8", " - ", "GREATEST"
        )

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        days = "JULIANDAY(%(expressions)s)"
        return self._as_sql(compiler, connection, f"({days}) * 86400.0", ") - JULIANDAY(", "MAX")

    def _as_sql(
        self, compiler: Any, connection: Any, seconds: str, joiner: str, greatest: str
    ) -> Any:
        bounded = f"{greatest}({seconds}, {LEAST})"
        template = f"CAST(FLOOR(LN({bounded} / {LEAST}) / {math.log(GROWTH)}) AS integer)"
        return super().as_sql(compiler, connection, template=template, arg_joiner=joiner)


def summed(rows: QuerySet[Any], column: str, by: str = "") -> dict[Any, dict[str, int]]:
    """Return the sum of the histograms in a column, by the values of another column if given.

    Rows whose histograms are empty have none; without `by`, the only key is None.
    """
    sql, params = rows.order_by().values_list(by or "pk", column).query.sql_with_params()
    each = "jsonb_each_text" if connection.vendor == "postgresql" else "json_each"
    found: dict[Any, dict[str, int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH part(owner, histogram) AS ({sql}) "
            f"SELECT {'owner' if by else 'NULL'}, bucket.key, SUM(CAST(bucket.value AS integer)) "
            f"FROM part, {each}(part.histogram) bucket GROUP BY 1, 2",
            params,
        )
        for key, bucket, number in cursor.fetchall():
            found.setdefault(key, {})[bucket] = number
    return found
