"""A large ledger, as an installation has it after some weeks: made by itself, not by running it."""

import json
import random
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any

from django.contrib.auth.models import Permission, User
from django.db import connection, models
from django.db.models import Max, Min
from redis import Redis

from benchmarks.ours.fill import redis
from feeds.models import Entry, Feed
from tasks import clock
from tasks.broker.keys import (
    JOB_PREFIX,
    LEADER_KEY,
    SCHEDULERS_KEY,
    SCHEDULES_KEY,
    WORKER_PREFIX,
    queue_key,
    taken_key,
    workers_key,
)
from tasks.job_ids import RunId
from tasks.ledger.summaries import summarise
from tasks.models import (
    Calendar,
    HourlySummary,
    ScheduleChange,
    ScheduledTask,
    ScheduledTaskInstance,
    Tag,
    TagUser,
    Task,
    WeeklySummary,
)
from tasks.reasons import Code

USER, LIMITED_USER = "operator", "limited"
CHUNK = 5_000
WORKERS, TAGS, ENTRIES_PER_FEED, WAITING = 8, 20, 20, 300
FUNCTIONS = ("benchmarks.tasks.noop", "examples.tasks.count_words", "examples.tasks.long_task")
ARGUMENTS: tuple[list[Any], ...] = ([7], ["https://example.com/"], [2.5])
QUEUES = ("default", "default", "default", "high", "low", "low")
AREAS = ("Orders", "Prices", "Stock", "Invoices", "Reports", "Search", "Mail", "Customers")
VERBS = ("import", "export", "sync", "check", "clean-up", "rebuild", "report", "poll")
# How often the busiest schedule, the first of all, is due.
BUSIEST = timedelta(seconds=5)
# How often schedules are due, in seconds, with how many of a hundred are.
INTERVALS = ((60, 2), (900, 8), (3_600, 60), (21_600, 15), (86_400, 15))
CRONS = ("*/15 * * * *", "30 6 * * MON-FRI", "5 * * * *", "0 3 * * *", "15 2 1 * *")
# What failed runs raised, and where.
EXCEPTIONS = (
    ("builtins.ConnectionError", "The server has closed the connection.", "shop/client.py", 88),
    ("builtins.TimeoutError", "No answer within 30 s.", "shop/client.py", 104),
    ("builtins.KeyError", "'price'", "shop/prices.py", 41),
    ("builtins.ValueError", "could not convert string to float: ''", "shop/prices.py", 57),
    ("django.db.utils.IntegrityError", "duplicate key value", "shop/stock.py", 230),
    ("builtins.ZeroDivisionError", "division by zero", "shop/reports.py", 19),
)
STATUS = ScheduledTaskInstance.Status


def make(schedules: int, runs: int) -> dict[str, float]:
    """Store so many schedules and runs, with all that belongs to them, and summarise the runs.

    Returns how long each took, in seconds.
    """
    chance, took = random.Random(1), {}
    for name, step in {
        "schedules": lambda: _make_schedules(schedules, chance),
        "runs": lambda: _make_runs(runs, chance),
        "others": lambda: _make_others(schedules, chance),
        "summaries": summarise,
    }.items():
        started = time.monotonic()
        step()
        took[name] = time.monotonic() - started
    _analyse()
    return took


def make_closed(schedules: int, runs: int) -> None:
    """Store so many schedules and runs, of which each was due and none is missing.

    A third of the schedules have a cron expression.
    """
    chance = random.Random(1)
    _make_schedules(schedules, chance)
    _make_runs(runs, chance)
    _close()
    _analyse()


def _close() -> None:
    """Change the schedules to what has yielded their runs; what failed isn't tried again."""
    runs = ScheduledTaskInstance.objects.order_by()
    bounds = runs.values_list("parent").annotate(Min("due"), Max("due"))
    dues = {pk: (first, last) for pk, first, last in bounds}
    schedules = list(ScheduledTask.objects.order_by("pk"))
    for place, seconds, _ in _shares(len(schedules), runs.count()):
        schedule = schedules[place]
        first, last = dues[schedule.pk]
        spec: dict[str, Any] = {"type": "schedule", "first": first, "interval": seconds, "cron": ""}
        if seconds == 3_600 and place % 3 == 0:
            cron = f"{first.second} {first.minute} * * * *"
            spec = {"type": "cron", "first": None, "interval": None, "cron": cron}
        others = {"status": "running", "paused_at": None, "calendar": None, "retries": 0}
        bounds_of_period = {"period_start": first - timedelta(seconds=1), "settled_through": last}
        for field, value in (spec | others | bounds_of_period).items():
            setattr(schedule, field, value)
    fields = [*spec, *others, *bounds_of_period]
    ScheduledTask.objects.bulk_update(schedules, fields, batch_size=500)


