"""One system under test: its servers, processes and schedules, and their records."""

import itertools
import json
import math
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, cast

import psycopg

from tests import oracle
from tests.acceptance.proof import evidence
from tests.acceptance.proof.fork_server import ForkServer, Process, is_alive
from tests.acceptance.proof.network import Ways
from tests.faketime import FakeClock
from tests.servers import Valkey, wait_for

Subject = Literal["ours", "stock"]

SCHEDULED_JOBS = "rq:scheduler:scheduled_jobs"
LOCKS = ("rq:scheduler_lock", "rq:clean_registries:default")
TERMINATED_CHILD = ("term", "child")
MICROSECOND = timedelta(microseconds=1)
# How many coroutines a worker runs side by side; "": the functions are plain.
CONCURRENCY = os.environ.get("PROOF_CONCURRENCY", "")
QUERY = """
    SELECT schedule.name, schedule.job_id, schedule.status, run.due, run.status, run.attempt,
           COALESCE(run.reason_code, run.reason),
           run.started, run.ended
    FROM tasks_scheduledtaskinstance run
    JOIN tasks_scheduledtask schedule ON schedule.id = run.parent_id
"""


@dataclass
class Schedule:
    """A schedule as the tests make it; a cron counts from `first`, too."""

    name: str
    first: datetime
    interval: int | None = None
    cron: str | None = None
    timezone: str = "UTC"
    repeat: int | None = None
    seconds: float = 0
    way: str = "sleep"
    options: dict[str, Any] = field(default_factory=dict)
    job_id: str = ""

    @property
    def retries(self) -> int:
        return int(self.options.get("retries", 0))

    @property
    def overlaps(self) -> bool:
        """Return whether two of its runs may run at once."""
        return self.options.get("overlap", "skip") == "allow"

    def dues(self, until: datetime) -> list[datetime]:
        """Return what was due, according to the oracle."""
        if self.cron:
            return oracle.due_times(
                self.first - MICROSECOND,
                until,
                cron=self.cron,
                timezone=self.timezone,
                start=self.first,
                repeat=self.repeat,
            )
        return oracle.due_times(
            self.first - MICROSECOND,
            until,
            first=self.first,
            interval=self.interval,
            repeat=self.repeat,
        )

    def is_due_after(self, time: datetime) -> bool:
        """Return whether anything is due after this time."""
        if self.repeat is not None:
            return len(self.dues(time)) < self.repeat
        return bool(self.cron or self.interval) or self.first > time

    def arguments(self, witness: Path) -> dict[str, Any]:
        """Return the arguments that make it."""
        first = self.first.isoformat()
        when: dict[str, Any] = {"first": first, "interval": self.interval}
        if self.cron:
            when = {"cron": self.cron, "timezone": self.timezone, "start": first}
        args = [str(witness), self.name, self.seconds, self.way]
        return {"name": self.name, "args": args, "repeat": self.repeat, **when, **self.options}


@dataclass(frozen=True)
class Run:
    """A row of a run."""

    schedule: str
    schedule_job_id: str
    schedule_status: str
    due: datetime | None
    status: str
    attempt: int
    reason: str
    started: datetime | None
    ended: datetime | None

    def __str__(self) -> str:
        due = f"{self.due:%H:%M:%S.%f}" if self.due else "?"
        return f"{self.schedule} due {due}: {self.status}, attempt {self.attempt} {self.reason}"


def now() -> datetime:
    """Return the current time, as the rows have it."""
    return datetime.now(UTC)


def next_second(ahead: float = 1.0) -> datetime:
    """Return the first whole second that is at least so many seconds ahead."""
    return datetime.fromtimestamp(math.ceil(now().timestamp() + ahead), UTC)


