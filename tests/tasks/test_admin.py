"""The admin of schedules: what it shows, what it does, for whom, and at what cost."""

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import redis
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.db.models.signals import pre_save
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from redis import Redis
from rq.worker import Worker

from tasks import clock
from tasks.admin import ScheduledTaskAdmin
from tasks.admin_pages.schedule_actions import ACTIONS
from tasks.admin_pages.schedule_page import LATEST_RUNS
from tasks.broker.keys import CLOCKS_KEY, LEADER_KEY, SCHEDULES_KEY
from tasks.job_ids import RunId
from tasks.models import (
    Calendar,
    Hold,
    HourlySummary,
    HourlyTotal,
    OwnerMark,
    RunRequest,
    ScheduleChange,
    ScheduledTask,
    ScheduledTaskInstance,
    SchedulePeriod,
    SummaryMark,
    TagGroup,
    TagUser,
    Task,
    WeeklySummary,
)
from tasks.services import SchedulerService, TaskService
from tests.tasks.functions import ECHO, queued
from tests.tasks.pages import (
    CALLS,
    RUNS,
    SCHEDULES,
    SCRIPT,
    act_on,
    act_url,
    page_of,
    rows_of,
    text_of,
)
from tests.tasks.schedules import MakeSchedule, ago, make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)

ADD = reverse("admin:tasks_scheduledtask_add")
SIMPLE = {
    "function": ECHO,
    "interval": "15m",
    "timezone": "UTC",
    "overlap": "skip",
    "catch_up": "latest",
    "retries": 0,
    "retry_delay": 0,
    "on_disconnect": "stop",
}
HOUR = timedelta(hours=1)
WARNED = "No worker serves the queue"


