"""What the busy site's database holds: schedules and runs of every state, and their history.

Times are relative to now. What has an interval is next due in 40 minutes, so that nothing starts by
itself while a test runs.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

from feeds.models import Entry, Feed
from tasks import clock
from tasks.ledger.summaries import summarise
from tasks.models import (
    Calendar,
    Hold,
    ScheduleChange,
    ScheduledTask,
    ScheduledTaskInstance,
    Tag,
    Task,
)
from tasks.reasons import Code, reason

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
WEEK = timedelta(days=7)
BACKEND = "django.contrib.auth.backends.ModelBackend"
# Who may do what: the keys of their sessions are their names, made long enough.
OPERATOR, VIEWER = "olga", "vera"
TOKEN = "tok-4711-geheim"
# How long ago something was due that never ran, and was skipped, in hours.
MISSED_HOURS, SKIPPED_HOURS = 20, 30
TRACEBACK = """Traceback (most recent call last):
  File "/site/shop/tasks.py", line 41, in import_orders
    return len(json.loads(text)["orders"])
  File "/usr/lib/python3.11/json/__init__.py", line 346, in loads
    return _default_decoder.decode(s)
  File "/usr/lib/python3.11/json/decoder.py", line 337, in decode
    obj, end = self.raw_decode(s, idx=_w(s, 0).end())
