"""The scheduler: puts each due occurrence on its queue, once, on time.

In the process that leads, the loop dispatches what is on time and never touches the database. Other
threads make up for what is late, which the database has to hear of first; keep the books; and
listen for changes, which wake the loop.
"""

import json
import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from types import FrameType
from typing import Any, cast

import rq.job
import rq_scheduler
import rq_scheduler.scheduler
from django.db import Error, close_old_connections
from django.utils import timezone
from django_rq.queues import DjangoScheduler
from redis import Redis
from redis.exceptions import RedisError
from rq.utils import utcformat

from tasks import catchup, foreign, key_types, ledger, outcome, projection, spec
from tasks.alarm import Alarm
from tasks.exceptions import NotPossible
from tasks.job import MILLISECOND, Job, RunId, from_milliseconds, is_template, to_milliseconds
from tasks.leadership import Leadership
from tasks.models import ScheduledTask
from tasks.projection import Template

logger = logging.getLogger(__name__)

CHUNK = 500
# The first chunk of a round is this small, and each next one twice as big, so that the first jobs
# are on their queue soon.
FIRST_CHUNK = 50
# How many pending occurrences of one schedule are looked at in one go.
PENDING_AT_ONCE = 10_000
# The longest that the loop sleeps, in seconds: its lease and signals are looked at this often.
NAP = 0.25
# How often one that stands by looks whether it can lead, in seconds.
STANDBY_NAP = 0.1
# How long the ledger rests between its ticks, in seconds.
HOUSE_NAP = 0.5
# How long it waits after Redis was away, in seconds.
OUTAGE_NAP = 1.0
# How often it tells rq-scheduler's interface that it is alive, in seconds.
HEARTBEAT = 10.0
ON_TIME = catchup.ON_TIME // MILLISECOND

# A schedule's step, as the script takes it: job id, the score and the version seen, queue, next
# due in ms or -1, and the job ids of its occurrences.
Step = list[Any]
# What is due: the member of the sorted set, its score, and the text, if it is a schedule of ours.
Due = tuple[bytes, float, bytes | None]


@dataclass(frozen=True, slots=True)
class LateStep:
    """A step that may be taken only when the database has heard of what won't run."""

    step: Step
    plan: catchup.Plan


