"""Background calls: enqueued now, or reserved for later."""

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tasks import registry
from tasks.exceptions import InvalidArguments, UnknownTaskFunction
from tasks.job_ids import new_task_job_id
from tasks.models.fields import NAME_LENGTH, PrimaryManager
from tasks.models.records import RunRecord


class Task(RunRecord):
    """The record of one background call: enqueued now, or reserved for later."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("queued")
        RESERVED = "reserved", _("reserved")
        RUNNING = "running", _("running now")
        FINISHED = "finished", _("finished")
        FAILED = "failed", _("failed")
        CANCELED = "canceled", _("cancelled")

    WAITING: ClassVar[list[str]] = [Status.QUEUED, Status.RESERVED]

    job_id = models.CharField(
        _("job id"), max_length=64, unique=True, editable=False, default=new_task_job_id
    )
    function = models.CharField(_("task function"), max_length=NAME_LENGTH)
    args = models.JSONField(
        _("positional arguments"), default=list, blank=True, help_text=_("A JSON list.")
    )
    kwargs = models.JSONField(
        _("named arguments"), default=dict, blank=True, help_text=_("A JSON object.")
    )
    queue = models.CharField(_("queue"), max_length=64, default="default")
    timeout = models.PositiveIntegerField(_("timeout"), null=True, blank=True)
    status = models.CharField(
        _("status"), max_length=16, choices=Status, default=Status.QUEUED, db_index=False
    )
    reserved_for = models.DateTimeField(
        _("reserved for"),
        null=True,
        blank=True,
        help_text=_("When it shall run. Empty: at once."),
    )

    objects = PrimaryManager()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("background call")
        verbose_name_plural = _("background calls")
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["status", "-id"], name="task_newest_by_status"),
            models.Index(fields=["ended"], name="task_ended", condition=Q(ended__isnull=False)),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status="queued", started=None, ended=None)
                | Q(status="reserved", reserved_for__isnull=False, started=None, ended=None)
                | Q(status="running", started__isnull=False, ended=None)
                | Q(status="finished", started__isnull=False, ended__isnull=False)
                | Q(status__in=["failed", "canceled"], ended__isnull=False),
                name="task_times_of_its_status",
            ),
            models.CheckConstraint(
                condition=Q(attempt__gte=1, progress__gte=0, progress__lte=100),
                name="task_numbers_in_bounds",
            ),
        ]

    @property
    def run_job_id(self) -> str:
        return self.job_id

    @property
    def secret_values(self) -> list[str]:
        return registry.secret_values(self.function, self.args, self.kwargs)

    def clean(self) -> None:
        """Check that the function is registered and takes the arguments."""
        try:
            function = registry.resolve(self.function, registry.Kind.BACKGROUND)
            self.args, self.kwargs = function.store_arguments(self.args, self.kwargs)
        except UnknownTaskFunction as error:
            raise ValidationError({"function": str(error)}) from error
        except InvalidArguments as error:
            raise ValidationError({error.field: str(error)}) from error
