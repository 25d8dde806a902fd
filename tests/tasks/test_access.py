"""Who sees what: people who are limited to tags see only what has one of them."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from tasks.access import is_limited, keep_visible, may_see, visible
from tasks.models import (
    Calendar,
    RunRequest,
    ScheduleChange,
    ScheduledTask,
    ScheduledTaskInstance,
    SchedulePeriod,
    Tag,
    Task,
)
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Tag:
    return Tag.objects.create(name="shop")


@pytest.fixture
def user(shop: Tag) -> User:
    """Return somebody who is limited to what has the tag `shop`."""
    user = User.objects.create_user("limited", is_staff=True)
    shop.users.add(user)
    return user


def tagged(*tags: Tag, **values: Any) -> ScheduledTask:
    schedule = make_row(**values)
    schedule.tags.set(tags)
    return schedule


def test_people_without_tags_and_superusers_see_everything(shop: Tag):
    free = User.objects.create_user("free")
    boss = User.objects.create_superuser("boss")
    shop.users.add(boss)
    make_row()
    for somebody in (free, boss):
        assert not is_limited(somebody)
        assert visible(somebody, ScheduledTask.objects.all()).count() == 1


def test_people_who_are_limited_see_what_has_one_of_their_tags_once(shop: Tag, user: User):
    other, second = Tag.objects.create(name="other"), Tag.objects.create(name="second")
    second.users.add(user)
    mine = tagged(shop, second, other)
    tagged(other)
    make_row()
    assert list(visible(user, ScheduledTask.objects.all())) == [mine]


def test_a_group_limits_its_members(shop: Tag):
    group = Group.objects.create(name="shop people")
    shop.groups.add(group)
    user = User.objects.create_user("member")
    user.groups.add(group)
    mine = tagged(shop)
    make_row()
    assert list(visible(user, ScheduledTask.objects.all())) == [mine]


def test_what_belongs_to_a_schedule_is_seen_with_it(shop: Tag, user: User):
    for schedule in (tagged(shop), make_row()):
        make_run(schedule)
        schedule.requests.create(requested=ago(1))
        schedule.periods.create(kind="paused", start=ago(9), end=ago(5))
        ScheduleChange.objects.create(schedule=schedule, action="changed")
    models = (ScheduledTaskInstance, RunRequest, SchedulePeriod, ScheduleChange)
    assert [visible(user, model.objects.all()).count() for model in models] == [1, 1, 1, 2], (
        "that it got its tag is in its history, too"
    )


def test_a_calendar_is_seen_with_a_schedule_that_uses_it(shop: Tag, user: User):
    mine, _other, _unused = (Calendar.objects.create(name=name) for name in "abc")
    tagged(shop, calendar=mine)
    tagged(shop, calendar=mine)
    make_row(calendar=_other)
    assert list(visible(user, Calendar.objects.all())) == [mine]


def test_what_can_have_no_tags_and_tags_of_others_are_hidden(shop: Tag, user: User):
    Tag.objects.create(name="other")
    Task.objects.create(name="call", function="call")
    assert not visible(user, Task.objects.all())
    assert list(visible(user, Tag.objects.all())) == [shop]


def test_a_single_record_is_decided_in_the_same_way(shop: Tag, user: User):
    assert may_see(user, tagged(shop))
    assert not may_see(user, make_row())


def test_what_a_limited_person_makes_without_a_tag_gets_theirs(shop: Tag, user: User):
    made, tagged_already = make_row(), tagged(shop)
    for schedule in (made, tagged_already):
        keep_visible(user, schedule)
        assert list(schedule.tags.all()) == [shop]


def test_whether_somebody_is_limited_is_read_once(user: User, django_assert_max_num_queries: Any):
    with django_assert_max_num_queries(2):
        for _ in range(5):
            assert is_limited(user)
