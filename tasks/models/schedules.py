"""Schedules: what runs, when, and under which policies."""

import dataclasses
import hashlib
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import DatabaseError, models
from django.db.models import F, Q
from django.db.models.functions import Length
from django.db.models.lookups import LessThanOrEqual
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tasks import clock, registry
from tasks.argument_types import StoredInstance
from tasks.exceptions import InvalidArguments, SpecError, UnknownTaskFunction
from tasks.fields import StampField
from tasks.job_ids import new_schedule_job_id
from tasks.masking import hiding, mask_text
from tasks.models.calendars import Calendar, normal_dates
from tasks.models.fields import NAME_LENGTH, NameField, PrimaryManager, Secretive
from tasks.storable import canonical_json
from tasks.timing import spec
from tasks.timing.describe import describe
from tasks.timing.instants import BEGINNING, whole_milliseconds
from tasks.timing.spec import DATETIME_FIELDS
from tasks.timing.text import MAX_EXCLUDED_LENGTH, MAX_INTERVAL

MAX_TIMEOUT = 7 * 86_400
MAX_RETRIES = 100
MAX_KEEP_RUNS = 1_000_000
MAX_KEEP_DAYS = 36_500
DEFAULT_KEEP_RUNS = 1_000


def fingerprint(name: str, function: str, args: Any, kwargs: Any) -> str:
    """Return the identity of a schedule: a hash over its name, function and arguments.

    Raises InvalidArguments if the arguments aren't JSON.
    """
    identity = canonical_json([mask_text(name), function, args, kwargs])
    return hashlib.sha256(identity.encode()).hexdigest()


class ScheduledTaskQuerySet(models.QuerySet["ScheduledTask"]):
    """Schedules, with the queries that lists need."""

    def live(self) -> "ScheduledTaskQuerySet":
        """Schedules that are being scheduled, neither paused nor ended, with their calendars."""
        return self.filter(status__in=ScheduledTask.LIVE).select_related("calendar")

    def with_last_run(self) -> "ScheduledTaskQuerySet":
        """Annotate each schedule with its newest run that started: id, status and start."""
        runs = apps.get_model("tasks", "ScheduledTaskInstance").objects
        newest = runs.filter(parent=models.OuterRef("pk"), started__isnull=False).order_by("-id")
        return self.annotate(
            last_run_id=models.Subquery(newest.values("pk")[:1]),
            last_run_status=models.Subquery(newest.values("status")[:1]),
            last_run_started=models.Subquery(newest.values("started")[:1]),
        )


