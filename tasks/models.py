"""The records: schedules, their runs, and background calls. The database is the truth."""

import dataclasses
import hashlib
import uuid
from abc import abstractmethod
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Length
from django.db.models.lookups import LessThanOrEqual
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tasks import clock, registry
from tasks.database import alias
from tasks.exceptions import InvalidArguments, SpecError, UnknownTaskFunction
from tasks.fields import StampField
from tasks.job_ids import RunId, new_schedule_job_id, new_task_job_id
from tasks.masking import hiding, mask_text
from tasks.reasons import CODE_LENGTH, Code, in_words
from tasks.storable import REASON_LENGTH, canonical_json
from tasks.timing import spec
from tasks.timing.describe import describe
from tasks.timing.instants import BEGINNING, whole_milliseconds
from tasks.timing.spec import DATETIME_FIELDS, spec_from_json
from tasks.timing.text import MAX_EXCLUDED_LENGTH, MAX_INTERVAL, format_dates, parse_dates

MAX_TIMEOUT = 7 * 86_400
MAX_RETRIES = 100
MAX_KEEP_RUNS = 1_000_000
MAX_KEEP_DAYS = 36_500
DEFAULT_KEEP_RUNS = 1_000
NAME_LENGTH = 200


class NameField(models.CharField):
    """A name, which is shown everywhere, and so is stored with its secrets masked.

    What a name is compared with in a query is masked too: a schedule that was named after an
    address is found by that address.
    """

    def deconstruct(self) -> Any:
        """Call it a CharField in migrations: it makes no difference to the database."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = self.get_prep_value(getattr(model_instance, self.attname))
        setattr(model_instance, self.attname, value)
        return value

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return mask_text(value) if isinstance(value, str) else value


def fingerprint(name: str, function: str, args: Any, kwargs: Any) -> str:
    """Return the identity of a schedule: a hash over its name, function and arguments.

    Raises InvalidArguments if the arguments aren't JSON.
    """
    identity = canonical_json([mask_text(name), function, args, kwargs])
    return hashlib.sha256(identity.encode()).hexdigest()


def _normal_dates(text: str) -> str:
    """Return excluded dates in their order; raises SpecError."""
    return format_dates(parse_dates(text))


class PrimaryManager(models.Manager):
    """Reads where this app writes, also if the router sends other reads to a replica."""

    def get_queryset(self) -> models.QuerySet:
        rows = super().get_queryset()
        return rows if self._db else rows.using(alias())


class Calendar(models.Model):
    """Dates under a name, such as bank holidays, that schedules leave out.

    Change it through `tasks.services.CalendarService`, which also brings the schedules that use
    it up to date.
    """

    name = models.CharField(_("name"), max_length=NAME_LENGTH, unique=True)
    dates = models.TextField(
        _("dates"),
        blank=True,
        help_text=_("On each line a date, 2026-12-24, or a range, 2026-12-24..2026-12-26."),
    )
    description = models.TextField(_("description"), blank=True)
    created = StampField(_("created"), auto_now_add=True)
    updated = StampField(_("updated"), auto_now=True)

    objects = PrimaryManager()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("calendar")
        verbose_name_plural = _("calendars")
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=LessThanOrEqual(Length("dates"), MAX_EXCLUDED_LENGTH),
                name="calendar_dates_in_bounds",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Check the dates, and put them in order."""
        try:
            self.dates = _normal_dates(self.dates)
        except SpecError as error:
            raise ValidationError({"dates": str(error)}) from error


class ScheduledTaskQuerySet(models.QuerySet["ScheduledTask"]):
    """Schedules, with the queries that lists need."""

    def live(self) -> "ScheduledTaskQuerySet":
        """Schedules that are being scheduled, neither paused nor ended, with their calendars."""
        return self.filter(status__in=ScheduledTask.LIVE).select_related("calendar")

    def with_last_run(self) -> "ScheduledTaskQuerySet":
        """Annotate each schedule with its newest run that started: id, status and start."""
        newest = ScheduledTaskInstance.objects.filter(
            parent=models.OuterRef("pk"), started__isnull=False
        ).order_by("-id")
        return self.annotate(
            last_run_id=models.Subquery(newest.values("pk")[:1]),
            last_run_status=models.Subquery(newest.values("status")[:1]),
            last_run_started=models.Subquery(newest.values("started")[:1]),
        )


