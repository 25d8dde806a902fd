"""The admin: what it shows, what it does, for whom, and at what cost."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import redis
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models.signals import pre_save
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from redis import Redis
from rq.job import Job as RqJob
from rq.worker import Worker

from tasks.admin import LATEST_RUNS, ScheduledTaskAdmin
from tasks.broker.keys import LEADER_KEY, SCHEDULES_KEY
from tasks.job_ids import RunId
from tasks.models import RunRequest, ScheduledTask, ScheduledTaskInstance, SchedulePeriod, Task
from tasks.services import SchedulerService, TaskService
from tests.tasks.functions import ECHO, queued
from tests.tasks.schedules import MakeSchedule, ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)

SCHEDULES = reverse("admin:tasks_scheduledtask_changelist")
RUNS = reverse("admin:tasks_scheduledtaskinstance_changelist")
CALLS = reverse("admin:tasks_task_changelist")
ADD = reverse("admin:tasks_scheduledtask_add")
SIMPLE = {
    "function": ECHO,
    "interval": "15m",
    "timezone": "UTC",
    "overlap": "skip",
    "catch_up": "latest",
    "retries": 0,
    "retry_delay": 0,
}
HOUR = timedelta(hours=1)
SCRIPT = "<script>alert(1)</script>"
WARNED = "No worker serves the queue"


def page_of(record: Any, page: str = "change", *args: Any) -> str:
    return reverse(f"admin:tasks_{record._meta.model_name}_{page}", args=[record.pk, *args])


def act(schedule: Any, action: str) -> str:
    return page_of(schedule, "act", action)


def make_twin(schedule: ScheduledTask) -> ScheduledTask:
    """Return a schedule with the same identity, not stored."""
    fields = ("name", "function", "args", "kwargs", "first", "interval", "fingerprint")
    return ScheduledTask(**{field: getattr(schedule, field) for field in fields})


def text_of(response: HttpResponse) -> str:
    """Return what a page says, without its tags."""
    assert response.status_code == 200
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", response.content.decode())).split())


def rows_of(response: Any) -> list[Any]:
    """Return the records that a list shows."""
    return list(response.context_data["cl"].result_list)


def make_run(schedule: ScheduledTask, **values: Any) -> ScheduledTaskInstance:
    """Store a run of a schedule, finished unless `values` say otherwise."""
    now = timezone.now()
    status = values.setdefault("status", "finished")
    if status not in ("missed", "skipped"):
        values.setdefault("started", now)
    if status != "running":
        values.setdefault("ended", now)
    if "requested" not in values:
        values.setdefault("due", ago(schedule.runs.count()))
    return schedule.runs.create(name=schedule.name, **values)


@pytest.fixture
def viewer(client: Client) -> Client:
    """Return a browser of somebody who may see everything of this app and change nothing."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="tasks", codename__startswith="view_")
    )
    client.force_login(user)
    return client


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the list of what Redis is asked meanwhile; a pipeline counts once."""
    asked: list[Any] = []
    for kind, name in [(redis.Redis, "execute_command"), (redis.client.Pipeline, "execute")]:
        original = getattr(kind, name)

        def spied(self: Any, *args: Any, original: Any = original, **options: Any) -> Any:
            asked.append(args)
            return original(self, *args, **options)

        monkeypatch.setattr(kind, name, spied)
    return asked


# What is there


def test_all_models_are_registered():
    on_the_page_of_their_schedule = {SchedulePeriod, RunRequest}
    for model in set(apps.get_app_config("tasks").get_models()) - on_the_page_of_their_schedule:
        assert admin.site.is_registered(model)


def test_the_list_says_when_how_it_is_and_what_came_of_it(admin_client: Client):
    schedule = make_row(name="polling", interval=900)
    make_run(schedule, status="failed")
    make_run(schedule)
    text = text_of(admin_client.get(SCHEDULES))
    due = timezone.localtime(schedule.next_due(timezone.now())).strftime("%Y-%m-%d %H:%M:%S")
    for part in ("polling", "every 15 minutes", due, "running", "1 finished", "1 failed", "50 %"):
        assert part in text


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


def test_a_count_leads_to_just_those_runs(admin_client: Client):
    schedule, other = make_row(), make_row()
    wanted = make_run(schedule, status="failed")
    make_run(schedule)
    make_run(other, status="failed")
    page = admin_client.get(page_of(schedule)).content.decode()
    [link] = re.findall(r'class="count" href="([^"]+=failed)"', page)
    response = admin_client.get(unescape(link))
    assert rows_of(response) == [wanted]


@pytest.mark.parametrize("value", ["0", "x", "9" * 40, "٣"])
def test_an_unknown_schedule_in_the_address_finds_no_run(admin_client: Client, value):
    make_run(make_row())
    response = admin_client.get(RUNS, {"schedule": value})
    assert not rows_of(response)


def test_a_schedule_shows_its_latest_runs_and_where_all_are(admin_client: Client):
    schedule = make_row()
    runs = [make_run(schedule) for _ in range(LATEST_RUNS + 3)]
    page = admin_client.get(page_of(schedule)).content.decode()
    shown = [int(number) for number in re.findall(r">#(\d+)</a>", page)]
    assert shown == [run.pk for run in reversed(runs[3:])]
    assert f'href="{RUNS}?schedule={schedule.pk}"' in page


def test_a_schedule_is_saved_although_new_runs_came_meanwhile(admin_client: Client):
    schedule = make_row()
    old = [make_run(schedule) for _ in range(LATEST_RUNS)]
    response: Any = admin_client.get(page_of(schedule))
    form = response.context_data["adminform"].form
    data = {name: form[name].value() for name in form.fields if form[name].value() is not None}
    data |= {"first_0": schedule.first.date(), "first_1": schedule.first.time(), "interval": "2h"}
    data |= {"runs-TOTAL_FORMS": LATEST_RUNS, "runs-INITIAL_FORMS": LATEST_RUNS}
    data |= {f"runs-{index}-id": run.pk for index, run in enumerate(reversed(old))}
    old[-1].delete()
    make_run(schedule)
    assert admin_client.post(page_of(schedule), data).status_code == 302
    assert ScheduledTask.objects.get().interval == 7_200
    assert schedule.runs.count() == LATEST_RUNS


def test_a_schedule_shows_what_it_was_before(viewer: Client):
    schedule = make_row()
    start = ago(9_000)
    values = {"kind": "active", "spec": schedule.spec_json() | {"interval": 60}}
    for number in range(25):
        schedule.periods.create(start=start, end=start + timedelta(seconds=number), **values)
    schedule.periods.create(start=start, end=ago(1), kind="paused", note=SCRIPT)
    response: Any = viewer.get(page_of(schedule))
    history = response.context_data["history"]
    assert len(history) == 20
    assert history[0][3] == SCRIPT
    assert SCRIPT not in response.content.decode()
    assert history[1][3] == "every minute"


def test_runs_that_are_asked_for_are_counted(admin_client: Client):
    schedule = make_row(first=ago(9_000))
    assert "runs wait, next" not in text_of(admin_client.get(page_of(schedule)))
    SchedulerService.backfill(schedule, ago(9_600), ago(1_000))
    text = text_of(admin_client.get(page_of(schedule)))
    assert "3 runs wait, next" in text


# Backfill


def backfill_data(schedule: ScheduledTask, **values: Any) -> dict[str, Any]:
    begin = timezone.localtime(schedule.first).strftime("%Y-%m-%dT%H:%M:%S")
    end = timezone.localtime(ago(0)).strftime("%Y-%m-%dT%H:%M:%S")
    return {"begin": begin, "end": end, "limit": 100} | values


@pytest.fixture
def hourly() -> ScheduledTask:
    return make_row(first=ago(9_000).replace(microsecond=0))


def test_the_backfill_page_says_first_how_many_and_runs_them_when_confirmed(
    admin_client: Client, hourly: ScheduledTask
):
    url = page_of(hourly, "backfill")
    assert "confirmed" not in admin_client.get(url).content.decode()
    preview = admin_client.post(url, backfill_data(hourly))
    assert "3 runs would be asked for" in text_of(preview)
    assert not hourly.requests.exists()
    data = backfill_data(hourly, confirmed="Run them")
    done = admin_client.post(url, data, follow=True)
    assert "3 runs are asked for." in text_of(done)
    assert hourly.requests.count() == 3
    assert LogEntry.objects.get().get_change_message() == "Backfill: 3 runs are asked for."


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"end": "2999-01-01T00:00"}, "ends in the future"),
        ({"end": "2000-01-01T00:00"}, "The range is empty"),
        ({"limit": 2}, "More than 2 occurrences"),
        ({"limit": 0}, "greater than or equal to 1"),
        ({"begin": "soon"}, "Enter a valid date/time"),
    ],
    ids=str,
)
@pytest.mark.parametrize("confirmed", [True, False])
def test_a_backfill_that_cannot_be_says_why(
    admin_client: Client, hourly: ScheduledTask, values: Any, message: str, confirmed: bool
):
    data = backfill_data(hourly, **values) | ({"confirmed": "x"} if confirmed else {})
    response = admin_client.post(page_of(hourly, "backfill"), data)
    assert message in text_of(response)
    assert 'name="confirmed"' not in response.content.decode()
    assert not hourly.requests.exists()


def test_a_backfill_with_nothing_left_says_so(admin_client: Client, hourly: ScheduledTask):
    SchedulerService.backfill(hourly, ago(9_001), ago(0))
    response = admin_client.post(page_of(hourly, "backfill"), backfill_data(hourly))
    assert "Nothing is left to run in that range." in text_of(response)
    assert 'name="confirmed"' not in response.content.decode()


def test_who_may_not_change_a_schedule_may_not_backfill_it(viewer: Client, hourly: ScheduledTask):
    url = page_of(hourly, "backfill")
    data = backfill_data(hourly, confirmed="x")
    assert viewer.get(url).status_code == viewer.post(url, data).status_code == 403
    assert url not in viewer.get(page_of(hourly)).content.decode()
    assert not hourly.requests.exists()


def test_the_backfill_of_nothing_is_not_found(admin_client: Client, hourly: ScheduledTask):
    url = page_of(hourly, "backfill")
    hourly.delete()
    assert admin_client.get(url).status_code == 404


# The page of a run


def test_a_failed_run_says_why(admin_client: Client):
    run = make_run(
        make_row(args=[1], kwargs={"a": "b"}),
        status="failed",
        reason="Failed for: KeyError: 'x'",
        exception_class="builtins.KeyError",
        traceback="Traceback (most recent call last): …",
        log="about to look",
    )
    text = text_of(admin_client.get(page_of(run)))
    for part in (run.reason, run.exception_class, run.traceback, run.log, f'{ECHO}(1, a="b")'):
        assert part in text


@pytest.mark.parametrize(
    ("values", "linked"),
    [
        ({"status": "running"}, True),
        ({"status": "finished"}, True),
        ({"status": "finished", "started": ago(7_200), "ended": ago(7_200)}, False),
        ({"status": "missed"}, False),
    ],
)
def test_the_job_is_linked_as_long_as_redis_keeps_it(admin_client: Client, values, linked):
    run = make_run(make_row(), **values)
    page = admin_client.get(page_of(run)).content.decode()
    assert (f"/{run.run_job_id}/" in page) is linked


def test_a_page_is_live_as_long_as_there_is_news_to_come(admin_client: Client):
    schedule = make_row()
    running, ended = make_run(schedule, status="running", progress=40), make_run(schedule)
    assert 'data-every="1000"' in admin_client.get(page_of(running)).content.decode()
    assert 'data-every="0"' in admin_client.get(page_of(ended)).content.decode()
    assert "40 %" in text_of(admin_client.get(page_of(running)))


def test_looking_for_news_leaves_the_messages_to_the_person(admin_client: Client):
    schedule = make_row()
    admin_client.post(act(schedule, "pause"))
    assert "is paused." not in text_of(admin_client.get(page_of(schedule), headers={"X-Live": "1"}))
    assert "is paused." in text_of(admin_client.get(page_of(schedule)))


@pytest.mark.parametrize("field", ["name", "description", "note", "problem"])
def test_markup_in_a_schedule_is_shown_as_text(admin_client: Client, field):
    schedule = make_row(**{field: SCRIPT}, args=[SCRIPT], kwargs={"a": SCRIPT})
    make_run(schedule)
    for url in (
        SCHEDULES,
        page_of(schedule),
        RUNS,
        page_of(schedule, "delete"),
        page_of(schedule, "history"),
    ):
        assert SCRIPT not in admin_client.get(url).content.decode()


def test_markup_and_control_characters_in_a_run_are_shown_as_text(admin_client: Client):
    nasty = f"{SCRIPT}\x1b[31m\x07"
    texts = dict.fromkeys(("reason", "log", "traceback", "progress_message"), nasty)
    run = make_run(make_row(args=[nasty]), status="failed", progress=5, result=[nasty], **texts)
    for url in (RUNS, page_of(run), page_of(run.parent)):
        page = admin_client.get(url).content.decode()
        assert not any(part in page for part in (SCRIPT, "\x1b", "\x07"))


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
def test_an_action_is_done(admin_client: Client, way, before, action, after):
    schedule = make_row(status=before, paused_at=timezone.now() if before == "paused" else None)
    if way == "list":
        data = {"action": action, "_selected_action": [schedule.pk]}
        response = admin_client.post(SCHEDULES, data, follow=True)
    else:
        response = admin_client.post(act(schedule, action), follow=True)
    assert response.context["messages"]
    assert ScheduledTask.objects.get().status == after
    assert LogEntry.objects.filter(object_id=schedule.pk).count() == 1


def test_run_now_puts_a_run_on_its_queue(admin_client: Client, redis_connection: Redis):
    schedule = make_row()
    admin_client.post(act(schedule, "run_now"))
    [job_id] = queued(redis_connection)
    run_id = RunId.parse(job_id)
    assert run_id is not None
    assert (run_id.schedule_job_id, run_id.due) == (schedule.job_id, None)


def test_the_reason_of_a_pause_is_kept_and_shown(admin_client: Client):
    schedule = make_row()
    response = admin_client.post(act(schedule, "pause"), {"note": "moving\0 house"}, follow=True)
    assert ScheduledTask.objects.get().note == "moving house"
    assert "moving house" in text_of(response)


def test_what_is_not_possible_now_is_said(admin_client: Client):
    schedule = make_row()
    response = admin_client.post(act(schedule, "resume"), follow=True)
    assert "isn't possible now" in text_of(response)
    assert not LogEntry.objects.exists()


def test_an_unknown_action_is_not_found(admin_client: Client):
    assert admin_client.post(act(make_row(), "delete_model")).status_code == 404


def test_a_saved_schedule_is_in_redis(admin_client: Client, redis_connection: Redis):
    admin_client.post(ADD, SIMPLE)
    schedule = ScheduledTask.objects.get()
    assert redis_connection.zscore(SCHEDULES_KEY, schedule.job_id)


def test_a_schedule_that_is_deleted_meanwhile_is_left_out(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
):
    schedule, other = make_row(), make_row()

    def delete_then_allow(self: Any, request: Any, obj: ScheduledTask | None = None) -> bool:
        if obj == schedule:
            ScheduledTask.objects.filter(pk=schedule.pk).delete()
        return True

    monkeypatch.setattr(ScheduledTaskAdmin, "has_change_permission", delete_then_allow)
    admin_client.post(SCHEDULES, {"action": "pause", "_selected_action": [schedule.pk, other.pk]})
    assert ScheduledTask.objects.get().status == "paused"


def test_the_same_schedule_added_meanwhile_is_said(admin_client: Client):
    def add_twin(instance: ScheduledTask, **kwargs: Any) -> None:
        ScheduledTask.objects.bulk_create([make_twin(instance)])

    pre_save.connect(add_twin, sender=ScheduledTask)
    try:
        response = admin_client.post(ADD, SIMPLE, follow=True)
    finally:
        pre_save.disconnect(add_twin, sender=ScheduledTask)
    assert "There is a schedule" in text_of(response)


# Deleting


def delete_from_list(client: Client, schedule: ScheduledTask) -> None:
    data = {"action": "delete_selected", "_selected_action": [schedule.pk], "post": "yes"}
    assert client.post(SCHEDULES, data).status_code == 302


def delete_from_detail(client: Client, schedule: ScheduledTask) -> None:
    assert client.post(page_of(schedule, "delete"), {"post": "yes"}).status_code == 302


def delete_queryset(client: Client, schedule: ScheduledTask) -> None:
    ScheduledTask.objects.filter(pk=schedule.pk).delete()


@pytest.mark.parametrize("delete", [delete_from_list, delete_from_detail, delete_queryset])
def test_a_deleted_schedule_leaves_redis_with_its_runs(
    admin_client: Client, redis_connection: Redis, put: MakeSchedule, delete
):
    schedule, other = put(), put()
    make_run(schedule)
    kept = make_run(other)
    delete(admin_client, schedule)
    assert [run.pk for run in ScheduledTaskInstance.objects.all()] == [kept.pk]
    assert redis_connection.zrange(SCHEDULES_KEY, 0, -1) == [other.job_id.encode()]
    assert not redis_connection.exists(f"rq:job:{schedule.job_id}")


def test_before_deleting_the_runs_are_counted_not_listed(admin_client: Client):
    schedule = make_row(name="with runs")
    runs = [make_run(schedule) for _ in range(3)]
    page = admin_client.get(page_of(schedule, "delete"))
    assert "Runs: 3" in text_of(page)
    assert not any(page_of(run) in page.content.decode() for run in runs)


def test_a_run_is_not_deleted_on_its_own(admin_client: Client):
    run = make_run(make_row())
    assert admin_client.post(page_of(run, "delete"), {"post": "yes"}).status_code == 403


# Who may do what


def test_a_viewer_sees_every_page(viewer: Client):
    task = make_row()
    call = TaskService.enqueue_task(ECHO)
    urls = [SCHEDULES, RUNS, CALLS, page_of(task), page_of(make_run(task)), page_of(call)]
    urls += [page_of(task, "history"), reverse("admin:django_rq_home"), reverse("admin:index")]
    assert [viewer.get(url).status_code for url in urls] == [200] * len(urls)


@pytest.mark.parametrize("action", ["run_now", "pause", "resume", "cancel", "delete_selected"])
def test_a_viewer_does_nothing_from_the_list(viewer: Client, redis_connection: Redis, action):
    schedule = make_row()
    viewer.post(SCHEDULES, {"action": action, "_selected_action": [schedule.pk], "post": "yes"})
    assert ScheduledTask.objects.get().status == "running"
    assert not queued(redis_connection)


def test_a_viewer_does_nothing_from_the_detail_page(viewer: Client, redis_connection: Redis):
    task = make_row()
    call = TaskService.reserve_task(HOUR, ECHO)
    urls = [act(task, action) for action in ("run_now", "pause", "resume", "cancel")]
    urls += [act(call, "cancel"), page_of(task), page_of(call)]
    urls += [page_of(task, "delete"), page_of(call, "delete")]
    urls += [ADD, reverse("admin:tasks_task_add")]
    answers = [viewer.post(url, {"post": "yes", "_save": "Save"}).status_code for url in urls]
    assert answers == [403] * len(urls)
    assert ScheduledTask.objects.get().status == "running"
    assert Task.objects.get().status == "reserved"
    assert not queued(redis_connection)


def test_a_viewer_is_offered_no_buttons(viewer: Client):
    page = viewer.get(page_of(make_row())).content.decode()
    assert "/act/" not in page
    assert 'name="_save"' not in page


@pytest.mark.parametrize("way", ["list", "detail"])
def test_permissions_are_asked_for_each_schedule(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, way
):
    schedule, untouchable = make_row(name="mine"), make_row(name="not mine")

    def may_change(self: Any, request: Any, obj: ScheduledTask | None = None) -> bool:
        return obj is None or obj.name == "mine"

    monkeypatch.setattr(ScheduledTaskAdmin, "has_change_permission", may_change)
    if way == "list":
        data = {"action": "pause", "_selected_action": [schedule.pk, untouchable.pk]}
        admin_client.post(SCHEDULES, data)
    else:
        assert admin_client.post(act(schedule, "pause")).status_code == 302
        assert admin_client.post(act(untouchable, "pause")).status_code == 403
    status = dict(ScheduledTask.objects.values_list("name", "status"))
    assert status == {"mine": "paused", "not mine": "running"}


def test_looking_changes_nothing(admin_client: Client, put: MakeSchedule, redis_connection: Redis):
    task = put()
    call = TaskService.reserve_task(HOUR, ECHO)
    before = redis_connection.zrange(SCHEDULES_KEY, 0, -1, withscores=True)
    for url in (act(task, "cancel"), act(call, "cancel")):
        assert admin_client.get(url).status_code == 405
    for url in (SCHEDULES, CALLS, page_of(task), page_of(task, "delete"), page_of(call, "delete")):
        admin_client.get(url)
    assert redis_connection.zrange(SCHEDULES_KEY, 0, -1, withscores=True) == before
    assert ScheduledTask.objects.get().status == "running"
    assert Task.objects.get().status == "reserved"


def test_an_anonymous_post_is_sent_to_the_login(client: Client):
    response: Any = client.post(act(make_row(), "cancel"))
    assert response.url.startswith(reverse("admin:login"))
    assert ScheduledTask.objects.get().status == "running"


# What it costs


@pytest.mark.parametrize("url", [SCHEDULES, RUNS, CALLS])
def test_a_list_costs_the_same_for_3_rows_and_for_30(admin_client: Client, commands, url):
    def fill(rows: int) -> None:
        for _ in range(rows):
            make_run(make_row(), status="failed", reason="why")
            Task.objects.create(name="call", function=ECHO)

    def cost() -> tuple[int, int]:
        commands.clear()
        with CaptureQueriesContext(connection) as queries:
            assert admin_client.get(url).status_code == 200
        return len(queries), len(commands)

    fill(3)
    cost_of_3 = cost()
    fill(27)
    assert cost() == cost_of_3


def test_the_page_of_a_schedule_costs_the_same_for_any_number_of_runs(admin_client: Client):
    schedule = make_row()
    costs = set()
    admin_client.get(page_of(schedule))
    for _ in range(3):
        make_run(schedule)
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(page_of(schedule))
        costs.add(len(queries))
    assert len(costs) == 1


# What keeps work from being done


def serve(redis_connection: Redis, *queues: str) -> None:
    """Make it look as if a scheduler and a worker were running."""
    redis_connection.set(LEADER_KEY, "somebody")
    Worker(list(queues), connection=redis_connection).register_birth()


def test_a_queue_without_a_worker_is_named(admin_client: Client, redis_connection: Redis):
    serve(redis_connection, "default")
    schedule = make_row(queue="low")
    make_row(queue="default")
    for url in (SCHEDULES, page_of(schedule)):
        assert f"{WARNED} “low”" in text_of(admin_client.get(url))
        assert f"{WARNED} “default”" not in text_of(admin_client.get(url))


def test_a_waiting_call_on_a_queue_without_a_worker_says_so(
    admin_client: Client, redis_connection: Redis
):
    serve(redis_connection, "high")
    call = TaskService.enqueue_task(ECHO)
    for url in (CALLS, page_of(call)):
        assert f"{WARNED} “default”" in text_of(admin_client.get(url))


def test_nothing_is_warned_of_while_all_is_well(admin_client: Client, redis_connection: Redis):
    serve(redis_connection, "default")
    schedule = make_row()
    for url in (SCHEDULES, page_of(schedule)):
        assert "messagelist" not in admin_client.get(url).content.decode()


def test_a_missing_scheduler_is_said(admin_client: Client):
    make_row()
    assert "No scheduler is running" in text_of(admin_client.get(SCHEDULES))


def test_every_page_can_be_seen_while_redis_is_unavailable(
    admin_client: Client, put, redis_unavailable
):
    task = put()
    run, call = make_run(task), TaskService.enqueue_task(ECHO)
    redis_unavailable(True)
    urls = [SCHEDULES, RUNS, CALLS, page_of(task), page_of(run), page_of(call)]
    urls += [ADD, reverse("admin:tasks_task_add")]
    for url in urls:
        assert "Redis is away" in text_of(admin_client.get(url))


def test_a_schedule_is_saved_while_redis_is_unavailable(admin_client: Client, redis_unavailable):
    redis_unavailable(True)
    response = admin_client.post(ADD, SIMPLE, follow=True)
    assert "takes effect when it is back" in text_of(response)
    assert ScheduledTask.objects.get().is_live


@pytest.mark.parametrize(
    ("action", "status"), [("pause", "paused"), ("cancel", "death"), ("run_now", "running")]
)
def test_an_action_does_not_break_while_redis_is_unavailable(
    admin_client: Client, put: MakeSchedule, redis_unavailable, action, status
):
    schedule = put()
    redis_unavailable(True)
    assert "Redis is away" in text_of(admin_client.post(act(schedule, action), follow=True))
    assert ScheduledTask.objects.get().status == status


def test_a_schedule_is_deleted_while_redis_is_unavailable(
    admin_client: Client, put, redis_unavailable
):
    schedule = put()
    redis_unavailable(True)
    delete_from_detail(admin_client, schedule)
    assert not ScheduledTask.objects.exists()


def test_a_call_that_cannot_be_enqueued_says_so(admin_client: Client, redis_unavailable):
    redis_unavailable(True)
    data = {"function": ECHO, "args": "[]", "kwargs": "{}", "_continue": "1"}
    response = admin_client.post(reverse("admin:tasks_task_add"), data, follow=True)
    assert "It could not be enqueued" in text_of(response)


# Background calls


def test_adding_a_call_enqueues_it(admin_client: Client, redis_connection: Redis):
    data = {"function": ECHO, "args": "[1]", "kwargs": '{"a": 2}'}
    admin_client.post(reverse("admin:tasks_task_add"), data)
    [job_id] = queued(redis_connection)
    job = RqJob.fetch(job_id, connection=redis_connection, serializer="json")
    assert (job_id, job.args, job.kwargs) == (Task.objects.get().job_id, [1], {"a": 2})


def test_a_call_for_later_is_reserved(admin_client: Client, redis_connection: Redis):
    data = {"function": ECHO, "reserved_for_0": "2100-01-01", "reserved_for_1": "12:00"}
    admin_client.post(reverse("admin:tasks_task_add"), data)
    assert Task.objects.get().status == "reserved"
    assert not queued(redis_connection)


@pytest.mark.parametrize("way", ["list", "detail"])
def test_a_call_is_cancelled(admin_client: Client, redis_connection: Redis, way):
    call = TaskService.enqueue_task(ECHO)
    if way == "list":
        admin_client.post(CALLS, {"action": "cancel", "_selected_action": [call.pk]})
    else:
        admin_client.post(act(call, "cancel"))
    assert Task.objects.get().status == "canceled"
    assert not queued(redis_connection)


@pytest.mark.parametrize("way", ["list", "detail"])
def test_a_call_that_is_deleted_does_not_run(admin_client: Client, redis_connection: Redis, way):
    call = TaskService.enqueue_task(ECHO)
    if way == "list":
        data = {"action": "delete_selected", "_selected_action": [call.pk], "post": "yes"}
        admin_client.post(CALLS, data)
    else:
        admin_client.post(page_of(call, "delete"), {"post": "yes"})
    assert not Task.objects.exists()
    assert not queued(redis_connection)


def test_a_call_is_not_changed_by_saving_it(admin_client: Client):
    call = TaskService.enqueue_task(ECHO, 1)
    admin_client.post(page_of(call), {"function": ECHO, "args": "[2]", "kwargs": "{}"})
    assert Task.objects.get().args == [1]
