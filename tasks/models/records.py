"""What a background call and a run of a schedule have in common."""

from abc import abstractmethod
from datetime import timedelta
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tasks import clock
from tasks.fields import StampField
from tasks.models.fields import NAME_LENGTH, NameField, Secretive
from tasks.reasons import CODE_LENGTH, in_words
from tasks.storable import FAILED_FOR, REASON_LENGTH


class RunRecord(Secretive, models.Model):
    """What a background call and a run of a schedule have in common: how it went.

    `attempt` fences the writes: each write names the attempt that it is for.
    """

    Status: ClassVar[type[models.TextChoices]]

    name = NameField(_("name"), max_length=NAME_LENGTH)
    status = models.CharField(_("status"), max_length=16, db_index=False)
    failed = models.GeneratedField(
        expression=models.Case(
            models.When(status="failed", then=models.Value(True)), default=models.Value(False)
        ),
        output_field=models.BooleanField(_("failed")),
        db_persist=True,
    )
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=1)
    started = models.DateTimeField(_("started"), null=True)
    ended = models.DateTimeField(_("ended"), null=True)
    worker_name = models.CharField(_("worker"), max_length=NAME_LENGTH, blank=True)
    # When its worker last renewed its lease here because it did not reach Redis, if ever.
    lease_renewed = models.DateTimeField(null=True, editable=False)
    progress = models.PositiveSmallIntegerField(_("progress"), default=0)
    progress_message = models.CharField(_("progress message"), max_length=200, blank=True)
    # What the task function raised, verbatim, or what a version before reason codes wrote.
    reason = models.CharField(_("reason"), max_length=REASON_LENGTH, blank=True)
    # Null, not empty: SQLite adds a column without a default in place, whatever the table's size.
    reason_code = models.CharField(max_length=CODE_LENGTH, null=True, editable=False)  # noqa: DJ001
    reason_values = models.JSONField(null=True, editable=False)
    log = models.TextField(_("log"), blank=True)
    result = models.JSONField(_("result"), null=True)
    exception_class = models.CharField(_("exception"), max_length=NAME_LENGTH, blank=True)
    traceback = models.TextField(_("traceback"), blank=True)
    created = StampField(_("created"), auto_now_add=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        label = self.Status(self.status).label
        return f"{self.name} ({label})"

    @property
    @abstractmethod
    def run_job_id(self) -> str:
        """The id of the job that runs this attempt."""

    def reason_in_words(self) -> str:
        """Return in the active language why it ended so; empty if there is nothing to say."""
        reason = self.reason
        if reason.startswith(FAILED_FOR):
            error = reason.removeprefix(FAILED_FOR)
            reason = gettext("Failed for: %(error)s") % {"error": error}
        if not self.reason_code:
            return reason
        words = in_words(self.reason_code, self.reason_values)
        return f"{reason} ({words})" if reason else words

    @property
    def duration(self) -> timedelta | None:
        """How long the attempt took, or has taken so far; None if it never started."""
        if self.started is None:
            return None
        return (self.ended or clock.now()) - self.started

    def update_attempt(self, *conditions: Q, **values: Any) -> bool:
        """Write these fields if this attempt is still the running one; return whether it was.

        A late worker, whose run was closed or tried again meanwhile, changes nothing. The row has
        to meet the conditions, too.
        """
        written = type(self)._default_manager.filter(
            *conditions, pk=self.pk, status="running", attempt=self.attempt
        )
        return bool(written.update(**values))
