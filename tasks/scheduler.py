"""The scheduler: puts each due occurrence on its queue, once, on time."""

import logging
import signal
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from types import FrameType
from typing import Any, cast

import rq_scheduler
import rq_scheduler.scheduler
from django.db import Error, close_old_connections
from django.utils import timezone
from django_rq.queues import DjangoScheduler
from redis import Redis
from redis.exceptions import RedisError
from rq.exceptions import NoSuchJobError
from rq.utils import utcformat

from tasks import catchup, ledger, outcome, projection, spec
from tasks.job import MILLISECOND, Job, RunId
from tasks.leadership import Leadership
from tasks.models import ScheduledTask
from tasks.projection import Dispatch, Template

logger = logging.getLogger(__name__)

CHUNK = 500
# How many pending occurrences of one schedule are looked at in one go.
PENDING_AT_ONCE = 10_000
# The longest that the loop sleeps, in seconds: its lease and signals are looked at this often.
NAP = 0.5
# How long it waits after Redis was away, in seconds.
OUTAGE_NAP = 1.0


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
        self._dispatch = self.connection.register_script(projection.DISPATCH)
        self._move_scheduled = self.connection.register_script(projection.MOVE_SCHEDULED)
        self._stopping = threading.Event()
        self._leads = False
        self._waiting_for_database = 0

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
        housekeeping = threading.Thread(target=self._keep_house, daemon=True)
        housekeeping.start()
        logger.info("Scheduler %s started.", self.name)
        while not self._stopping.is_set():
            try:
                self._lead_or_stand_by()
            except RedisError as error:
                logger.warning("Redis is away, trying again: %s", error)
                self._stopping.wait(OUTAGE_NAP)
            except Exception:
                logger.exception("A round of dispatch failed; the next one follows.")
                self._stopping.wait(OUTAGE_NAP)
        self._stop()

    def _lead_or_stand_by(self) -> None:
        led, self._leads = self._leads, self._leadership.hold()
        if self._leads != led:
            logger.info("Scheduler %s %s.", self.name, "leads" if self._leads else "stands by")
        if not self._leads:
            self._stopping.wait(NAP)
            return
        self.enqueue_jobs()
        self._sleep_until_due()

    def _sleep_until_due(self) -> None:
        """Sleep until the next due moment, a change, or for a nap at most."""
        moments = [
            entries[0][1]
            for key in [projection.SCHEDULES_KEY, *self._scheduled_keys()]
            if (entries := cast(list[Any], self.connection.zrange(key, 0, 0, withscores=True)))
        ]
        pause = min([NAP, *(moment - time.time() for moment in moments)])
        if self._waiting_for_database:
            pause = NAP
        if pause > 0:
            self.connection.blpop([projection.WAKE_KEY], timeout=max(pause, 0.001))

    def _install_signal_handlers(self) -> None:
        def stop(signum: int, frame: FrameType | None) -> None:
            self._stopping.set()

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)

    def _stop(self) -> None:
        try:
            self._leadership.release()
        except RedisError as error:
            logger.warning("The lease could not be released and will lapse: %s", error)
        logger.info("Scheduler %s stopped.", self.name)

    def _keep_house(self) -> None:
        """Do the ledger's work while this process leads (in a thread)."""
        housekeeper = ledger.Housekeeper(self.connection)
        while not self._stopping.wait(NAP):
            if not self._leads:
                continue
            try:
                housekeeper.tick()
            except RedisError as error:
                logger.warning("The ledger waits for Redis: %s", error)
                self._stopping.wait(OUTAGE_NAP)
            except Exception:
                logger.exception("A round of the ledger failed; the next one follows.")
                self._stopping.wait(OUTAGE_NAP)

    # Dispatch

    def enqueue_jobs(self) -> list[str]:
        """Put everything that is due on its queue; return the job ids.

        One bad schedule is quarantined and hurts only itself (R7).
        """
        pushed: list[str] = []
        self._waiting_for_database = 0
        while not self._stopping.is_set():
            now = timezone.now()
            due = cast(
                list[tuple[bytes, float]],
                self.connection.zrangebyscore(
                    projection.SCHEDULES_KEY,
                    "-inf",
                    projection.to_score(now),
                    start=self._waiting_for_database,
                    num=CHUNK,
                    withscores=True,
                ),
            )
            if not due:
                break
            pushed += self._execute(list(self._plan(due, now)), now)
            self._leads = self._leadership.hold() if self._leads else False
        return pushed + self._move_reserved()

    def _plan(self, due: list[tuple[bytes, float]], now: datetime) -> Iterator[Dispatch]:
        """Decide each due schedule's step; what can't be decided now is left out."""
        with self.connection.pipeline(transaction=False) as pipe:
            for member, _ in due:
                pipe.hget(b"rq:job:" + member, projection.DISPATCH_FIELD)
            fields = pipe.execute(raise_on_error=False)
        for (member, score), field in zip(due, fields, strict=True):
            try:
                step = self._step(member.decode("ascii"), score, field, now)
            except Error:
                logger.exception("Schedule %r waits for the database.", member)
                self._waiting_for_database += 1
            except RedisError:
                raise
            except Exception as error:
                logger.exception("Schedule %r can't be dispatched and is set aside.", member)
                self._quarantine(member, error)
            else:
                if step is not None:
                    yield step

    def _step(self, job_id: str, score: float, field: Any, now: datetime) -> Dispatch | None:
        if isinstance(field, Exception):
            raise ValueError(f"its job can't be read: {field}")
        if field is None:
            self._enqueue_foreign(job_id, score, now)
            return None
        template = projection.read_template(job_id, field)
        before = projection.from_score(score) - MILLISECOND
        dues = list(islice(spec.dues(template.spec, before, now), PENDING_AT_ONCE))
        policy = template.catch_up
        if len(dues) == PENDING_AT_ONCE:
            # The newest are still to come, and it is for them that the policy decides.
            dues, policy = dues[: -catchup.CATCH_UP_CAP], "none"
        plan = catchup.plan(dues, now, policy, template.start_deadline)
        if plan.missed or plan.late:
            self._record_missed(template, plan)
        runs = [RunId(job_id, due) for due in plan.run]
        done = dues[-1] if dues else now  # None: the moment was not one of the spec's.
        return Dispatch(job_id, score, field, runs, spec.next_due(template.spec, done))

    def _record_missed(self, template: Template, plan: catchup.Plan) -> None:
        """Write the rows of what won't run, before the schedule moves forward (R3)."""
        close_old_connections()
        task = ScheduledTask.objects.filter(job_id=template.job_id).first()
        if task is None:
            return
        known = ledger.are_known(template.job_id, [*plan.late, *plan.missed], self.connection)
        ledger.record_missed(
            task,
            catchup.Plan(
                plan.run,
                tuple(due for due in plan.missed if due not in known),
                tuple(due for due in plan.late if due not in known),
            ),
        )

    def _execute(self, dispatches: list[Dispatch], now: datetime) -> list[str]:
        if not dispatches:
            return []
        args: list[Any] = [utcformat(now)]
        for step in dispatches:
            next_score = "" if step.next_due is None else repr(projection.to_score(step.next_due))
            args += [step.job_id, repr(step.score), step.seen, next_score, len(step.runs)]
            args += [run.job_id for run in step.runs]
        pushed = self._dispatch(keys=[projection.SCHEDULES_KEY], args=args)
        return [job_id.decode() for job_id in cast(list[bytes], pushed)]

    def _quarantine(self, member: bytes, error: Exception) -> None:
        """Take a schedule that can't be dispatched out, and say why on its row.

        The ledger tries again with every reconciliation, so it comes back when it is mended.
        """
        self.connection.zrem(projection.SCHEDULES_KEY, member)
        problem = f"It could not be dispatched: {type(error).__name__}: {error}"[:1000]
        problem = outcome.clean_text(problem)
        try:
            close_old_connections()
            ScheduledTask.objects.filter(job_id=member.decode(errors="replace")).update(
                problem=problem
            )
        except Error:
            logger.exception("The problem of schedule %r could not be noted.", member)

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

    def _enqueue_foreign(self, job_id: str, score: float, now: datetime) -> None:
        """Dispatch a job that other code scheduled with rq-scheduler's interface."""
        try:
            job = cast(Job, Job.fetch(job_id, connection=self.connection))
        except NoSuchJobError:
            self.connection.zrem(projection.SCHEDULES_KEY, job_id)
            return
        next_score = self._foreign_next(job, score, now)
        queue = self.get_queue_for_job(job)
        with self.connection.pipeline() as pipe:
            queue.enqueue_job(job, pipeline=pipe, at_front=bool(job.enqueue_at_front))
            if next_score is None:
                pipe.zrem(projection.SCHEDULES_KEY, job_id)
            else:
                pipe.zadd(projection.SCHEDULES_KEY, {job_id: next_score})
            pipe.execute()

    def _foreign_next(self, job: Job, score: float, now: datetime) -> float | None:
        repeat = job.meta.get("repeat")
        if repeat is not None:
            job.meta["repeat"] = int(repeat) - 1
            if job.meta["repeat"] <= 0:
                return None
        if job.meta.get("cron_string"):
            zone = (
                timezone.get_default_timezone_name()
                if job.meta.get("use_local_timezone")
                else "UTC"
            )
            cron = spec.Spec(cron=job.meta["cron_string"], timezone=zone)
            due = spec.next_due(cron, now)
            return None if due is None else projection.to_score(due)
        interval = int(job.meta.get("interval") or 0)
        if interval <= 0:
            return None
        passed = int((now.timestamp() - score) // interval) + 1
        return score + interval * passed

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
