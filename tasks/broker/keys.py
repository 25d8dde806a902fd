"""The names of all keys in Redis, and what is in each.

No other module writes one out; `with_key_names` gives them to Lua scripts. All of them begin with
RQ's prefix, RQ_KEY_PREFIX in the environment, so that several sites can share one Redis.

When a key holds the wrong type, Redis says WRONGTYPE but not which key it is. Such keys are
searched for only after that error.
"""

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext as _
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from rq.defaults import RQ_KEY_PREFIX
from rq.executions import ExecutionRegistry
from rq.job import Job
from rq.queue import Queue
from rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.results import Result
from rq.worker import Worker
from rq.worker_registration import REDIS_WORKER_KEYS, WORKERS_BY_QUEUE_KEY

# What our own keys begin with. With RQ's default prefix they keep the names that they have always
# had.
DEFAULT_PREFIX = "rq"
OWN_PREFIX = "tasks" if RQ_KEY_PREFIX == DEFAULT_PREFIX else f"{RQ_KEY_PREFIX}:tasks"

# rq-scheduler's sorted set: our schedules, and the external jobs.
SCHEDULES_KEY = f"{RQ_KEY_PREFIX}:scheduler:scheduled_jobs"
# rq-scheduler's lock: while one of our schedulers leads, a stock one does nothing.
LEADER_KEY = f"{RQ_KEY_PREFIX}:scheduler_lock"
# rq-scheduler's own names of what it doesn't use, and of a scheduler's heartbeat.
SCHEDULER_KEY = f"{RQ_KEY_PREFIX}:scheduler"
HEARTBEAT_PREFIX = f"{RQ_KEY_PREFIX}:scheduler_instance:"
# When each scheduler last said that it is alive: a sorted set of their names.
SCHEDULERS_KEY = f"{OWN_PREFIX}:schedulers"
# Which database all of this belongs to: a hash of its id, its name and its number.
OWNER_KEY = f"{OWN_PREFIX}:owner"
# What dispatch needs to know about each schedule: a hash of records by job id, read for many at
# once. A record is its version, which changes with anything in the row, a space, and JSON.
DISPATCH_RECORDS_KEY = f"{OWN_PREFIX}:dispatch"
# Set anew after each complete round of reconciliation: it differs if Redis has lost something.
MARKER_KEY = f"{OWN_PREFIX}:projected"
# A list of at most one entry, on which the scheduler blocks.
WAKE_KEY = f"{OWN_PREFIX}:wake"
# What could not be dispatched: a hash of notes by member of the sorted set.
QUARANTINE_KEY = f"{OWN_PREFIX}:quarantine"
# Written to learn whether Redis takes writes.
PROBE_KEY = f"{OWN_PREFIX}:probe"
SPOOL_KEY = f"{OWN_PREFIX}:spool"
UNREADABLE_KEY = f"{OWN_PREFIX}:spool:unreadable"
# Whose system's clock is off: a hash, by the process, of when it said so and by how much.
CLOCKS_KEY = f"{OWN_PREFIX}:clocks"
# When Redis's own clock was last set, and by how much.
CLOCK_STEP_KEY = f"{OWN_PREFIX}:clock_step"
# What the keys begin with that say when it is the next one's turn to ask a host.
TURN_PREFIX = f"{OWN_PREFIX}:turn:"
# The lease by which the scheduler proves that leases can be renewed.
LEASE_PROBE_KEY = f"{OWN_PREFIX}:lease-probe"

# What the keys of one job, queue or worker begin with; RQ's as RQ itself names them.
QUEUES_KEY = Queue.redis_queues_keys
WORKER_PREFIX = Worker.redis_worker_namespace_prefix
# In a worker's hash: for how many seconds its last heartbeat is to keep it. RQ's own have none.
HEARTBEAT_TTL_FIELD = "heartbeat_ttl"
# How many coroutines it runs side by side at most; and how many each of its coroutine children runs
# now, by the child's number: those that are being replaced have runs as well.
CONCURRENCY_FIELD = "concurrency"
COROUTINES_FIELDS = ("coroutines", "coroutines:1", "coroutines:2", "coroutines:3")
JOB_PREFIX = Job.redis_job_namespace_prefix
QUEUE_PREFIX = Queue.redis_queue_namespace_prefix
STARTED_PREFIX = StartedJobRegistry.key_template.format("")
FINISHED_PREFIX = FinishedJobRegistry.key_template.format("")
SCHEDULED_PREFIX = ScheduledJobRegistry.key_template.format("")
EXECUTION_PREFIX = f"{RQ_KEY_PREFIX}:execution:"
EXECUTIONS_PREFIX = ExecutionRegistry.key_template.format("")
RESULTS_PREFIX = Result.get_key("")
LEASE_PREFIX = f"{OWN_PREFIX}:lease:"
TAKEN_PREFIX = f"{OWN_PREFIX}:taken:"
# Which idle worker listens to a queue; which others are idle, a sorted set by the time up to which
# that holds; and the list by which one of these learns that it is to listen.
LISTENER_PREFIX = f"{OWN_PREFIX}:listener:"
IDLE_PREFIX = f"{OWN_PREFIX}:idle:"
BELL_PREFIX = f"{OWN_PREFIX}:bell:"

# Who has a place where only so many run at a time: a sorted set of jobs by when their lease ends;
# the jobs that wait for a place there, a list; and where there are any, a set.
PLACES_PREFIX = f"{OWN_PREFIX}:places:"
PARKED_PREFIX = f"{OWN_PREFIX}:parked:"
PARKED_KEY = f"{OWN_PREFIX}:parked"

