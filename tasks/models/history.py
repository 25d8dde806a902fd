"""What was changed on a schedule, by whom, and why."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks import clock
from tasks.fields import StampField
from tasks.models.fields import NAME_LENGTH, PrimaryManager
from tasks.models.schedules import ScheduledTask


class ScheduleChange(models.Model):
    """One change of a schedule that a person made; it goes with its schedule.

    `changes` has, by field, the old value and the new one, as JSON and with secrets masked. Of a
    request for several runs it has how many, and the bounds of their dues, under `runs`, `begin`
    and `end`. Of a change of its calendar it has which one that is, and the dates that are gone
    and those that are new.
    """

    # Without a constraint: while a new version is rolled out, older code deletes schedules too.
    schedule = models.ForeignKey(
        ScheduledTask,
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="changes",
        verbose_name=_("schedule"),
    )
    at = StampField(_("at"), default=clock.now, editable=False)
    by = models.CharField(_("by"), max_length=NAME_LENGTH, blank=True)
    action = models.CharField(_("action"), max_length=40)
    changes = models.JSONField(_("changes"), default=dict, blank=True)
    note = models.TextField(_("note"), blank=True)

    tagged_through: ClassVar[str] = "schedule"

    objects = PrimaryManager()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("change")
        verbose_name_plural = _("changes")
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["schedule", "-id"], name="change_newest"),
            # For the page of the changes of all schedules.
            models.Index(fields=["at"], name="change_by_day"),
            models.Index(fields=["by", "-id"], name="change_newest_by"),
            models.Index(fields=["action", "-id"], name="change_newest_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.at:%Y-%m-%d %H:%M}"
