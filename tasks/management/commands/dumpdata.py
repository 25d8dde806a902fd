"""Django's dumpdata, which also works with models that have no table."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management.commands import dumpdata
from django.db import connections


class Command(dumpdata.Command):
    def handle(self, *app_labels: str, **options: Any) -> str | None:
        """Leave out the unmanaged models whose table nobody has made, such as django-rq's own."""
        options["exclude"] = [*options["exclude"], *_without_table(options["database"])]
        return super().handle(*app_labels, **options)


def _without_table(database: str) -> Iterator[str]:
    """Yield the labels of the unmanaged models that have neither a table nor a view."""
    connection = connections[database]
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor, include_views=True)
    for model in apps.get_models():
        is_stored = model._meta.managed or model._meta.proxy
        if not is_stored and model._meta.db_table not in names:
            yield model._meta.label