class Scheduler(DjangoScheduler):
    """rq-scheduler's interface, with dispatch that loses and doubles nothing.

    Several may run: one leads, the others stand by. `interval` is accepted and not needed: the
    loop sleeps until the next due moment, or until a change wakes it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["job_class"] = Job
        super().__init__(*args, **kwargs)
        self.connection: Redis
        self._leadership = Leadership(self.connection, self.name)
        self._read_due = self.connection.register_script(projection.READ)
        self._dispatch = self.connection.register_script(projection.DISPATCH)
        self._set_aside = self.connection.register_script(foreign.SET_ASIDE)
        self._move_scheduled = self.connection.register_script(projection.MOVE_SCHEDULED)
        self._stopping = threading.Event()
        self._asked_to_stop = False
        self._alarm = Alarm()
        self._leads = False
        # Up to here, in ms, the loop has looked at everything that is due.
        self._looked_until = 0
        # Set when the loop has left something to the thread that makes up for what is late.
        self._left_late = threading.Event()
        # Schedules that could not be dispatched, and why: for their rows.
        self._problems: deque[tuple[str, str]] = deque()
        self._heartbeat_due = 0.0

    # The loop

    def run(self, burst: bool = False) -> None:
        """Dispatch until SIGTERM or SIGINT; with `burst`, what is due now, and return.

        An outage of Redis or the database ends nothing: the loop goes on when it is over.
        """
        self._install_signal_handlers()
        if burst:
            ledger.reconcile(self.connection)
            self.enqueue_jobs()
            return
        housekeeper = ledger.Housekeeper(self.connection)
        works = ((housekeeper.tick, HOUSE_NAP), (self._make_up, NAP), (self._listen, 0.0))
        for work, nap in works:
            threading.Thread(target=self._while_leading, args=(work, nap), daemon=True).start()
        logger.info("Scheduler %s started.", self.name)
        while not self._is_stopping:
            try:
                self._lead_or_stand_by()
            except RedisError as error:
                logger.warning("Dispatch waits for Redis: %s", self._explain(error))
                self._alarm.sleep(OUTAGE_NAP)
            except Exception:
                logger.exception("A round of dispatch failed; the next one follows.")
                self._alarm.sleep(OUTAGE_NAP)
        self._stop()

    def _lead_or_stand_by(self) -> None:
        self._show_that_it_lives()
        led, self._leads = self._leads, self._leadership.hold()
        if self._leads != led:
            logger.info("Scheduler %s %s.", self.name, "leads" if self._leads else "stands by")
        if not self._leads:
            self._alarm.sleep(STANDBY_NAP)
            return
        self._dispatch_punctual()
        self._move_reserved()
        self._sleep_until_due()

    def _show_that_it_lives(self) -> None:
        """Keep the key by which rq-scheduler's tools see the schedulers there are."""
        if time.monotonic() < self._heartbeat_due:
            return
        if not self.connection.exists(self.key):
            self.register_birth()
        self.heartbeat()
        self._heartbeat_due = time.monotonic() + HEARTBEAT

    def _sleep_until_due(self) -> None:
        """Sleep until the next due moment, a change, or for a nap at most."""
        with self.connection.pipeline(transaction=False) as pipe:
            after = f"({self._looked_until / 1000!r}"
            pipe.zrangebyscore(projection.SCHEDULES_KEY, after, "+inf", 0, 1, withscores=True)
            for key in self._scheduled_keys():
                pipe.zrange(key, 0, 0, withscores=True)
            moments = [entries[0][1] for entries in pipe.execute() if entries]
        pause = min([NAP, *(moment - time.time() for moment in moments)])
        self._alarm.sleep(pause)

    def _listen(self) -> None:
        """Wake the loop when something has changed.

        The loop can't wait for that itself: Redis looks at what has waited long enough only ten
        times a second.
        """
        if self.connection.blpop([projection.WAKE_KEY], timeout=1):
            self._alarm.ring()

    def _install_signal_handlers(self) -> None:
        def stop(signum: int, frame: FrameType | None) -> None:
            # No lock here, such as an event's: the signal may have interrupted who holds it.
            self._asked_to_stop = True
            self._alarm.ring()

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)

    @property
    def _is_stopping(self) -> bool:
        return self._asked_to_stop or self._stopping.is_set()

    def _stop(self) -> None:
        self._leads = False
        self._stopping.set()
        try:
            self._leadership.release()
            self.register_death()
        except RedisError as error:
            logger.warning("The lease could not be released and will lapse: %s", error)
        logger.info("Scheduler %s stopped.", self.name)

    def _while_leading(self, work: Callable[[], Any], nap: float) -> None:
        """Do a thread's regular work while this process leads."""
        while not self._stopping.wait(nap):
            if not self._leads:
                self._stopping.wait(NAP)
                continue
            try:
                work()
            except RedisError as error:
                logger.warning("Work of the scheduler waits for Redis: %s", self._explain(error))
                self._stopping.wait(OUTAGE_NAP)
            except Exception:
                logger.exception("A round of the scheduler's work failed; the next one follows.")
                self._stopping.wait(OUTAGE_NAP)

    def _explain(self, error: RedisError) -> str:
        return key_types.explain(error, self.connection, self._queue_names())

    # Dispatch

    def enqueue_jobs(self) -> list[str]:
        """Put everything that is due on its queue; return the job ids.

        One bad schedule is quarantined and hurts only itself (R7).
        """
        pushed = self._dispatch_punctual()
        self._left_late.set()
        return pushed + self._make_up() + self._move_reserved()

    def _dispatch_punctual(self) -> list[str]:
        """Dispatch what has been due for a few seconds at most, without the database."""
        since = to_milliseconds(timezone.now()) - ON_TIME
        pushed, left = self._dispatch_due(since / 1000, 0)
        if left:
            self._left_late.set()
        return pushed

    def _make_up(self) -> list[str]:
        """Dispatch what is late, and note the problems of schedules on their rows.

        First what runs all the same; then what the database has to hear of first. While the
        database is away, that waits.
        """
        self._note_problems()
        at_least_late = 0 if self._left_late.is_set() else ON_TIME
        self._left_late.clear()
        pushed, left = self._dispatch_due("-inf", at_least_late)
        if left:
            close_old_connections()
            more, left = self._dispatch_due("-inf", at_least_late, with_database=True)
            pushed += more
        if left and not at_least_late:
            self._left_late.set()
        return pushed

    def _dispatch_due(
        self, since: float | str, at_least_late: int, with_database: bool = False
    ) -> tuple[list[str], int]:
        """Dispatch what is due since a moment; return the jobs, and how many schedules were left.

        In chunks, so that a schedule waits for no more than a chunk of others.
        """
        pushed: list[str] = []
        left, size = 0, FIRST_CHUNK
        while not self._is_stopping:
            now = timezone.now()
            until = to_milliseconds(now) - at_least_late
            due = self._read(since, until / 1000, left, size)
            size = min(2 * size, CHUNK)
            if not due:
                if not at_least_late:
                    self._looked_until = until
                break
            steps, late = self._plan(due, now)
            if late and with_database:
                taken = self._record_missed(late)
                steps += taken
                left += len(late) - len(taken)
            else:
                left += len(late)
            pushed += self._execute(steps, now)
            self._leads = self._leadership.hold() if self._leads else False
        return pushed, left

    def _read(
        self, since: float | str, until: float, left_out: int = 0, number: int = CHUNK
    ) -> list[Due]:
        """Return a chunk of what is due, earliest first."""
        keys = [projection.SCHEDULES_KEY, projection.TEXTS_KEY]
        answer = self._read_due(keys=keys, args=[since, repr(until), left_out, number])
        entries, texts = cast(list[list[Any]], answer)
        return list(zip(entries[::2], map(float, entries[1::2]), texts, strict=True))

    def _plan(self, due: Iterable[Due], now: datetime) -> tuple[list[Step], list[LateStep]]:
        """Decide each due schedule's step: those to take at once, those for the database first."""
        moment = to_milliseconds(now)
        steps: list[Step] = []
        late: list[LateStep] = []
        for member, score, text in due:
            try:
                if text is None:
                    self._dispatch_without_text(member, score)
                    continue
                step = plan(member.decode("ascii"), score, text, moment)
            except RedisError:
                raise
            except Exception as error:
                logger.exception("Schedule %r can't be dispatched and is set aside.", member)
                self._quarantine(member, score, text, error)
            else:
                if isinstance(step, LateStep):
                    late.append(step)
                else:
                    steps.append(step)
        return steps, late

    def _execute(self, steps: Sequence[Step], now: datetime) -> list[str]:
        """Take the steps, all in one on the server; return the jobs put on their queues."""
        if not steps:
            return []
        answer = self._dispatch(
            keys=[projection.SCHEDULES_KEY, projection.TEXTS_KEY],
            args=[utcformat(now), json.dumps(steps)],
        )
        pushed, gone, stuck = (text.decode().split() for text in cast(list[bytes], answer))
        if gone:
            logger.error("Redis has lost the jobs of %d schedules.", len(gone))
            self._restore(gone)
        for job_id in stuck:
            logger.error("Schedule %s can't be put on its queue and is set aside.", job_id)
            self.connection.zrem(projection.SCHEDULES_KEY, job_id)
            self._problems.append((job_id, "Its queue in Redis can't be used."))
        return pushed

    def _record_missed(self, late: Sequence[LateStep]) -> list[Step]:
        """Write the rows of what won't run, before the schedules move forward (R3).

        Returns the steps that may be taken now; the others wait for the database.
        """
        try:
            ledger.record_not_run({late.step[0]: late.plan for late in late}, self.connection)
        except Error as error:
            if len(late) == 1:
                logger.warning("Schedule %s waits for the database: %s", late[0].step[0], error)
                return []
            if not ledger.database_answers():
                logger.warning("%d late schedules wait for the database: %s", len(late), error)
                return []
            return [step for one in late for step in self._record_missed([one])]
        return [one.step for one in late]

    # What can't be dispatched

    def _quarantine(
        self, member: bytes, score: float, text: bytes | None, error: Exception
    ) -> None:
        """Take what can't be dispatched out of the way, unless it has changed meanwhile.

        A schedule's row says why; the ledger tries again with every reconciliation, so it comes
        back when it is mended. A foreign job is kept aside with the reason.
        """
        reason = outcome.clean_text(f"{type(error).__name__}: {error}")[:1000]
        ours = text is not None or is_template(member.decode(errors="replace"))
        note = "" if ours else foreign.note(score, reason)
        keys = [projection.SCHEDULES_KEY, projection.TEXTS_KEY, foreign.QUARANTINE_KEY]
        args: list[Any] = [member, repr(score), text or b"", note]
        if self._set_aside(keys=keys, args=args) and ours:
            self._problems.append((member.decode(errors="replace"), reason))

    def _note_problems(self) -> None:
        """Say on the rows of schedules that could not be dispatched why that is so."""
        while self._problems:
            job_id, reason = self._problems[0]
            problem = f"It could not be dispatched: {reason}"[:1000]
            try:
                close_old_connections()
                ScheduledTask.objects.filter(job_id=job_id).update(problem=problem)
            except Error as error:
                logger.warning("The problem of schedule %s waits: %s", job_id, error)
                return
            self._problems.popleft()

    def _restore(self, job_ids: Iterable[str]) -> None:
        """Have the ledger bring schedules back of which Redis has lost a part."""
        projection.remove(job_ids, self.connection)
        self.connection.delete(projection.MARKER_KEY)

    def _dispatch_without_text(self, member: bytes, score: float) -> None:
        job_id = member.decode("ascii")
        if is_template(job_id):
            self._restore([job_id])
        else:
            foreign.dispatch(job_id, score, self)

    # RQ's own scheduled jobs: reserved background calls, delayed retries

    def _scheduled_keys(self) -> list[str]:
        return [projection.scheduled_key(name) for name in self._queue_names()]

    def _queue_names(self) -> list[str]:
        from django_rq.settings import get_queues_list

        return [queue["name"] for queue in get_queues_list()]

    def _move_reserved(self) -> list[str]:
        """Put RQ's scheduled jobs that are due on their queues."""
        moved: list[str] = []
        now = timezone.now()
        for name, key in zip(self._queue_names(), self._scheduled_keys(), strict=True):
            due = cast(
                list[bytes],
                self.connection.zrangebyscore(key, "-inf", now.timestamp(), start=0, num=CHUNK),
            )
            if due:
                self._move_scheduled(keys=[key], args=[utcformat(now), name, *due])
                moved += [job_id.decode() for job_id in due]
        return moved

    # rq-scheduler's interface, for schedules without a row of ours

    def acquire_lock(self) -> bool:
        """Take or renew the lead for somewhat longer than the interval."""
        return self._leadership.hold((int(self._interval) + 10) * 1000)

    def remove_lock(self) -> None:
        """Let another one lead, if this one does."""
        self._leadership.release()

    def cancel(self, job: rq.job.Job | str) -> None:
        """Unschedule a job, given as itself or by its id."""
        super().cancel(_job_id(job))

    def __contains__(self, item: rq.job.Job | str) -> bool:
        return bool(super().__contains__(_job_id(item)))

    def enqueue_job(self, job: Job) -> None:
        """Put a foreign job on its queue now, and move it forward in one step with that.

        Raises NotPossible for the job of a schedule, which is never executed itself (R2).
        """
        if is_template(job.id):
            raise NotPossible(f"Job {job.id} is a schedule's: run the schedule by hand instead.")
        foreign.enqueue(job, self)

    def cron(
        self,
        cron_string: str,
        func: Any,
        args: Any = None,
        kwargs: Any = None,
        repeat: int | None = None,
        queue_name: str | None = None,
        result_ttl: int | None = -1,
        ttl: int | None = None,
        id: str | None = None,
        timeout: Any = None,
        description: str | None = None,
        meta: dict[str, Any] | None = None,
        use_local_timezone: bool = False,
        depends_on: Any = None,
        on_success: Any = None,
        on_failure: Any = None,
        at_front: bool = False,
    ) -> Job:
        """Schedule a foreign job by a cron expression, in UTC or in Django's own time zone.

        Raises SpecError for an expression that is none, or is never due.
        """
        job = self._create_job(
            func,
            args=args,
            kwargs=kwargs,
            commit=False,
            result_ttl=result_ttl,
            ttl=ttl,
            id=id,
            queue_name=queue_name,
            description=description,
            timeout=timeout,
            meta=meta,
            depends_on=depends_on,
            on_success=on_success,
            on_failure=on_failure,
        )
        job.meta |= {"cron_string": cron_string, "use_local_timezone": use_local_timezone}
        if repeat is not None:
            job.meta["repeat"] = int(repeat)
        if at_front:
            job.enqueue_at_front = True
        due = foreign.next_cron_due(job.meta, timezone.now())
        with self.connection.pipeline() as pipe:
            job.save(pipeline=pipe)
            pipe.zadd(projection.SCHEDULES_KEY, {job.id: due})
            pipe.execute()
        return job

    def _create_job(self, *args: Any, **kwargs: Any) -> Job:
        func = args[0] if args else kwargs.get("func")
        name = getattr(func, "task_name", None)
        if name is not None:
            args, kwargs = (name, *args[1:]), {k: v for k, v in kwargs.items() if k != "func"}
        return cast(Job, super()._create_job(*args, **kwargs))

    def get_jobs(
        self,
        until: Any = None,
        with_times: bool = False,
        offset: int | None = None,
        length: int | None = None,
    ) -> Iterator[Any]:
        """Yield scheduled jobs as rq-scheduler does, but never change anything by looking."""
        limit = rq_scheduler.scheduler.rationalize_until(until)
        entries = cast(
            list[tuple[bytes, float]],
            self.connection.zrangebyscore(
                projection.SCHEDULES_KEY, 0, limit, withscores=True, start=offset, num=length
            ),
        )
        for member, score in entries:
            try:
                job = Job.fetch(member.decode(), connection=self.connection)
                job.func_name, job.meta  # noqa: B018  (undecodable payloads show here)
            except Exception:
                logger.warning("Scheduled job %r can't be read.", member, exc_info=True)
                continue
            yield (job, projection.from_score(score).replace(tzinfo=None)) if with_times else job


