"""The shop's schedules with what came of them in the last seven days, always the same.

Times are relative to now; all else follows from the names, by which chance is seeded.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils.timezone import localtime

from feeds.models import Entry, Feed
from feeds.services import schedule_feed
from tasks import clock
from tasks.history import made_by
from tasks.holds import pause_queue
from tasks.ledger.summaries import summarise
from tasks.models import Calendar, ScheduleChange, ScheduledTask, ScheduledTaskInstance, Tag, Task
from tasks.reasons import Code, reason
from tasks.services import SchedulerService, TaskService
from tasks.timing.instants import whole_milliseconds
from tasks.timing.spec import dues
from tests.shop import PASSWORD, SHOWN, USER, ZONE

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WEEK = 7 * DAY
# Within this time all is stored.
FILLING = timedelta(seconds=90)
Status = ScheduledTaskInstance.Status


@dataclass(frozen=True)
class Error:
    """What a run of the shop raises now and then."""

    exception: str
    text: str
    file: str
    line: int
    function: str
    code: str

    @property
    def values(self) -> dict[str, Any]:
        """The fields of a run that has failed of it."""
        library = "/srv/shop/.venv/lib/python3.13/site-packages/"
        frames = [
            (f"{library}tasks/runs/recorder.py", 168, "_call", "value = self._func(*args)"),
            (f"/srv/shop/shop/{self.file}", self.line, self.function, self.code),
            (f"{library}requests/models.py", 1026, "raise_for_status", "raise HTTPError(text)"),
        ]
        lines = [
            f'  File "{path}", line {n}, in {name}\n    {code}\n' for path, n, name, code in frames
        ]
        return {
            "exception_class": self.exception,
            "reason": f"Failed for: {self.text}",
            "traceback": "".join(
                ["Traceback (most recent call last):\n", *lines, f"{self.exception}: {self.text}\n"]
            ),
        }


WAREHOUSE = Error(
    "shop.tasks.WarehouseUnavailable",
    "503 from the warehouse's service: “maintenance”",
    *("orders.py", 88, "_send", "response.raise_for_status()"),
)
PRICES = Error(
    "requests.exceptions.ReadTimeout",
    "prices.example.org: no answer within 30 s",
    *("prices.py", 41, "fetch_prices", "page = client.get(url, timeout=30)"),
)
DEADLOCK = Error(
    "django.db.utils.OperationalError",
    "deadlock detected",
    *("stock.py", 132, "_store", "Stock.objects.bulk_update(changed, ['amount'])"),
)
CARRIER = Error(
    "json.decoder.JSONDecodeError",
    "Expecting value: line 1 column 1 (char 0)",
    *("parcels.py", 57, "track_parcels", "states = response.json()"),
)


@dataclass(frozen=True)
class Plan:
    """A schedule of the shop: `when` is a cron expression, or an interval in seconds.

    An interval is next due `soon` seconds from now. A run takes about `seconds`; one of `fails` in
    a thousand fails, one of `late` in a thousand starts late.
    """

    name: str
    function: str
    kwargs: dict[str, Any]
    when: str | int
    seconds: float = 2
    tags: str = ""
    soon: int = 45
    fails: int = 0
    late: int = 1
    error: Error = DEADLOCK
    options: dict[str, Any] = field(default_factory=dict)


REPORTS = {"queue": "reports"}
# fmt: off
PLANS = [
    Plan(SHOWN, "export_orders", {"region": "eu"}, "0,30 * * * *", 236, "orders warehouse",
        error=WAREHOUSE, fails=8, options={"retries": 3, "retry_delay": 30, "timeout": 2700}),
    Plan("Supplier catalogue, Nordwind", "sync_catalogue", {"supplier": "Nordwind"}, 3600, 186,
        "products", soon=4, fails=6, late=20, error=PRICES),
    Plan("Supplier catalogue, Albion Tea", "sync_catalogue", {"supplier": "Albion Tea", "pages":
        20}, 7200, 190, "products", soon=4000, late=12),
    Plan("Stock levels", "update_stock", {"warehouse": "Leipzig"}, 60, 1.4, "warehouse",
        soon=31),
    Plan("Stock levels, Graz", "update_stock", {"warehouse": "Graz"}, 600, 1.9, "warehouse"),
    Plan("Payments, settle open ones", "refresh", {"what": "payments"}, 120, 3.1, "orders",
        soon=52),
    Plan("Search index, changed products", "refresh", {"what": "search index"}, 120, 6.5,
        "products", soon=73, late=9),
    Plan("Thumbnails", "refresh", {"what": "thumbnails"}, 180, 4.2, "products", soon=97,
        late=2),
    Plan("Price feed EU", "fetch_prices", {"region": "eu", "api_token": "tk_5f2c81"}, 300, 8.4,
        "prices", soon=118, fails=5, error=PRICES),
    Plan("Price feed UK", "fetch_prices", {"region": "uk", "api_token": "tk_5f2c81"}, 300, 7.9,
        "prices", soon=128, error=PRICES),
    Plan("Price feed US", "fetch_prices", {"region": "us", "api_token": "tk_9d01aa"}, 300, 11.8,
        "prices", soon=138, late=3, error=PRICES),
    Plan("Fraud check of new orders", "refresh", {"what": "fraud scores"}, 300, 2.2, "orders",
        soon=161),
    Plan("Marketplace orders, import", "refresh", {"what": "marketplace orders"}, 300, 9.3,
        "marketplace orders", soon=175, fails=2, error=CARRIER),
    Plan("Marketplace stock, export", "refresh", {"what": "marketplace stock"}, 900, 21,
        "marketplace", soon=318, late=6),
    Plan("Abandoned baskets", "remind", {"about": "abandoned baskets"}, 900, 5.8, "customers",
        soon=402),
    Plan("Parcel tracking, DHL", "track_parcels", {"carrier": "DHL"}, 600, 12, "orders",
        soon=211, fails=9, error=CARRIER),
    Plan("Parcel tracking, UPS", "track_parcels", {"carrier": "UPS"}, 600, 14, "orders",
        soon=241),
    Plan("Parcel tracking, GLS", "track_parcels", {"carrier": "GLS"}, 600, 10, "orders",
        soon=271),
    Plan("Newsletter, send what is queued", "remind", {"about": "the newsletter"}, 600, 17,
        "customers", soon=290),
    Plan("Returns, refund what has arrived", "refresh", {"what": "refunds"}, 900, 3.3, "orders",
        soon=511),
    Plan("Gift cards, balances", "refresh", {"what": "gift cards"}, 3600, 2.6, "customers",
        soon=1500),
    Plan("Logins, look for attacks", "refresh", {"what": "login attempts"}, 3600, 4.4, "site",
        soon=1830),
    Plan("Loyalty points", "refresh", {"what": "loyalty points"}, "15 1 * * *", 64,
        "customers"),
    Plan("Recommendations, train anew", "refresh", {"what": "recommendations"}, "0 3 * * *",
        2710, "products"),
    Plan("Currency rates", "refresh", {"what": "currency rates"}, "15 16 * * MON-FRI", 1.2,
        "prices"),
    Plan("Sitemap", "refresh", {"what": "the sitemap"}, "40 3 * * *", 96, "site"),
    Plan("Dead links in the shop", "refresh", {"what": "links"}, "0 5 * * SUN", 1260, "site"),
    Plan("Certificates, look for those that end", "refresh", {"what": "certificates"},
        "0 8 * * *", 3.8, "site"),
    Plan("VAT rates", "refresh", {"what": "VAT rates"}, "0 4 1 * *", 2.2, "prices"),
    Plan("Reviews, ask customers for one", "remind", {"about": "a review", "after_days": 10},
        "0 10 * * MON-FRI", 41, "customers"),
    Plan("Invoices that are overdue by more than thirty days, second reminder with a copy to the "
        "account manager",
        "remind", {"about": "overdue invoices", "after_days": 30}, "30 9 * * MON-FRI", 22,
        "customers accounting"),
    Plan("Old sessions", "clean_up", {"what": "sessions", "older_than_days": 14}, "10 4 * * *",
        8, "site"),
    Plan("Old baskets", "clean_up", {"what": "baskets", "older_than_days": 90}, "20 4 * * *",
        11, "site"),
    Plan("Old uploads", "clean_up", {"what": "uploads"}, "45 4 * * SUN", 310, "site"),
    Plan("Backup, database", "back_up", {"what": "database"}, "0 2 * * *", 1140, "backup"),
    Plan("Backup, pictures", "back_up", {"what": "pictures"}, "30 2 * * *", 2480, "backup",
        late=300),
    Plan("Sales figures, live", "report", {"kind": "sales"}, 60, 1.8, "reports", soon=38,
        options=REPORTS),
    Plan("Advertising spend", "report", {"kind": "sales", "recipients": ["ads@example.org"]},
        3600, 19, "reports", soon=2200, fails=10, error=CARRIER, options=REPORTS),
    Plan("Conversion, by landing page", "report", {"kind": "sales", "recipients": []}, 3600, 33,
        "reports", soon=2700, options=REPORTS),
    Plan("Sales report, daily", "report", {"kind": "sales", "recipients": ["shop@example.org"]},
        "0 6 * * *", 84, "reports", options=REPORTS),
    Plan("Sales report, weekly", "report", {"kind": "sales", "recipients":
        ["board@example.org"]}, "30 6 * * MON", 171, "reports", options=REPORTS),
    Plan("Stock valuation", "report", {"kind": "stock"}, "30 5 * * *", 420, "reports warehouse",
        options=REPORTS),
    Plan("Returns report", "report", {"kind": "returns"}, "0 7 * * MON-FRI", 58,
        "reports orders", options=REPORTS),
    Plan("Board report", "report", {"kind": "board"}, "0 8 1 * *", 640, "reports",
        options=REPORTS),
]
# fmt: on
# Feeds are polled hourly, the first one in so many seconds.
BLOGS = {
    "Blog: Tea Trade Weekly": ("https://teatrade.example.com/feed.xml", 1_320),
    "Blog: The Kettle": ("https://kettle.example.org/atom.xml", 1_620),
    "Press: harvest reports": ("https://press.example.net/harvest.rss", 1_920),
    "Status page of the payment provider": ("https://status.example.com/history.atom", 2_220),
}
TITLES = [
    "First flush in Darjeeling two weeks early",
    "Container rates fall for the fifth week",
    "How we test kettles",
    "Resolved: delayed card payments in the EU",
    "Assam: less rain, smaller leaves",
    "A cup a day: readers' letters",
    "Scheduled maintenance on Sunday night",
    "New rules for organic labels from January",
]


def make_site() -> None:
    """Store the whole site as it is in a moment, and wait until then: now it is to start."""
    User.objects.create_superuser(USER, password=PASSWORD)
    opens = clock.now() + FILLING
    with made_by(USER):
        schedules = _make_schedules(opens)
    plans = list(zip(schedules, PLANS, strict=True))
    for blog, name in zip(_make_feeds(opens), BLOGS, strict=True):
        plans.append((blog, Plan(name, "", {}, 3_600, 1.6, fails=12, error=PRICES)))
    _store_runs([run for plan in plans for run in _runs(*plan, opens)])
    _tell_stories(opens)
    _store_changes(opens)
    _store_calls(opens)
    ScheduledTask.objects.update(settled_through=opens, next_check_at=opens)
    summarise()
    time.sleep(max(0, (opens - clock.now()).total_seconds()))


def make_trouble() -> None:
    """Bring trouble into the running site: failures, a long call before others, a paused queue."""
    for name, error in (("Price feed EU", PRICES), ("Parcel tracking, DHL", CARRIER)):
        schedule = ScheduledTask.objects.get(name=name)
        latest = schedule.runs.filter(status=Status.FINISHED).latest("id")
        values = error.values | {"status": Status.FAILED, "result": None}
        ScheduledTaskInstance.objects.filter(pk=latest.pk).update(**values)
        ScheduledTask.objects.filter(pk=schedule.pk).update(status=ScheduledTask.Status.FAILED)
    TaskService.enqueue_task("shop.report", kind="year")
    pause_queue("feeds", USER, "The agency moves its server until noon.")


# Schedules


def _make_schedules(now: datetime) -> list[ScheduledTask]:
    holidays = Calendar.objects.create(
        name="German holidays", dates="2026-12-25..2026-12-26\n2027-01-01\n2027-03-26\n2027-03-29"
    )
    Calendar.objects.create(name="Stocktaking", dates="2027-01-04..2027-01-05")
    schedules = [_make_schedule(plan, now, holidays) for plan in PLANS]
    _make_special(now)
    born = now - WEEK
    ScheduledTask.objects.update(created=born, updated=born, period_start=born)
    return schedules


def _make_schedule(plan: Plan, now: datetime, holidays: Calendar) -> ScheduledTask:
    options = {"name": plan.name, "keep_runs": None, "keep_days": 30} | plan.options
    if isinstance(plan.when, str):
        workdays = holidays if "MON-FRI" in plan.when or plan.name == SHOWN else None
        schedule = SchedulerService.cron(
            plan.when,
            f"shop.{plan.function}",
            [],
            plan.kwargs,
            timezone=ZONE,
            calendar=workdays,
            **options,
        )
    else:
        first = _whole_second(now) + timedelta(seconds=plan.soon) - 200 * DAY
        first += timedelta(seconds=(200 * DAY).total_seconds() % plan.when)
        schedule = SchedulerService.schedule(
            first, f"shop.{plan.function}", [], plan.kwargs, interval=plan.when, **options
        )
    schedule.tags.set(Tag.objects.get_or_create(name=name)[0] for name in plan.tags.split())
    return schedule


def _make_special(now: datetime) -> None:
    """Make those that are paused, over, or still to come."""
    paused = SchedulerService.cron(
        "0 4 * * *",
        "shop.update_stock",
        [],
        {"warehouse": "Lyon"},
        name="Stock levels, Lyon",
        timezone=ZONE,
    )
    SchedulerService.pause(paused, "The warehouse in Lyon closes at the end of the month.")
    old = SchedulerService.schedule(
        now,
        "shop.refresh",
        [],
        {"what": "orders of the old shop"},
        interval=86_400,
        name="Orders of the old shop",
    )
    SchedulerService.cancel(old)
    SchedulerService.schedule(
        (now + 3 * DAY).replace(hour=23, minute=0, second=0, microsecond=0),
        *("shop.refresh", [], {"what": "Black Friday prices"}),
        name="Black Friday, end of sale",
    )


def _make_feeds(now: datetime) -> list[ScheduledTask]:
    schedules = []
    for number, (name, (url, soon)) in enumerate(BLOGS.items()):
        feed = schedule_feed(url, interval=3_600, name=name, queue="feeds", tags=["blogs"])
        schedule = feed.schedule
        assert schedule is not None
        schedule.first = _whole_second(now) + timedelta(seconds=soon) - WEEK - HOUR
        schedule.keep_runs, schedule.keep_days = None, 30
        SchedulerService.save(schedule)
        Feed.objects.filter(pk=feed.pk).update(title=name.partition(": ")[2] or name)
        _store_entries(feed, number, now)
        schedules.append(schedule)
    pks = [schedule.pk for schedule in schedules]
    ScheduledTask.objects.filter(pk__in=pks).update(created=now - WEEK, period_start=now - WEEK)
    return schedules


def _store_entries(feed: Feed, number: int, now: datetime) -> None:
    for place, title in enumerate(TITLES):
        if place % len(BLOGS) == number:
            for older in range(6):
                Entry.objects.create(
                    feed=feed,
                    guid=f"urn:{number}:{place}:{older}",
                    title=title if not older else f"{title}, part {7 - older}",
                    link=f"https://example.com/{number}/{place}/{older}",
                    author=("M. Okafor", "The editors", "J. Lind", "Status")[number],
                    summary=f"<p>{title}. Read more on our site.</p>",
                    published=now - (3 + place) * HOUR - older * DAY,
                )


# Runs


def _store_runs(runs: list[ScheduledTaskInstance]) -> None:
    """Store runs as if each had been when it was."""
    runs.sort(key=_began)
    newest = ScheduledTaskInstance.objects.order_by("-id").values_list("id", flat=True).first()
    ScheduledTaskInstance.objects.bulk_create(runs, batch_size=500)
    stored = ScheduledTaskInstance.objects.filter(id__gt=newest or 0)
    stored.update(created=Coalesce(F("started"), F("ended")))


def _began(run: Any) -> datetime:
    began: datetime = run.started or run.due
    return began


def _runs(schedule: ScheduledTask, plan: Plan, now: datetime) -> Iterator[ScheduledTaskInstance]:
    """Yield what came of each due of the last seven days; all has ended by now."""
    chance = random.Random(plan.name)
    outage = now - 3 * DAY - 5 * HOUR
    misses = {"catch_up": ScheduledTask.CatchUp.LATEST.value}
    all_dues = list(dues(schedule.spec(), now - WEEK, now))
    for due, following in zip(all_dues, [*all_dues, now][1:], strict=True):
        length = plan.seconds * chance.lognormvariate(0, 0.12)
        delay = chance.uniform(0.05, 0.4)
        if chance.randrange(1_000) < plan.late:
            delay = chance.uniform(12, 95)
        run = ScheduledTaskInstance(parent=schedule, name=schedule.name, due=due)
        if outage < due < outage + 25 * MINUTE and following < outage + 25 * MINUTE:
            run.status, run.ended = Status.MISSED, outage + 25 * MINUTE
            _set(run, reason(Code.NOT_IN_TIME, **misses).fields)
        else:
            if outage < due < outage + 25 * MINUTE:
                delay = (outage + 25 * MINUTE - due).total_seconds()
            run.started = min(due + timedelta(seconds=delay), now)
            run.ended = min(run.started + timedelta(seconds=length), now)
            _end(run, plan, chance)
        yield run


def _end(run: ScheduledTaskInstance, plan: Plan, chance: random.Random) -> None:
    worker = {"reports": 4, "feeds": 3}.get(run.parent.queue) or chance.randint(1, 3)
    run.worker_name, run.progress = f"worker-{worker}", 100
    stamp = f"{localtime(run.started):%Y-%m-%d %H:%M:%S},{chance.randrange(1000):03}"
    if chance.randrange(1_000) < plan.fails:
        run.status = Status.FAILED
        _set(run, plan.error.values)
        run.log = f"{stamp} INFO shop: Connected\n{stamp} ERROR shop: {plan.error.text}\n"
        run.log += f"Failed for: {plan.error.text}\n"
        run.progress = chance.choice([0, 30, 55, 80])
    else:
        run.status = Status.FINISHED
        done = chance.randint(80, 1_400)
        run.result = {"orders": done} if plan.name == SHOWN else {"done": done}
        run.log = f"{stamp} INFO shop: Done: {run.result}\n"


def _set(run: ScheduledTaskInstance, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(run, name, value)


def _tell_stories(now: datetime) -> None:
    """Change some runs into those that people look up: what never ran, or was stopped."""
    export = ScheduledTask.objects.get(name=SHOWN)
    recent: list[Any] = list(export.runs.filter(status=Status.FINISHED).order_by("-due")[:40])
    slow, skipped = recent[9], recent[8]
    slow.ended = skipped.due + 4 * MINUTE
    slow.save()
    _never_ran(skipped, Status.SKIPPED, reason(Code.PREVIOUS_RUN, due=slow.due).fields)
    for run in recent[5:7]:
        misses = reason(Code.NOT_IN_TIME, catch_up=ScheduledTask.CatchUp.LATEST.value)
        _never_ran(run, Status.MISSED, misses.fields)
    recent[4].started += timedelta(seconds=38)
    recent[4].ended += timedelta(seconds=38)
    recent[4].save()
    failed = recent[14]
    _set(failed, WAREHOUSE.values | {"status": Status.FAILED, "result": None, "progress": 41})
    failed.ended = failed.started + timedelta(seconds=97)
    failed.log = _log_of_failure(failed.started)
    failed.save()
    stopped = ScheduledTaskInstance.objects.filter(name="Thumbnails").order_by("-due")[100]
    _set(stopped, {"status": Status.CANCELED, "result": None, "progress": 60})
    _set(stopped, reason(Code.STOPPED_BY, by=USER).fields)
    stopped.save()
    lost = ScheduledTaskInstance.objects.filter(name="Stock valuation").order_by("-due")[2]
    _set(lost, {"status": Status.FAILED, "result": None, "progress": 70})
    _set(lost, reason(Code.LOST_CONTACT, worker="worker-4").fields)
    lost.save()
    bad = ScheduledTaskInstance.objects.filter(name="Price feed EU")
    for hours in (140, 117, 116, 76, 52, 27, 9, 3):
        around = now - hours * HOUR
        burst = bad.filter(due__gt=around, due__lt=around + 14 * MINUTE, started__isnull=False)
        burst.update(status=Status.FAILED, result=None, **PRICES.values)


def _never_ran(run: ScheduledTaskInstance, status: str, why: dict[str, Any]) -> None:
    empty = {"started": None, "worker_name": "", "result": None, "log": "", "progress": 0}
    _set(run, empty | {"status": status, "ended": run.due + 15 * MINUTE} | why)
    run.save()


def _log_of_failure(started: datetime) -> str:
    lines, started = [], localtime(started)
    for batch in range(5):
        at = started + timedelta(seconds=18 * batch)
        lines.append(f"{at:%Y-%m-%d %H:%M:%S},214 INFO shop: Batch {batch + 1}: 100 orders sent")
        if batch == 2:
            lines.append(
                f"{at:%Y-%m-%d %H:%M:%S},640 WARNING shop: Order 100317 has no address: left out"
            )
    at = started + timedelta(seconds=97)
    lines.append(f"{at:%Y-%m-%d %H:%M:%S},008 ERROR shop: {WAREHOUSE.text}")
    return "\n".join([*lines, f"Failed for: {WAREHOUSE.text}", ""])


# What people did


def _store_changes(now: datetime) -> None:
    export = ScheduledTask.objects.get(name=SHOWN)
    export.changes.all().delete()
    told: list[tuple[timedelta, str, str, dict[str, list[Any]], str]] = [
        (WEEK, "shop-admin", "created", {}, ""),
        (5 * DAY, USER, "paused", {}, "The warehouse moves."),
        (
            5 * DAY - 42 * MINUTE,
            USER,
            "resumed",
            {"paused_at": [(now - 5 * DAY).isoformat(), None]},
            "",
        ),
        (
            3 * DAY,
            USER,
            "changed",
            {"cron": ["0 * * * *", "0,30 * * * *"], "timeout": [600, 2_700]},
            "",
        ),
        (
            13 * HOUR,
            "shop-admin",
            "changed",
            {"overlap": ["wait", "skip"]},
            "The export doubled on Monday.",
        ),
    ]
    for ago, by, action, changes, note in told:
        ScheduleChange.objects.create(
            schedule=export, at=now - ago, by=by, action=action, changes=changes, note=note
        )


def _store_calls(now: datetime) -> None:
    for number in range(12):
        started = now - (2 + number * 7) * HOUR
        failed = number == 4
        call = Task.objects.create(
            name="shop.clean_up" if number % 3 else "shop.report",
            function="shop.clean_up" if number % 3 else "shop.report",
            kwargs={"what": "uploads"} if number % 3 else {"kind": "stock"},
            status="failed" if failed else "finished",
            started=started,
            ended=started + timedelta(seconds=12 + number),
            worker_name="worker-2",
            progress=100,
            **(DEADLOCK.values if failed else {"result": {"deleted": 40 * number}}),
        )
        Task.objects.filter(pk=call.pk).update(created=started)


def _whole_second(instant: datetime) -> datetime:
    return whole_milliseconds(instant.replace(microsecond=0))
