"""By which a database owns its keys in Redis; the first process to need the row makes it."""

import uuid
from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tasks", "0010_isolated")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="OwnerMark",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "owner",
                    models.UUIDField(default=uuid.uuid4, editable=False, verbose_name="owner"),
                ),
                (
                    "number",
                    models.PositiveBigIntegerField(
                        default=0, editable=False, verbose_name="number"
                    ),
                ),
            ],
            options={
                "verbose_name": "owner mark",
                "verbose_name_plural": "owner marks",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("id", 1)), name="owner_mark_only_one"
                    )
                ],
            },
        ),
    ]
