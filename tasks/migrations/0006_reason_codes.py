"""Reasons are stored as a code with its values; what is there as text stays as it is."""

from typing import ClassVar

from django.db import migrations, models

CODE = models.CharField(blank=True, default="", editable=False, max_length=40)
VALUES = models.JSONField(editable=False, null=True)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tasks", "0005_words")]

    operations: ClassVar = [
        operation
        for model in ("scheduledtaskinstance", "task")
        for operation in (
            migrations.AddField(model, "reason_code", CODE, preserve_default=False),
            migrations.AddField(model, "reason_values", VALUES),
        )
    ] + [
        migrations.AddIndex(
            "scheduledtaskinstance",
            models.Index(
                condition=models.Q(reason_code="check_not_at_all"),
                fields=["ended"],
                name="run_ends_schedule",
            ),
        ),
    ]