def make_twin(schedule: ScheduledTask) -> ScheduledTask:
    """Return a schedule with the same identity, not stored."""
    fields = ("name", "function", "args", "kwargs", "first", "interval", "fingerprint")
    return ScheduledTask(**{field: getattr(schedule, field) for field in fields})


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the list of the commands sent to Redis meanwhile; a pipeline counts once."""
    sent: list[Any] = []
    for kind, name in [(redis.Redis, "execute_command"), (redis.client.Pipeline, "execute")]:
        original = getattr(kind, name)

        def spied(self: Any, *args: Any, original: Any = original, **options: Any) -> Any:
            sent.append(args)
            return original(self, *args, **options)

        monkeypatch.setattr(kind, name, spied)
    return sent


# What it shows


def test_every_model_has_a_page_or_is_shown_on_that_of_its_schedule():
    shown_with_their_schedule = {SchedulePeriod, RunRequest, ScheduleChange}
    shown_with_others = {TagUser, TagGroup, Hold, HourlySummary, HourlyTotal, WeeklySummary}
    shown_by_nothing = {OwnerMark, SummaryMark}
    models = set(apps.get_app_config("tasks").get_models())
    for model in models - shown_with_their_schedule - shown_with_others - shown_by_nothing:
        assert admin.site.is_registered(model)


def test_an_ended_schedule_is_shown_with_the_reason_in_the_list_and_on_its_page(
    admin_client: Client,
):
    exhausted = make_row(status="death", first=ago(9), interval=None, period_start=ago(5))
    cancelled = make_row()
    SchedulerService.cancel(cancelled)
    text = text_of(admin_client.get(SCHEDULES))
    assert text.count("ended nothing left to be due") == text.count("ended cancelled") == 1
    assert "ended nothing left to be due" in text_of(admin_client.get(page_of(exhausted, "page")))
    assert "ended cancelled" in text_of(admin_client.get(page_of(cancelled, "page")))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status__exact": "paused"}, "paused one"),
        ({"type__exact": "cron"}, "cron one"),
        ({"queue": "low"}, "low one"),
        ({"q": "low"}, "low one"),
        ({"q": "for the archive"}, "cron one"),
    ],
)
def test_schedules_are_filtered_and_searched(admin_client: Client, query, found):
    make_row(name="paused one", status="paused", paused_at=timezone.now())
    make_row(name="cron one", cron="* * * * *", description="for the archive")
    make_row(name="low one", queue="low")
    response = admin_client.get(SCHEDULES, query)
    assert [schedule.name for schedule in rows_of(response)] == [found]


def test_the_page_of_a_schedule_leads_to_exactly_its_runs(admin_client: Client):
    schedule, other = make_row(), make_row()
    wanted = [make_run(schedule, status="failed"), make_run(schedule)]
    make_run(other)
    page = admin_client.get(page_of(schedule, "page")).content.decode()
    [link] = re.findall(r'href="([^"]+)">All 2 runs<', page)
    assert rows_of(admin_client.get(unescape(link))) == wanted[::-1]


@pytest.mark.parametrize("value", ["0", "x", "9" * 40, "٣"])
def test_the_list_of_runs_is_empty_for_an_unknown_schedule(admin_client: Client, value):
    make_run(make_row())
    response = admin_client.get(RUNS, {"schedule": value})
    assert not rows_of(response)


def test_the_page_of_a_schedule_shows_its_latest_runs(admin_client: Client):
    schedule = make_row()
    runs = [make_run(schedule) for _ in range(LATEST_RUNS + 3)]
    page: Any = admin_client.get(page_of(schedule, "page"))
    shown = [row.run.pk for row in page.context_data["latest"]]
    assert shown == [run.pk for run in reversed(runs[3:])]


def test_the_form_of_a_schedule_leads_back_to_its_page(admin_client: Client):
    schedule = make_row()
    make_run(schedule)
    page = admin_client.get(page_of(schedule)).content.decode()
    assert page.count(f'href="{page_of(schedule, "page")}"') >= 2
    # What it does and what can be done with it is said there, and only there.
    assert "/act/" not in page
    assert "Latest runs" not in page


def test_whoever_may_only_look_at_a_schedule_gets_its_page_instead_of_the_form(viewer: Client):
    schedule = make_row()
    response: Any = viewer.get(page_of(schedule))
    assert response.headers["Location"] == page_of(schedule, "page")


def test_the_page_of_a_schedule_counts_its_requested_runs(admin_client: Client):
    schedule = make_row(first=ago(9_000))
    assert "requested run" not in text_of(admin_client.get(page_of(schedule, "page")))
    SchedulerService.backfill(schedule, ago(9_600), ago(1_000))
    assert "3 requested runs wait" in text_of(admin_client.get(page_of(schedule, "page")))


def test_the_page_of_a_schedule_leads_to_its_job_to_a_copy_and_to_better_times(
    admin_client: Client,
):
    schedule = make_row()
    page = admin_client.get(page_of(schedule, "page")).content.decode()
    assert f'href="{reverse("admin:tasks_what_if")}?schedule={schedule.pk}"' in page
    assert f">{schedule.job_id}</a>" in page
    assert f'href="{ADD}?clone_of={schedule.pk}"' in page


@pytest.mark.parametrize(
    ("owner", "shown"), [("shop", "From the list “shop” in code: "), ("", "From a list in code: ")]
)
def test_the_page_of_a_schedule_names_the_list_in_code_that_overwrites_changes(
    admin_client: Client, owner: str, shown: str
):
    schedule = make_row()
    assert "synced again" not in text_of(admin_client.get(page_of(schedule, "page")))
    ScheduledTask.objects.update(list_owner=owner)
    text = text_of(admin_client.get(page_of(schedule, "page")))
    assert f"{shown}what is changed here lasts until the list is synced again" in text
    assert shown in text_of(admin_client.get(page_of(schedule)))


def test_refreshing_a_page_leaves_the_messages_for_the_user(admin_client: Client):
    schedule = make_row()
    admin_client.post(act_url(schedule, "pause"), {"confirmed": "yes"})
    page = page_of(schedule, "page")
    assert "was paused." not in text_of(admin_client.get(page, headers={"X-Live": "1"}))
    assert "was paused." in text_of(admin_client.get(page))


@pytest.mark.parametrize("field", ["name", "description", "note", "problem"])
def test_markup_in_a_schedule_is_shown_as_text(admin_client: Client, field):
    schedule = make_row(**{field: SCRIPT}, args=[SCRIPT], kwargs={"a": SCRIPT})
    make_run(schedule)
    for url in (
        SCHEDULES,
        page_of(schedule),
        page_of(schedule, "page"),
        RUNS,
        page_of(schedule, "delete"),
        page_of(schedule, "history"),
    ):
        assert SCRIPT not in admin_client.get(url).content.decode()


# Actions


@pytest.mark.parametrize("way", ["list", "detail"])
@pytest.mark.parametrize(
    ("before", "action", "after"),
    [
        ("running", "pause", "paused"),
        ("paused", "resume", "running"),
        ("running", "cancel", "death"),
        ("running", "run_now", "running"),
    ],
)
def test_an_action_on_a_schedule_changes_its_status_and_is_logged(
    admin_client: Client, way, before, action, after
):
    schedule = make_row(status=before, paused_at=timezone.now() if before == "paused" else None)
    if way == "list":
        response = act_on(admin_client, [schedule], action)
    else:
        data = {"confirmed": "yes"}
        response = admin_client.post(act_url(schedule, action), data, follow=True)
    assert response.context["messages"]
    assert ScheduledTask.objects.get().status == after
    assert LogEntry.objects.filter(object_id=schedule.pk).count() == 1


def test_run_now_enqueues_a_manual_run(admin_client: Client, redis_connection: Redis):
    schedule = make_row()
    admin_client.post(act_url(schedule, "run_now"))
    [job_id] = queued(redis_connection)
    run_id = RunId.parse(job_id)
    assert run_id is not None
    assert (run_id.schedule_job_id, run_id.due) == (schedule.job_id, None)


def test_the_reason_for_a_pause_is_saved_and_shown(admin_client: Client):
    schedule = make_row()
    response = admin_client.post(
        act_url(schedule, "pause"),
        {"note": "server\0 upgrade", "confirmed": "yes"},
        follow=True,
    )
    assert ScheduledTask.objects.get().note == "server upgrade"
    assert "server upgrade" in text_of(response)


def test_an_action_that_is_not_possible_shows_an_error(admin_client: Client):
    schedule = make_row()
    response = admin_client.post(act_url(schedule, "resume"), follow=True)
    assert "isn't possible now" in text_of(response)
    assert not LogEntry.objects.exists()


def test_an_unknown_action_is_not_found(admin_client: Client):
    assert admin_client.post(act_url(make_row(), "delete_model")).status_code == 404


def test_a_schedule_saved_in_the_admin_is_in_redis(admin_client: Client, redis_connection: Redis):
    admin_client.post(ADD, SIMPLE)
    schedule = ScheduledTask.objects.get()
    assert redis_connection.zscore(SCHEDULES_KEY, schedule.job_id)


def test_an_action_leaves_out_a_schedule_that_was_deleted_meanwhile(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
):
    schedule, other = make_row(), make_row()

    def delete_then_allow(self: Any, request: Any, obj: ScheduledTask | None = None) -> bool:
        if obj == schedule:
            ScheduledTask.objects.filter(pk=schedule.pk).delete()
        return True

    monkeypatch.setattr(ScheduledTaskAdmin, "has_pause_permission", delete_then_allow)
    act_on(admin_client, [schedule, other], "pause")
    assert ScheduledTask.objects.get().status == "paused"


def test_adding_a_schedule_that_was_added_meanwhile_shows_an_error(admin_client: Client):
    def add_twin(instance: ScheduledTask, **kwargs: Any) -> None:
        ScheduledTask.objects.bulk_create([make_twin(instance)])

    pre_save.connect(add_twin, sender=ScheduledTask)
    try:
        response = admin_client.post(ADD, SIMPLE, follow=True)
    finally:
        pre_save.disconnect(add_twin, sender=ScheduledTask)
    assert "There is already a schedule" in text_of(response)


# Deleting


def delete_from_list(client: Client, schedule: ScheduledTask) -> None:
    assert act_on(client, [schedule], "delete").redirect_chain


def delete_from_detail(client: Client, schedule: ScheduledTask) -> None:
    assert client.post(page_of(schedule, "delete"), {"confirmed": "yes"}).status_code == 302


def delete_queryset(client: Client, schedule: ScheduledTask) -> None:
    ScheduledTask.objects.filter(pk=schedule.pk).delete()


@pytest.mark.parametrize("delete", [delete_from_list, delete_from_detail, delete_queryset])
def test_deleting_a_schedule_deletes_its_runs_and_removes_it_from_redis(
    admin_client: Client, redis_connection: Redis, put: MakeSchedule, delete
):
    schedule, other = put(), put()
    make_run(schedule)
    kept = make_run(other)
    delete(admin_client, schedule)
    assert [run.pk for run in ScheduledTaskInstance.objects.all()] == [kept.pk]
    assert redis_connection.zrange(SCHEDULES_KEY, 0, -1) == [other.job_id.encode()]
    assert not redis_connection.exists(f"rq:job:{schedule.job_id}")


def test_deleting_a_schedule_asks_with_the_number_of_its_runs(admin_client: Client):
    schedule = make_row(name="with runs")
    runs = [make_run(schedule) for _ in range(3)]
    page = admin_client.get(page_of(schedule, "delete"))
    assert "Runs: 3" in text_of(page)
    assert not any(page_of(run) in page.content.decode() for run in runs)


def test_a_single_run_cannot_be_deleted(admin_client: Client):
    run = make_run(make_row())
    assert admin_client.post(page_of(run, "delete"), {"post": "yes"}).status_code == 403


# Permissions


def test_a_viewer_can_see_every_page_of_the_admin(viewer: Client):
    schedule = make_row()
    call = TaskService.enqueue_task(ECHO)
    urls = [SCHEDULES, RUNS, CALLS, page_of(schedule, "page"), page_of(make_run(schedule))]
    urls += [
        page_of(call),
        page_of(schedule, "history"),
        reverse("admin:django_rq_home"),
        reverse("admin:index"),
    ]
    assert [viewer.get(url).status_code for url in urls] == [200] * len(urls)


@pytest.mark.parametrize("action", list(ACTIONS))
def test_a_viewer_changes_nothing_from_the_list_of_schedules(
    viewer: Client, redis_connection: Redis, action
):
    schedule = make_row()
    data = {"action": action, "_selected_action": [schedule.pk], "index": 0}
    assert viewer.post(SCHEDULES, data).status_code == 403
    several = reverse("admin:tasks_scheduledtask_act_on_several", args=[action])
    assert viewer.post(several, {"ids": schedule.pk, "confirmed": "yes"}).status_code == 403
    assert ScheduledTask.objects.get().status == "running"
    assert not queued(redis_connection)


def test_a_viewer_changes_nothing_from_the_page_of_a_record(
    viewer: Client, redis_connection: Redis
):
    schedule = make_row()
    call = TaskService.reserve_task(HOUR, ECHO)
    urls = [act_url(schedule, action) for action in ACTIONS]
    urls += [act_url(call, "cancel"), page_of(schedule), page_of(call)]
    urls += [page_of(schedule, "delete"), page_of(call, "delete")]
    urls += [ADD, reverse("admin:tasks_task_add")]
    answers = [
        viewer.post(url, {"post": "yes", "confirmed": "yes", "_save": "Save"}).status_code
        for url in urls
    ]
    assert answers == [403] * len(urls)
    assert ScheduledTask.objects.get().status == "running"
    assert Task.objects.get().status == "reserved"
    assert not queued(redis_connection)


def test_a_viewer_gets_no_buttons(viewer: Client):
    page = viewer.get(page_of(make_row(), "page")).content.decode()
    assert "/act/" not in page
    assert "Edit" not in page
    assert "Clone" not in page


@pytest.mark.parametrize("way", ["list", "detail"])
def test_permissions_are_checked_for_each_schedule(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, way
):
    schedule, untouchable = make_row(name="mine"), make_row(name="not mine")

    def may_change(self: Any, request: Any, obj: ScheduledTask | None = None) -> bool:
        return obj is None or obj.name == "mine"

    monkeypatch.setattr(ScheduledTaskAdmin, "has_pause_permission", may_change)
    if way == "list":
        assert "You may not" in text_of(act_on(admin_client, [schedule, untouchable], "pause"))
    else:
        data = {"confirmed": "yes"}
        assert admin_client.post(act_url(schedule, "pause"), data).status_code == 302
        assert admin_client.post(act_url(untouchable, "pause"), data).status_code == 403
    status = dict(ScheduledTask.objects.values_list("name", "status"))
    assert status == {"mine": "paused", "not mine": "running"}


def test_a_get_request_changes_no_schedule_and_no_call(
    admin_client: Client, put: MakeSchedule, redis_connection: Redis
):
    schedule = put()
    call = TaskService.reserve_task(HOUR, ECHO)
    before = redis_connection.zrange(SCHEDULES_KEY, 0, -1, withscores=True)
    for record in (schedule, call):
        answer: Any = admin_client.get(act_url(record, "cancel"))
        assert (answer.status_code, str(record.pk) in answer.url) == (302, True)
    for url in (
        SCHEDULES,
        CALLS,
        page_of(schedule),
        page_of(schedule, "delete"),
        page_of(call, "delete"),
    ):
        admin_client.get(url)
    assert redis_connection.zrange(SCHEDULES_KEY, 0, -1, withscores=True) == before
    assert ScheduledTask.objects.get().status == "running"
    assert Task.objects.get().status == "reserved"


def test_an_anonymous_action_is_redirected_to_the_login(client: Client):
    response: Any = client.post(act_url(make_row(), "cancel"))
    assert response.url.startswith(reverse("admin:login"))
    assert ScheduledTask.objects.get().status == "running"


# Its cost


@pytest.mark.usefixtures("known_owner")
@pytest.mark.parametrize("url", [SCHEDULES, RUNS, CALLS])
def test_a_list_makes_the_same_queries_for_3_rows_and_for_30(admin_client: Client, commands, url):
    calendar = Calendar.objects.create(name="Holidays", dates="2030-01-01")

    def fill(rows: int) -> None:
        for _ in range(rows):
            make_run(make_row(), status="failed", reason="why")
            make_row(status="death", calendar=calendar)
            Task.objects.create(name="call", function=ECHO)

    def cost() -> tuple[int, int]:
        commands.clear()
        with CaptureQueriesContext(connection) as queries:
            assert admin_client.get(url).status_code == 200
        return len(queries), len(commands)

    fill(3)
    admin_client.get(url)  # once more with what a process asks only once
    cost_of_3 = cost()
    fill(27)
    assert cost() == cost_of_3


def test_the_page_of_a_schedule_makes_the_same_queries_for_any_number_of_runs(admin_client: Client):
    schedule = make_row()
    costs = set()
    admin_client.get(page_of(schedule, "page"))
    for _ in range(3):
        make_run(schedule)
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(page_of(schedule, "page"))
        costs.add(len(queries))
    assert len(costs) == 1


# Warnings, and Redis unavailable


def serve(redis_connection: Redis, *queues: str) -> None:
    """Make it look as if a scheduler and a worker were running."""
    redis_connection.set(LEADER_KEY, "somebody")
    Worker(list(queues), connection=redis_connection).register_birth()


def test_a_queue_without_a_worker_is_warned_of_by_name(
    admin_client: Client, redis_connection: Redis
):
    serve(redis_connection, "default")
    schedule = make_row(queue="low")
    make_row(queue="default")
    for url in (SCHEDULES, page_of(schedule)):
        assert f"{WARNED} “low”" in text_of(admin_client.get(url))
        assert f"{WARNED} “default”" not in text_of(admin_client.get(url))


def test_a_waiting_call_warns_of_a_queue_without_a_worker(
    admin_client: Client, redis_connection: Redis
):
    serve(redis_connection, "high")
    call = TaskService.enqueue_task(ECHO)
    for url in (CALLS, page_of(call)):
        assert f"{WARNED} “default”" in text_of(admin_client.get(url))


def test_there_is_no_warning_while_scheduler_and_worker_run(
    admin_client: Client, redis_connection: Redis
):
    serve(redis_connection, "default")
    schedule = make_row()
    for url in (SCHEDULES, page_of(schedule)):
        assert "messagelist" not in admin_client.get(url).content.decode()


def test_a_missing_scheduler_is_warned_of(admin_client: Client):
    make_row()
    assert "No scheduler is running" in text_of(admin_client.get(SCHEDULES))


def test_a_clock_that_is_off_is_warned_of(admin_client: Client, redis_connection: Redis):
    schedule = make_row()
    entry = json.dumps([clock.timestamp(), -7200.0])
    redis_connection.hset(CLOCKS_KEY, "Worker w1", entry)
    text = "Worker w1: the system's clock is 2 h behind Redis's"
    for url in (SCHEDULES, page_of(schedule)):
        assert text in text_of(admin_client.get(url))


def test_every_page_is_shown_with_a_warning_while_redis_is_unavailable(
    admin_client: Client, put, redis_unavailable
):
    schedule = put()
    run, call = make_run(schedule), TaskService.enqueue_task(ECHO)
    redis_unavailable(True)
    urls = [SCHEDULES, RUNS, CALLS, page_of(schedule), page_of(run), page_of(call)]
    urls += [ADD, reverse("admin:tasks_task_add")]
    for url in urls:
        assert "Redis is unavailable (" in text_of(admin_client.get(url))


def test_a_schedule_can_be_saved_while_redis_is_unavailable(
    admin_client: Client, redis_unavailable
):
    redis_unavailable(True)
    response = admin_client.post(ADD, SIMPLE, follow=True)
    assert "take effect when it is back" in text_of(response)
    assert ScheduledTask.objects.get().is_live


@pytest.mark.parametrize(
    ("action", "status"), [("pause", "paused"), ("cancel", "death"), ("run_now", "running")]
)
def test_an_action_does_not_crash_while_redis_is_unavailable(
    admin_client: Client, put: MakeSchedule, redis_unavailable, action, status
):
    schedule = put()
    redis_unavailable(True)
    assert "Redis is unavailable" in text_of(
        admin_client.post(act_url(schedule, action), {"confirmed": "yes"}, follow=True)
    )
    assert ScheduledTask.objects.get().status == status


def test_a_schedule_can_be_deleted_while_redis_is_unavailable(
    admin_client: Client, put, redis_unavailable
):
    schedule = put()
    redis_unavailable(True)
    delete_from_detail(admin_client, schedule)
    assert not ScheduledTask.objects.exists()


def test_a_call_that_cannot_be_enqueued_shows_why(admin_client: Client, redis_unavailable):
    redis_unavailable(True)
    data = {"function": ECHO, "args": "[]", "kwargs": "{}", "_continue": "1"}
    response = admin_client.post(reverse("admin:tasks_task_add"), data, follow=True)
    assert "The call can't be enqueued. Redis is unavailable" in text_of(response)
    assert not Task.objects.exists()
