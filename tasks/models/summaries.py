"""Summaries of runs, which outlive the runs: by hour, and over the last 7 days.

`tasks.ledger.summaries` keeps them.
"""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from tasks.models.fields import PrimaryManager
from tasks.models.schedules import ScheduledTask


class Summary(models.Model):
    """How many runs ended how. `failed` includes the lost ones, `lost` says how many those are.

    `late` are the occurrences whose first attempt started late, as `tasks.ledger.summaries.LATE`
    says; `longest_lateness` is the longest of all, late or not.
    """

    finished = models.PositiveIntegerField(_("finished"), default=0)
    failed = models.PositiveIntegerField(_("failed"), default=0)
    lost = models.PositiveIntegerField(_("lost"), default=0)
    missed = models.PositiveIntegerField(_("missed"), default=0)
    skipped = models.PositiveIntegerField(_("skipped"), default=0)
    canceled = models.PositiveIntegerField(_("cancelled"), default=0)
    late = models.PositiveIntegerField(_("late"), default=0)
    longest_lateness = models.DurationField(_("longest lateness"), null=True)

    objects = PrimaryManager()

    class Meta:
        abstract = True
        base_manager_name = "objects"


class HourlySummary(Summary):
    """What came of one schedule's runs of one hour, in UTC: by due, or by when requested.

    `durations` of finished runs and `latenesses` are histograms (`tasks.ledger.histograms`), which
    can be added up. `pruned` is the part of all of it whose runs retention has deleted.
    """

    # Without a constraint, it is kept beside schedules that are changed, or deleted, at that time.
    schedule = models.ForeignKey(
        ScheduledTask,
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,  # That of the constraint below begins with it.
        related_name="hours",
        verbose_name=_("schedule"),
    )
    hour = models.DateTimeField(_("hour"))
    durations = models.JSONField(default=dict)
    latenesses = models.JSONField(default=dict)
    pruned = models.JSONField(null=True)

    tagged_through: ClassVar[str] = "schedule"

    class Meta(Summary.Meta):
        verbose_name = _("hourly summary")
        verbose_name_plural = _("hourly summaries")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["schedule", "hour"], name="summary_one_per_hour"),
        ]
        indexes: ClassVar = [models.Index(fields=["hour"], name="summary_by_hour")]

    def __str__(self) -> str:
        return f"{self.schedule_id} {self.hour:%Y-%m-%d %H:%M}"


class HourlyTotal(Summary):
    """What came of all runs of one hour: the sum of its hourly summaries."""

    hour = models.DateTimeField(_("hour"), primary_key=True)
    latenesses = models.JSONField(default=dict)

    class Meta(Summary.Meta):
        verbose_name = _("hourly total")
        verbose_name_plural = _("hourly totals")

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:%M}"


class WeeklySummary(Summary):
    """What came of one schedule's runs of the last 7 days, to sort by.

    `success` is the share that finished of what finished, failed or was missed. It and the
    percentiles of the durations of finished runs are null if there were none.
    """

    schedule = models.OneToOneField(
        ScheduledTask,
        on_delete=models.CASCADE,
        db_constraint=False,
        primary_key=True,
        related_name="week",
        verbose_name=_("schedule"),
    )
    success = models.FloatField(_("success"), null=True)
    p50 = models.DurationField(_("median duration"), null=True)
    p95 = models.DurationField(_("95th percentile of durations"), null=True)

    tagged_through: ClassVar[str] = "schedule"

    class Meta(Summary.Meta):
        verbose_name = _("weekly summary")
        verbose_name_plural = _("weekly summaries")
        indexes: ClassVar = [
            # The worst first, as `tasks.reports.heatmap` shows them.
            models.Index(
                (F("failed") + F("missed")).desc(), F("late").desc(), name="week_by_trouble"
            ),
        ]

    def __str__(self) -> str:
        return str(self.schedule_id)


class SummaryMark(models.Model):
    """How far the summaries have come: one row.

    The runs that ended up to `through` are in the hourly summaries. Who writes an end later than
    within moments moves the mark back afterwards, with `move_back`.
    """

    THE_ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=THE_ONLY, editable=False)
    through = models.DateTimeField(editable=False)

    objects = PrimaryManager()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("summary mark")
        verbose_name_plural = _("summary marks")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(id=1), name="summary_mark_only_one"),
        ]

    def __str__(self) -> str:
        return f"{self.through}"

    @classmethod
    def move_back(cls, ended: datetime) -> None:
        """Have the runs that ended since then read again, if they have been."""
        cls.objects.filter(through__gt=ended).update(through=ended)
