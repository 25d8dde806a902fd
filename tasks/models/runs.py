"""Runs of schedules, and the requests for runs that have not started."""

from datetime import timedelta
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tasks import registry
from tasks.job_ids import RunId
from tasks.models.fields import NAME_LENGTH, PrimaryManager
from tasks.models.records import RunRecord
from tasks.models.schedules import ScheduledTask
from tasks.reasons import Code


def arguments_field() -> models.JSONField:
    """Return the field for the arguments with which one run is called: its `args` and `kwargs`.

    Null is for all that are called with their schedule's.
    """
    return models.JSONField(_("arguments of its own"), null=True, editable=False)


def requester_field() -> models.CharField:
    """Return the field for who requested a run, null if nobody did or if that isn't known.

    Null, not empty: SQLite adds a column without a default in place, whatever the table's size.
    """
    return models.CharField(_("requested by"), max_length=NAME_LENGTH, null=True, editable=False)


class RunRequest(models.Model):
    """A run that somebody has requested and that has not started: a manual run, or backfill.

    It is stored before its job is enqueued, so that Redis can lose the job (R1), and goes in
    the transaction in which the run's own row is created. `due` names the occurrence that backfill
    is to run; a manual run has none. `attempt` is the one that it requests: the next one of a run
    that has failed.
    """

    parent = models.ForeignKey(
        ScheduledTask, on_delete=models.CASCADE, related_name="requests", verbose_name=_("schedule")
    )
    due = models.DateTimeField(_("due"), null=True)
    requested = models.DateTimeField(_("requested at"))
    requested_by = requester_field()
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=1, db_default=1)
    arguments = arguments_field()

    tagged_through: ClassVar[str] = "parent"

    objects = PrimaryManager()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("requested run")
        verbose_name_plural = _("requested runs")
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["parent", "due"], name="request_one_per_occurrence"),
            models.UniqueConstraint(
                fields=["parent", "requested"],
                condition=Q(due=None),
                name="request_one_manual_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return self.run_id.job_id

    @property
    def run_id(self) -> RunId:
        """The run that it requests."""
        return RunId(
            self.parent.job_id,
            self.due,
            self.requested if self.due is None else None,
            self.attempt,
            is_backfill=self.due is not None,
        )


class ScheduledTaskInstanceQuerySet(models.QuerySet["ScheduledTaskInstance"]):
    """Runs, still going and ended."""

    def running(self) -> "ScheduledTaskInstanceQuerySet":
        return self.filter(status=ScheduledTaskInstance.Status.RUNNING)

    def of(self, run_id: RunId) -> "ScheduledTaskInstanceQuerySet":
        """Return the row of the run that a job id names, whatever its attempt."""
        if run_id.due is None:
            return self.filter(due=None, requested=run_id.requested)
        return self.filter(due=run_id.due, requested__isnull=not run_id.is_backfill)

    def ended(self) -> "ScheduledTaskInstanceQuerySet":
        return self.exclude(status=ScheduledTaskInstance.Status.RUNNING)


class ScheduledTaskInstance(RunRecord):
    """A run: the record of one occurrence of a schedule, or of one manual run.

    `due` names the occurrence; a manual run has `requested` instead, and an occurrence that
    backfill has run has both. A row is created when the run starts, or when it is settled that it
    never will (`missed`, `skipped`).
    """

    class Status(models.TextChoices):
        RUNNING = "running", _("running now")
        FINISHED = "finished", _("finished")
        FAILED = "failed", _("failed")
        CANCELED = "canceled", _("cancelled")
        MISSED = "missed", _("missed")
        SKIPPED = "skipped", _("skipped")

    parent = models.ForeignKey(
        ScheduledTask,
        on_delete=models.CASCADE,
        related_name="runs",
        verbose_name=_("schedule"),
        db_index=False,  # Other indexes begin with it, and each is written twice per run.
    )
    status = models.CharField(
        _("status"), max_length=16, choices=Status, default=Status.RUNNING, db_index=False
    )
    due = models.DateTimeField(_("due"), null=True)
    requested = models.DateTimeField(_("requested at"), null=True)
    requested_by = requester_field()
    arguments = arguments_field()

    tagged_through: ClassVar[str] = "parent"

    objects = PrimaryManager.from_queryset(ScheduledTaskInstanceQuerySet)()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        permissions: ClassVar = [("stop_run", _("Can stop runs"))]
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["parent", "-id"], name="run_newest_of_schedule"),
            models.Index(fields=["parent", "status"], name="run_counts_of_schedule"),
            models.Index(fields=["status", "-id"], name="run_newest_by_status"),
            models.Index(fields=["-created"], name="run_newest_by_day"),
            # For the ledger, which ends the schedules of these runs.
            models.Index(
                fields=["ended"],
                condition=Q(reason_code=Code.CHECK_NOT_AT_ALL.value),
                name="run_ends_schedule",
            ),
            models.Index(
                fields=["-ended", "-id"],
                condition=Q(ended__isnull=False),
                name="run_latest_ended",
            ),
            # For retries, and for the failures of some schedules.
            models.Index(
                fields=["-ended", "-id", "parent"],
                condition=Q(status="failed"),
                name="run_latest_failed",
            ),
            models.Index(
                fields=["parent", "-id"],
                condition=Q(started__isnull=False),
                name="run_newest_started",
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["parent", "due"], name="run_one_per_occurrence"),
            models.UniqueConstraint(
                fields=["parent", "requested"], condition=Q(due=None), name="run_one_per_request"
            ),
            models.CheckConstraint(
                condition=Q(due__isnull=False) | Q(requested__isnull=False),
                name="run_due_or_requested",
            ),
            models.CheckConstraint(
                condition=Q(status="running", started__isnull=False, ended=None)
                | Q(status__in=["finished", "failed"], started__isnull=False, ended__isnull=False)
                | Q(status="canceled", ended__isnull=False)
                | Q(status__in=["missed", "skipped"], started=None, ended__isnull=False),
                name="run_times_of_its_status",
            ),
            models.CheckConstraint(
                condition=Q(attempt__gte=1, progress__gte=0, progress__lte=100),
                name="run_numbers_in_bounds",
            ),
        ]

    @property
    def run_job_id(self) -> str:
        return self.run_id.job_id

    @property
    def secret_values(self) -> list[str]:
        values = self.parent.secret_values
        if self.arguments is not None:
            values += registry.secret_values(self.parent.function, *self.called_with)
        return values

    @property
    def called_with(self) -> tuple[list[Any], dict[str, Any]]:
        """The positional and the named arguments: its own, or its schedule's as they are now."""
        if self.arguments is None:
            return self.parent.args, self.parent.kwargs
        return self.arguments["args"], self.arguments["kwargs"]

    @property
    def run_id(self) -> RunId:
        """Which run this is, as its job's id says it."""
        return RunId.of_row(self.parent.job_id, self.due, self.requested, self.attempt)

    def take_over(self, request: RunRequest) -> None:
        """Say what the request for it says: when, by whom and with which arguments."""
        self.requested, self.requested_by = request.requested, request.requested_by
        self.arguments = request.arguments

    @property
    def is_backfill(self) -> bool:
        """Whether it is an occurrence that was run because backfill requested it."""
        return self.due is not None and self.requested is not None

    @property
    def lateness(self) -> timedelta | None:
        """How long after its due it started; None without a due or a start.

        A later attempt says nothing of lateness, nor does a run that somebody requested.
        """
        if self.due is None or self.started is None or self.requested or self.attempt > 1:
            return None
        return self.started - self.due
