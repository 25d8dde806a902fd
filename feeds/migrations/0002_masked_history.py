"""Feeds are named in the admin's history without the secrets in their addresses."""

from typing import Any, ClassVar

from django.apps import apps as installed
from django.db import connections, migrations, router
from django.db.models import Q

from tasks.masking import mask_text

HAS_ADMIN = installed.is_installed("django.contrib.admin")


def mask_history(apps: Any, schema_editor: Any) -> None:
    if not HAS_ADMIN:
        return
    model = apps.get_model("admin", "LogEntry")
    database = router.db_for_write(model)
    if model._meta.db_table not in connections[database].introspection.table_names():
        return
    entries = model.objects.using(database)
    ours = entries.filter(
        Q(object_repr__contains="=") | Q(object_repr__contains="@"),
        content_type__app_label="feeds",
    )
    for entry in ours.iterator():
        entries.filter(pk=entry.pk).update(object_repr=mask_text(entry.object_repr))


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("feeds", "0001_initial"),
        *([("admin", "0003_logentry_add_action_flag_choices")] if HAS_ADMIN else []),
    ]

    operations: ClassVar = [
        migrations.RunPython(mask_history, migrations.RunPython.noop, elidable=True)
    ]
