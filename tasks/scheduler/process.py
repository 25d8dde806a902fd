"""The scheduler: puts each due occurrence on its queue, once, on time.

In the process that leads, the loop dispatches what is on time and never touches the database. Other
threads catch up on what is late, which must be recorded first; keep the ledger; and listen for
changes, which wake the loop. One more checks, in each process, whose the keys in Redis are.
"""

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import FrameType
from typing import Any, cast

import rq.job
import rq.queue
import rq_scheduler.scheduler
from django.conf import settings
from django.db import Error, close_old_connections, connections
from django.utils.translation import gettext as _
from django_rq.queues import DjangoScheduler
from redis import Redis
from redis.exceptions import RedisError

from tasks import clock
from tasks.broker.clock import ClockKeeper
from tasks.broker.keys import (
    HEARTBEAT_PREFIX,
    LEADER_KEY,
    SCHEDULER_KEY,
    SCHEDULERS_KEY,
    SCHEDULES_KEY,
    WAKE_KEY,
    explain,
    scheduled_key,
)
from tasks.broker.ownership import CHECK_INTERVAL, Ownership, RedisRefused
from tasks.broker.reconcile import reconcile
from tasks.database import OUTAGE_ERRORS
from tasks.exceptions import NotPossible
from tasks.job import Job
from tasks.job_ids import is_template
from tasks.ledger.housekeeping import Housekeeper
from tasks.outages import database_outage, redis_outage
from tasks.queue import Queue, usable_queues, why_unusable
from tasks.runs import holds
from tasks.scheduler import external_jobs
from tasks.scheduler.dispatcher import Dispatcher
from tasks.scheduler.leader import Leadership
from tasks.scheduler.wakeup import Alarm
from tasks.timing.instants import from_score

logger = logging.getLogger(__name__)

# The longest sleep of the loop, in seconds: it renews its lease and checks for signals this often.
POLL_INTERVAL = 0.25
# How often a process on standby checks whether it can lead, in seconds.
STANDBY_POLL_INTERVAL = 0.1
# How long housekeeping pauses between its ticks, in seconds.
HOUSEKEEPING_INTERVAL = 0.5
# How often the leader reads what is held, in seconds.
HOLDS_INTERVAL = 0.5
# How long the loop waits while Redis is unavailable, in seconds.
OUTAGE_POLL_INTERVAL = 1.0
# How often the heartbeat that rq-scheduler's tools read is sent, in seconds.
HEARTBEAT_INTERVAL = 10.0
# How often a scheduler says to ours that it is alive, and for how long it counts, in seconds.
SIGN_OF_LIFE_INTERVAL = 1.0
# How old its lease may be when a chunk of what is due is dispatched, in seconds.
RENEWAL_SECONDS = 0.5
# How long before the next due the loop looks after everything else, in seconds.
EARLY_SECONDS = 0.05
REMEMBERED_FOR = 60.0
# After Redis's clock was set, dispatch waits until it has not been set again for so many seconds.
STEADY_SECONDS = 5.0


