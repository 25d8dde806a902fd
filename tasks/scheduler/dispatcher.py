"""Puts each due occurrence on its queue, once."""

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, cast

from django.db import Error, close_old_connections
from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError
from rq.utils import utcformat

from tasks.broker import projection
from tasks.broker.keys import (
    DISPATCH_RECORDS_KEY,
    MARKER_KEY,
    QUARANTINE_KEY,
    SCHEDULES_KEY,
    scheduled_key,
)
from tasks.database import database_answers
from tasks.job_ids import is_template
from tasks.ledger import misfires
from tasks.models import ScheduledTask
from tasks.scheduler import external_jobs, scripts
from tasks.scheduler.planning import ON_TIME, LateStep, Step, plan
from tasks.storable import clean_text
from tasks.timing.instants import to_milliseconds

logger = logging.getLogger(__name__)

CHUNK = 500
# The first chunk of a round is this small, and each next one twice as big, so that the first jobs
# are on their queue soon.
FIRST_CHUNK = 50
# What is due: the member of the sorted set, its score, and the text, if it is a schedule of ours.
Due = tuple[bytes, float, bytes | None]


class Dispatcher:
    """One scheduler's dispatch, in chunks; `looked_until` is up to when, in ms, it has looked.

    `should_stop` ends a round between two chunks, `after_chunk` is called after each.
    `dispatch_external` puts on its queue, by its id and score, what isn't a schedule of ours.
    """

    def __init__(
        self,
        redis: Redis,
        queue_names: Callable[[], list[str]],
        dispatch_external: Callable[[str, float], object],
        should_stop: Callable[[], bool],
        after_chunk: Callable[[], None],
    ) -> None:
        self._redis = redis
        self._queue_names = queue_names
        self._dispatch_external = dispatch_external
        self._should_stop = should_stop
        self._after_chunk = after_chunk
        self._read_due = redis.register_script(scripts.READ)
        self._dispatch = redis.register_script(scripts.DISPATCH)
        self._set_aside = redis.register_script(external_jobs.SET_ASIDE)
        self._move_scheduled = redis.register_script(scripts.MOVE_SCHEDULED)
        self.looked_until = 0
        # Set when the loop has left something to the thread that makes up for what is late.
        self._left_late = threading.Event()
        # Schedules that could not be dispatched, and why: for their rows.
        self._problems: deque[tuple[str, str]] = deque()

    def dispatch_all(self) -> list[str]:
        """Put everything that is due on its queue; return the job ids."""
        pushed = self.dispatch_punctual()
        self._left_late.set()
        return pushed + self.catch_up() + self.move_reserved()

    def dispatch_punctual(self) -> list[str]:
        """Dispatch what has been due for a few seconds at most, without the database."""
        since = to_milliseconds(timezone.now()) - ON_TIME
        pushed, left = self._dispatch_due(since / 1000, 0)
        if left:
            self._left_late.set()
        return pushed

    def catch_up(self) -> list[str]:
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
        while not self._should_stop():
            now = timezone.now()
            until = to_milliseconds(now) - at_least_late
            due = self._read(since, until / 1000, left, size)
            size = min(2 * size, CHUNK)
            if not due:
                if not at_least_late:
                    self.looked_until = until
                break
            steps, late = self._plan(due, now)
            if late and with_database:
                taken = self._record_missed(late)
                steps += taken
                left += len(late) - len(taken)
            else:
                left += len(late)
            pushed += self._execute(steps, now)
            self._after_chunk()
        return pushed, left

    def _read(
        self, since: float | str, until: float, left_out: int = 0, number: int = CHUNK
    ) -> list[Due]:
        """Return a chunk of what is due, earliest first."""
        keys = [SCHEDULES_KEY, DISPATCH_RECORDS_KEY]
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
            keys=[SCHEDULES_KEY, DISPATCH_RECORDS_KEY],
            args=[utcformat(now), json.dumps(steps)],
        )
        pushed, gone, stuck = (text.decode().split() for text in cast(list[bytes], answer))
        if gone:
            logger.error("Redis has lost the jobs of %d schedules.", len(gone))
            self._restore(gone)
        for job_id in stuck:
            logger.error("Schedule %s can't be put on its queue and is set aside.", job_id)
            self._redis.zrem(SCHEDULES_KEY, job_id)
            self._problems.append((job_id, "Its queue in Redis can't be used."))
        return pushed

    def _record_missed(self, late: Sequence[LateStep]) -> list[Step]:
        """Write the rows of what won't run, before the schedules move forward (R3).

        Returns the steps that may be taken now; the others wait for the database.
        """
        try:
            misfires.record_not_run({late.step[0]: late.plan for late in late}, self._redis)
        except Error as error:
            if len(late) == 1:
                logger.warning("Schedule %s waits for the database: %s", late[0].step[0], error)
                return []
            if not database_answers():
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
        reason = clean_text(f"{type(error).__name__}: {error}")[:1000]
        ours = text is not None or is_template(member.decode(errors="replace"))
        note = "" if ours else external_jobs.note(score, reason)
        keys = [SCHEDULES_KEY, DISPATCH_RECORDS_KEY, QUARANTINE_KEY]
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
        projection.remove(job_ids, self._redis)
        self._redis.delete(MARKER_KEY)

    def _dispatch_without_text(self, member: bytes, score: float) -> None:
        job_id = member.decode("ascii")
        if is_template(job_id):
            self._restore([job_id])
        else:
            self._dispatch_external(job_id, score)

    # RQ's own scheduled jobs: reserved background calls, delayed retries

    def move_reserved(self) -> list[str]:
        """Put RQ's scheduled jobs that are due on their queues."""
        moved: list[str] = []
        now = timezone.now()
        for name in self._queue_names():
            key = scheduled_key(name)
            due = cast(
                list[bytes],
                self._redis.zrangebyscore(key, "-inf", now.timestamp(), start=0, num=CHUNK),
            )
            if due:
                self._move_scheduled(keys=[key], args=[utcformat(now), name, *due])
                moved += [job_id.decode() for job_id in due]
        return moved
