"""Leases are also renewed at the database; a schedule says what happens to a run that is cut off."""

from typing import ClassVar

from django.db import migrations, models

RENEWED = models.DateTimeField(editable=False, null=True)
ON_DISCONNECT = models.CharField(
    choices=[("stop", "end the run"), ("continue", "let it go on")],
    default="stop",
    help_text=(
        "What happens to a run whose worker reaches neither Redis nor the database. If it goes "
        "on, it may be tried again at the same time."
    ),
    max_length=16,
    verbose_name="on disconnect",
)
POLICIES_KNOWN = models.CheckConstraint(
    condition=models.Q(
        ("overlap__in", ["skip", "allow", "wait", "replace"]),
        ("catch_up__in", ["latest", "all", "none"]),
        ("on_disconnect__in", ["stop", "continue"]),
    ),
    name="schedule_policies_known",
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tasks", "0011_owner_mark")]

    operations: ClassVar = [
        migrations.AddField("scheduledtaskinstance", "lease_renewed", RENEWED),
        migrations.AddField("task", "lease_renewed", RENEWED),
        migrations.RemoveConstraint("scheduledtask", "schedule_policies_known"),
        migrations.AddField("scheduledtask", "on_disconnect", ON_DISCONNECT),
        migrations.AddConstraint("scheduledtask", POLICIES_KNOWN),
    ]