def _make_schedules(number: int, chance: random.Random) -> None:
    """Make schedules: some fail, some are paused or have ended, and two in five have tags."""
    now = clock.now().replace(microsecond=0)
    calendar = Calendar.objects.create(name="holidays", dates="2026-12-25\n2027-01-01")
    Calendar.objects.bulk_create(
        Calendar(name=f"holidays {place}", dates="2026-12-26") for place in range(20)
    )
    tags = Tag.objects.bulk_create(Tag(name=f"team-{place:02}") for place in range(TAGS))
    schedules = ScheduledTask.objects.bulk_create(
        (_schedule(place, now, calendar, chance) for place in range(number)), batch_size=1_000
    )
    through = ScheduledTask.tags.through
    through._default_manager.bulk_create(
        (
            through(scheduledtask_id=schedule.pk, tag_id=chance.choice(tags).pk)
            for schedule in schedules
            if chance.random() < 0.4
        ),
        batch_size=CHUNK,
    )
    ScheduleChange.objects.bulk_create(
        (
            ScheduleChange(
                schedule=schedule, by=USER, action="changed", changes={"interval": [60, 90 + place]}
            )
            for schedule in schedules
            for place in range(2 if schedule.pk % 100 else 200)
        ),
        batch_size=CHUNK,
    )


def _schedule(
    place: int, now: datetime, calendar: Calendar, chance: random.Random
) -> ScheduledTask:
    status = chance.choices(["running", "failed", "paused", "death"], [93, 1, 2, 4])[0]
    [interval] = chance.choices(*zip(*INTERVALS, strict=True))
    call = place % len(FUNCTIONS)
    # The first of all has the most runs.
    spec: dict[str, Any] = {
        "first": now - timedelta(days=60),
        "interval": interval if place else BUSIEST.seconds,
    }
    if place and chance.random() < 0.3:
        spec = {"type": "cron", "cron": chance.choice(CRONS), "timezone": "Europe/Berlin"}
    return ScheduledTask(
        name=f"{chance.choice(AREAS)}: {chance.choice(VERBS)} {place}",
        job_id=f"schedule-{place:032}",
        fingerprint=f"{place:064}",
        function=FUNCTIONS[call],
        args=ARGUMENTS[call],
        queue=chance.choice(QUEUES),
        status=status,
        paused_at=now - timedelta(hours=5) if status == "paused" else None,
        note="while the supplier's system is moved" if status == "paused" else "",
        calendar=calendar if chance.random() < 0.1 else None,
        overlap=chance.choice(["skip", "skip", "allow", "wait"]),
        retries=chance.choice([0, 0, 3]),
        settled_through=now,
        period_start=now - timedelta(days=60),
        next_check_at=now + timedelta(minutes=5),
        keep_runs=None,
        **spec,
    )


# The runs


def _make_runs(number: int, chance: random.Random) -> None:
    """Make runs in the order of their dues: a few schedules have very many, each has some."""
    schedules = list(ScheduledTask.objects.order_by("pk").values_list("pk", "name", "status"))
    # When the busiest, which runs every 5 seconds, has been due.
    first: Any = ScheduledTask.objects.earliest("pk").first
    now = first + (clock.now() - first - timedelta(seconds=30)) // BUSIEST * BUSIEST
    dues: list[tuple[datetime, int]] = []
    for place, seconds, part in _shares(len(schedules), number):
        # Each has a phase of its own.
        first = now - timedelta(seconds=(997 * place) % seconds)
        step = timedelta(seconds=seconds)
        dues += ((first - at * step, place) for at in range(part))
    dues.sort()
    latest = {place: due for due, place in dues}
    columns = columns_of(ScheduledTaskInstance)
    rows = (
        _run(due, *schedules[place], chance, is_latest=latest[place] == due) for due, place in dues
    )
    copy_rows(ScheduledTaskInstance, columns, rows)


