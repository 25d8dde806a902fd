"""The overview: its state sentence, its numbers and pictures, and what they cost."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.test import Client
from django.urls import reverse
from redis import Redis

from tasks import clock, holds
from tasks.broker.keys import scheduled_key
from tasks.models import Hold, ScheduledTask, ScheduledTaskInstance, Tag, TagUser, Task
from tests.tasks.functions import COROUTINE
from tests.tasks.pages import RUNS, SCHEDULES, act_url, page_of, staff, text_of
from tests.tasks.reports.test_facts import enqueue, put_worker, run_of
from tests.tasks.schedules import MakeSchedule, ago, make_row, make_run

pytestmark = pytest.mark.django_db

OVERVIEW = reverse("admin:tasks_overview")
PAUSE = reverse("admin:tasks_hold")
PART = {"part": "now"}
Refuse = Callable[[bool], None]


def test_the_overview_is_a_page_of_the_index(admin_client: Client):
    assert OVERVIEW == "/admin/tasks/overview/"
    index = admin_client.get(reverse("admin:index")).content.decode()
    assert f'href="{OVERVIEW}"' in index


def test_the_overview_opens_with_what_is_wrong_and_what_to_do(admin_client: Client):
    text = text_of(admin_client.get(OVERVIEW))
    assert "No scheduler runs." in text
    assert "manage.py rqscheduler" in text


def test_the_overview_is_shown_while_redis_is_unavailable(
    admin_client: Client, redis_unavailable: Refuse
):
    redis_unavailable(True)
    text = text_of(admin_client.get(OVERVIEW))
    assert "Redis is unavailable" in text
    assert "Not known while Redis is unavailable." in text


def test_a_schedule_that_is_due_next_is_shown_with_when(admin_client: Client, put: MakeSchedule):
    put(name="Heartbeat", first=ago(-90), interval=5)
    text = text_of(admin_client.get(OVERVIEW, PART))
    assert "Heartbeat every 5 seconds" in text


def test_a_failed_run_is_a_bar_with_a_link_in_the_timeline(admin_client: Client):
    run = make_run(make_row(name="Price feed"), status="failed", due=ago(60), started=ago(60))
    page = admin_client.get(OVERVIEW, {"part": "history"}).content.decode()
    link = reverse("admin:tasks_scheduledtaskinstance_change", args=[run.pk])
    assert f'<a href="{link}" tabindex="-1">' in page
    assert 'class="f-failed"' in page
    assert "1 failed" in page


@pytest.mark.parametrize("hours", ["1", "6", "24", "7", "x", "9" * 50])
def test_the_timeline_has_a_range_that_is_offered_whatever_the_address_says(
    admin_client: Client, hours: str
):
    make_row()
    response = admin_client.get(OVERVIEW, {"hours": hours})
    ranges = response.context["ranges"]
    assert [one["hours"] for one in ranges if one["is_on"]] == [
        int(hours) if hours in ("1", "6", "24") else 6
    ]


def test_the_lanes_are_paged(admin_client: Client):
    for number in range(12):
        make_row(name=f"schedule {number:02}")
    first = admin_client.get(OVERVIEW, {"part": "history"})
    second = admin_client.get(OVERVIEW, {"part": "history", "lanes": 2})
    assert "2 more schedules" in text_of(first)
    assert [row.name for row in second.context["timeline"]] == ["schedule 10", "schedule 11"]


def test_the_overview_takes_a_bounded_number_of_queries(
    admin_client: Client, put: MakeSchedule, django_assert_max_num_queries: Any
):
    for number in range(30):
        schedule = put(name=f"schedule {number}", first=ago(-number - 5), interval=60)
        make_run(schedule, status="failed" if number % 2 else "finished")
    with django_assert_max_num_queries(40):
        admin_client.get(OVERVIEW)
    with django_assert_max_num_queries(25):
        admin_client.get(OVERVIEW, PART)


def test_a_part_of_the_overview_is_only_that_part(admin_client: Client):
    page = admin_client.get(OVERVIEW, PART).content.decode()
    assert 'id="overview-now"' in page
    assert "overview-history" not in page
    assert "<html" not in page


def test_somebody_without_permission_does_not_see_the_overview(client: Client):
    client.force_login(staff("view_calendar"))
    assert client.get(OVERVIEW).status_code == 403


def test_somebody_who_is_limited_to_a_tag_sees_only_what_has_it(client: Client, put: MakeSchedule):
    put(name="ours", first=ago(-5), interval=60).tags.add(Tag.objects.create(name="shop"))
    put(name="theirs", first=ago(-5), interval=60)
    user = staff("view_scheduledtask", "pause_scheduledtask")
    TagUser.objects.create(tag=Tag.objects.get(), user=user)
    client.force_login(user)
    text = text_of(client.get(OVERVIEW))
    assert "ours" in text
    assert "theirs" not in text
    assert client.get(PAUSE).status_code == 403


# What holds things up, and what can be done about it

FIXES = ("stop_run", "change_scheduledtask", "pause_scheduledtask")
SEES = ("view_scheduledtask", "view_scheduledtaskinstance")


def held_up(redis: Redis) -> tuple[ScheduledTask, ScheduledTaskInstance]:
    """Have a schedule wait for a worker that is busy; return it, and the run of the worker."""
    run = make_run(make_row(name="Reindex"), status="running", worker_name="w1", progress=40)
    put_worker(redis, "w1", job_id=run_of(run.parent))
    waiting = make_row(name="Invoices")
    enqueue(redis, run_of(waiting, 30), seconds_ago=30)
    return waiting, run


def stop_form(run: ScheduledTaskInstance) -> str:
    return f'name="{ACTION_CHECKBOX_NAME}" value="{run.pk}"'


def test_the_run_that_holds_a_queue_up_can_be_opened_and_stopped(
    admin_client: Client, redis_connection: Redis
):
    _waiting, run = held_up(redis_connection)
    page = admin_client.get(OVERVIEW, PART).content.decode()
    problems = page.partition('class="sl-probs"')[2].partition("</ol>")[0]
    assert f'href="{page_of(run)}"' in problems
    assert stop_form(run) in problems
    # It asks first, as everywhere.
    sent = {"action": "stop", ACTION_CHECKBOX_NAME: run.pk, "from_page": "1"}
    assert "Stop this run?" in text_of(admin_client.post(RUNS, sent))


def test_a_worker_is_shown_with_how_many_runs_it_has_side_by_side_and_a_way_to_them(
    admin_client: Client, redis_connection: Redis
):
    run = make_run(make_row(name="Feed"), status="running", worker_name="w 1")
    other = make_run(make_row(name="Other"), status="running", worker_name="w2")
    put_worker(redis_connection, "w 1", concurrency=2_000, coroutines=1_012)
    put_worker(redis_connection, "w2", concurrency=50)
    page = admin_client.get(OVERVIEW, PART)
    assert "1 of 2 busy" in text_of(page)
    panel = page.content.decode().partition('id="sl-workers"')[2].partition("</table>")[0]
    url = f"{RUNS}?status=running&amp;worker=w+1"
    assert f'<a href="{url}">1,012 of 2,000 side by side</a>' in panel
    assert "0 of 50 side by side" in panel
    assert panel.count('<span class="q">idle</span>') == 1
    found = admin_client.get(url.replace("&amp;", "&")).content.decode()
    assert page_of(run) in found
    assert page_of(other) not in found


def test_of_a_worker_a_child_of_which_drains_it_is_said_that_this_is_replaced(
    admin_client: Client, redis_connection: Redis
):
    put_worker(redis_connection, "w", concurrency=20, coroutines=9, draining=2)
    page = admin_client.get(OVERVIEW, PART)
    assert "11 of 20 side by side; a process is being replaced" in text_of(page)


def test_background_calls_that_a_worker_has_side_by_side_are_found_among_the_calls(
    admin_client: Client, redis_connection: Redis
):
    values = {"status": "running", "started": ago(5), "worker_name": "w"}
    call = Task.objects.create(name="call", function=COROUTINE, **values)
    put_worker(redis_connection, "w", concurrency=20, coroutines=1)
    page = admin_client.get(OVERVIEW, PART).content.decode()
    url = f"{reverse('admin:tasks_task_changelist')}?status__exact=running"
    assert f'<a href="{url}">1 of 20 side by side</a>' in page
    assert page_of(call) in admin_client.get(url).content.decode()


def test_what_waits_for_a_previous_run_that_goes_on_beside_others_leads_to_that(
    admin_client: Client, redis_connection: Redis
):
    schedule = make_row(function=COROUTINE)
    run = make_run(schedule, status="running", worker_name="w1")
    put_worker(redis_connection, "w1", concurrency=20, coroutines=1)
    late = {run_of(schedule, 30): clock.timestamp() + 1}
    redis_connection.zadd(scheduled_key("default"), late)
    [row] = admin_client.get(OVERVIEW, PART).context["waiting_rows"]
    assert row.previous.pk == run.pk


def test_what_waits_leads_to_its_page_and_to_another_queue(
    admin_client: Client, redis_connection: Redis
):
    waiting, _run = held_up(redis_connection)
    page = admin_client.get(OVERVIEW, PART).content.decode()
    row = page.partition('class="sl-t mid sl-waits"')[2].partition("</table>")[0]
    assert f'href="{page_of(waiting, "page")}"' in row
    assert "No worker of default is free." in row
    assert f'action="{act_url(waiting, "change_queue")}"' in row


def test_what_waits_for_its_own_previous_run_leads_to_that_and_stops_it(
    admin_client: Client, redis_connection: Redis
):
    schedule = make_row()
    run = make_run(schedule, status="running", worker_name="w1")
    put_worker(redis_connection, "w1", job_id=run_of(schedule))
    late = {run_of(schedule, 30): clock.timestamp() + 1}
    redis_connection.zadd(scheduled_key("default"), late)
    enqueue(redis_connection, run_of(make_row()))
    response = admin_client.get(OVERVIEW, PART)
    [row] = [row for row in response.context["waiting_rows"] if row.seen.schedule_pk == schedule.pk]
    assert (row.previous.pk, row.can_change_queue) == (run.pk, False)
    waits = response.content.decode().partition("sl-waits")[2].partition("</table>")[0]
    assert stop_form(run) in waits


def test_what_waits_because_of_a_pause_leads_to_its_end(
    admin_client: Client, redis_connection: Redis
):
    hold = holds.pause_queue("default", "ops")
    enqueue(redis_connection, run_of(make_row(), 30))
    enqueue(redis_connection, run_of(make_row(), 30))
    page = admin_client.get(OVERVIEW, PART).content.decode()
    waits = page.partition("sl-waits")[2].partition("</table>")[0]
    assert f'href="{reverse("admin:tasks_resume_hold", args=[hold.pk])}"' in waits


@pytest.mark.parametrize(("queue", "offered"), [("default", True), ("", False)])
def test_another_queue_is_no_way_out_while_everything_is_paused(
    admin_client: Client, redis_connection: Redis, queue: str, offered: bool
):
    holds.pause_queue(queue, "ops") if queue else holds.pause_everything("ops")
    waiting = make_row()
    enqueue(redis_connection, run_of(waiting, 30))
    enqueue(redis_connection, run_of(make_row(queue="low"), 30), "low")
    rows = admin_client.get(OVERVIEW, PART).context["waiting_rows"]
    [row] = [row for row in rows if row.seen.schedule_pk == waiting.pk]
    assert row.can_change_queue is offered


@pytest.mark.parametrize("permission", FIXES)
def test_each_fix_is_offered_only_to_who_may(
    client: Client, redis_connection: Redis, permission: str
):
    waiting, run = held_up(redis_connection)
    held = make_row(queue="low")
    enqueue(redis_connection, run_of(held, 30), "low")
    hold = holds.pause_queue("low", "ops")
    client.force_login(staff(*SEES, permission))
    page = client.get(OVERVIEW, PART).content.decode()
    offered = {
        "stop_run": stop_form(run) in page,
        "change_scheduledtask": act_url(waiting, "change_queue") in page,
        "pause_scheduledtask": reverse("admin:tasks_resume_hold", args=[hold.pk]) in page,
    }
    assert offered == {name: name == permission for name in FIXES}


# Pausing


def test_the_page_that_asks_changes_nothing_and_says_what_will_happen(admin_client: Client):
    make_row()
    text = text_of(admin_client.get(PAUSE))
    assert "Pause everything?" in text
    assert "1 schedule is paused: what would be due meanwhile never runs." in text
    assert not Hold.objects.exists()


@pytest.mark.parametrize("queue", ["", "default"])
def test_a_pause_is_made_with_who_and_why_and_ended(admin_client: Client, queue: str):
    admin_client.post(f"{PAUSE}?queue={queue}", {"note": "database move"})
    hold = Hold.objects.get()
    assert (hold.queue, hold.by, hold.note) == (queue, "admin", "database move")
    resume = reverse("admin:tasks_resume_hold", args=[hold.pk])
    assert "Resume" in text_of(admin_client.get(resume))
    assert Hold.objects.exists()
    admin_client.post(resume)
    assert not Hold.objects.exists()


def test_a_pause_is_said_on_every_page_of_ours_with_who_and_why(viewer: Client):
    holds.pause_everything("ops", "database move")
    holds.pause_queue("low", "ops")
    schedule = make_row()
    page_of_it = reverse("admin:tasks_scheduledtask_page", args=[schedule.pk])
    overview = text_of(viewer.get(OVERVIEW))
    assert "Everything is paused." in overview
    assert "by ops: database move" in overview
    for page in (SCHEDULES, page_of_it, reverse("admin:tasks_calendar_changelist")):
        text = text_of(viewer.get(page))
        assert "Everything is paused by ops," in text
        assert ": database move" in text
        assert "The queue “low” is paused by ops" in text


def test_a_secret_in_a_note_is_masked(admin_client: Client):
    admin_client.post(PAUSE, {"note": "https://u:hunter2-hunter2@example.org is down"})
    assert "hunter2" not in Hold.objects.get().note


def test_who_may_only_look_is_not_offered_a_pause_and_can_not_make_one(viewer: Client):
    hold = holds.pause_queue("low", "ops")
    page = viewer.get(OVERVIEW).content.decode()
    resume = reverse("admin:tasks_resume_hold", args=[hold.pk])
    assert (PAUSE in page, resume in page) == (False, False)
    assert viewer.post(PAUSE).status_code == 403
    assert viewer.post(resume).status_code == 403
    assert Hold.objects.count() == 1


def test_a_queue_that_does_not_exist_can_not_be_paused(admin_client: Client):
    assert admin_client.post(f"{PAUSE}?queue=elsewhere").status_code == 404


def test_a_pause_that_was_ended_meanwhile_is_said(admin_client: Client):
    hold = holds.pause_queue("low", "ops")
    holds.resume(hold)
    resume = reverse("admin:tasks_resume_hold", args=[hold.pk])
    text = text_of(admin_client.post(resume, follow=True))
    assert "It goes on already" in text
