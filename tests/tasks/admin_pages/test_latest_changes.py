"""The page of the changes of all schedules: who changed what, and when."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tasks import clock
from tasks.models import ScheduleChange, ScheduledTask, Tag, TagUser
from tests.tasks.pages import staff, text_of
from tests.tasks.schedules import make_row

pytestmark = pytest.mark.django_db
CHANGES = reverse("admin:tasks_scheduledtask_latest_changes")
DAY = timedelta(days=1)


def change(schedule: ScheduledTask, **values: Any) -> ScheduleChange:
    changed = {"action": "changed", "changes": {"interval": [60, 90]}, "by": "ann"}
    return schedule.changes.create(**(changed | values))


def shown(client: Client, **query: Any) -> list[str]:
    """Return the names of the schedules on the page, in its order."""
    response: Any = client.get(CHANGES, query)
    return [one.line.change.schedule.name for one in response.context_data["changed"]]


def test_the_newest_change_of_all_schedules_comes_first_with_its_values(admin_client: Client):
    older, newer = make_row(name="older"), make_row(name="newer")
    change(older, by="bob", note="too often")
    change(newer)
    assert shown(admin_client) == ["newer", "older"]
    text = text_of(admin_client.get(CHANGES))
    assert "older Interval 1 min → 1 min 30 s" in text
    assert "by bob · “too often”" in text


def test_changes_are_found_by_who_made_them_by_day_and_by_kind(admin_client: Client):
    now = clock.now()
    change(make_row(name="a"), by="bob")
    change(make_row(name="b"), action="paused", changes={})
    change(make_row(name="c"), at=now - 3 * DAY)
    assert shown(admin_client, by="bob") == ["a"]
    assert shown(admin_client, kind="paused") == ["b"]
    assert shown(admin_client, day=f"{timezone.localtime(now - 3 * DAY):%Y-%m-%d}") == ["c"]
    assert shown(admin_client, by="bob", kind="paused") == []
    assert "No change matches." in text_of(admin_client.get(CHANGES, {"by": "eve"}))


def test_a_filter_that_can_not_be_is_said_and_left_out(admin_client: Client):
    change(make_row(name="a"))
    assert shown(admin_client, day="yesterday", kind="nonsense") == ["a"]
    assert "Day: Enter a valid date." in text_of(admin_client.get(CHANGES, {"day": "yesterday"}))
    assert "There is no such day." in text_of(admin_client.get(CHANGES, {"day": "9999-12-31"}))


def test_the_changes_come_a_page_at_a_time(
    admin_client: Client, django_assert_max_num_queries: Any
):
    schedules = [make_row(name=f"{number:02}") for number in range(60)]
    for schedule in schedules:
        change(schedule, by=f"by {schedule.name}")
    with django_assert_max_num_queries(20):
        response: Any = admin_client.get(CHANGES)
    assert len(response.context_data["changed"]) == 50
    older: Any = admin_client.get(CHANGES + response.context_data["older_url"])
    names = [one.line.change.schedule.name for one in older.context_data["changed"]]
    assert names == [f"{number:02}" for number in range(9, -1, -1)]
    assert older.context_data["older_url"] == ""


def test_what_one_step_wrote_of_many_schedules_is_one_line(admin_client: Client):
    at = clock.now()
    for name in "abc":
        change(make_row(name=name), at=at)
    assert shown(admin_client) == ["c"]
    assert "c and 2 more" in text_of(admin_client.get(CHANGES))


def test_limited_people_see_only_the_changes_of_their_schedules_and_their_tags(client: Client):
    shop, other = Tag.objects.create(name="shop"), Tag.objects.create(name="hidden")
    user = staff("view_scheduledtask")
    TagUser.objects.create(tag=shop, user_id=user.pk)
    client.force_login(user)
    theirs = make_row(name="theirs")
    theirs.tags.add(shop, other)
    change(theirs, changes={"tags": [[], ["shop", "hidden"]]})
    change(make_row(name="not theirs"))
    assert set(shown(client)) == {"theirs"}
    text = text_of(client.get(CHANGES))
    assert "shop" in text
    assert "hidden" not in text


def test_who_may_not_see_schedules_may_not_see_their_changes(client: Client):
    client.force_login(staff("view_task"))
    assert client.get(CHANGES).status_code == 403
