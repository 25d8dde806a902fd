"""Reasons are stored as a code with its values; what is there as text stays as it is."""

from typing import ClassVar

from django.db import migrations, models

CODE = models.CharField(editable=False, max_length=40, null=True)
VALUES = models.JSONField(editable=False, null=True)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tasks", "0005_words")]

    operations: ClassVar = [
        migrations.AddField(model, name, field)
        for model in ("scheduledtaskinstance", "task")
        for name, field in (("reason_code", CODE), ("reason_values", VALUES))
    ]
