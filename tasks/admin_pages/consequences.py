"""What a schedule's policies would do to its next run, a sentence for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import formats
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from tasks import registry
from tasks.admin_pages.formatting import short_duration
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.timing.catch_up import CATCH_UP_CAP
from tasks.timing.describe import describe_seconds

# How many of its latest finished runs tell how long a schedule's runs take.
RUNS_LOOKED_AT = 100
Status = ScheduledTaskInstance.Status


@dataclass(frozen=True)
class Situation:
    """A schedule as the form has it, and its next dues, in its own zone."""

    schedule: ScheduledTask
    dues: Sequence[datetime]

    @property
    def first(self) -> datetime | None:
        """The next due."""
        return self.dues[0] if self.dues else None

    def due(self, number: int) -> str:
        """Name one of the next dues in a sentence."""
        if number < len(self.dues):
            return moment(self.dues[number])
        return [_("one due time"), _("the next one")][number]


def moment(local: datetime) -> str:
    """Return a time for a sentence: Mon 26 Oct 09:00, with seconds if it has some."""
    form = pgettext("date format", "D j M H:i")
    if local.second:
        form = pgettext("date format", "D j M H:i:s")
    return formats.date_format(local, form)


def strong(status: Status) -> SafeString:
    """Return what a run is recorded as."""
    return format_html("<b>{}</b>", status.label)


def consequences(situation: Situation) -> dict[str, SafeString]:
    """Return the sentences, by the field that they stand under."""
    return {name: sentence(situation) for name, sentence in SENTENCES.items()}


OVERLAP = {
    "skip": gettext_lazy(
        "If the run due {first} were still going on {second}, the one due then would be recorded "
        "as {skipped} and not run."
    ),
    "allow": gettext_lazy(
        "If the run due {first} were still going on {second}, both would run at the same time."
    ),
    "wait": gettext_lazy(
        "If the run due {first} were still going on {second}, the one due then would wait until "
        "it has ended."
    ),
    "replace": gettext_lazy(
        "If the run due {first} were still going on {second}, it would be stopped and recorded as "
        "{canceled}, and the one due then would run."
    ),
}


def _overlap(situation: Situation) -> SafeString:
    schedule = situation.schedule
    if schedule.first is not None and schedule.interval is None and not schedule.cron:
        return format_html("{}", _("It runs once: only a run that you request can be in its way."))
    return format_html(
        str(OVERLAP.get(situation.schedule.overlap, "")),
        first=situation.due(0),
        second=situation.due(1),
        skipped=strong(Status.SKIPPED),
        canceled=strong(Status.CANCELED),
    )


CATCH_UP = {
    "latest": gettext_lazy(
        "After a gap over {first}, one run starts as soon as it can, for the newest time that was "
        "missed; the others are recorded as {missed}."
    ),
    "all": gettext_lazy(
        "After a gap over {first}, all that was due in it runs as soon as it can, the newest {cap} "
        "at most; the others are recorded as {missed}."
    ),
    "none": gettext_lazy(
        "After a gap over {first}, what was due in it is recorded as {missed} and not run."
    ),
}
CATCH_UP_UNTIL = CATCH_UP | {
    "latest": gettext_lazy(
        "After a gap over {first}, one run starts as soon as it can, {until}, for the newest time "
        "that was missed; the others are recorded as {missed}."
    ),
    "all": gettext_lazy(
        "After a gap over {first}, all that was due in it runs as soon as it can, {until}, the "
        "newest {cap} at most; the others are recorded as {missed}."
    ),
}


def _catch_up(situation: Situation) -> SafeString:
    schedule, until = situation.schedule, ""
    if schedule.start_deadline:
        until = _("up to %(span)s late") % {"span": describe_seconds(schedule.start_deadline)}
        if situation.first is not None:
            last = situation.first + timedelta(seconds=schedule.start_deadline)
            until = _("until %(time)s") % {"time": moment(last)}
    return format_html(
        str((CATCH_UP_UNTIL if until else CATCH_UP).get(schedule.catch_up, "")),
        first=situation.due(0),
        until=until,
        cap=CATCH_UP_CAP,
        missed=strong(Status.MISSED),
    )


def _retries(situation: Situation) -> SafeString:
    schedule = situation.schedule
    if not schedule.retries:
        return format_html(
            _("A failure is recorded as {failed} and not tried again."),
            failed=strong(Status.FAILED),
        )
    number = min(schedule.retries, 3)
    shown = _("at once")
    if schedule.retry_delay:
        after = [describe_seconds((tried + 1) * schedule.retry_delay) for tried in range(number)]
        more = "…" if schedule.retries > number else ""
        shown = _("%(spans)s after it") % {"spans": ", ".join(after) + more}
    text = ngettext(
        "A failure is tried once more, {when}, and then recorded as {failed}. A try may repeat "
        "what the one before has done.",
        "A failure is tried {number} times more, {when}, and then recorded as {failed}. A try may "
        "repeat what the one before has done.",
        schedule.retries,
    )
    return format_html(text, number=schedule.retries, when=shown, failed=strong(Status.FAILED))


def _timeout(situation: Situation) -> SafeString:
    schedule = situation.schedule
    if schedule.timeout:
        text = _("After {span} a run is stopped and recorded as {failed}.")
    else:
        text = _("A run may take as long as its function or its queue allows; then it is stopped.")
    sentence = format_html(
        text, span=describe_seconds(schedule.timeout or 0), failed=strong(Status.FAILED)
    )
    return format_html("{} {}", earlier_durations(schedule), sentence)


def earlier_durations(schedule: ScheduledTask) -> str:
    """Say how long the latest finished runs took; empty if there are none."""
    if schedule._state.adding:
        return ""
    latest = schedule.runs.filter(status=Status.FINISHED).order_by("-id")[:RUNS_LOOKED_AT]
    times = latest.values_list("started", "ended")
    spans = sorted(ended - started for started, ended in times if started and ended)
    if not spans:
        return ""
    names = {
        "number": len(spans),
        "usual": short_duration(spans[len(spans) // 2]),
        "most": short_duration(spans[-1]),
    }
    return _("The latest %(number)d runs took %(usual)s, at most %(most)s.") % names


ISOLATED = {
    ("schedule", True): gettext_lazy(
        "Each run gets a process of its own, and can’t change anything for the next."
    ),
    ("schedule", False): gettext_lazy("Runs share a worker’s process, which is faster to start."),
    ("function", True): gettext_lazy(
        "As its function says: each run gets a process of its own, and can’t change anything for "
        "the next."
    ),
    ("function", False): gettext_lazy(
        "As its function says: runs share a worker’s process, which is faster to start."
    ),
    ("settings", True): gettext_lazy(
        "As the site’s settings say: each run gets a process of its own, and can’t change anything "
        "for the next."
    ),
    ("settings", False): gettext_lazy(
        "As the site’s settings say: runs share a worker’s process, which is faster to start."
    ),
}


def _isolated(situation: Situation) -> SafeString:
    isolated, said_by = situation.schedule.isolated, "schedule"
    if isolated is None:
        isolated, said_by = registry.is_isolated(situation.schedule.function), "function"
    if isolated is None:
        isolated, said_by = bool(getattr(settings, "TASKS_ISOLATED", False)), "settings"
    return format_html("{}", ISOLATED[said_by, isolated])


def _on_disconnect(situation: Situation) -> SafeString:
    stops = situation.schedule.on_disconnect == ScheduledTask.OnDisconnect.STOP
    text = (
        _("A run whose worker reaches neither Redis nor the database is ended, and then {failed}.")
        if stops
        else _(
            "A run whose worker reaches neither Redis nor the database goes on. It may be tried "
            "again elsewhere at the same time."
        )
    )
    return format_html(text, failed=strong(Status.FAILED))


def _keep(situation: Situation) -> SafeString:
    schedule = situation.schedule
    if not schedule.keep_runs and not schedule.keep_days:
        return format_html("{}", _("All runs are kept for ever."))
    parts = []
    if schedule.keep_runs:
        days = _days_of(situation, schedule.keep_runs)
        parts.append(_kept(days) % {"number": schedule.keep_runs, "days": days})
    if schedule.keep_days:
        days = schedule.keep_days
        text = ngettext("A run is deleted after %d day.", "A run is deleted after %d days.", days)
        parts.append(text % days)
    return format_html("{}", " ".join(parts))


def _kept(days: int | None) -> str:
    if days is None:
        return _("Kept are the newest %(number)d runs.")
    if not days:
        return _("Kept are the newest %(number)d runs, less than a day’s.")
    return ngettext(
        "Kept are the newest %(number)d runs, about %(days)d day’s.",
        "Kept are the newest %(number)d runs, about %(days)d days’.",
        days,
    )


def _days_of(situation: Situation, number: int) -> int | None:
    """Return about how many days a number of runs are, by the next dues; None if not known."""
    if len(situation.dues) < 2:
        return None
    gap = (situation.dues[-1] - situation.dues[0]) / (len(situation.dues) - 1)
    return round(gap * number / timedelta(days=1))


SENTENCES: dict[str, Callable[[Situation], SafeString]] = {
    "overlap": _overlap,
    "catch_up": _catch_up,
    "retries": _retries,
    "timeout": _timeout,
    "isolated": _isolated,
    "on_disconnect": _on_disconnect,
    "keep_runs": _keep,
}
