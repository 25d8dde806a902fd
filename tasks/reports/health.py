"""Whether everything is on time: facts in, one sentence out, with what is wrong, worst first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from redis import Redis

from tasks.ledger.summaries import LATE
from tasks.reports.facts import Facts, Failing, QueueFacts, Work, read_facts
from tasks.reports.in_redis import Snapshot
from tasks.reports.scope import NO_CALLS, Calls, Schedules
from tasks.reports.waiting import Why
from tasks.timing.describe import describe_length


class Severity(StrEnum):
    """How bad something is: what is late, lost or failing is an error, the rest a warning."""

    ERROR = "error"
    WARNING = "warning"


class Code(StrEnum):
    """What can be wrong, the worst first."""

    REDIS_UNAVAILABLE = "redis_unavailable"
    NO_SCHEDULER = "no_scheduler"
    NO_LEADER = "no_leader"
    NO_WORKER = "no_worker"
    SUSPENDED = "suspended"
    NOT_DISPATCHED = "not_dispatched"
    EVERYTHING_PAUSED = "everything_paused"
    QUEUE_PAUSED = "queue_paused"
    BEHIND = "behind"
    FAILING = "failing"
    NOT_SCHEDULED = "not_scheduled"
    CLOCK_SET = "clock_set"
    CLOCK_OFF = "clock_off"


ZERO = timedelta()
# How many of the runs that a worker has side by side are named when it can't start any more.
BESIDE_SHOWN = 3
ORDER = {code: place for place, code in enumerate(Code)}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong: `text` says what, and `detail` more about it.

    `link` is the address of the page where it is seen or mended, "" if there is none; `fix` says
    what to do. `short` is for the line at the top of each page. `works` are the runs that cause it,
    and `more_works` is how many others do that aren't named.
    """

    code: Code
    severity: Severity
    short: str
    text: str
    detail: str
    fix: str
    link: str = ""
    since: datetime | None = None
    works: tuple[Work, ...] = ()
    more_works: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether everything is on time: the sentence is `headline` and `rest`.

    `severity` is that of the worst problem, None if there is none; `short` is the sentence in a few
    words. `is_idle` says that there is no active schedule, so that nothing can be on time.
    """

    severity: Severity | None
    headline: str
    rest: str
    short: str
    problems: tuple[Problem, ...]
    is_idle: bool = False

    @property
    def is_fine(self) -> bool:
        return not self.problems


def health(redis: Redis, schedules: Schedules, calls: Calls = NO_CALLS) -> tuple[Verdict, Facts]:
    """Return how these schedules and background calls are, and by which facts.

    The texts are in the active language.
    """
    facts = read_facts(redis, schedules, calls)
    return judge(facts), facts


def judge(facts: Facts) -> Verdict:
    """Return how everything is, by the facts. Pure."""
    problems = tuple(sorted(_problems(facts), key=lambda problem: ORDER[problem.code]))
    if not problems and not facts.live:
        return _idle(facts)
    if not problems:
        counted = _counted(facts)
        upcoming = _upcoming(facts)
        short = " · ".join(filter(None, (_("All on time"), upcoming)))
        rest = ", ".join([*counted, *filter(None, [upcoming])])
        return Verdict(None, _("All on time."), f"{rest}.", short, ())
    worst = problems[0]
    others = len(problems) - 1
    short = worst.short
    if others:
        more = ngettext("%(n)d more", "%(n)d more", others) % {"n": others}
        short = f"{short} · {more}"
    severity = max((one.severity for one in problems), key=lambda one: one == Severity.ERROR)
    return Verdict(severity, worst.text, worst.detail, short, problems)


def _idle(facts: Facts) -> Verdict:
    """Say that there is nothing to be on time."""
    if not facts.known:
        short, headline = _("No schedule yet"), _("No schedule yet.")
        rest = _("Nothing is due until one is added.")
    else:
        short, headline = _("No schedule is active"), _("No schedule is active.")
        rest = _("Paused: %(paused)d, ended: %(ended)d.") % {
            "paused": facts.paused,
            "ended": facts.known - facts.paused,
        }
    return Verdict(None, headline, rest, short, (), is_idle=True)


def _counted(facts: Facts) -> list[str]:
    workers = len(facts.workers)
    return [
        ngettext("%(n)d schedule", "%(n)d schedules", facts.live) % {"n": facts.live},
        ngettext("%(n)d worker", "%(n)d workers", workers) % {"n": workers},
    ]


def _upcoming(facts: Facts) -> str:
    due = facts.snapshot and facts.snapshot.next_due
    if not due:
        return ""
    return _("next due in %(span)s") % {"span": _about(due - facts.now)}


def _about(span: timedelta) -> str:
    """Say a length of time to the second."""
    seconds = round(max(span, ZERO).total_seconds())
    if seconds < 60:
        return _("%(seconds)d s") % {"seconds": seconds}
    return describe_length(timedelta(seconds=seconds))


def _time(instant: datetime, now: datetime) -> str:
    """Say a time in the active zone, with the date if that isn't today's."""
    local = timezone.localtime(instant)
    is_today = local.date() == timezone.localtime(now).date()
    return formats.date_format(local, "H:i" if is_today else "Y-m-d H:i")


def _problems(facts: Facts) -> Iterator[Problem]:
    if facts.snapshot is None:
        yield Problem(
            Code.REDIS_UNAVAILABLE,
            Severity.ERROR,
            short=_("Redis is unavailable"),
            text=_("Redis is unavailable."),
            detail=_("Nothing is dispatched or started until it is back: %(why)s")
            % {"why": facts.obstacle},
            fix=_("Check that it runs, and that the settings name it."),
        )
    else:
        yield from _of_schedulers(facts.snapshot)
        yield from _of_workers(facts, facts.snapshot)
        yield from _of_clocks(facts.snapshot)
    yield from _of_holds(facts)
    yield from _of_queues(facts)
    yield from _of_failures(facts)
    if facts.with_problem:
        text = ngettext(
            "%(n)d schedule can't be scheduled",
            "%(n)d schedules can't be scheduled",
            facts.with_problem,
        ) % {"n": facts.with_problem}
        yield Problem(
            Code.NOT_SCHEDULED,
            Severity.ERROR,
            short=text,
            text=f"{text}.",
            detail=_("Each says why on its page."),
            fix=_("See which"),
            link=_schedules(view="problem"),
        )


def _of_schedulers(snapshot: Snapshot) -> Iterator[Problem]:
    if not snapshot.schedulers:
        yield Problem(
            Code.NO_SCHEDULER,
            Severity.ERROR,
            short=_("No scheduler runs"),
            text=_("No scheduler runs."),
            detail=_("Nothing is dispatched when it is due."),
            fix=_("Start one: manage.py rqscheduler"),
        )
    elif not snapshot.schedulers[0].leads:
        yield Problem(
            Code.NO_LEADER,
            Severity.ERROR,
            short=_("No scheduler leads"),
            text=_("No scheduler leads."),
            detail=_("Another one takes over within seconds when a leader has died."),
            fix=_("If this lasts, see what the scheduler logs."),
        )
    if number := len(snapshot.undispatched):
        oldest = min(due for _job_id, due in snapshot.undispatched)
        text = ngettext(
            "%(n)d schedule is due and not dispatched",
            "%(n)d schedules are due and not dispatched",
            number,
        ) % {"n": number}
        yield Problem(
            Code.NOT_DISPATCHED,
            Severity.ERROR,
            short=text,
            text=f"{text}.",
            detail=_("The oldest is %(span)s late.") % {"span": _about(snapshot.now - oldest)},
            fix=_("See which"),
            link=_schedules(view="late"),
            since=oldest,
        )


def _of_workers(facts: Facts, snapshot: Snapshot) -> Iterator[Problem]:
    if not facts.workers:
        yield Problem(
            Code.NO_WORKER,
            Severity.ERROR,
            short=_("No worker runs"),
            text=_("No worker runs."),
            detail=_("Nothing starts: what is due waits on its queue."),
            fix=_("Start one: manage.py rqworker"),
        )
        return
    for queue in facts.queues:
        if queue.depth and not queue.workers:
            yield Problem(
                Code.NO_WORKER,
                Severity.ERROR,
                short=_("No worker serves %(queue)s") % {"queue": queue.name},
                text=_("No worker serves %(queue)s.") % {"queue": queue.name},
                detail=_waiting_jobs(queue, facts.now),
                fix=_("Start one (manage.py rqworker %(queue)s), or change the queue.")
                % {"queue": queue.name},
                link=_schedules(queue=queue.name),
                since=queue.oldest,
            )
    if snapshot.are_suspended:
        yield Problem(
            Code.SUSPENDED,
            Severity.ERROR,
            short=_("All workers are suspended"),
            text=_("All workers are suspended."),
            detail=_("Somebody has used “rq suspend”: nothing starts."),
            fix=_("Let them go on: rq resume"),
        )


def _of_holds(facts: Facts) -> Iterator[Problem]:
    for hold in facts.holds:
        if hold.queue:
            code, text = Code.QUEUE_PAUSED, _("Queue %(queue)s is paused") % {"queue": hold.queue}
        else:
            code, text = Code.EVERYTHING_PAUSED, _("Everything is paused")
        since = _time(hold.since, facts.now)
        said = _("since %(time)s by %(name)s") if hold.by else _("since %(time)s")
        said %= {"time": since, "name": hold.by}
        yield Problem(
            code,
            Severity.WARNING,
            short=text,
            text=f"{text}.",
            detail=f"{said}: {hold.note}" if hold.note else said,
            fix=_("Resume it when the reason is gone."),
            since=hold.since,
        )


def _of_queues(facts: Facts) -> Iterator[Problem]:
    """Yield the queues whose workers don't keep up, and what waits for other runs to end."""
    if facts.waiting is None:
        return
    late = facts.waiting.late_by
    for queue in facts.queues:
        if not queue.workers or queue.why not in (Why.BUSY, Why.IN_TURN):
            continue
        number = late.get((queue.name, Why.BUSY), 0) + late.get((queue.name, Why.IN_TURN), 0)
        if number or (queue.oldest and facts.now - queue.oldest > LATE):
            yield _behind(queue, number, facts)
    if number := _late_for(Why.PREVIOUS_RUN, late):
        text = ngettext(
            "%(n)d schedule waits for its previous run",
            "%(n)d schedules wait for their previous runs",
            number,
        ) % {"n": number}
        yield _waits_for_runs(text, _("Their runs take longer than the time between them."))
    if number := _late_for(Why.PLACE, late):
        text = ngettext(
            "%(n)d schedule is late because of a limit",
            "%(n)d schedules are late because of limits",
            number,
        ) % {"n": number}
        yield _waits_for_runs(text, _("As many of their runs as may go on at a time are running."))