def _shares(schedules: int, runs: int) -> Iterator[tuple[int, int, int]]:
    """Yield for each schedule its place, the seconds between two runs, and how many it has."""
    busiest, busy = runs // 50, max(schedules // 100, 1)
    each_busy = runs // 10 // busy
    others = schedules - busy - 1
    left = runs - busiest - busy * each_busy
    for place in range(schedules):
        if place == 0:
            yield place, BUSIEST.seconds, busiest
        elif place <= busy:
            yield place, 60, each_busy
        else:
            yield place, 3_600, left // others + (place - busy <= left % others)


def _run(
    due: datetime,
    pk: int,
    name: str,
    schedule_status: str,
    chance: random.Random,
    is_latest: bool,
) -> dict[str, Any]:
    """Return the values of a run: how it ended is drawn, but the latest fits its schedule."""
    failed = 0.4 if schedule_status == "failed" else 0.012
    status = chance.choices(
        [STATUS.FINISHED, STATUS.FAILED, STATUS.MISSED, STATUS.SKIPPED, STATUS.CANCELED],
        [0.96 - failed, failed, 0.008, 0.01, 0.002],
    )[0]
    if is_latest:
        status = STATUS.FAILED if schedule_status == "failed" else STATUS.FINISHED
    if is_latest and schedule_status == "running" and pk % 1_250 == 1:
        status = STATUS.RUNNING
    values: dict[str, Any] = {"name": name, "status": status, "parent_id": pk, "due": due}
    late = chance.expovariate(1 / 20) if chance.random() < 0.02 else chance.expovariate(5)
    begun = due + timedelta(seconds=late)
    ended = begun + timedelta(seconds=chance.lognormvariate(0, 1))
    if status in (STATUS.MISSED, STATUS.SKIPPED):
        code = Code.NOT_IN_TIME if status == STATUS.MISSED else Code.PREVIOUS_RUN
        text = {"catch_up": "latest"} if status == STATUS.MISSED else {"due": str(due)}
        values |= {"reason_code": code, "reason_values": json.dumps(text)}
        return values | {"ended": begun, "created": begun}
    values |= {"started": begun, "created": begun, "worker_name": f"worker-{pk % WORKERS}"}
    values["log"] = f"{begun:%H:%M:%S} INFO shop: begun\n{begun:%H:%M:%S} INFO shop: done\n"
    if status == STATUS.RUNNING:
        return values | {"progress": 40, "progress_message": "row 4 of 10"}
    if status == STATUS.FINISHED:
        values["result"] = json.dumps({"rows": pk % 97})
    if status == STATUS.FAILED:
        values |= _failure(pk, chance)
    return values | {"ended": ended}


def _failure(pk: int, chance: random.Random) -> dict[str, Any]:
    if chance.random() < 0.05:
        worker = json.dumps({"worker": f"worker-{pk % WORKERS}"})
        return {"reason_code": Code.LOST_CONTACT, "reason_values": worker}
    exception, said, file, line = EXCEPTIONS[(pk + chance.randrange(2)) % len(EXCEPTIONS)]
    frames = [
        ("/usr/lib/python3.11/contextlib.py", 81, "inner"),
        ("/srv/app/shop/jobs.py", 12 + pk % 50, "main"),
        (f"/srv/app/{file}", line, "read"),
        ("/usr/lib/python3.11/site-packages/client/session.py", 745, "send"),
    ]
    lines = [f'  File "{path}", line {at}, in {where}\n    …' for path, at, where in frames * 5]
    name = exception.rpartition(".")[2]
    return {
        "reason": f"Failed for: {name}: {said}",
        "exception_class": exception,
        "traceback": "\n".join(["Traceback (most recent call last):", *lines, f"{name}: {said}"]),
    }


def columns_of(model: type[models.Model]) -> dict[str, Any]:
    """Return the columns that are written, with what a row has that says nothing of them."""
    given = {"attempt": 1, "progress": 0}
    texts = (models.CharField, models.TextField)
    return {
        str(field.column): given.get(
            field.name, "" if isinstance(field, texts) and not field.null else None
        )
        for field in model._meta.concrete_fields
        if not field.primary_key and not field.generated
    }


def copy_rows(model: type[models.Model], defaults: dict[str, Any], rows: Iterable[Any]) -> None:
    """Store rows, in their order, as fast as the database takes them."""
    table, names = model._meta.db_table, ", ".join(f'"{name}"' for name in defaults)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(tuple((defaults | row).values()))
            return
        marks = ", ".join("?" for _ in defaults)
        insert = f"INSERT INTO {table} ({names}) VALUES ({marks})"
        cursor.execute("BEGIN")
        cursor.connection.executemany(insert, (_for_sqlite(defaults | row) for row in rows))
        cursor.execute("COMMIT")


