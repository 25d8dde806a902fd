"""What the page of a run, or of a background call, shows: everything about it, the answer first."""

import inspect
import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

import tasks
from tasks import registry
from tasks.admin_pages import run_log, times, tracebacks
from tasks.admin_pages.formatting import BOX_LENGTH, short_duration
from tasks.admin_pages.history import line_of
from tasks.broker.enqueue import timeout_of
from tasks.exceptions import TasksError
from tasks.masking import hiding, mask_json
from tasks.models import RunRecord, ScheduleChange, ScheduledTaskInstance, Task
from tasks.registry import masked_arguments
from tasks.reports import remaining
from tasks.reports.waiting import why_waits
from tasks.runs.retries import awaits_retry
from tasks.storable import escape

APP = str(Path(tasks.__file__).parent)
# How many earlier runs say how long one takes, among how many; and how many are shown.
EARLIER_COUNTED, EARLIER_READ, EARLIER_SHOWN = 50, 200, 5
# How many changes of the schedule a comparison shows.
CHANGES_SHOWN = 20
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
FAILED_FOR = "Failed for: "
HEAVY = ("log", "traceback", "result")
INSTALLED = re.compile("/(?:site|dist)-packages/")
Status = ScheduledTaskInstance.Status


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running run is: about how long it still takes, if that can be said, and why."""

    percent: int
    message: str
    left: str
    why: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What a run raised: the name of the exception, what it said, and where.

    `place` is the file of the site's own code, `raised_at` where others' code below it has raised.
    """

    name: str
    message: str
    reading: tracebacks.Reading
    place: str
    raised_at: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a comparison: the earlier value, the later one, and whether they differ."""

    label: str
    before: Any
    after: Any

    @property
    def differs(self) -> bool:
        return bool(self.before != self.after)


@dataclass(frozen=True, slots=True)
class Changed:
    """What somebody has changed on a schedule."""

    at: datetime
    by: str
    words: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A run beside an earlier one that finished."""

    success: Any
    rows: list[Row]
    changes: list[Changed]
    log: run_log.Comparison


def masked(record: RunRecord, text: str) -> str:
    """Return a text of a record as its page shows it."""
    return escape(record.masked(text))


# Facts


def call_of(record: Any) -> tuple[str, list[tuple[str, str]]]:
    """Return the name of a record's function, and its arguments by name, masked, as JSON."""
    if isinstance(record, ScheduledTaskInstance):
        function, (args, kwargs) = record.parent.function, record.called_with
    else:
        function, args, kwargs = record.function, record.args, record.kwargs
    args, kwargs = masked_arguments(function, args, kwargs)
    names = _parameters(function)
    named = [
        (names[at] if at < len(names) else str(at + 1), value) for at, value in enumerate(args)
    ]
    shown = [(name, json.dumps(value, ensure_ascii=False)) for name, value in named]
    shown += [(name, json.dumps(value, ensure_ascii=False)) for name, value in kwargs.items()]
    return function, [(escape(name), escape(value)) for name, value in shown]


def _parameters(function: str) -> list[str]:
    """Return the names by which a function takes its positional arguments, as far as it has any."""
    try:
        parameters = inspect.signature(registry.get(function).func).parameters.values()
    except (TasksError, ValueError, TypeError):
        return []
    return [one.name for one in parameters if one.kind in POSITIONAL]


def result_text(record: RunRecord) -> str:
    """Return a record's result as indented JSON, without secrets; empty if it has none."""
    if record.result is None:
        return ""
    with hiding(record.secret_values):
        text = json.dumps(mask_json(record.result), indent=2, ensure_ascii=False)
    return escape(text if len(text) <= BOX_LENGTH else f"{text[:BOX_LENGTH]}…")


def time_limit(record: Any) -> timedelta | None:
    """Return after how long a record's function is stopped, None if that isn't known."""
    called = record.parent if isinstance(record, ScheduledTaskInstance) else record
    try:
        return timedelta(seconds=timeout_of(called))
    except (TasksError, RedisError, KeyError):
        return None


def afterwards(run: ScheduledTaskInstance, now: datetime) -> tuple[str, datetime | None]:
    """Return what follows a run: a word, and when, if that is known."""
    if run.status == Status.FAILED and awaits_retry(run):
        assert run.ended is not None
        waits = why_waits(run.run_id.next_attempt(), run.parent.queue)
        words = _("next try")
        if waits:
            words = f"{words}. {waits}"
        return words, run.ended + timedelta(seconds=run.parent.retry_delay)
    if not run.parent.is_live:
        return run.parent.status_in_words(), None
    return _("next due"), run.parent.next_due(now)


# Progress


def progress_of(record: Any, now: datetime) -> Progress:
    """Return how far a running record is, with an estimate by earlier ones."""
    elapsed = max(now - record.started, timedelta())
    estimate = remaining.remaining(record.progress, elapsed, _earlier_durations(record))
    left = "" if estimate.left is None else times.about(estimate.left)
    message = masked(record, record.progress_message)
    return Progress(record.progress, message, left, _why(estimate, now))