def _late_for(why: Why, late: Mapping[tuple[str, Why], int]) -> int:
    return sum(number for (_queue, its), number in late.items() if its is why)


def _waits_for_runs(text: str, detail: str) -> Problem:
    return Problem(
        Code.BEHIND,
        Severity.WARNING,
        short=text,
        text=f"{text}.",
        detail=detail,
        fix=_("See which"),
        link=_schedules(view="late"),
    )


def _behind(queue: QueueFacts, late: int, facts: Facts) -> Problem:
    if late:
        short = ngettext("%(n)d schedule is late", "%(n)d schedules are late", late) % {"n": late}
    else:
        short = _("%(queue)s is behind") % {"queue": queue.name}
    busy = ngettext(
        "the worker of %(queue)s is busy", "all %(n)d workers of %(queue)s are busy", queue.workers
    ) % {"n": queue.workers, "queue": queue.name}
    waits = _waiting_jobs(queue, facts.now)
    workers = [worker for worker in facts.workers if queue.name in worker.seen.queues]
    works = [worker.work for worker in workers if worker.work is not None]
    for worker in workers:
        works += worker.beside[:BESIDE_SHOWN] if worker.seen.is_full else ()
    running = sum(worker.seen.runs_one + worker.seen.coroutines for worker in workers)
    return Problem(
        Code.BEHIND,
        Severity.ERROR,
        short=short,
        text=f"{short}.",
        detail=f"{busy[0].upper()}{busy[1:]}. {waits}" if queue.why is Why.BUSY else waits,
        fix=_("Stop or move what keeps its workers busy, or start another worker."),
        link=_schedules(view="late") if late else "",
        since=queue.oldest,
        works=tuple(sorted(works, key=lambda work: work.started)),
        more_works=max(running - len(works), 0),
    )


