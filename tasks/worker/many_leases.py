"""How a worker keeps the leases on the runs of its coroutine child, and gives them up if it must.

What `lease` does for one run, this does for many that share a process. They can't be suspended one
by one: if one of them has no lease any more, all of them are, until each has one again.
"""

import json
import logging
import os
import signal
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import NoReturn

import django.db
from redis.exceptions import RedisError

from tasks import clock
from tasks.broker.leases import LAST_CHANCE
from tasks.clock import elapsed_clock
from tasks.database import alias
from tasks.outages import database_outage, redis_outage
from tasks.runs import lease
from tasks.runs.lease import Hold
from tasks.runs.processes import die_with_parent, end_process, fork
from tasks.worker.lease import Lease, Verdict, judge, send
from tasks.worker.shared_state import Run

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What becomes of the runs of a child: which are to be stopped, or why all of them end."""

    stopped: tuple[Run, ...] = ()
    all_end: Hold | None = None
    # Those that others have closed meanwhile.
    closed: tuple[Run, ...] = ()


class ManyLeases:
    """Keeps the leases on the runs of one coroutine child, which has this process id."""

    def __init__(
        self, pid: int, renew_in_redis: Callable[[Sequence[Run]], None], worker_name: str
    ) -> None:
        self._pid = pid
        self._renew_in_redis = renew_in_redis
        self._worker_name = worker_name
        self._leases: dict[str, Lease] = {}
        self._inquiry: InquiryOfMany | None = None
        self._thread = ThreadPoolExecutor(1, "leases of coroutines")
        self._renewal: Future[None] | None = None
        # Since when the child is suspended, by `elapsed_clock`.
        self._suspended: float | None = None

    def keep(self, runs: Sequence[Run], closable: Collection[Run]) -> Verdicts:
        """Renew the leases of these runs; return what becomes of them.

        Those that are `closable` can be closed by others, and must not go on without a lease.
        """
        known = self._leases
        self._leases = {
            run.execution_id: known.get(run.execution_id) or Lease(run, run.leased) for run in runs
        }
        self._renew(runs)
        held = [self._leases[run.execution_id] for run in closable]
        holds = self._answers()
        closed = tuple(one.run for one in held if holds.get(one.run.job_id) is Hold.CLOSED)
        if closed:
            return Verdicts(all_end=Hold.CLOSED, closed=closed)
        verdicts = [self._judge(one) for one in held]
        if Verdict.END in verdicts:
            return Verdicts(all_end=Hold.UNKNOWN)
        self._suspend(is_wanted=Verdict.SUSPEND in verdicts)
        late = [
            one.run.job_id
            for one, verdict in zip(held, verdicts, strict=True)
            if verdict is not Verdict.GO_ON
        ]
        if late and self._inquiry is None:
            self._inquiry = InquiryOfMany(late, self._worker_name)
        return Verdicts(tuple(one.run for one in held if holds.get(one.run.job_id) is Hold.STOPPED))

    @property
    def renewal(self) -> "Future[None] | None":
        """The renewal in Redis that was begun last; `keep` alone begins another one."""
        return self._renewal

    def close(self) -> None:
        """End what goes on: the child has died."""
        if self._inquiry is not None:
            self._inquiry.end()
        self._thread.shutdown(wait=False)

    def _judge(self, held: Lease) -> Verdict:
        now = elapsed_clock()
        suspended_for = None if self._suspended is None else now - self._suspended
        return judge(now - held.renewed, suspended_for, goes_on=False)

    def _suspend(self, *, is_wanted: bool) -> None:
        if is_wanted and self._suspended is None:
            self._suspended = elapsed_clock()
            logger.warning("The coroutine child is suspended: a run of it has no lease any more.")
        elif not is_wanted and self._suspended is not None:
            self._suspended = None
            logger.warning("The coroutine child goes on: all of its runs have leases again.")
            send(self._pid, signal.SIGCONT)
        if is_wanted:
            send(self._pid, signal.SIGSTOP)

    def _answers(self) -> dict[str, Hold]:
        """Return what the database says about the runs it was asked for, if it has answered."""
        inquiry = self._inquiry
        holds = None if inquiry is None else inquiry.answers()
        if inquiry is None or holds is None:
            return {}
        self._inquiry = None
        if not holds:
            database_outage.report("it has not renewed leases in time")
            return {}
        database_outage.worked()
        for one in self._leases.values():
            if holds.get(one.run.job_id) is Hold.HELD:
                one.renewed = max(one.renewed, inquiry.sent)
        return holds

    def _renew(self, runs: Sequence[Run]) -> None:
        """Renew in Redis, in the thread, unless it still waits for Redis."""
        if runs and (self._renewal is None or self._renewal.done()):
            self._renewal = self._thread.submit(self._try_to_renew, list(runs))

    def _try_to_renew(self, runs: Sequence[Run]) -> None:
        try:
            self._renew_in_redis(runs)
        except RedisError as error:
            redis_outage.report(error)
        except Exception:
            logger.exception("The leases of %d runs could not be renewed.", len(runs))
        else:
            redis_outage.worked()

    def renewed(self, runs: Sequence[Run], sent: float) -> None:
        """Note that a renewal in Redis, sent at this time by `elapsed_clock`, has succeeded."""
        leases = self._leases
        for run in runs:
            if run.execution_id in leases:
                leases[run.execution_id].renew(sent)


class InquiryOfMany:
    """Asks the database to renew leases, in a process of its own; else as `lease.Inquiry`."""

    def __init__(self, job_ids: Sequence[str], worker_name: str) -> None:
        django.db.connections[alias()]  # Loads the driver here, for all of them.
        self.sent = elapsed_clock()
        parent = os.getpid()
        self._pipe, theirs = Pipe(duplex=False)
        self._pid = fork()
        if self._pid == 0:
            _inquire(parent, job_ids, worker_name, theirs)
        theirs.close()

    def answers(self) -> dict[str, Hold] | None:
        """Return the answers by job, none if it can't; None if there are none yet."""
        if self._pipe.poll():
            try:
                answers = json.loads(self._pipe.recv_bytes())
            except (EOFError, OSError):
                answers = {}
        elif elapsed_clock() - self.sent >= LAST_CHANCE:
            answers = {}
        else:
            return None
        self.end()
        return {job_id: Hold(hold) for job_id, hold in answers.items()}

    def end(self) -> None:
        """Kill the process."""
        self._pipe.close()
        end_process(self._pid)


def _inquire(
    parent: int, job_ids: Sequence[str], worker_name: str, answers: Connection
) -> NoReturn:
    """Renew leases at the database and send the answers, in the process just forked."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        die_with_parent(parent)
        clock.keep_fresh(lambda: None)  # Redis is out of reach: its last reading holds.
        holds = {job_id: lease.renew(job_id, worker_name) for job_id in job_ids}
        answers.send_bytes(json.dumps(holds).encode())
    except django.db.Error as error:
        logger.debug("Leases can't be renewed at the database: %s", error)
    except BaseException:
        logger.exception("Leases can't be renewed at the database.")
    finally:
        os._exit(0)