class Scheduler(DjangoScheduler):
    """rq-scheduler's interface, with a dispatch that loses nothing and repeats nothing.

    Several may run: one leads, the others stand by. `interval` is accepted but not needed: the
    loop sleeps until something is due, or until a change wakes it.
    """

    queue_class = Queue
    redis_scheduler_namespace_prefix = HEARTBEAT_PREFIX
    scheduler_key = SCHEDULER_KEY
    scheduler_lock_key = LEADER_KEY
    scheduled_jobs_key = SCHEDULES_KEY

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["job_class"] = Job
        super().__init__(*args, **kwargs)
        self.connection: Redis
        self._leadership = Leadership(self.connection, self.name)
        self._clock = ClockKeeper(self.connection, f"Scheduler {self.name}")
        self._ownership = Ownership(self.connection)
        # Why this process must not use this Redis any more.
        self._refusal: RedisRefused | None = None
        self._stopping = threading.Event()
        self._stop_requested = False
        self.alarm = Alarm()
        self.leads = False
        self._held = holds.Held()
        self._next_heartbeat = 0.0
        self._next_sign_of_life = 0.0
        # When, by `time.monotonic`, the lease was renewed, and the loop looked after everything.
        self._renewed = self._looked_after = -math.inf
        self.dispatcher = Dispatcher(
            self.connection,
            self._queue_names,
            lambda job_id, score: external_jobs.dispatch(job_id, score, self),
            should_stop=lambda: self._is_stopping,
            after_chunk=self._renew_leadership,
        )

    # The loop

    def run(self, burst: bool = False) -> None:
        """Dispatch until SIGTERM or SIGINT; with `burst`, dispatch what is due now and return.

        The loop survives outages of Redis and the database, and resumes afterwards. Raises
        RedisRefused if the keys in Redis are another database's, at the start or later.
        """
        self._install_signal_handlers()
        self._wait_until_owner()
        if burst:
            reconcile(self.connection)
            self.enqueue_jobs()
            return
        housekeeper = Housekeeper(self.connection)
        background_work = (
            (housekeeper.tick, HOUSEKEEPING_INTERVAL),
            (self._catch_up, POLL_INTERVAL),
            (self._read_holds, HOLDS_INTERVAL),
            (self._listen, 0.0),
        )
        for work, pause in background_work:
            threading.Thread(target=self._while_leading, args=(work, pause), daemon=True).start()
        threading.Thread(target=self._keep_ownership, daemon=True).start()
        logger.info("Scheduler %s started.", self.name)
        while not self._is_stopping:
            try:
                self.lead_or_stand_by()
                redis_outage.worked()
            except RedisError as error:
                redis_outage.report(self._explain(error))
                self.alarm.sleep(OUTAGE_POLL_INTERVAL)
            except Exception:
                logger.exception("A round of dispatch failed; the next one follows.")
                self.alarm.sleep(OUTAGE_POLL_INTERVAL)
        self._shut_down()
        if self._refusal is not None:
            raise self._refusal

    def _wait_until_owner(self) -> None:
        """Return once the keys in Redis are known to be this database's (R16)."""
        while not self._is_stopping:
            try:
                close_old_connections()
                self._ownership.check()
                return
            except RedisRefused:
                raise
            except RedisError as error:
                redis_outage.report(self._explain(error))
                self.alarm.sleep(OUTAGE_POLL_INTERVAL)
            except Error as error:
                database_outage.report(error)
                self.alarm.sleep(OUTAGE_POLL_INTERVAL)

    def _keep_ownership(self) -> None:
        """Check every few seconds whose the keys in Redis are; as the leader, raise the number."""
        while not self._stopping.wait(CHECK_INTERVAL):
            try:
                self._ownership.check()
                if self.leads:
                    self._ownership.raise_number()
            except RedisRefused as error:
                self._refusal = error
                self.stop()
                return
            except (RedisError, Error) as error:  # The other threads say so.
                logger.debug("Whose the keys in Redis are isn't known now: %s", error)
            except Exception:
                logger.exception("Whose the keys in Redis are can't be checked now.")
            finally:
                connections.close_all()  # A process on standby needs none.

    def lead_or_stand_by(self) -> None:
        """Make one round of the loop: dispatch if this process leads, then sleep."""
        if not self.leads or time.monotonic() - self._looked_after > RENEWAL_SECONDS:
            self._look_after()
        if not self.leads:
            self.alarm.sleep(STANDBY_POLL_INTERVAL)
            return
        if clock.steady_for() < STEADY_SECONDS or self._held.everything:
            self.alarm.sleep(POLL_INTERVAL)
            return
        self.dispatcher.dispatch_punctual()
        next_schedule, next_reserved = self._next_scores()
        if next_reserved <= clock.timestamp():
            self.dispatcher.move_reserved()
        else:
            self._sleep_until(min(next_schedule, next_reserved))

    def _look_after(self) -> None:
        """Read the clock, say that this process is alive, and see whether it leads."""
        self._clock.keep()
        self._send_heartbeat()
        self._give_sign_of_life()
        led, self.leads = self.leads, self._hold_leadership()
        if self.leads != led:
            logger.info("Scheduler %s %s.", self.name, "leads" if self.leads else "stands by")
        self._looked_after = self._renewed

    def _catch_up(self) -> None:
        if clock.steady_for() >= STEADY_SECONDS and not self._held.everything:
            self.dispatcher.catch_up()

    def _read_holds(self) -> None:
        """Read whether everything is held: then nothing is dispatched, external jobs neither."""
        close_old_connections()
        self._held = holds.read()

    def _send_heartbeat(self) -> None:
        """Renew the key by which rq-scheduler's tools see this scheduler."""
        if time.monotonic() < self._next_heartbeat:
            return
        if not self.connection.exists(self.key):
            self.register_birth()
        self.heartbeat()
        self._next_heartbeat = time.monotonic() + HEARTBEAT_INTERVAL

    def _give_sign_of_life(self) -> None:
        """Say to the admin's pages that this scheduler is alive, and forget those that aren't."""
        if time.monotonic() < self._next_sign_of_life:
            return
        now = clock.timestamp()
        with self.connection.pipeline(transaction=False) as pipe:
            pipe.zadd(SCHEDULERS_KEY, {self.name: now})
            pipe.zremrangebyscore(SCHEDULERS_KEY, "-inf", now - REMEMBERED_FOR)
            pipe.execute()
        self._next_sign_of_life = time.monotonic() + SIGN_OF_LIFE_INTERVAL

    def _next_scores(self) -> tuple[float, float]:
        """Return when a schedule, and what is reserved, is due next, in seconds since the epoch."""
        with self.connection.pipeline(transaction=False) as pipe:
            after = f"({self.dispatcher.looked_until_ms / 1000!r}"
            pipe.zrangebyscore(SCHEDULES_KEY, after, "+inf", 0, 1, withscores=True)
            for name in self._queue_names():
                pipe.zrange(scheduled_key(name), 0, 0, withscores=True)
            first, *reserved = pipe.execute()
        scores = [entries[0][1] for entries in reserved if entries]
        return first[0][1] if first else math.inf, min(scores, default=math.inf)

    def _sleep_until(self, score: float) -> None:
        """Sleep until then, or until something has changed, but no longer than the interval.

        It wakes a little earlier to look after everything, and to decide what is due then: only
        the steps themselves are left to take.
        """
        early = score - EARLY_SECONDS - clock.timestamp()
        if early > 0:
            self.alarm.sleep(min(POLL_INTERVAL, early))
            return
        if time.monotonic() - self._looked_after > EARLY_SECONDS:
            self._look_after()
        self.dispatcher.prepare(score)
        self.alarm.sleep(score - clock.timestamp())

    def _listen(self) -> None:
        """Wake the loop when something has changed.

        The loop can't block on the key itself: Redis may end such a wait up to 100 ms after its
        timeout.
        """
        if self.connection.blpop([WAKE_KEY], timeout=1):
            self.alarm.ring()

    def _renew_leadership(self) -> None:
        """Renew the lease after a chunk, unless that has just been done."""
        if time.monotonic() - self._renewed > RENEWAL_SECONDS:
            self.leads = self._hold_leadership() if self.leads else False

    def _hold_leadership(self) -> bool:
        self._renewed = time.monotonic()
        return self._leadership.hold(mark=self._ownership.mark)

    def _install_signal_handlers(self) -> None:
        def stop(signum: int, frame: FrameType | None) -> None:
            self.stop()

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)

    def stop(self) -> None:
        """End the loop after the chunk that it is dispatching."""
        # No lock here, such as an event's: a signal may have interrupted its holder.
        self._stop_requested = True
        self.alarm.ring()

    @property
    def _is_stopping(self) -> bool:
        return self._stop_requested or self._stopping.is_set()

    def _shut_down(self) -> None:
        self.leads = False
        self._stopping.set()
        try:
            self._leadership.release()
            self._clock.withdraw()
            self.register_death()
            self.connection.zrem(SCHEDULERS_KEY, self.name)
        except RedisError as error:
            logger.warning("The lease could not be released and will expire: %s", error)
        logger.info("Scheduler %s stopped.", self.name)

    def _while_leading(self, work: Callable[[], Any], pause: float) -> None:
        """Do a thread's regular work while this process leads."""
        while not self._stopping.wait(pause):
            if not self.leads:
                self._stopping.wait(POLL_INTERVAL)
                continue
            try:
                work()
            except RedisError as error:
                redis_outage.report(self._explain(error))
                self._stopping.wait(OUTAGE_POLL_INTERVAL)
            except OUTAGE_ERRORS as error:
                database_outage.report(error)
                self._stopping.wait(OUTAGE_POLL_INTERVAL)
            except Exception:
                logger.exception("A round of the scheduler's work failed; the next one follows.")
                self._stopping.wait(OUTAGE_POLL_INTERVAL)

    def _explain(self, error: RedisError) -> str:
        return explain(error, self.connection, self._queue_names())

    # Dispatch

    def enqueue_jobs(self) -> list[str]:
        """Put everything that is due on its queue; return the job ids.

        While everything is held, none is. A bad schedule is set aside and stops no other (R7).
        Raises RedisRefused if the keys in Redis are another database's.
        """
        self._clock.keep()
        self._ownership.check_now_and_then()
        self._held = holds.read_again(self._held)
        return [] if self._held.everything else self.dispatcher.dispatch_all()

    def _queue_names(self) -> list[str]:
        return sorted(usable_queues())

    # rq-scheduler's interface, for external jobs

    def acquire_lock(self) -> bool:
        """Take or renew the leadership for slightly longer than the interval."""
        return self._leadership.hold((int(self._interval) + 10) * 1000, self._ownership.mark)

    def remove_lock(self) -> None:
        """Let another scheduler lead, if this one leads."""
        self._leadership.release()

    def cancel(self, job: rq.job.Job | str) -> None:
        """Unschedule a job, given as itself or by its id."""
        super().cancel(_job_id(job))

    def __contains__(self, item: rq.job.Job | str) -> bool:
        return bool(super().__contains__(_job_id(item)))

    def enqueue_job(self, job: Job) -> None:
        """Put an external job on its queue now and move it forward, in one step.

        Raises NotPossible for the job of a schedule, which is never executed itself (R2).
        """
        if is_template(job.id):
            raise NotPossible(
                _("Job %(id)s belongs to a schedule: use “run now” of the schedule instead.")
                % {"id": job.id}
            )
        self._ownership.check_now_and_then()
        external_jobs.enqueue(job, self)

    def enqueue_in(self, time_delta: timedelta, func: Any, *args: Any, **kwargs: Any) -> rq.job.Job:
        """Schedule an external job for so much time from now on, by Redis's clock."""
        return self.enqueue_at(clock.now() + time_delta, func, *args, **kwargs)

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
        """Schedule an external job by a cron expression, in UTC or in Django's time zone.

        Raises SpecError for an expression that is invalid or never due.
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
        due = external_jobs.next_cron_due(job.meta, clock.now())
        with self.connection.pipeline() as pipe:
            job.save(pipeline=pipe)
            pipe.zadd(SCHEDULES_KEY, {job.id: due})
            pipe.execute()
        return job

    def get_queue_for_job(self, job: rq.job.Job) -> rq.queue.Queue:
        """Return the queue of an external job; a class that its meta names is never imported.

        Raises NotPossible for a queue of the settings that this app can't use.
        """
        _refuse_unusable(job.origin)
        return self.queue_class(
            job.origin, connection=self.connection, job_class=Job, serializer=job.serializer
        )

    def _create_job(self, *args: Any, **kwargs: Any) -> Job:
        _refuse_unusable(kwargs.get("queue_name") or self.queue_name)
        self._ownership.check_now_and_then()
        func = args[0] if args else kwargs.get("func")
        name = getattr(func, "task_name", None)
        if name is not None:
            args, kwargs = (name, *args[1:]), {k: v for k, v in kwargs.items() if k != "func"}
        return cast(Job, super()._create_job(*args, **kwargs))

    def count(self, until: Any = None) -> int:
        """Return how many jobs are scheduled, until a time or for so much time from now on."""
        return int(super().count(_at(until)))

    def get_jobs(
        self,
        until: Any = None,
        with_times: bool = False,
        offset: int | None = None,
        length: int | None = None,
    ) -> Iterator[Any]:
        """Yield scheduled jobs as rq-scheduler does, but without ever changing anything."""
        limit = rq_scheduler.scheduler.rationalize_until(_at(until))
        entries = cast(
            list[tuple[bytes, float]],
            self.connection.zrangebyscore(
                SCHEDULES_KEY, 0, limit, withscores=True, start=offset, num=length
            ),
        )
        for member, score in entries:
            try:
                job = Job.fetch(member.decode(), connection=self.connection)
                job.func_name, job.meta  # noqa: B018  (raises if they can't be decoded)
            except Exception:
                logger.warning("Scheduled job %r can't be read.", member, exc_info=True)
                continue
            yield (job, from_score(score).replace(tzinfo=None)) if with_times else job


def _refuse_unusable(queue: str) -> None:
    """Raise NotPossible for a queue of the settings that this app can't use."""
    if queue in settings.RQ_QUEUES and (why := why_unusable(queue)):
        raise NotPossible(why)


def _at(until: Any) -> Any:
    """Return the time that a delay from now on means, by Redis's clock."""
    return clock.now() + until if isinstance(until, timedelta) else until


def _job_id(job: rq.job.Job | str) -> str:
    """Return the id of a job, whichever class read it."""
    return str(job.id) if isinstance(job, rq.job.Job) else job
