"""Puts each due occurrence on its queue, once."""

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from django.db import Error, close_old_connections
from django.utils.translation import gettext_noop
from redis import Redis
from redis.exceptions import RedisError
from rq.utils import utcformat

from tasks import clock
from tasks.broker import projection
from tasks.broker.keys import (
    DISPATCH_RECORDS_KEY,
    MARKER_KEY,
    QUARANTINE_KEY,
    SCHEDULES_KEY,
    scheduled_key,
)
from tasks.broker.projection import PROBLEM_LENGTH
from tasks.database import database_answers
from tasks.job_ids import is_template
from tasks.ledger import misfires
from tasks.models import ScheduledTask
from tasks.outages import database_outage
from tasks.scheduler import external_jobs, planning, scripts
from tasks.scheduler.exchange import Call, Exchange
from tasks.scheduler.planning import ON_TIME_MS, LateStep, Step
from tasks.storable import clean_text
from tasks.timing.instants import EPOCH, to_milliseconds

logger = logging.getLogger(__name__)

# The first chunk of a round is this small, and each following one up to twice as large, so that the
# first jobs are on their queue soon.
FIRST_CHUNK, LARGEST_CHUNK = 50, 500
# How many steps are decided at most before they are due.
MOST_PREPARED = 4 * FIRST_CHUNK
# What is due: a member of the sorted set, its score, and its dispatch record if it is one of ours.
Due = tuple[bytes, float, bytes | None]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some of what was due at `now`."""

    due: list[Due]
    now: datetime


@dataclass(frozen=True, slots=True)
class Prepared:
    """Steps that were decided before they are due, at `due_ms`: chunks as the script has them."""

    due_ms: int
    chunks: list[str]


@dataclass(slots=True)
class Round:
    """One round over everything that is due: how far it goes, and what has come of it."""

    since: float | str
    at_least_late_ms: int
    # What was read and isn't decided yet, and how much is read next.
    ahead: deque[Chunk] = field(default_factory=deque)
    size: int = 0
    # Redis is taking steps and then reads what was due at `reading_at`, behind so many of `ahead`.
    exchange: Exchange | None = None
    reading_at: datetime = EPOCH
    reading_behind: int = 0
    # The ids of the jobs put on their queues.
    pushed: list[str] = field(default_factory=list)
    # How many schedules must be recorded first. They stay at the front of what is due, so the next
    # chunk is read from behind them.
    waiting: int = 0

    @property
    def until_ms(self) -> int:
        """Up to when what is due is being read."""
        return to_milliseconds(self.reading_at) - self.at_least_late_ms


class Dispatcher:
    """One scheduler's dispatch, in chunks; it has looked at what is due up to `looked_until_ms`.

    `should_stop` ends a round between two chunks, `after_chunk` is called after each.
    `dispatch_external` puts an external job on its queue, by its id and score.
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
        self._read_script = redis.register_script(scripts.READ)
        self._dispatch_script = redis.register_script(scripts.DISPATCH)
        self._set_aside_script = redis.register_script(external_jobs.SET_ASIDE)
        self._move_script = redis.register_script(scripts.MOVE_SCHEDULED)
        self.looked_until_ms = 0
        self._prepared: Prepared | None = None
        # Set when the loop has left something to the thread that catches up.
        self._late_is_waiting = threading.Event()
        # Schedules that could not be dispatched, and why: for their rows.
        self._problems: deque[tuple[str, str]] = deque()

    def dispatch_all(self) -> list[str]:
        """Put everything that is due on its queue; return the job ids."""
        pushed = self.dispatch_punctual()
        self._late_is_waiting.set()
        return pushed + self.catch_up() + self.move_reserved()

    def prepare(self, due: float) -> None:
        """Decide already what is due at this time, in seconds since the Unix epoch.

        When it is due, `dispatch_punctual` has only to let Redis take the steps. If a schedule
        changes before that, Redis leaves its step out, and the next one is decided anew.
        """
        due_ms = round(due * 1000)
        if self._prepared is not None and self._prepared.due_ms == due_ms:
            return
        since = f"({self.looked_until_ms / 1000!r}"
        answer: Any = self._read_script(
            keys=[SCHEDULES_KEY, DISPATCH_RECORDS_KEY], args=[since, repr(due), 0, MOST_PREPARED]
        )
        found = [_early_step(one, due_ms) for one in _due(answer)]
        steps = [step for step in found if step is not None]
        chunks = [steps[at : at + FIRST_CHUNK] for at in range(0, len(steps), FIRST_CHUNK)]
        self._prepared = Prepared(due_ms, [as_json(chunk) for chunk in chunks])

    def dispatch_punctual(self) -> list[str]:
        """Dispatch what has been due for a few seconds at most, without the database."""
        since = to_milliseconds(clock.now()) - ON_TIME_MS
        pushed = self._take_prepared()
        punctual = self._dispatch_due(Round(since / 1000, at_least_late_ms=0))
        if punctual.waiting:
            self._late_is_waiting.set()
        return pushed + punctual.pushed

    def _take_prepared(self) -> list[str]:
        """Have Redis take what was prepared, if it is due; return the job ids."""
        pushed: list[str] = []
        if self._prepared is None or to_milliseconds(clock.now()) < self._prepared.due_ms:
            return pushed
        prepared, self._prepared = self._prepared, None
        for steps in prepared.chunks:
            script, keys, args = self._taking(steps, clock.now())
            pushed += self._taken(cast(Any, script(keys=keys, args=args)))
            self._after_chunk()
        return pushed

    def catch_up(self) -> list[str]:
        """Dispatch what is late, and note the problems of schedules on their rows.

        What needs no record comes first; then what must be recorded first, which waits while the
        database is unavailable.
        """
        self._note_problems()
        at_least_late_ms = 0 if self._late_is_waiting.is_set() else ON_TIME_MS
        self._late_is_waiting.clear()
        late = self._dispatch_due(Round("-inf", at_least_late_ms))
        pushed = late.pushed
        if late.waiting:
            close_old_connections()
            late = self._dispatch_due(Round("-inf", at_least_late_ms), with_database=True)
            pushed += late.pushed
        if late.waiting and not at_least_late_ms:
            self._late_is_waiting.set()
        return pushed

    def _dispatch_due(self, this_round: Round, with_database: bool = False) -> Round:
        """Dispatch what is due; with the database, also what must be recorded first.

        In chunks, so that a schedule waits for no more than a chunk of others. While Redis takes
        the steps of a chunk, the next one is decided, which has been read before.
        """
        try:
            self._read(this_round)
            while this_round.ahead and not self._should_stop():
                chunk = this_round.ahead.popleft()
                steps, late = self.decide_steps(chunk.due, chunk.now)
                recorded = self._record_missed(late) if late and with_database else []
                self._finish(this_round)
                this_round.waiting += len(late) - len(recorded)
                self._begin(this_round, steps + recorded, chunk.now)
                if not this_round.ahead:
                    self._finish(this_round)
            self._finish(this_round)
        finally:
            if this_round.exchange is not None:
                this_round.exchange.abandon()
        return this_round

    def _read(self, this_round: Round) -> None:
        """Read what is due next."""
        script, keys, args = self._reading(this_round)
        self._add(this_round, cast(Any, script(keys=keys, args=args)))

    def _begin(self, this_round: Round, steps: Sequence[Step], now: datetime) -> None:
        """Have Redis take steps, and then read what is due next."""
        if not steps:
            self._read(this_round)
            self._after_chunk()
            return
        reading = self._reading(this_round)
        this_round.exchange = Exchange(self._redis, self._taking(as_json(steps), now), reading)

    def _finish(self, this_round: Round) -> None:
        """Wait until Redis has done what was begun, if anything was."""
        exchange, this_round.exchange = this_round.exchange, None
        if exchange is None:
            return
        try:
            this_round.pushed += self._taken(exchange.answer())
            self._add(this_round, exchange.answer())
        finally:
            exchange.abandon()
        self._after_chunk()

    def _add(self, this_round: Round, answer: list[list[Any]]) -> None:
        """Add what was read to what is to be decided, the first of it as a small chunk."""
        due = _due(answer)
        is_all = not due and not this_round.reading_behind
        if is_all and not this_round.at_least_late_ms:
            self.looked_until_ms = this_round.until_ms
        small = 0 if this_round.size else FIRST_CHUNK
        this_round.size = min(2 * (this_round.size or FIRST_CHUNK), LARGEST_CHUNK)
        this_round.ahead.extend(
            Chunk(part, this_round.reading_at) for part in (due[:small], due[small:]) if part
        )

    def _reading(self, this_round: Round) -> Call:
        """Return the call that reads what is due behind all that was read and isn't taken yet."""
        this_round.reading_at = clock.now()
        this_round.reading_behind = sum(len(chunk.due) for chunk in this_round.ahead)
        offset = this_round.waiting + this_round.reading_behind
        limit = this_round.size or 3 * FIRST_CHUNK
        args = [this_round.since, repr(this_round.until_ms / 1000), offset, limit]
        return self._read_script, [SCHEDULES_KEY, DISPATCH_RECORDS_KEY], args

    def _taking(self, steps: str, now: datetime) -> Call:
        """Return the call that takes steps, which are as the script has them."""
        keys = [SCHEDULES_KEY, DISPATCH_RECORDS_KEY]
        return self._dispatch_script, keys, [utcformat(now), steps]

    def decide_steps(self, due: Iterable[Due], now: datetime) -> tuple[list[Step], list[LateStep]]:
        """Decide each due schedule's step: those to take at once, those to be recorded first."""
        now_ms = to_milliseconds(now)
        steps: list[Step] = []
        late: list[LateStep] = []
        for member, score, record in due:
            try:
                if record is None:
                    self._dispatch_without_record(member, score)
                    continue
                step = planning.decide_step(member.decode("ascii"), score, record, now_ms)
            except RedisError:
                raise
            except Exception as error:
                logger.exception("Schedule %r can't be dispatched and has been set aside.", member)
                self._quarantine((member, score, record), error)
            else:
                if isinstance(step, LateStep):
                    late.append(step)
                else:
                    steps.append(step)
        return steps, late

    def _taken(self, answer: list[bytes]) -> list[str]:
        """Return the jobs that a step has put on their queues, and see to what it could not."""
        pushed, lost, stuck = (text.decode().split() for text in answer)
        if lost:
            logger.error("Redis has lost the jobs of %d schedules.", len(lost))
            self._restore(lost)
        for job_id in stuck:
            logger.error("Schedule %s can't be put on its queue and has been set aside.", job_id)
            self._redis.zrem(SCHEDULES_KEY, job_id)
            self._problems.append((job_id, gettext_noop("Its queue in Redis can't be used.")))
        return pushed

    def _record_missed(self, late: Sequence[LateStep]) -> list[Step]:
        """Write the rows of what won't run, before the schedules move forward (R3).

        Returns the steps that may be taken now; the others wait for the database.
        """
        try:
            misfires.record_not_run({one.step.job_id: one.plan for one in late}, self._redis)
        except Error as error:
            if len(late) == 1:
                database_outage.report(error)
                return []
            if not database_answers():
                database_outage.report(error)
                return []
            return [step for one in late for step in self._record_missed([one])]
        return [one.step for one in late]

    # What can't be dispatched

    def _quarantine(self, due: Due, error: Exception) -> None:
        """Set aside what can't be dispatched, unless it has changed meanwhile.

        A schedule's row says why; every reconciliation tries again, so it comes back once it is
        fixed. An external job is kept in quarantine with the reason.
        """
        member, score, record = due
        reason = clean_text(f"{type(error).__name__}: {error}")[:PROBLEM_LENGTH]
        is_ours = record is not None or is_template(member.decode(errors="replace"))
        note = "" if is_ours else external_jobs.note(score, reason)
        keys = [SCHEDULES_KEY, DISPATCH_RECORDS_KEY, QUARANTINE_KEY]
        args: list[Any] = [member, repr(score), record or b"", note]
        if self._set_aside_script(keys=keys, args=args) and is_ours:
            self._problems.append((member.decode(errors="replace"), reason))

    def _note_problems(self) -> None:
        """Note on the rows of schedules why they could not be dispatched."""
        while self._problems:
            job_id, reason = self._problems[0]
            problem = reason[:PROBLEM_LENGTH]
            try:
                close_old_connections()
                ScheduledTask.objects.filter(job_id=job_id).update(problem=problem)
            except Error as error:
                database_outage.report(error)
                return
            self._problems.popleft()

    def _restore(self, job_ids: Iterable[str]) -> None:
        """Have reconciliation bring back schedules that Redis has partly lost."""
        projection.remove(job_ids, self._redis)
        self._redis.delete(MARKER_KEY)

    def _dispatch_without_record(self, member: bytes, score: float) -> None:
        job_id = member.decode("ascii")
        if is_template(job_id):
            self._restore([job_id])
        else:
            self._dispatch_external(job_id, score)

    # RQ's own scheduled jobs: reserved background calls, delayed retries

    def move_reserved(self) -> list[str]:
        """Put RQ's scheduled jobs that are due on their queues."""
        moved: list[str] = []
        now = clock.now()
        for name in self._queue_names():
            key = scheduled_key(name)
            due = cast(
                list[bytes],
                self._redis.zrangebyscore(key, "-inf", now.timestamp(), start=0, num=LARGEST_CHUNK),
            )
            if due:
                self._move_script(keys=[key], args=[utcformat(now), name, *due])
                moved += [job_id.decode() for job_id in due]
        return moved


def _due(answer: list[list[Any]]) -> list[Due]:
    """Return what the script that reads has answered."""
    entries, records = answer
    return list(zip(entries[::2], map(float, entries[1::2]), records, strict=True))


def as_json(steps: Sequence[Step]) -> str:
    """Return steps as the script that takes them reads them."""
    return json.dumps([step.flat() for step in steps])


def _early_step(due: Due, due_ms: int) -> Step | None:
    """Decide the step of a schedule that will be due, None if there is more to do than to take it.

    What is wrong with a dispatch record is said when the schedule is due.
    """
    member, score, record = due
    if record is None:
        return None
    try:
        step = planning.decide_step(member.decode("ascii"), score, record, due_ms)
    except Exception as error:
        logger.debug("The step of schedule %r can't be decided early: %s", member, error)
        return None
    return step if isinstance(step, Step) else None