def _waiting_jobs(queue: QueueFacts, now: datetime) -> str:
    text = ngettext(
        "%(n)d job waits on %(queue)s.", "%(n)d jobs wait on %(queue)s.", queue.depth
    ) % {"n": queue.depth, "queue": queue.name}
    if queue.oldest is None:
        return text
    oldest = _("The oldest has waited %(span)s.") % {"span": _about(now - queue.oldest)}
    return f"{text} {oldest}"


def _of_failures(facts: Facts) -> Iterator[Problem]:
    for failing in facts.worst:
        yield _failing(failing, facts.now)
    others = facts.failing - len(facts.worst)
    if others > 0:
        text = (
            ngettext("%(n)d more schedule fails", "%(n)d more schedules fail", others)
            if facts.worst
            else ngettext("%(n)d schedule fails", "%(n)d schedules fail", others)
        ) % {"n": others}
        yield Problem(
            Code.FAILING,
            Severity.ERROR,
            short=text,
            text=f"{text}.",
            detail="",
            fix=_("See which"),
            link=_schedules(view="failing"),
        )


def _failing(failing: Failing, now: datetime) -> Problem:
    values = {"name": failing.name, "time": _time(failing.since, now), "n": failing.in_a_row}
    if failing.may_be_more:
        text = _("%(name)s fails since before %(time)s, at least %(n)d times in a row.") % values
    elif failing.in_a_row > 1:
        text = _("%(name)s fails since %(time)s, %(n)d times in a row.") % values
    else:
        text = _("%(name)s failed at %(time)s.") % values
    run = failing.last_run
    return Problem(
        Code.FAILING,
        Severity.ERROR,
        short=_("%(name)s fails") % values,
        text=text,
        detail=run.masked(run.reason_in_words()).partition("\n")[0],
        fix=_("See the failure"),
        link=reverse("admin:tasks_scheduledtaskinstance_change", args=[run.pk]),
        since=failing.since,
    )