def _for_sqlite(row: dict[str, Any]) -> tuple[Any, ...]:
    adapt = connection.ops.adapt_datetimefield_value
    return tuple(
        adapt(value) if isinstance(value, datetime) else str(value) if value is not None else None
        for value in row.values()
    )


def _analyse() -> None:
    """Have the database know its tables, as it does after a while."""
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


# All that is beside them


def _make_others(schedules: int, chance: random.Random) -> None:
    _make_people()
    _make_calls(schedules)
    _make_feeds(schedules // 10)
    _fill_redis(redis(), chance)


def _make_people() -> None:
    User.objects.create_superuser(USER)
    limited = User.objects.create_superuser(LIMITED_USER)
    # All permissions but that of seeing everything.
    User.objects.filter(pk=limited.pk).update(is_superuser=False)

    limited.user_permissions.set(Permission.objects.all())
    TagUser.objects.create(tag=Tag.objects.get(name="team-03"), user=limited)


def _make_calls(number: int) -> None:
    now = clock.now()
    started = (now - timedelta(minutes=place) for place in count(number, -1))
    Task.objects.bulk_create(
        (
            Task(
                name="count_words",
                function=FUNCTIONS[1],
                args=ARGUMENTS[1],
                status="finished",
                started=begun,
                ended=begun + timedelta(seconds=2),
                result={"words": 12},
            )
            for begun in islice(started, number)
        ),
        batch_size=1_000,
    )


def _make_feeds(number: int) -> None:
    pks = ScheduledTask.objects.order_by("pk").values_list("pk", flat=True)[:number]
    feeds = Feed.objects.bulk_create(
        Feed(url=f"https://example.com/{pk}.xml", title=f"Feed {pk}", schedule_id=pk) for pk in pks
    )
    now = clock.now()
    Entry.objects.bulk_create(
        (
            Entry(
                feed=feed,
                guid=str(place),
                title=f"Entry {place} of {feed.title}",
                link=f"https://example.com/{place}",
                summary="<p>Something has happened.</p>" * 5,
                published=now - timedelta(hours=place),
                digest="0",
            )
            for place in range(ENTRIES_PER_FEED)
            for feed in feeds
        ),
        batch_size=1_000,
    )


def _fill_redis(client: Redis, chance: random.Random) -> None:
    """Have Redis say what it would: the next dues, a leader, workers, jobs that wait."""
    now = clock.now()
    live = list(ScheduledTask.objects.live().values_list("job_id", "queue"))
    with client.pipeline(transaction=False) as pipe:
        pipe.zadd(
            SCHEDULES_KEY,
            {job_id: now.timestamp() + chance.uniform(60, 90_000) for job_id, _queue in live},
        )
        # They are alive as long as the pages are measured.
        pipe.set(LEADER_KEY, "scheduler-1")
        alive = now + timedelta(hours=1)
        pipe.zadd(
            SCHEDULERS_KEY, {"scheduler-1": alive.timestamp(), "scheduler-2": now.timestamp()}
        )
        for place in range(WORKERS):
            _add_worker(pipe, f"worker-{place}", alive)
        for job_id, queue in chance.sample(live, min(WAITING, len(live))):
            waiting = RunId(job_id, now.replace(microsecond=0) - timedelta(seconds=5)).job_id
            pipe.rpush(queue_key(queue), waiting)
            pipe.hset(JOB_PREFIX + waiting, "enqueued_at", _stamp(now))
        pipe.execute()


def _add_worker(pipe: Any, name: str, alive: datetime) -> None:
    key = WORKER_PREFIX + name
    pipe.sadd("rq:workers", key)
    for queue in {*QUEUES}:
        pipe.sadd(workers_key(queue), key)
    values = {"queues": "high,default,low", "last_heartbeat": _stamp(alive), "state": "busy"}
    pipe.hset(key, mapping=values)
    pipe.hset(taken_key(name), "job", "schedule")


def _stamp(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def count_rows() -> dict[str, float]:
    """Return how many rows of each kind there are."""
    kinds = (ScheduledTask, ScheduledTaskInstance, HourlySummary, WeeklySummary)
    return {model.__name__: float(model._default_manager.count()) for model in kinds}