class ScheduledTask(models.Model):
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
        permissions: ClassVar = [("reveal_secrets", _("Can reveal secrets"))]
        ordering: ClassVar = ["name", "id"]
        indexes: ClassVar = [
            models.Index(fields=["status", "next_check_at"], name="schedule_next_check")
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
            function = registry.resolve(self.function, registry.Kind.SCHEDULED)
            function.check_arguments(self.args, self.kwargs)
        except (UnknownTaskFunction, InvalidArguments) as error:
            with hiding(registry.secret_values(self.function, self.args, self.kwargs)):
                return mask_text(str(error))
        return ""

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
        self.exclude = _normal_dates(self.exclude)

    def _normalise(self) -> None:
        self.name = mask_text(self.name)
        self.cron = " ".join(self.cron.split())
        self.type = self.Type.CRON if self.cron else self.Type.SCHEDULE
        if self.first is not None:
            self.first = whole_milliseconds(self.first)
        if self.cron and self.repeat and self.start is None:
            self.start = clock.now()


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
    start = models.DateTimeField(_("from"))
    end = models.DateTimeField(_("until"))

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
            return self.note
        try:
            return describe(spec_from_json(self.spec))
        except (SpecError, ValueError, TypeError) as error:
            return str(error)


class RunRequest(models.Model):
    """A run that somebody has requested and that has not started: a manual run, or backfill.

    It is stored before its job is enqueued, so that Redis can lose the job (R1), and goes in
    the transaction in which the run's own row is created. `due` names the occurrence that backfill
    is to run; a manual run has none.
    """

    parent = models.ForeignKey(
        ScheduledTask, on_delete=models.CASCADE, related_name="requests", verbose_name=_("schedule")
    )
    due = models.DateTimeField(_("due"), null=True)
    requested = models.DateTimeField(_("requested at"))

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
        requested = self.requested if self.due is None else None
        return RunId(self.parent.job_id, self.due, requested, is_backfill=self.due is not None)


class RunRecord(models.Model):
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

    @property
    @abstractmethod
    def secret_values(self) -> list[str]:
        """The secrets among the arguments of its call."""

    def reason_in_words(self) -> str:
        """Return in the active language why it ended so; empty if there is nothing to say."""
        if not self.reason_code:
            return self.reason
        words = in_words(self.reason_code, self.reason_values)
        return f"{self.reason} ({words})" if self.reason else words

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

    objects = PrimaryManager.from_queryset(ScheduledTaskInstanceQuerySet)()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("run")
        verbose_name_plural = _("runs")
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
            models.Index(
                fields=["ended"], condition=Q(status="failed"), name="run_failed_to_retry"
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
        return self.parent.secret_values

    @property
    def run_id(self) -> RunId:
        """Which run this is, as its job's id says it."""
        return RunId(
            self.parent.job_id,
            self.due,
            self.requested if self.due is None else None,
            self.attempt,
            is_backfill=self.is_backfill,
        )

    @property
    def is_backfill(self) -> bool:
        """Whether it is an occurrence that was run because backfill requested it."""
        return self.due is not None and self.requested is not None

    @property
    def lateness(self) -> timedelta | None:
        """How long after its due the latest attempt started; None without a due or a start."""
        if self.due is None or self.started is None:
            return None
        return self.started - self.due


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
        indexes: ClassVar = [models.Index(fields=["status", "-id"], name="task_newest_by_status")]
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


class OwnerMark(models.Model):
    """By which this database owns its keys in Redis: one row, with a counterpart there (R16).

    The leading scheduler raises `number` every few seconds, here first and then in Redis. So a
    database that is behind Redis is a copy, or was restored from a backup. See
    `tasks.broker.ownership`.
    """

    THE_ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=THE_ONLY, editable=False)
    owner = models.UUIDField(_("owner"), default=uuid.uuid4, editable=False)
    number = models.PositiveBigIntegerField(_("number"), default=0, editable=False)

    class Meta:
        verbose_name = _("owner mark")
        verbose_name_plural = _("owner marks")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(id=1), name="owner_mark_only_one"),
        ]

    def __str__(self) -> str:
        return f"{self.owner} ({self.number})"