def _of_clocks(snapshot: Snapshot) -> Iterator[Problem]:
    if snapshot.step is not None:
        at, seconds = snapshot.step
        values = {"span": _about(timedelta(seconds=abs(seconds))), "time": _time(at, snapshot.now)}
        text = (
            _("Redis's clock was set forward by %(span)s at %(time)s.")
            if seconds > 0
            else _("Redis's clock was set back by %(span)s at %(time)s.")
        )
        yield Problem(
            Code.CLOCK_SET,
            Severity.WARNING,
            short=_("Redis's clock was set"),
            text=text % values,
            detail=_("What a clock skipped is recorded, and nothing is repeated."),
            fix=_("Have the clock of Redis's machine kept by NTP."),
            since=at,
        )
    for process, seconds in sorted(snapshot.offsets.items()):
        values = {"process": process, "span": _about(timedelta(seconds=abs(seconds)))}
        text = (
            _("%(process)s: its machine's clock is %(span)s ahead of Redis's.")
            if seconds > 0
            else _("%(process)s: its machine's clock is %(span)s behind Redis's.")
        )
        yield Problem(
            Code.CLOCK_OFF,
            Severity.WARNING,
            short=_("a clock is off"),
            text=text % values,
            detail=_("Due times are not affected: they follow Redis's clock."),
            fix=_("Have the clock of its machine kept by NTP."),
        )


def _schedules(**query: str) -> str:
    """Return the address of the list of schedules, or of a part of it."""
    address = reverse("admin:tasks_scheduledtask_changelist")
    return f"{address}?{urlencode(query)}" if query else address
