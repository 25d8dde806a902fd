"""What of a coroutine child talks to Redis: a thread that takes jobs and reports their ends."""

import logging
import math
import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from queue import Empty, SimpleQueue

import rq
from redis.exceptions import RedisError, ResponseError
from rq.executions import Execution
from rq.queue import Queue

from tasks import clock, registry
from tasks.broker import limits
from tasks.broker.in_flight import STARTED_TTL_SECONDS
from tasks.broker.keys import explain, is_wrong_type
from tasks.broker.ownership import Ownership, RedisRefused
from tasks.job import COROUTINE, Job
from tasks.job_ids import is_recorded
from tasks.masking import hiding
from tasks.outages import redis_outage
from tasks.reasons import Reason
from tasks.runs import holds, recorder
from tasks.runs.beside import Outcome
from tasks.runs.claim import WAIT_INTERVAL
from tasks.runs.group_writer import GroupWriter
from tasks.worker.batches import LANE, Batches
from tasks.worker.doorbell import Doorbell
from tasks.worker.queues import LEFT_TO_RQ, Batch, Finished, Taken
from tasks.worker.refusals import OF_OTHER_CODE, obstacle_to, refuse
from tasks.worker.run_table import Room, RunTable
from tasks.worker.shared_state import Run
from tasks.worker.usable import UnusableQueues

logger = logging.getLogger(__name__)

# How long it waits for a job, and while one of its queues is held, in seconds.
WAIT_SECONDS = 10.0
HOLD_POLL_SECONDS = 1.0
# How long it waits before it retries what has failed.
RETRY_SECONDS = 1.0
# How often it looks whether it may have more runs, because some of an older child have ended.
ROOM_POLL_SECONDS = 0.1
# How long an end waits for others that are reported with it, while other runs go on.
COMPANY_SECONDS = 0.003
# A job whose hash has one of these fields, or one that is left to RQ, runs in a plain child.
CALLBACKS = (b"failure_callback_name", b"stopped_callback_name")


@dataclass(frozen=True, slots=True)
class Begun:
    """A job that was taken, with its place in the table."""

    taken: Taken
    job: Job
    run: Run


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a job, and when; `error` is what its function raised."""

    begun: Begun
    outcome: Outcome
    ended: datetime
    error: BaseException | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the step can report it."""
        return self.outcome is Outcome.DONE


