"""Schedules remember from which list in code they come, not only that they come from one."""

from typing import Any, ClassVar

from django.db import migrations, models

OWNER = models.CharField(
    editable=False,
    help_text="Of the list in code that it comes from: `sync` cancels what has left its list.",
    max_length=200,
    null=True,
)


def to_owner(apps: Any, schema_editor: Any) -> None:
    """What `sync` has made comes from a list that names no owner."""
    schedules = apps.get_model("tasks", "ScheduledTask").objects.using(schema_editor.connection.alias)
    schedules.filter(synced=True).update(list_owner="")


def to_synced(apps: Any, schema_editor: Any) -> None:
    schedules = apps.get_model("tasks", "ScheduledTask").objects.using(schema_editor.connection.alias)
    schedules.filter(list_owner__isnull=False).update(synced=True)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tasks", "0007_runs_that_end_schedules")]

    operations: ClassVar = [
        migrations.AddField("scheduledtask", "list_owner", OWNER),
        migrations.RunPython(to_owner, to_synced),
        migrations.RemoveField("scheduledtask", "synced"),
    ]
