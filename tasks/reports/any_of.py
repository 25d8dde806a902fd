"""A condition on very many ids, such as those of all jobs that wait."""

import json
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import BooleanField, Func


class AnyOf(Func):
    """Whether a text column has any of these ids, which have no comma: all are one parameter.

    Django's `__in` has a parameter for each, and hundreds take longer to write and to plan than to
    look up; so does a list.
    """

    output_field = BooleanField()

    def __init__(self, column: Any, ids: Iterable[str] = ()) -> None:
        super().__init__(column)
        self.ids = sorted(ids)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        column, params = self._column(compiler)
        return f"{column} = ANY(string_to_array(%s, ','))", [*params, ",".join(self.ids)]

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        column, params = self._column(compiler)
        listed = "SELECT value FROM json_each(%s)"
        return f"{column} IN ({listed})", [*params, json.dumps(self.ids)]

    def _column(self, compiler: Any) -> Any:
        if not self.ids:
            raise EmptyResultSet  # Nothing needs to be asked.
        return compiler.compile(self.source_expressions[0])
