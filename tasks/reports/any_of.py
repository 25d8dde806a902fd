"""A condition on very many values, such as the ids of all jobs that wait."""

import json
from collections.abc import Iterable
from typing import Any

from django.db.models import BooleanField, Func


class AnyOf(Func):
    """Whether a text column has any of these values, all of them in one parameter.

    Django's `__in` has a parameter for each, and hundreds take longer to write and to plan than to
    look up.
    """

    output_field = BooleanField()

    def __init__(self, column: Any, values: Iterable[str] = ()) -> None:
        super().__init__(column)
        self.values = sorted(values)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        column, params = compiler.compile(self.source_expressions[0])
        return f"{column} = ANY(%s)", [*params, self.values]

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        column, params = compiler.compile(self.source_expressions[0])
        listed = "SELECT value FROM json_each(%s)"
        return f"{column} IN ({listed})", [*params, json.dumps(self.values)]