class ScheduledTask(Secretive, models.Model):
    """A schedule: what runs, when, and under which policies.

    Change it through `tasks.services.SchedulerService`, which also brings Redis up to date.
    A change made without the services takes effect when the scheduler next reconciles.
    """

    class Type(models.TextChoices):
        SCHEDULE = "schedule", _("once or every interval")
        CRON = "cron", _("cron")

    class Status(models.TextChoices):
        RUNNING = "running", _("active")
        FAILED = "failed", _("failing")
        PAUSED = "paused", _("paused")
        DEATH = "death", _("ended")

    class Overlap(models.TextChoices):
        SKIP = "skip", _("skip the new run")
        ALLOW = "allow", _("run both")
        WAIT = "wait", _("wait until the previous run has ended")
        REPLACE = "replace", _("cancel the previous run")

    class CatchUp(models.TextChoices):
        LATEST = "latest", _("run the newest, record the others as missed")
        ALL = "all", _("run all, up to 100")
        NONE = "none", _("run none, record all as missed")

    class OnDisconnect(models.TextChoices):
        STOP = "stop", _("end the run")
        CONTINUE = "continue", _("let it go on")

    LIVE: ClassVar[list[str]] = [Status.RUNNING, Status.FAILED]
    SPEC_FIELDS: ClassVar[list[str]] = [
        "first",
        "interval",
        "cron",
        "timezone",
        "repeat",
        "start",
        "end",
    ]

    name = NameField(_("name"), max_length=NAME_LENGTH)
    job_id = models.CharField(
        _("job id"), max_length=64, unique=True, editable=False, default=new_schedule_job_id
    )
    type = models.CharField(_("type"), max_length=16, choices=Type, default=Type.SCHEDULE)
    description = models.TextField(_("description"), blank=True)
    function = models.CharField(_("task function"), max_length=NAME_LENGTH)
    args = models.JSONField(
        _("positional arguments"), default=list, blank=True, help_text=_("A JSON list.")
    )
    kwargs = models.JSONField(
        _("named arguments"), default=dict, blank=True, help_text=_("A JSON object.")
    )
    fingerprint = models.CharField(max_length=64, unique=True, editable=False)
    queue = models.CharField(_("queue"), max_length=64, default="default")
    status = models.CharField(
        _("status"), max_length=16, choices=Status, default=Status.RUNNING, editable=False
    )
    problem = models.TextField(_("problem"), blank=True, editable=False)

    first = models.DateTimeField(
        _("first time"),
        null=True,
        blank=True,
        help_text=_("When it runs once, or the first of its intervals."),
    )
    interval = models.PositiveBigIntegerField(
        _("interval"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("In seconds, counted from the first time. Empty: once."),
    )
    cron = models.CharField(
        _("cron expression"),
        max_length=200,
        blank=True,
        help_text=_("Minute, hour, day of month, month, day of week: “30 6 * * MON-FRI”."),
    )
    timezone = models.CharField(
        _("time zone"),
        max_length=64,
        default="UTC",
        help_text=_("Of the cron expression and the excluded dates, such as Europe/Berlin."),
    )
    repeat = models.PositiveIntegerField(
        _("repeat"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("How many times in all. Empty: without end."),
    )
    start = models.DateTimeField(
        _("not before"), null=True, blank=True, help_text=_("Nothing is due before this time.")
    )
    end = models.DateTimeField(
        _("not after"), null=True, blank=True, help_text=_("Nothing is due after this time.")
    )
    exclude = models.TextField(
        _("excluded dates"),
        blank=True,
        help_text=_(
            "Nothing is due on these. On each line a date, 2026-12-24, or a range, "
            "2026-12-24..2026-12-26."
        ),
    )
    calendar = models.ForeignKey(
        Calendar,
        on_delete=models.PROTECT,
        related_name="schedules",
        verbose_name=_("calendar"),
        null=True,
        blank=True,
        help_text=_("Nothing is due on its dates either."),
    )
    jitter = models.PositiveIntegerField(
        _("jitter"),
        null=True,
        blank=True,
        help_text=_(
            "Seconds over which schedules are spread: each is late by its own, constant part of it."
        ),
    )

    overlap = models.CharField(
        _("overlap"),
        max_length=16,
        choices=Overlap,
        default=Overlap.SKIP,
        help_text=_("What happens when the previous run is still going."),
    )
    catch_up = models.CharField(
        _("catch-up"),
        max_length=16,
        choices=CatchUp,
        default=CatchUp.LATEST,
        help_text=_("What happens to occurrences that could not start in time."),
    )
    start_deadline = models.PositiveIntegerField(
        _("start deadline"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_INTERVAL)],
        help_text=_("How many seconds late a run may still start. Empty: any."),
    )
    timeout = models.PositiveIntegerField(
        _("timeout"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_TIMEOUT)],
        help_text=_("Seconds until a run is stopped. Empty: the queue's own."),
    )
    isolated = models.BooleanField(
        _("isolated"),
        null=True,
        blank=True,
        choices=[(True, _("yes")), (False, _("no"))],
        help_text=_("Whether each run gets a process of its own. Empty: as its function says."),
    )
    retries = models.PositiveSmallIntegerField(
        _("retries"),
        default=0,
        validators=[MaxValueValidator(MAX_RETRIES)],
        help_text=_("How often a failed run is tried again."),
    )
    retry_delay = models.PositiveIntegerField(
        _("retry delay"),
        default=0,
        validators=[MaxValueValidator(MAX_TIMEOUT)],
        help_text=_("Seconds between a failure and the next try."),
    )
    on_disconnect = models.CharField(
        _("on disconnect"),
        max_length=16,
        choices=OnDisconnect,
        default=OnDisconnect.STOP,
        help_text=_(
            "What happens to a run whose worker reaches neither Redis nor the database. If it goes "
            "on, it may be tried again at the same time."
        ),
    )
    keep_runs = models.PositiveIntegerField(
        _("keep runs"),
        null=True,
        blank=True,
        default=DEFAULT_KEEP_RUNS,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_KEEP_RUNS)],
        help_text=_("How many runs are kept. Empty: all."),
    )
    keep_days = models.PositiveIntegerField(
        _("keep days"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_KEEP_DAYS)],
        help_text=_("How many days a run is kept. Empty: any."),
    )
    note = models.TextField(_("note"), blank=True, help_text=_("For people, such as why paused."))
    # Without a constraint: while a new version is rolled out, older code deletes schedules too.
    tags = models.ManyToManyField(
        "tasks.Tag",
        db_constraint=False,
        related_name="schedules",
        verbose_name=_("tags"),
        blank=True,
    )
    paused_at = models.DateTimeField(_("paused at"), null=True, editable=False)
    # Null, not empty: an empty text is the owner of the lists that name none.
    list_owner = models.CharField(  # noqa: DJ001
        max_length=NAME_LENGTH,
        null=True,
        editable=False,
        help_text="Of the list in code that it comes from: `sync` cancels what has left its list.",
    )
    settled_through = StampField(
        default=clock.now,
        editable=False,
        help_text="Each occurrence due up to here has its row, or isn't expected to have one.",
    )
    period_start = StampField(
        default=clock.now,
        editable=False,
        help_text="The present period: what the spec yields after this is expected, if live.",
    )
    pruned_until = models.DateTimeField(
        null=True,
        editable=False,
        help_text="The ledger begins after this: rows of what was due up to here may be gone.",
    )
    next_check_at = StampField(
        default=clock.now,
        editable=False,
        help_text="When the ledger checks it next: nothing can be missing before.",
    )
    created = StampField(_("created"), auto_now_add=True)
    updated = StampField(_("updated"), auto_now=True)

    objects = PrimaryManager.from_queryset(ScheduledTaskQuerySet)()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        permissions: ClassVar = [
            ("reveal_secrets", _("Can reveal secrets")),
            ("run_scheduledtask", _("Can run schedules now")),
            ("pause_scheduledtask", _("Can pause and resume schedules")),
        ]
        ordering: ClassVar = ["name", "id"]
        indexes: ClassVar = [
            models.Index(fields=["status", "next_check_at"], name="schedule_next_check"),
            models.Index(fields=["updated"], name="schedule_changed"),
            # Each page counts those that can't be scheduled, of which there is hardly ever any.
            models.Index(fields=["status"], condition=~Q(problem=""), name="schedule_problem"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=["running", "failed", "paused", "death"]),
                name="schedule_status_known",
            ),
            models.CheckConstraint(
                condition=Q(type="cron", interval=None, first=None) & ~Q(cron="")
                | Q(type="schedule", cron="", first__isnull=False),
                name="schedule_spec_of_its_type",
                violation_error_message=_("Give either a cron expression or a first time."),
            ),
            models.CheckConstraint(
                condition=Q(interval=None) | Q(interval__gte=1, interval__lte=MAX_INTERVAL),
                name="schedule_interval_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(repeat=None) | Q(repeat__gte=1, repeat__lte=spec.MAX_REPEAT),
                name="schedule_repeat_in_bounds",
            ),
            models.CheckConstraint(
                condition=LessThanOrEqual(Length("exclude"), MAX_EXCLUDED_LENGTH),
                name="schedule_exclude_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(jitter=None)
                | Q(jitter__gte=1, jitter__lte=spec.MAX_JITTER)
                & (Q(interval=None) | Q(jitter__lte=F("interval"))),
                name="schedule_jitter_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(retries__lte=MAX_RETRIES, retry_delay__lte=MAX_TIMEOUT),
                name="schedule_retries_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(start=None) | Q(end=None) | Q(end__gte=F("start")),
                name="schedule_end_not_before_start",
                violation_error_message=_("“Not after” is earlier than “not before”."),
            ),
            models.CheckConstraint(
                condition=Q(timeout=None) | Q(timeout__gte=1, timeout__lte=MAX_TIMEOUT),
                name="schedule_timeout_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(start_deadline=None)
                | Q(start_deadline__gte=1, start_deadline__lte=MAX_INTERVAL),
                name="schedule_start_deadline_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(keep_runs=None) | Q(keep_runs__gte=1, keep_runs__lte=MAX_KEEP_RUNS),
                name="schedule_keep_runs_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(keep_days=None) | Q(keep_days__gte=1, keep_days__lte=MAX_KEEP_DAYS),
                name="schedule_keep_days_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(overlap__in=["skip", "allow", "wait", "replace"])
                & Q(catch_up__in=["latest", "all", "none"])
                & Q(on_disconnect__in=["stop", "continue"]),
                name="schedule_policies_known",
            ),
            models.CheckConstraint(
                condition=Q(status="paused", paused_at__isnull=False)
                | ~Q(status="paused") & Q(paused_at=None),
                name="schedule_paused_since",
            ),
        ]

    # Set by the services: whether Redis has the schedule as this row says.
    # None until the transaction has been committed.
    projected: bool | None = None
    # Set by the services: fingerprints of the same schedule by earlier versions of the code.
    former_fingerprints: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.fingerprint:
            self.set_fingerprint()
        super().save(*args, **kwargs)

    @property
    def is_live(self) -> bool:
        return self.status in self.LIVE

    def spec(self) -> spec.Spec:
        """Return when it is due; raises SpecError if the row's values are invalid."""
        return spec.Spec(**self.spec_values())

    def spec_values(self) -> dict[str, Any]:
        """Return the values of the spec, on which dispatch and the ledger must agree."""
        values = {field: getattr(self, field) for field in self.SPEC_FIELDS}
        values["cron"] = self.cron or None
        values["first"] = self.first and whole_milliseconds(self.first)
        excluded = [self.exclude, self.calendar.dates if self.calendar else ""]
        if any(excluded):
            values["exclude"] = "\n".join(filter(None, excluded))
        elif not self.cron:
            values["timezone"] = "UTC"  # It makes no difference: the plainest spec is the fastest.
        if self.jitter:
            values["offset"] = spec.jitter_offset(self.job_id, self.jitter)
        return values

    def spec_json(self) -> dict[str, Any]:
        """Return the values of the spec as JSON values: the same row gives the same JSON."""
        values = self.spec_values()
        return values | {
            name: values[name] and values[name].isoformat() for name in DATETIME_FIELDS
        }

    def next_due(self, now: datetime) -> datetime | None:
        """Return the next due after `now`, None if there is none or the schedule isn't live."""
        if not self.is_live:
            return None
        try:
            return spec.next_due(self.spec(), now)
        except SpecError:
            return None

    def when_in_words(self) -> str:
        """Describe the spec for people, such as “every 15 minutes”."""
        try:
            return describe(self.spec())
        except SpecError as error:
            return str(error)

    def problem_in_words(self) -> str:
        """Return in the active language why it can't be scheduled; empty if it can.

        The row has it in the language of the process that found out.
        """
        if not self.problem:
            return ""
        try:
            self.spec()
            registry.resolve(self.function, registry.Kind.SCHEDULED)
        except (SpecError, UnknownTaskFunction) as error:
            return str(error)
        return gettext(self.problem)

    def end_reason(self) -> str:
        """Return why the schedule has ended; empty if it has not, or if its spec is invalid.

        The reason isn't stored: it follows from what the spec yields after the schedule ended,
        which is when its present period starts.
        """
        if self.status != self.Status.DEATH:
            return ""
        try:
            is_exhausted = spec.next_due(self.spec(), self.period_start) is None
        except SpecError:
            return ""
        return gettext("nothing left to be due") if is_exhausted else gettext("cancelled")

    def status_in_words(self) -> str:
        """Return the status for people, with the reason if the schedule has ended."""
        words = {"status": self.get_status_display(), "reason": self.end_reason()}
        return gettext("%(status)s: %(reason)s") % words if words["reason"] else words["status"]

    @property
    def secret_values(self) -> list[str]:
        """The secrets among its arguments, which the records of its runs must not show either."""
        return registry.secret_values(self.function, self.args, self.kwargs)

    def set_fingerprint(self) -> None:
        """Compute the identity: a hash over name, function and arguments.

        Raises InvalidArguments if the arguments aren't JSON.
        """
        self.fingerprint = fingerprint(self.name, self.function, self.args, self.kwargs)

    def misfit(self) -> str:
        """Return why its function can't be called with its arguments; empty if it can."""
        try:
            gone = [str(one) for one in self.instances() if one.is_gone()]
        except (UnknownTaskFunction, InvalidArguments) as error:
            with hiding(registry.secret_values(self.function, self.args, self.kwargs)):
                return mask_text(str(error))
        except DatabaseError:
            return ""  # Before a migration, the table of a model may not be there yet.
        texts = [_("%(instance)s doesn't exist (any more).") % {"instance": one} for one in gone]
        return " ".join(texts)

    def instances(self) -> list[StoredInstance]:
        """Return the instances of models among its arguments, which are known by their keys.

        Raises UnknownTaskFunction, or InvalidArguments if the arguments don't fit.
        """
        function = registry.resolve(self.function, registry.Kind.SCHEDULED)
        return function.instances(self.args, self.kwargs)

    def normalise_call(self) -> None:
        """Give the function its present name, and the arguments the form in which they are stored.

        Raises UnknownTaskFunction or InvalidArguments.
        """
        function = registry.resolve(self.function, registry.Kind.SCHEDULED)
        self.function = function.name
        self.args, self.kwargs = function.store_arguments(self.args, self.kwargs)

    def clean(self) -> None:
        """Check what single fields can't: function, arguments, spec, identity."""
        errors: dict[str, Any] = {}
        self._normalise()
        try:
            self.normalise_call()
            self.set_fingerprint()
        except UnknownTaskFunction as error:
            errors["function"] = str(error)
        except InvalidArguments as error:
            errors[error.field] = str(error)
        errors |= self._spec_errors()
        if errors:
            raise ValidationError(errors)

    def _spec_errors(self) -> dict[str, str]:
        """Return all that is wrong with when it is due, by field; put the dates in order."""
        errors: dict[str, str] = {}
        for check in (partial(spec.check_jitter, self.jitter, self.interval), self._sort_dates):
            try:
                check()
            except SpecError as error:
                errors[error.field] = str(error)
        values = self.spec_values() | {"timezone": self.timezone}
        errors = spec.errors_of(values) | errors
        if values.get("exclude") and not errors:
            unlimited = dataclasses.replace(spec.Spec(**values), repeat=None)
            if spec.next_due(unlimited, BEGINNING) is None:
                errors["exclude"] = gettext(
                    "Nothing would ever be due: all its times are on excluded dates."
                )
        return errors

    def _sort_dates(self) -> None:
        self.exclude = normal_dates(self.exclude)

    def _normalise(self) -> None:
        self.name = mask_text(self.name)
        self.cron = " ".join(self.cron.split())
        self.type = self.Type.CRON if self.cron else self.Type.SCHEDULE
        if self.first is not None:
            self.first = whole_milliseconds(self.first)
        if self.cron and self.repeat and self.start is None:
            self.start = clock.now()
