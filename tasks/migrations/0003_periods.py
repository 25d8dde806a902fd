from typing import Any

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


def begin_the_books(apps: Any, schema_editor: Any) -> None:
    """Nobody knows the periods before this migration: the books begin where they stand now."""
    accounted_until = models.F("accounted_until")
    apps.get_model("tasks", "ScheduledTask").objects.update(
        since=accounted_until, pruned_until=accounted_until
    )


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0002_calendars_exclusion_jitter"),
    ]

    operations = [
        migrations.CreateModel(
            name="RunRequest",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("due", models.DateTimeField(null=True, verbose_name="due")),
                ("requested", models.DateTimeField(verbose_name="asked for at")),
            ],
            options={
                "verbose_name": "requested run",
                "verbose_name_plural": "requested runs",
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="SchedulePeriod",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("active", "active"), ("paused", "paused"), ("death", "death")],
                        max_length=16,
                        verbose_name="kind",
                    ),
                ),
                ("spec", models.JSONField(editable=False, null=True)),
                ("note", models.TextField(blank=True, verbose_name="note")),
                ("start", models.DateTimeField(verbose_name="from")),
                ("end", models.DateTimeField(verbose_name="until")),
            ],
            options={
                "verbose_name": "period",
                "verbose_name_plural": "periods",
                "ordering": ["-end", "-id"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="scheduledtaskinstance",
            name="run_one_per_request",
        ),
        migrations.RemoveConstraint(
            model_name="scheduledtaskinstance",
            name="run_due_or_requested",
        ),
        migrations.RemoveIndex(
            model_name="scheduledtask",
            name="schedule_status",
        ),
        migrations.AddField(
            model_name="scheduledtask",
            name="look_at",
            field=models.DateTimeField(
                default=django.utils.timezone.now,
                editable=False,
                help_text="When the ledger looks at its books next: nothing can be amiss before.",
            ),
        ),
        migrations.AddField(
            model_name="scheduledtask",
            name="pruned_until",
            field=models.DateTimeField(
                editable=False,
                help_text="The books begin after this: rows of what was due up to here may be gone.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="scheduledtask",
            name="since",
            field=models.DateTimeField(
                default=django.utils.timezone.now,
                editable=False,
                help_text="The present period: what is due later is owed by the present spec, if live.",
            ),
        ),
        migrations.AlterField(
            model_name="scheduledtaskinstance",
            name="requested",
            field=models.DateTimeField(null=True, verbose_name="asked for at"),
        ),
        migrations.AddIndex(
            model_name="scheduledtask",
            index=models.Index(fields=["status", "look_at"], name="schedule_to_look_at"),
        ),
        migrations.AddIndex(
            model_name="scheduledtaskinstance",
            index=models.Index(
                condition=models.Q(("status", "failed")),
                fields=["ended"],
                name="run_failed_to_retry",
            ),
        ),
        migrations.AddConstraint(
            model_name="scheduledtaskinstance",
            constraint=models.UniqueConstraint(
                condition=models.Q(("due", None)),
                fields=("parent", "requested"),
                name="run_one_per_request",
            ),
        ),
        migrations.AddConstraint(
            model_name="scheduledtaskinstance",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("due__isnull", False), ("requested__isnull", False), _connector="OR"
                ),
                name="run_due_or_requested",
            ),
        ),
        migrations.AddField(
            model_name="runrequest",
            name="parent",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="requests",
                to="tasks.scheduledtask",
                verbose_name="schedule",
            ),
        ),
        migrations.AddField(
            model_name="scheduleperiod",
            name="parent",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="periods",
                to="tasks.scheduledtask",
                verbose_name="schedule",
            ),
        ),
        migrations.AddConstraint(
            model_name="runrequest",
            constraint=models.UniqueConstraint(
                fields=("parent", "due"), name="request_one_per_occurrence"
            ),
        ),
        migrations.AddConstraint(
            model_name="runrequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("due", None)),
                fields=("parent", "requested"),
                name="request_one_by_hand_per_moment",
            ),
        ),
        migrations.AddIndex(
            model_name="scheduleperiod",
            index=models.Index(fields=["parent", "-end"], name="period_newest"),
        ),
        migrations.AddConstraint(
            model_name="scheduleperiod",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "active"), ("spec__isnull", False)),
                    models.Q(("kind__in", ["paused", "death"]), ("spec__isnull", True)),
                    _connector="OR",
                ),
                name="period_spec_of_its_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="scheduleperiod",
            constraint=models.CheckConstraint(
                condition=models.Q(("end__gte", models.F("start"))), name="period_closed"
            ),
        ),
        migrations.RunPython(begin_the_books, migrations.RunPython.noop, elidable=True),
    ]
