"""The overview: its state sentence, its numbers and pictures, and what they cost."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tasks import holds
from tasks.models import Hold, Tag, TagUser
from tests.tasks.pages import SCHEDULES, staff, text_of
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
