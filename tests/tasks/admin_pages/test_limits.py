"""People who are limited to tags: no page, list, filter, count or action shows them more."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Prefetch, ProtectedError
from django.test import Client
from django.urls import reverse

from tasks.admin_pages.limits import _hidden_tags
from tasks.models import Calendar, ScheduledTask, Tag, TagGroup, TagUser
from tasks.services import TaskService
from tests.feeds.polled import polled
from tests.tasks.functions import ECHO
from tests.tasks.pages import (
    CALLS,
    RUNS,
    SCHEDULES,
    act_on,
    act_url,
    errors_of,
    page_of,
    rows_of,
    staff,
    text_of,
)
from tests.tasks.schedules import make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)

CALENDARS = reverse("admin:tasks_calendar_changelist")
TAGS = reverse("admin:tasks_tag_changelist")
FEEDS = reverse("admin:feeds_feed_changelist")
ENTRIES = reverse("admin:feeds_entry_changelist")


@pytest.fixture
def shop() -> Tag:
    return Tag.objects.create(name="shop")


@pytest.fixture
def limited(client: Client, shop: Tag) -> Client:
    """Return a browser of somebody who may do everything, with what has the tag `shop`."""
    user = staff(*Permission.objects.values_list("codename", flat=True))
    TagUser.objects.create(tag=shop, user_id=user.pk)
    client.force_login(user)
    return client


@pytest.fixture
def mine(shop: Tag) -> ScheduledTask:
    schedule = make_row(name="mine", queue="default")
    schedule.tags.add(shop)
    return schedule


@pytest.fixture
def other() -> ScheduledTask:
    """Return a schedule of others, with all that can belong to one."""
    tag = Tag.objects.create(name="secret-tag")
    calendar = Calendar.objects.create(name="Secret days", dates="2030-01-01")
    schedule = make_row(name="secret one", queue="low", list_owner="secret-list", calendar=calendar)
    schedule.tags.add(tag)
    make_run(schedule)
    TaskService.enqueue_task(ECHO)
    return schedule


@pytest.mark.parametrize("url", [SCHEDULES, RUNS, CALLS, CALENDARS, TAGS, FEEDS, ENTRIES])
def test_lists_their_filters_and_counts_show_nothing_of_others(
    limited: Client, mine: ScheduledTask, other: ScheduledTask, url: str
):
    polled("https://secret.example.org/feed")
    make_run(mine)
    response: Any = limited.get(url)
    page = response.content.decode().lower()
    assert response.status_code == 200
    assert "secret" not in page
    assert response.context_data["cl"].result_count == {SCHEDULES: 1, RUNS: 1, TAGS: 1}.get(url, 0)
    assert reverse("admin:django_rq_home") not in page


@pytest.mark.parametrize("query", ["q=secret", "tag=secret-tag", "list=secret-list", "queue=low"])
def test_others_are_not_found_by_search_or_filter(
    limited: Client, mine: ScheduledTask, other: ScheduledTask, query: str
):
    assert not rows_of(limited.get(f"{SCHEDULES}?{query}"))


def test_the_counts_of_the_views_leave_others_out(
    limited: Client, mine: ScheduledTask, other: ScheduledTask
):
    ScheduledTask.objects.update(status="failed")
    response: Any = limited.get(SCHEDULES)
    assert [tab["number"] for tab in response.context_data["tabs"][:2]] == [1, 1]


def test_the_list_names_no_tag_that_they_do_not_see(limited: Client, mine: ScheduledTask):
    mine.tags.add(Tag.objects.create(name="merger"))
    response: Any = limited.get(SCHEDULES)
    [row] = response.context["rows"]
    assert row["tags"] == ["shop"]
    assert "merger" not in response.content.decode()


def test_no_page_of_an_others_record_is_there(limited: Client, other: ScheduledTask):
    run = other.runs.get()
    pages = [page_of(other, "page"), page_of(other, "backfill")]
    assert [limited.get(url).status_code for url in pages] == [404, 404]
    pages = [page_of(record) for record in (other, run, other.calendar)]
    pages += [page_of(other, page) for page in ("history", "delete")]
    for url in pages:
        response: Any = limited.get(url)
        assert (response.status_code, response.url) == (302, reverse("admin:index"))
    assert limited.post(page_of(other, "reveal")).status_code == 404


def test_no_action_reaches_an_others_schedule(
    limited: Client, mine: ScheduledTask, other: ScheduledTask
):
    data = {"confirmed": "yes"}
    assert limited.post(act_url(other, "pause"), data).status_code == 404
    act_on(limited, [mine, other], "pause")
    limited.post(page_of(other, "delete"), data)
    assert dict(ScheduledTask.objects.values_list("name", "status")) == {
        "mine": "paused",
        "secret one": "running",
    }


def test_autocomplete_offers_nothing_of_others(
    limited: Client, mine: ScheduledTask, other: ScheduledTask
):
    where = {"app_label": "tasks", "model_name": "scheduledtask", "field_name": "tags"}
    answer = limited.get(reverse("admin:autocomplete"), where)
    assert "secret" not in answer.content.decode()


def test_django_rqs_pages_and_external_jobs_are_hidden_since_they_know_no_tags(
    limited: Client, mine: ScheduledTask
):
    for name in ("django_rq_home", "tasks_scheduledtask_external_jobs"):
        assert limited.get(reverse(f"admin:{name}")).status_code == 403
    assert "django_rq" not in limited.get(reverse("admin:index")).content.decode()


def test_what_concerns_everybody_is_not_theirs_to_change(limited: Client, shop: Tag):
    for name in ("calendar", "tag", "task"):
        assert limited.get(reverse(f"admin:tasks_{name}_add")).status_code == 403
    assert limited.post(page_of(shop), {"name": "else"}).status_code == 403


def test_nobody_is_limited_by_a_tag_before_it_is_said(admin_client: Client, shop: Tag):
    user = staff("view_scheduledtask")
    make_row()
    data = {"name": "shop", "limited_users": [user.pk], "limited_groups": []}
    assert admin_client.post(page_of(shop), data).status_code == 302
    assert TagUser.objects.get().user_id == user.pk
    assert admin_client.post(page_of(shop), {"name": "shop"}).status_code == 302
    assert not TagUser.objects.exists()


def test_the_question_before_a_tag_is_deleted_says_what_loses_it(
    admin_client: Client, mine: ScheduledTask
):
    text = text_of(admin_client.get(page_of(mine.tags.get(), "delete")))
    assert "1 schedule loses it, and stays." in text
    assert "relationship" not in text


def test_a_tag_to_which_somebody_is_limited_is_not_deleted(limited: Client, shop: Tag):
    with pytest.raises(ProtectedError):
        shop.delete()
    assert Tag.objects.exists()


def test_who_keeps_a_tag_from_being_deleted_is_named(
    admin_client: Client, shop: Tag, django_assert_max_num_queries: Any
):
    for name in ("anna", "bert", "cleo"):
        TagUser.objects.create(tag=shop, user=User.objects.create_user(name))
    TagUser.objects.create(tag=shop, user_id=4_711)
    TagGroup.objects.create(tag=shop, group=Group.objects.create(name="shop people"))
    with django_assert_max_num_queries(20):
        text = text_of(admin_client.get(page_of(shop, "delete")))
    for person in ("anna", "bert", "cleo", "#4711"):
        assert f"Limited user: {person} (shop)" in text
    assert "Limited group: shop people (shop)" in text


def test_who_may_run_schedules_but_not_view_them_runs_none(client: Client, mine: ScheduledTask):
    client.force_login(staff("run_scheduledtask", "pause_scheduledtask"))
    for action in ("run_now", "pause"):
        assert client.post(act_url(mine, action), {"confirmed": "1"}).status_code in (403, 404)
    mine.refresh_from_db()
    assert mine.is_live
    assert not mine.requests.exists()


def edit(client: Client, schedule: ScheduledTask, **more: str) -> None:
    """Change the interval of a schedule by its form, and whatever else is given."""
    page: Any = client.get(page_of(schedule))
    form = page.context_data["adminform"].form
    data = {name: form[name].value() for name in form.fields if form[name].value() is not None}
    data |= {"first_0": schedule.first.date(), "first_1": schedule.first.time(), "interval": "2h"}
    assert errors_of(client.post(page_of(schedule), data | more)) == {}


def test_tags_that_somebody_does_not_see_stay_when_they_edit(limited: Client, mine: ScheduledTask):
    mine.tags.add(Tag.objects.create(name="secret-tag"))
    edit(limited, mine)
    mine.refresh_from_db()
    assert mine.interval == 7_200
    assert {tag.name for tag in mine.tags.all()} == {"secret-tag", "shop"}


def test_tags_that_are_not_seen_are_known_though_the_page_has_read_only_the_others(
    mine: ScheduledTask, shop: Tag
):
    hidden = Tag.objects.create(name="secret-tag")
    mine.tags.add(hidden)
    seen = Tag.objects.filter(pk=shop.pk)
    record = ScheduledTask.objects.prefetch_related(Prefetch("tags", seen)).get()
    assert list(record.tags.all()) == [shop]
    assert _hidden_tags(record, seen) == [hidden.pk]


def test_a_tag_of_others_can_not_be_taken_by_its_name(
    limited: Client, mine: ScheduledTask, other: ScheduledTask
):
    edit(limited, mine, new_tags="secret-tag, new")
    assert [tag.name for tag in mine.tags.all()] == ["shop"]
    assert not Tag.objects.filter(name="new").exists()