def _why(estimate: remaining.Remaining, now: datetime) -> str:
    """Say when a run ends by an estimate, and what the estimate is made of."""
    words = []
    if estimate.left is not None:
        ends = timezone.localtime(now + estimate.left)
        words.append(_("ends near %(time)s") % {"time": f"{ends:%H:%M}"})
    if estimate.usual is not None:
        usual = {"number": estimate.number, "time": short_duration(estimate.usual)}
        if estimate.is_longer:
            words.append(_("longer than %(number)d earlier runs, which took %(time)s") % usual)
        else:
            words.append(_("as %(number)d earlier runs took %(time)s") % usual)
    if not words:
        return _("No estimate yet: it has said little of its progress, and few have run before.")
    return ", ".join(words)


def _earlier_durations(record: Any) -> list[timedelta]:
    """Return how long the latest runs took that finished, among the latest ones of all."""
    latest = siblings(record).filter(started__isnull=False, ended__isnull=False)
    rows = latest.order_by("-pk").values_list("status", "started", "ended")[:EARLIER_READ]
    took = [ended - started for status, started, ended in rows if status == Status.FINISHED]
    return took[:EARLIER_COUNTED]


def siblings(record: Any) -> QuerySet[Any]:
    """Return the runs of the same schedule, or the calls of the same function, before a record."""
    if isinstance(record, ScheduledTaskInstance):
        return ScheduledTaskInstance.objects.filter(parent=record.parent_id, pk__lt=record.pk)
    return Task.objects.filter(function=record.function, pk__lt=record.pk)


def earlier(record: Any) -> list[Any]:
    """Return the latest records before this one."""
    return list(siblings(record).defer(*HEAVY).order_by("-pk")[:EARLIER_SHOWN])


# What went wrong


def failure_of(record: RunRecord) -> Failure | None:
    """Return what a record's function raised; None if it raised nothing that was kept."""
    if not record.exception_class and not record.traceback:
        return None
    reading = tracebacks.read(masked(record, record.traceback), APP)
    name = record.exception_class.rpartition(".")[2]
    message = masked(record, record.reason).removeprefix(FAILED_FOR).removeprefix(f"{name}:")
    place = "" if reading.failing is None else short(reading.failing.path)
    below = reading.raised_at
    raised_at = "" if below is None else f"{installed(short(below.path))}:{below.line}"
    return Failure(name, message.strip(), reading, place, raised_at)


def short(path: str) -> str:
    """Return the path of a file, below the site's own directory if it is there."""
    return path.removeprefix(f"{getattr(settings, 'BASE_DIR', '')}/")


def installed(path: str) -> str:
    """Return the path of an installed package's file below where packages are."""
    return INSTALLED.split(path)[-1]


# The log


def log_of(record: RunRecord) -> run_log.Log:
    """Return the lines of a record's log, with their times in the zone that processes log in."""
    return run_log.read(masked(record, record.log), timezone.get_default_timezone())


# Comparison


def compare(record: Any, tags: Collection[str] | None = None) -> Compared | None:
    """Return a record beside the last one before it that finished; None if there is none.

    `tags` are the names of those that may be seen, None for all.
    """
    success = siblings(record).filter(status=Status.FINISHED).order_by("-pk").first()
    if success is None:
        return None
    if isinstance(record, ScheduledTaskInstance):
        success.parent = record.parent
    rows = list(_rows(success, record))
    log = run_log.compare(log_of(success), log_of(record))
    if log.parts_at is not None:
        rows.append(Row(_("Log parts at"), *log.parts_at))
    return Compared(success, rows, _changes(success, record, tags), log)


def _rows(before: Any, after: Any) -> Iterable[Row]:
    yield Row(_("Took"), short_duration(before.duration), short_duration(after.duration))
    if isinstance(after, ScheduledTaskInstance):
        yield Row(_("Late"), short_duration(before.lateness), short_duration(after.lateness))
    yield Row(_("Worker"), before.worker_name, after.worker_name)
    yield Row(_("Attempt"), before.attempt, after.attempt)
    arguments, others = dict(call_of(before)[1]), dict(call_of(after)[1])
    for name in arguments | others:
        if arguments.get(name) != others.get(name):
            yield Row(name, arguments.get(name), others.get(name))


def _changes(success: Any, record: Any, tags: Collection[str] | None) -> list[Changed]:
    """Return what people have changed on the schedule since the success, newest first."""
    if not isinstance(record, ScheduledTaskInstance):
        return []
    changes = ScheduleChange.objects.filter(
        schedule=record.parent_id, at__gt=success.created, at__lte=record.created
    )
    newest = changes.order_by("-pk")[:CHANGES_SHOWN]
    return [Changed(change.at, change.by, _change_words(change, tags)) for change in newest]


def _change_words(change: ScheduleChange, tags: Collection[str] | None) -> str:
    """Say what a change was, as the schedule's history does: which fields got which values."""
    line = line_of(change, tags)
    values = [f"{one.label}: {one.old} → {one.new}" for one in line.differences]
    return escape(", ".join(filter(None, [line.words, *values])))


def requested_by(run: ScheduledTaskInstance) -> tuple[str, str]:
    """Return what requested a run, and a word on it: when it is due, or who requested it."""
    by = _("by %(name)s") % {"name": run.requested_by} if run.requested_by else ""
    if run.is_backfill:
        return _("backfill"), by
    if run.due is None:
        return _("a manual request"), by
    return _("its schedule"), run.parent.when_in_words()


def lateness_words(run: ScheduledTaskInstance) -> str:
    """Say how late a run started, empty if it has no due or never started."""
    late = run.lateness
    if late is None:
        return ""
    if late < timedelta(seconds=1):
        return _("on time")
    return _("%(time)s late") % {"time": short_duration(late)}
