"""Past periods of schedules, from which the ledger knows what was expected."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tasks.exceptions import SpecError
from tasks.models.fields import NAME_LENGTH, PrimaryManager
from tasks.models.schedules import ScheduledTask
from tasks.timing.describe import describe
from tasks.timing.spec import spec_from_json


class SchedulePeriod(models.Model):
    """A past period of a schedule, in which one spec applied, or none.

    What the spec of an active period yields after `start` and up to `end` is expected; paused
    time is one period, not a row per due. The present period is in the schedule's own
    row: from `period_start` on, by its own spec and status.

    Periods follow each other, with one exception: a first time that had just passed when it was
    requested is still expected, so its period begins before the previous one has ended.
    """

    class Kind(models.TextChoices):
        ACTIVE = "active", _("active")
        PAUSED = "paused", _("paused")
        DEATH = "death", _("ended")

    parent = models.ForeignKey(
        ScheduledTask, on_delete=models.CASCADE, related_name="periods", verbose_name=_("schedule")
    )
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    spec = models.JSONField(null=True, editable=False)
    note = models.TextField(_("note"), blank=True)
    # By the database too: while a new version is rolled out, older code writes periods as well.
    held_by = models.CharField(
        max_length=NAME_LENGTH,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Who had paused everything, if it was paused by that.",
    )
    start = models.DateTimeField(_("from"))
    end = models.DateTimeField(_("until"))

    tagged_through: ClassVar[str] = "parent"

    objects = PrimaryManager()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("period")
        verbose_name_plural = _("periods")
        ordering: ClassVar = ["-end", "-id"]
        indexes: ClassVar = [models.Index(fields=["parent", "-end"], name="period_newest")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(kind="active", spec__isnull=False)
                | Q(kind__in=["paused", "death"], spec__isnull=True),
                name="period_spec_of_its_kind",
            ),
            models.CheckConstraint(condition=Q(end__gte=F("start")), name="period_closed"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.start:%Y-%m-%d %H:%M} – {self.end:%Y-%m-%d %H:%M}"

    def in_words(self) -> str:
        """Describe what was expected, or say why nothing was."""
        if self.spec is None:
            return self.note_in_words()
        try:
            return describe(spec_from_json(self.spec))
        except (SpecError, ValueError, TypeError) as error:
            return str(error)

    def note_in_words(self) -> str:
        """Say why it was paused: who had paused everything, if that was it, and the note."""
        words = {"by": self.held_by, "note": self.note}
        if not self.held_by:
            return self.note
        return (gettext("Everything was paused by %(by)s. %(note)s") % words).strip()
