"""Fields and labels are named by the words of docs/glossary.md; all data stays."""

from typing import ClassVar

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tasks", "0004_fewer_indexes")]

    operations: ClassVar = [
        migrations.RemoveIndex("scheduledtask", "schedule_to_look_at"),
        migrations.RenameField("scheduledtask", "accounted_until", "settled_through"),
        migrations.RenameField("scheduledtask", "look_at", "next_check_at"),
        migrations.RenameField("scheduledtask", "since", "period_start"),
        migrations.AddIndex(
            "scheduledtask",
            models.Index(fields=["status", "next_check_at"], name="schedule_next_check"),
        ),
        # Labels, help texts and the name of a constraint.
        migrations.RemoveConstraint(
            model_name="runrequest",
            name="request_one_by_hand_per_moment",
        ),
        migrations.AlterField(
            model_name="runrequest",
            name="requested",
            field=models.DateTimeField(verbose_name="requested at"),
        ),
        migrations.AlterField(
            model_name="scheduledtask",
            name="next_check_at",
            field=models.DateTimeField(
                default=django.utils.timezone.now,
                editable=False,
                help_text="When the ledger checks it next: nothing can be missing before.",
            ),
        ),
        migrations.AlterField(
            model_name="scheduledtask",
            name="period_start",
            field=models.DateTimeField(
                default=django.utils.timezone.now,
                editable=False,
                help_text="The present period: what the spec yields after this is expected, if live.",
            ),
        ),
        migrations.AlterField(
            model_name="scheduledtask",
            name="pruned_until",
            field=models.DateTimeField(
                editable=False,
                help_text="The ledger begins after this: rows of what was due up to here may be gone.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="scheduledtask",
            name="settled_through",
            field=models.DateTimeField(
                default=django.utils.timezone.now,
                editable=False,
                help_text="Each occurrence due up to here has its row, or isn't expected to have one.",
            ),
        ),
        migrations.AlterField(
            model_name="scheduledtask",
            name="status",
            field=models.CharField(
                choices=[
                    ("running", "active"),
                    ("failed", "failing"),
                    ("paused", "paused"),
                    ("death", "ended"),
                ],
                default="running",
                editable=False,
                max_length=16,
                verbose_name="status",
            ),
        ),
        migrations.AlterField(
            model_name="scheduledtask",
            name="synced",
            field=models.BooleanField(
                default=False,
                editable=False,
                help_text="Made by `sync`, which cancels it when it has left the list.",
            ),
        ),
        migrations.AlterField(
            model_name="scheduledtaskinstance",
            name="requested",
            field=models.DateTimeField(null=True, verbose_name="requested at"),
        ),
        migrations.AlterField(
            model_name="scheduledtaskinstance",
            name="status",
            field=models.CharField(
                choices=[
                    ("running", "running now"),
                    ("finished", "finished"),
                    ("failed", "failed"),
                    ("canceled", "cancelled"),
                    ("missed", "missed"),
                    ("skipped", "skipped"),
                ],
                default="running",
                max_length=16,
                verbose_name="status",
            ),
        ),
        migrations.AlterField(
            model_name="scheduleperiod",
            name="kind",
            field=models.CharField(
                choices=[("active", "active"), ("paused", "paused"), ("death", "ended")],
                max_length=16,
                verbose_name="kind",
            ),
        ),
        migrations.AlterField(
            model_name="task",
            name="status",
            field=models.CharField(
                choices=[
                    ("queued", "queued"),
                    ("reserved", "reserved"),
                    ("running", "running now"),
                    ("finished", "finished"),
                    ("failed", "failed"),
                    ("canceled", "cancelled"),
                ],
                default="queued",
                max_length=16,
                verbose_name="status",
            ),
        ),
        migrations.AddConstraint(
            model_name="runrequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("due", None)),
                fields=("parent", "requested"),
                name="request_one_manual_at_a_time",
            ),
        ),
    ]