json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)
"""
LOG = "\n".join(
    f"2026-01-01 10:00:{number // 10:02},{number % 10}00 "
    f"{'WARNING' if number % 25 == 24 else 'INFO'} shop: order {number} read"
    for number in range(300)
)


def session_key(name: str) -> str:
    """Return the key of the session in which somebody is logged in."""
    return f"{name}0session0of0the0busy0site"


def fill() -> None:
    """Store everything."""
    now = clock.now().replace(microsecond=0)
    _store_people()
    _Shop(now).store()
    summarise()


def _store_people() -> None:
    operator = User.objects.create_superuser(OPERATOR, f"{OPERATOR}@example.com", "operator-pw")
    viewer = User.objects.create_user(VIEWER, password="viewer-pw", is_staff=True)
    viewer.user_permissions.set(
        Permission.objects.filter(
            content_type__app_label__in=["tasks", "feeds"], codename__startswith="view_"
        )
    )
    for user in (operator, viewer):
        values = {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: BACKEND,
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }
        Session.objects.create(
            session_key=session_key(user.username),
            session_data=SessionStore().encode(values),
            expire_date=clock.now() + WEEK,
        )


class _Shop:
    """The rows of a shop, as they are at one time."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        # The last time when everything with an interval was due.
        self.last = now - 20 * MINUTE

    def store(self) -> None:
        self.tags = {name: Tag.objects.create(name=name) for name in ("billing", "reports", "ops")}
        self.calendar = Calendar.objects.create(
            name="Public holidays", dates="2026-12-24..2026-12-26"
        )
        self._store_busy()
        self._store_quiet()
        self._store_others()
        self._store_feed()
        self._store_calls()
        Hold.objects.create(queue="low", since=self.now - HOUR, by=OPERATOR, note="disk is full")

    def schedule(self, name: str, function: str, *tags: str, **values: Any) -> ScheduledTask:
        """Store a schedule; without a spec it is hourly."""
        if values.get("cron"):
            values["type"] = "cron"
        else:
            values = {"first": self.last - WEEK, "interval": 3_600} | values
        times = {"settled_through": self.now, "period_start": self.last - WEEK - MINUTE}
        schedule = ScheduledTask.objects.create(name=name, function=function, **times | values)
        schedule.tags.set(self.tags[tag] for tag in tags)
        return schedule

    def runs(
        self, schedule: ScheduledTask, hours: int, outcome: Callable[[int], dict[str, Any]]
    ) -> None:
        """Store a run for each of the last hours; `outcome` says how the one so long ago ended."""
        rows = []
        for ago in range(hours, -1, -1):
            due = self.last - ago * HOUR
            took = timedelta(seconds=20 + ago % 7)
            started = due + timedelta(seconds=ago % 3)
            values = {"status": "finished", "started": started, "ended": started + took}
            values |= {"worker_name": f"worker-{ago % 2 + 1}", "result": 12, "created": started}
            values |= outcome(ago)
            if values["status"] in ("missed", "skipped"):
                values |= {
                    "started": None,
                    "ended": due + MINUTE,
                    "result": None,
                    "worker_name": "",
                }
            rows.append(
                ScheduledTaskInstance(parent=schedule, name=schedule.name, due=due, **values)
            )
        ScheduledTaskInstance.objects.bulk_create(rows)

    def _store_busy(self) -> None:
        """Store what has run every hour for a week, and what fails."""
        orders = self.schedule(
            "Import orders", "shop.import_orders", "billing", catch_up="none", retries=1
        )
        self.runs(orders, 168, self._orders)
        invoices = self.schedule(
            "Send invoices",
            "shop.send_invoices",
            "billing",
            "reports",
            kwargs={"region": "eu", "days": 3},
            description="What customers owe, by region.",
        )
        self.runs(invoices, 168, lambda ago: {"log": LOG} if ago == 1 else {})
        self._store_changes(invoices)
        stock = self.schedule(
            "Read stock", "shop.import_orders", "ops", kwargs={"text": "<html>"}, status="failed"
        )
        self.runs(stock, 60, self._stock)
        self.schedule(
            "Charge cards",
            "shop.charge_cards",
            "billing",
            queue="high",
            kwargs={"api_token": TOKEN, "limit": 20},
        )

    def _orders(self, ago: int) -> dict[str, Any]:
        """Return how a run of “Import orders” ended: in each way once, mostly well."""
        due = self.last - ago * HOUR
        late = {"started": due + 12 * MINUTE, "ended": due + 13 * MINUTE}
        lost = {"status": "failed", "result": None, "exception_class": "Lost"}
        return {
            3: {"status": "canceled", **reason(Code.STOPPED_BY, by=OPERATOR).fields},
            5: lost | reason(Code.LOST_SIGNAL, signal=9).fields,
            8: late,
            MISSED_HOURS: {"status": "missed", **reason(Code.NOT_IN_TIME, catch_up="none").fields},
            SKIPPED_HOURS: {
                "status": "skipped",
                **reason(Code.PREVIOUS_RUN, due=due - HOUR).fields,
            },
        }.get(ago, {"log": LOG} if ago == 2 else {})

    def _stock(self, ago: int) -> dict[str, Any]:
        """Return how a run of “Read stock” ended: for a day all have failed alike."""
        if ago > 25:
            return {}
        return {
            "status": "failed",
            "result": None,
            "exception_class": "json.decoder.JSONDecodeError",
            "reason": "Failed for: Expecting value: line 1 column 1 (char 0)",
            "traceback": TRACEBACK,
            "log": LOG,
        }

    def _store_changes(self, schedule: ScheduledTask) -> None:
        """Store who has changed what on a schedule."""
        lines: list[tuple[int, str, str, dict[str, Any], str]] = [
            (90, OPERATOR, "created", {}, ""),
            (50, OPERATOR, "changed", {"kwargs": [{"region": "eu"}, schedule.kwargs]}, ""),
            (30, "sync_schedules", "changed", {"retries": [2, 0]}, "from the list in code"),
            (2, "boris", "changed", {"interval": [7_200, 3_600]}, "customers asked for it"),
        ]
        for hours, by, action, changes, note in lines:
            ScheduleChange.objects.create(
                schedule=schedule,
                at=self.now - hours * HOUR,
                by=by,
                action=action,
                changes=changes,
                note=note,
            )

    def _store_quiet(self) -> None:
        """Store what is paused, ended, new, due seldom, or waits."""
        self.schedule(
            "Nightly report",
            "shop.send_invoices",
            "reports",
            cron="30 2 * * *",
            timezone="Europe/Berlin",
            kwargs={"region": "us"},
            calendar=self.calendar,
            status="paused",
            paused_at=self.now - 5 * HOUR,
            period_start=self.now - 5 * HOUR,
            note="until the new template is there",
        )
        once = {"first": self.now - 3 * HOUR, "interval": None, "period_start": self.now - 2 * HOUR}
        self.schedule("Move the archive", "shop.import_orders", status="death", **once)
        self.schedule("Close the year", "shop.import_orders", cron="0 0 31 12 *")
        self.schedule(
            "Clean up", "shop.import_orders", "ops", queue="low", first=self.now + WEEK
        ).requests.create(requested=self.now - 30 * MINUTE)
        far = {"first": self.now + WEEK, "interval": 604_800}
        index = self.schedule("Rebuild index", "shop.rebuild_index", "ops", args=[10_000], **far)
        for hours in range(2, 12):  # By which it is said how long the next one takes.
            begun = self.now - hours * HOUR
            values = {"requested": begun, "started": begun, "ended": begun + 30 * MINUTE}
            index.runs.create(name=index.name, status="finished", created=begun, **values)
        # A worker runs this one all the time.
        index.requests.create(requested=self.now)
        self.schedule("Count pages", "shop.rebuild_index", args=[100_000], **far, overlap="allow")
        self.schedule("Quick", "shop.import_orders", **far, overlap="allow")

    def _store_others(self) -> None:
        """Store more than a page of schedules."""
        for number in range(40):
            schedule = self.schedule(
                f"Sync region {number:02}", "shop.import_orders", kwargs={"text": f"[{number}]"}
            )
            self.runs(schedule, 4, lambda ago: {})

    def _store_feed(self) -> None:
        url = "https://news.example.com/atom.xml"
        feed = Feed.objects.create(url=url, title="Shop news")
        feed.schedule = self.schedule("News", "feeds.fetch_rss", args=[feed.pk])
        feed.save()
        for number in range(3):
            Entry.objects.create(
                feed=feed,
                guid=f"urn:{number}",
                title=f"News {number}",
                link=f"https://news.example.com/{number}",
                summary="<p>What is <b>new</b>.</p>",
                content="<p>All of what is <a href='https://example.com/'>new</a>.</p>",
                published=self.now - number * HOUR,
                digest=str(number),
            )

    def _store_calls(self) -> None:
        done = {"started": self.now - HOUR, "ended": self.now - HOUR + 3 * SECOND}
        calls: list[dict[str, Any]] = [
            {"status": "finished", "result": {"orders": 3}, "log": LOG, **done},
            {"status": "failed", "reason": "Failed for: no", "traceback": TRACEBACK, **done},
            {
                "status": "canceled",
                "ended": self.now,
                **reason(Code.CALL_CANCELLED_BY, by=OPERATOR).fields,
            },
            {"status": "reserved", "reserved_for": self.now + WEEK},
        ]
        for values in calls:
            Task.objects.create(name="shop.import_orders", function="shop.import_orders", **values)
        Task.objects.create(
            name="shop.charge_cards",
            function="shop.charge_cards",
            kwargs={"api_token": TOKEN},
            status="finished",
            **done,
        )