# The type of each of the single keys, if it exists.
TYPES = {
    SCHEDULES_KEY: "zset",
    SCHEDULERS_KEY: "zset",
    DISPATCH_RECORDS_KEY: "hash",
    MARKER_KEY: "string",
    WAKE_KEY: "list",
    PROBE_KEY: "string",
    SPOOL_KEY: "list",
    UNREADABLE_KEY: "list",
    QUARANTINE_KEY: "hash",
    CLOCKS_KEY: "hash",
    CLOCK_STEP_KEY: "string",
    OWNER_KEY: "hash",
    LEADER_KEY: "string",
    LEASE_PROBE_KEY: "string",
    PARKED_KEY: "set",
    QUEUES_KEY: "set",
    REDIS_WORKER_KEYS: "set",
}
REGISTRIES = (
    StartedJobRegistry,
    FinishedJobRegistry,
    FailedJobRegistry,
    DeferredJobRegistry,
    ScheduledJobRegistry,
    CanceledJobRegistry,
)


# The names by which scripts know the keys that aren't among their KEYS.
LUA_NAMES = {
    "QUEUES": QUEUES_KEY,
    "JOB": JOB_PREFIX,
    "QUEUE": QUEUE_PREFIX,
    "STARTED": STARTED_PREFIX,
    "FINISHED": FINISHED_PREFIX,
    "SCHEDULED": SCHEDULED_PREFIX,
    "EXECUTION": EXECUTION_PREFIX,
    "EXECUTIONS": EXECUTIONS_PREFIX,
    "RESULTS": RESULTS_PREFIX,
    "LEASE": LEASE_PREFIX,
    "LISTENER": LISTENER_PREFIX,
    "IDLE": IDLE_PREFIX,
    "BELL": BELL_PREFIX,
    "PLACES": PLACES_PREFIX,
    "PARKED": PARKED_PREFIX,
    "PARKED_KEYS": PARKED_KEY,
}


def with_key_names(script: str) -> str:
    """Return a Lua script that begins by declaring `LUA_NAMES`."""
    values = ", ".join(f"'{name}'" for name in LUA_NAMES.values())
    return f"local {', '.join(LUA_NAMES)} = {values}\n{script}"


def queue_key(queue: str) -> str:
    """Return the key of the list of a queue's jobs."""
    return QUEUE_PREFIX + queue


def scheduled_key(queue: str) -> str:
    """Return the key of RQ's own scheduled jobs of a queue."""
    return SCHEDULED_PREFIX + queue


def started_key(queue: str) -> str:
    """Return the key of a queue's jobs that have started, with their executions."""
    return STARTED_PREFIX + queue


def workers_key(queue: str) -> str:
    """Return the key of the set of the workers that take jobs from a queue."""
    return WORKERS_BY_QUEUE_KEY % queue


def executions_key(job_id: str) -> str:
    """Return the key of RQ's executions of a job."""
    return EXECUTIONS_PREFIX + job_id


def lease_key(job_id: str) -> str:
    """Return the key that exists as long as a worker renews the lease on this job's run."""
    return LEASE_PREFIX + job_id


def taken_key(worker_name: str) -> str:
    """Return the key that says what a worker last took from its queues."""
    return TAKEN_PREFIX + worker_name


def bell_key(worker_name: str) -> str:
    """Return the key of the list by which an idle worker learns that it is to listen."""
    return BELL_PREFIX + worker_name


def places_key(name: str) -> str:
    """Return the key of the jobs that have one of the places of this name."""
    return PLACES_PREFIX + name


def parked_key(name: str) -> str:
    """Return the key of the jobs that wait for a place of this name."""
    return PARKED_PREFIX + name


def queue_types(name: str) -> dict[str, str]:
    """Return the keys of a queue, and the type of each if it exists."""
    registries = {registry.key_template.format(name): "zset" for registry in REGISTRIES}
    return {queue_key(name): "list"} | registries


def is_wrong_type(error: BaseException) -> bool:
    """Return whether Redis refused a command because a key holds the wrong type."""
    return "WRONGTYPE" in str(error)


def wrong_types(redis: Redis, expected: Mapping[str, str]) -> list[str]:
    """Return a message for each key of the wrong type: what it is, and what to do.

    Raises RedisError if Redis is unavailable.
    """
    with redis.pipeline(transaction=False) as pipe:
        for key in expected:
            pipe.type(key)
        types = [answer.decode() for answer in pipe.execute()]
    return [
        _("The key %(key)s in Redis is a %(found)s, not a %(kind)s: delete or rename it.")
        % {"key": key, "found": found, "kind": kind}
        for (key, kind), found in zip(expected.items(), types, strict=True)
        if found not in (kind, "none")
    ]


def explain(error: RedisError, redis: Redis, queue_names: Iterable[str]) -> str:
    """Return what is wrong with Redis, naming the keys of the wrong type if there are any."""
    if isinstance(error, AuthenticationError | NoPermissionError):
        return _(
            "it refuses the user or password that the settings name for it (%(error)s): correct "
            "the address of the queues."
        ) % {"error": error}
    if not is_wrong_type(error):
        return str(error)
    expected = dict(TYPES)
    for name in queue_names:
        expected |= queue_types(name)
    try:
        return " ".join(wrong_types(redis, expected)) or str(error)
    except RedisError as now:
        return str(now)