def _job_id(job: rq.job.Job | str) -> str:
    """Return the id of a job, whichever class it was read by."""
    return str(job.id) if isinstance(job, rq.job.Job) else job


def plan(job_id: str, score: float, text: bytes, now: int) -> Step | LateStep:
    """Decide a schedule's step at `now` (in ms): what runs, and when it is due next.

    Raises ValueError, KeyError, TypeError or SpecError if the text is bad.
    """
    template = projection.read_text(text)
    first, second = _next_two(template, round(score * 1000) - 1)
    if first is not None and first <= now:
        allowed = ON_TIME
        if template.start_deadline is not None:
            allowed = min(allowed, template.start_deadline * 1000)
        if (second is not None and second <= now) or now - first > allowed:
            return _plan_late(job_id, score, template, first, now)
        due = -1 if second is None else second
        return [job_id, score, template.version, template.queue, due, f"{job_id}-{first}"]
    # The moment was not one of the spec's.
    due = -1 if first is None else first
    return [job_id, score, template.version, template.queue, due]


def _plan_late(
    job_id: str, score: float, template: Template, first: int, now: int
) -> Step | LateStep:
    """Decide for a schedule that is late, or has several occurrences pending, by its policies."""
    moment, whole = from_milliseconds(now), template.spec()
    dues = list(islice(spec.dues(whole, from_milliseconds(first - 1), moment), PENDING_AT_ONCE))
    policy = template.catch_up
    if len(dues) == PENDING_AT_ONCE:
        # The newest are still to come, and it is for them that the policy decides.
        dues, policy = dues[: -catchup.CATCH_UP_CAP], "none"
    decided = catchup.plan(dues, moment, policy, template.start_deadline)
    after = spec.next_due(whole, dues[-1])
    step = [job_id, score, template.version, template.queue]
    step.append(-1 if after is None else to_milliseconds(after))
    step += [RunId(job_id, due).job_id for due in decided.run]
    return LateStep(step, decided) if decided.missed or decided.late else step


def _next_two(template: Template, after: int) -> tuple[int | None, int | None]:
    """Return the first two due instants after a moment, in ms."""
    if template.grid is None:
        return _next_two_of_spec(template.spec(), after)
    first = template.grid.next_due(after)
    return first, None if first is None else template.grid.next_due(first)


@lru_cache(maxsize=2_000)
def _next_two_of_spec(whole: spec.Spec, after: int) -> tuple[int | None, int | None]:
    first = spec.next_due(whole, from_milliseconds(after))
    if first is None:
        return None, None
    second = spec.next_due(whole, first)
    return to_milliseconds(first), None if second is None else to_milliseconds(second)