class Intake:
    """Takes jobs for a coroutine child, never more than can start, and reports their ends.

    `begin` is called, in its thread, with the jobs that were taken; `on_over` when no more is taken
    and all is reported. With `ends_when_idle` that is so when there is no job. `on_draining` is
    called when another child can take jobs, while this one lets its runs end.
    """

    def __init__(
        self,
        worker: rq.Worker,
        table: RunTable,
        room: Room,
        writer: GroupWriter,
        begin: Callable[[Sequence[Begun]], object],
        on_draining: Callable[[], object],
        on_over: Callable[[], object],
    ) -> None:
        self._worker, self._table, self._room = worker, table, room
        self._writer, self._begin = writer, begin
        self._on_draining, self._on_over = on_draining, on_over
        self.ends_when_idle = False
        self._redis = worker.connection
        self._queue_by_name = {queue.name: queue for queue in worker.queues}
        self._batches = Batches(
            self._redis,
            worker.key,
            worker.name,
            STARTED_TTL_SECONDS,
            COROUTINE,
            number=table.number,
        )
        self._doorbell = Doorbell(self._redis, worker.name, list(self._queue_by_name), LANE)
        self._ownership = Ownership(self._redis)
        self._unusable = UnusableQueues(self._redis, self._queue_by_name)
        self._held, self._read_at = holds.UNKNOWN, -math.inf
        self._reports: SimpleQueue[Report] = SimpleQueue()
        # The reports of a step that has failed, which is repeated as it was; and what is to be done
        # for jobs besides, with the one whose place in the table is free then.
        self._unreported: list[Report] = []
        self._undone: list[tuple[Begun | None, Callable[[], object]]] = []
        # How many jobs were taken and aren't reported.
        self._running = self._never_reported = 0
        self._has_heard = False
        self._is_closing = threading.Event()
        # Whether another child is to take jobs instead; and whether others listen for them.
        self._is_draining = self._has_left = False
        self._wake_up, self._bell = os.pipe()
        os.set_blocking(self._wake_up, False)
        os.set_blocking(self._bell, False)
        # Whether the keys in Redis have become another database's.
        self.is_refused = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="intake")

    def start(self) -> None:
        """Begin to take jobs."""
        self._thread.start()

    def report(self, report: Report) -> None:
        """Report what became of a job."""
        self._reports.put(report)
        self._wake()

    def close(self) -> None:
        """Take no more jobs; the thread ends when all that were taken are reported."""
        self._is_closing.set()
        self._wake()

    def drain(self) -> None:
        """Take no more jobs: another child is to take them."""
        self._is_draining = True
        self.close()

    def finish_without(self, number: int) -> None:
        """Wait until all is reported, except for so many jobs that never are."""
        self._never_reported = number
        self.close()
        self._thread.join()

    def _wake(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._bell, b"x")

    # The thread

    def _work(self) -> None:
        try:
            while self._running > self._never_reported or not self._is_closing.is_set():
                self._try_round()
                # What the last step took, if that isn't known yet, runs here as well.
                if self._is_closing.is_set() and not self._table.announced_step:
                    self._leave_the_rest()
            self._leave_the_rest()
            self._on_over()
        except BaseException:
            logger.exception("The intake of worker %s ends.", self._worker.name)
            os._exit(1)

    def _leave_the_rest(self) -> None:
        """Leave the jobs that come to others: once, as a successor listens by the same name."""
        if self._has_left:
            return
        self._has_left = True
        with suppress(RedisError):
            self._doorbell.close()
        if self._is_draining and not self.is_refused:
            self._on_draining()

    def _try_round(self) -> None:
        try:
            self._wait()
            self._round()
        except RedisRefused:
            self.is_refused = True
            self._is_closing.set()
        except RedisError as error:
            redis_outage.report(explain(error, self._redis, self._queue_by_name))
            time.sleep(RETRY_SECONDS)
        else:
            redis_outage.worked()

    def _wait(self) -> None:
        """Wait until there is something to do: a job to take, or an end to report."""
        self._has_heard = False
        if self._unreported or self._undone:
            return
        if self._reports.empty():
            self._listen()
        with suppress(BlockingIOError):
            while os.read(self._wake_up, 4096):
                pass
        if not self._has_heard and self._running > 1:
            time.sleep(COMPANY_SECONDS)

    def _listen(self) -> None:
        """Wait for a job, if one could start, or for an end."""
        held = self._held.among(self._queue_by_name)
        timeout = HOLD_POLL_SECONDS if held else WAIT_SECONDS
        if self._read_at == -math.inf:
            return  # Nothing is known of holds yet.
        can_take = self._free(0) > 0 and len(held) < len(self._queue_by_name)
        if can_take and not self.ends_when_idle:
            self._has_heard = self._doorbell.wait(timeout, held, self._wake_up)
        elif self._room.may_grow and not self._is_closing.is_set():
            self._sleep(ROOM_POLL_SECONDS)
        else:
            self._sleep(timeout)

    def _free(self, ending: int) -> int:
        """Return how many jobs can start when so many have ended."""
        if self._is_closing.is_set():
            return 0
        return max(self._room.size - self._running + ending, 0)

    def _sleep(self, seconds: float) -> None:
        select.select([self._wake_up], [], [], seconds)

    def _round(self) -> None:
        """Report what has ended, and take as many jobs as can start."""
        self._look_now_and_then()
        if not self._unreported:
            self._unreported = self._collect()
        batch = self._step()
        reports, self._unreported = self._unreported, []
        left = set(batch.left_to_rq)
        for report in reports:
            if report.is_plain and report.begun.taken.job_id not in left:
                self._forget(report.begun)
            else:
                self._undone.append((report.begun, partial(self._let_rq_end, report)))
        self._take(batch.taken)
        self._do_what_is_left()
        if self.ends_when_idle and not self._running and not self._room.may_grow:
            self._is_closing.set()

    def _look_now_and_then(self) -> None:
        """Read, every second or so, whose Redis it is and what is held."""
        if time.monotonic() - self._read_at < HOLD_POLL_SECONDS:
            return
        self._writer.call(self._ownership.check_now_and_then).result()
        self._held = self._writer.call(lambda: holds.read_again(self._held)).result()
        self._read_at = time.monotonic()
        if self._unusable:
            self._unusable.check()

    def _collect(self) -> list[Report]:
        reports: list[Report] = []
        with suppress(Empty):
            while True:
                reports.append(self._reports.get_nowait())
        return reports

    def _step(self) -> Batch:
        """Have Redis take a step; queues that turn out to be unusable are left out."""
        finished = [self._finished(report) for report in self._unreported if report.is_plain]
        free, going_on = self._free(len(finished)), self._running - len(finished)
        if not finished and not free and not self._table.announced_step:
            return Batch([], [], [])
        while True:
            held = self._held.among(self._queue_by_name)
            ordered = [queue.name for queue in self._worker._ordered_queues]
            names = [name for name in ordered if name not in self._unusable and name not in held]
            self._table.announce_step(self._batches.step_id)
            try:
                batch = self._batches.step(
                    finished, names, free, going_on=going_on, hand_over=self._has_heard
                )
                break
            except ResponseError as error:
                if not (is_wrong_type(error) and self._unusable.check()):
                    raise
            finally:
                self._batches.rest()
        for template in batch.templates:
            logger.warning(
                "Job %s is a schedule's template and isn't run: use “run now”.", template
            )
        return batch

    def _finished(self, report: Report) -> Finished:
        job, taken = report.begun.job, report.begun.taken
        assert job.started_at is not None
        ttl = job.get_result_ttl(self._worker.default_result_ttl)
        times = job.started_at.timestamp(), report.ended.timestamp()
        return Finished(job.id, taken.execution_id, taken.queue, ttl, "", *times)

    def _take(self, taken: Sequence[Taken]) -> None:
        """Have the jobs run that were taken, unless others are to run them."""
        begun = [self._begun(one) for one in taken]
        self._table.take([one.run for one in begun])
        self._running += len(begun)
        if begun:
            self._worker.reorder_queues(self._queue_by_name[begun[-1].taken.queue])
        self._begin([one for one in begun if self._is_ours(one)])

    def _begun(self, taken: Taken) -> Begun:
        queue = self._queue_by_name[taken.queue]
        job = Job.from_fields(taken.job_id, taken.fields, self._redis)
        job.origin, job.worker_name, job.started_at = queue.name, self._worker.name, clock.now()
        timeout = int(job.timeout or queue._default_timeout or Queue.DEFAULT_TIMEOUT)
        places = limits.places_of(taken.fields.get(b"limit"))
        times = time.monotonic(), taken.leased
        run = Run(job.id, taken.execution_id, queue.name, timeout, *times, places=places)
        return Begun(taken, job, run)

    def _is_ours(self, begun: Begun) -> bool:
        """Return whether a job is run here; what becomes of any other is left to be done."""
        taken, job = begun.taken, begun.job
        obstacle = obstacle_to(job)
        if obstacle is not None:
            self._undone.append((begun, partial(self._refuse, begun, obstacle)))
        elif not _runs_beside(job, taken):
            self._undone.append((begun, partial(self._batches.leave_to_plain, taken)))
        elif b"refused_by" in taken.fields:
            names = ("refused_by", "refused_at")
            self._undone.append((None, partial(self._redis.hdel, job.key, *names)))
            return True
        else:
            return True
        return False

    # What takes more than a step

    def _do_what_is_left(self) -> None:
        """Do what is left undone; raises RedisError, and what isn't done stays."""
        while self._undone:
            begun, do = self._undone[0]
            do()
            del self._undone[0]
            if begun is not None:
                self._forget(begun)

    def _forget(self, begun: Begun) -> None:
        self._table.clear(begun.run)
        self._running -= 1

    def _refuse(self, begun: Begun, obstacle: Exception) -> None:
        """Put a job that can't be called back for others, or fail it."""
        why: Reason | None = None
        if isinstance(obstacle, OF_OTHER_CODE):
            why = refuse(begun.taken, obstacle, self._batches)
            if why is None:
                return
        record = partial(recorder.record_uncallable, begun.job, obstacle, why)
        self._writer.call(record).result()
        self._let_rq_end(Report(begun, Outcome.FAILED, clock.now(), obstacle))

    def _let_rq_end(self, report: Report) -> None:
        """End a job by RQ's own code, which looks after what depends on it; or put it off."""
        taken, job, worker = report.begun.taken, report.begun.job, self._worker
        if report.outcome is Outcome.WAITS:
            self._batches.put_off(taken, clock.timestamp() + WAIT_INTERVAL, {})
            return
        queue, error = self._queue_by_name[taken.queue], report.error
        execution = Execution(taken.execution_id, job.id, self._redis, worker.name)
        job.ended_at = report.ended
        with hiding(job.secret_values):
            if report.outcome is Outcome.DONE:
                worker.handle_job_success(job, queue, queue.started_job_registry, execution)
            elif report.outcome is Outcome.STOPPED:
                worker._stopped_job_id = job.id
                worker._handle_stopped_job(job, queue, execution)
            else:
                assert error is not None
                exc_info = (type(error), error, error.__traceback__)
                worker._finalize_failure(job, queue, execution, exc_info)
        limits.release(job.id, self._redis)


def _runs_beside(job: Job, taken: Taken) -> bool:
    """Return whether this code runs a job beside others, and can end it without RQ's callbacks."""
    function = registry.find(str(job.func_name))
    if function is None or not function.is_coroutine or not is_recorded(job.id):
        return False
    return not any(taken.fields.get(name) for name in (*LEFT_TO_RQ, *CALLBACKS))
