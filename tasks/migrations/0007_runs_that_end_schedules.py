"""An index of its own, so that the columns before it are added without waiting for it."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tasks", "0006_reason_codes")]

    operations: ClassVar = [
        migrations.AddIndex(
            "scheduledtaskinstance",
            models.Index(
                condition=models.Q(reason_code="check_not_at_all"),
                fields=["ended"],
                name="run_ends_schedule",
            ),
        ),
    ]