class System:
    """Servers, processes and schedules; `close` ends and deletes all of them."""

    def __init__(
        self, directory: Path, database: str, subject: Subject = "ours", *, redis_url: str = "",
        valkey: Valkey, has_clocks: bool = False,
    ) -> None:  # fmt: skip
        self.directory = directory
        self.database = database
        self.subject = subject
        self.valkey = valkey
        self.redis = valkey.client
        self.witness = directory / "evidence"
        self.schedules: list[Schedule] = []
        self.killed: set[int] = set()
        self._count = itertools.count(1)
        self.has_clocks = has_clocks
        self._fork_server = ForkServer(
            {
                "DJANGO_SETTINGS_MODULE": "tests.acceptance.proof.settings",
                "SECRET_KEY": "only-for-the-tests",
                "DATA_DIR": str(directory),
                "DATABASE_URL": database,
                "REDIS_URL": redis_url or valkey.url,
                "PROOF_SUBJECT": subject,
                **({"PROOF_CONCURRENCY": CONCURRENCY} if CONCURRENCY else {}),
                **(self.clock().environment if has_clocks else {}),
            },
            directory / "fork-server.log",
        )

    def close(self) -> None:
        self._fork_server.close()

    def clock(self, seconds: float = 0) -> FakeClock:
        """Return a clock, for processes of a system that has clocks, this far ahead."""
        clock = FakeClock(self.directory / f"clock-{next(self._count)}")
        clock.set(seconds)
        return clock

    # Schedules

    def make(self, *schedules: Schedule) -> None:
        """Make schedules, and remember them for the checks.

        They begin later than given, if need be, so that they exist when they are due first.
        """
        ahead = 1 + len(schedules) / 20
        while not self._make_in_time(schedules, ahead):
            self._fork_server.call("delete", [schedule.job_id for schedule in schedules])
            ahead *= 2
        self.schedules += schedules

    def _make_in_time(self, schedules: Sequence[Schedule], ahead: float) -> bool:
        earliest = min(schedule.first for schedule in schedules)
        delay = max(timedelta(0), next_second(ahead) - earliest)
        for schedule in schedules:
            schedule.first += delay
        arguments = [schedule.arguments(self.witness) for schedule in schedules]
        job_ids = self._fork_server.call(
            "make" if self.subject == "ours" else "make_stock", arguments
        )
        for schedule, job_id in zip(schedules, job_ids, strict=True):
            schedule.job_id = job_id
        return all(schedule.first > now() for schedule in schedules)

    def reserve(self, seconds: float, clock: FakeClock) -> None:
        """Reserve a background call for so much time from now on, in a process with this clock."""
        self._fork_server.call("reserve", seconds, **clock.of_fork)

    # Processes

    def scheduler(
        self, clock: FakeClock | None = None, ways: Ways | None = None, **point: str
    ) -> Process:
        """Start a scheduler; stock polls every second, which is the fastest it can."""
        arguments = ["--interval", "1"] if self.subject == "stock" else []
        return self._start("scheduler", ["rqscheduler", *arguments], point, clock, ways)

    def worker(
        self, *queues: str, clock: FakeClock | None = None, ways: Ways | None = None, **point: str
    ) -> Process:
        """Start a worker."""
        command = ["rqworker", *(queues or ["default"])]
        if CONCURRENCY:
            command += ["--concurrency", CONCURRENCY]
        return self._start("worker", command, point, clock, ways)

    def own_ways(self) -> Ways:
        """Return ways for one process, to be cut."""
        return Ways(self.valkey.port, self.database)

    def command(self, *command: str) -> Process:
        """Start another `manage.py` command."""
        return self._start(command[0], command, {})

    def _start(
        self,
        role: str,
        command: Sequence[str],
        point: dict[str, str],
        clock: FakeClock | None = None,
        ways: Ways | None = None,
    ) -> Process:
        number = next(self._count)
        environment = {f"PROOF_{name.upper()}": value for name, value in point.items()}
        if environment:
            environment |= {
                "PROOF_ROLE": role,
                "PROOF_DONE": str(self.directory / f"done-{number}"),
            }
        if clock is not None:
            environment |= clock.of_fork
        if ways is not None:
            environment |= ways.environment
        process = self._fork_server.start(
            self.directory / f"{number}-{role}.log", *command, **environment
        )
        process.done = Path(environment.get("PROOF_DONE", "/nonexistent"))
        return process

    def kill(self, *pids: int) -> None:
        """Kill processes with SIGKILL, and remember that this was done."""
        self.killed |= set(pids)
        for pid in pids:
            if is_alive(pid):
                os.kill(pid, 9)

    def release_locks(self) -> None:
        """Let others lead and clean up at once, as if the locks of dead processes had expired."""
        self.redis.delete(*LOCKS)

    # Records

    def query(self, sql: str) -> list[Any]:
        """Return what a query finds in the system's database."""
        if self.database.startswith("sqlite"):
            path = self.database.removeprefix("sqlite:///")
            with closing(sqlite3.connect(path, timeout=20)) as connection:
                return connection.execute(sql).fetchall()
        with psycopg.connect(self.database, options="-c timezone=UTC") as connection:
            return connection.execute(cast(Any, sql)).fetchall()

    def execute(self, sql: str) -> None:
        """Change the system's PostgreSQL database without its knowledge."""
        with psycopg.connect(self.database) as connection:
            connection.execute(cast(Any, sql))

    def runs(self) -> list[Run]:
        """Return the rows of all runs."""
        return [Run(*map(_aware, row)) for row in self.query(QUERY)]

    def count_connections(self) -> int:
        """Return how many connections to its PostgreSQL database the system has."""
        query = """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND backend_type = 'client backend'
        """
        return int(self.query(query)[0][0])

    def lines(self) -> list[evidence.Line]:
        """Return what the task functions wrote."""
        return evidence.read(self.witness)

    def members(self) -> dict[str, float]:
        """Return the scheduled jobs in Redis, and when each is due next."""
        entries: Any = self.redis.zrange(SCHEDULED_JOBS, 0, -1, withscores=True)
        return {member.decode(errors="replace"): score for member, score in entries}

    def killed_processes(self) -> set[int]:
        """Return the processes that were killed, by the tests or at a point.

        A process that was only terminated has to record the truth; a child is killed by it.
        """
        notes = [json.loads(path.read_text() or "{}") for path in self.directory.glob("done-*")]
        return self.killed | {
            note["pid"]
            for note in notes
            if note
            and (note["action"] == "exit" or (note["action"], note["role"]) == TERMINATED_CHILD)
        }

    def wait_for_start(self, schedule: Schedule, seconds: float = 30) -> evidence.Line:
        """Wait until a run of a schedule has started; return its first line."""

        def started() -> evidence.Line | None:
            return next((line for line in self.lines() if line.schedule == schedule.name), None)

        line: evidence.Line = wait_for(started, f"a start of {schedule.name}", seconds)
        return line

    def printed(self, text: str) -> bool:
        """Return whether any process has printed a text."""
        logs = self.directory.glob("*.log")
        return any(text in path.read_text(errors="replace") for path in logs)


def _aware(value: Any) -> Any:
    """Make a datetime of one of SQLite, which is a text in UTC."""
    if isinstance(value, str) and len(value) >= 19 and value[4:5] == value[7:8] == "-":
        try:
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        except ValueError:
            return value
    return value
