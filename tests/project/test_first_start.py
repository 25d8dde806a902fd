"""What a new system begins with, and what later starts leave alone."""

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from feeds.models import Feed
from feeds.services import remove_feed
from project import first_start
from tasks.models import ScheduledTask
from tasks.services import SchedulerService

pytestmark = pytest.mark.django_db

ADDRESS = "http://127.0.0.1:8000"
NAMED = "https://news.example/feed"


def start(address: str = ADDRESS) -> None:
    """Do what each start does."""
    first_start.schedule_activity_feed(address)
    first_start.schedule_named_feeds()
    if first_start.is_new():
        first_start.make_admin()


def test_the_first_admin_can_log_in_with_the_password_that_is_shown(client):
    password = first_start.make_admin()
    response = client.post(reverse("admin:login"), {"username": "admin", "password": password})
    assert response.status_code == 302
    assert get_user_model().objects.get().is_superuser
    assert not first_start.is_new()


def test_the_activity_feed_is_polled_every_5_seconds():
    start()
    feed = Feed.objects.get()
    assert feed.url == "http://127.0.0.1:8000/feeds/activity/"
    assert (feed.schedule.interval, feed.schedule.name) == (5, "Activity feed")


def test_an_activity_feed_that_is_off_is_not_polled(settings):
    start()
    settings.ACTIVITY_FEED_OF_UP = False
    start()
    schedule = ScheduledTask.objects.get()
    assert (schedule.status, schedule.note) == (
        "paused",
        "The activity feed is off (ACTIVITY_FEED).",
    )
    schedule.delete()
    Feed.objects.all().delete()
    start()
    assert not Feed.objects.exists()


def test_on_another_port_the_activity_feed_gets_the_new_address():
    start()
    start("http://127.0.0.1:9000")
    assert Feed.objects.get().url == "http://127.0.0.1:9000/feeds/activity/"
    assert ScheduledTask.objects.count() == 1


@pytest.mark.parametrize("act", [SchedulerService.pause, SchedulerService.cancel])
def test_a_later_start_leaves_paused_and_cancelled_schedules_so(act, settings):
    settings.FEEDS = [NAMED]
    start()
    for schedule in ScheduledTask.objects.all():
        act(schedule)
    before = list(ScheduledTask.objects.values_list("status", flat=True))
    start()
    assert list(ScheduledTask.objects.values_list("status", flat=True)) == before


def test_a_later_start_does_not_make_deleted_schedules_again(settings):
    settings.FEEDS = [NAMED]
    start()
    for schedule in ScheduledTask.objects.all():
        schedule.delete()
    remove_feed("http://127.0.0.1:8000/feeds/activity/")
    start()
    assert not ScheduledTask.objects.exists()


def test_a_later_start_adds_feeds_that_are_new_in_the_settings(settings):
    start()
    settings.FEEDS = [NAMED]
    start()
    assert Feed.objects.get(url=NAMED).schedule.interval == 15 * 60


@pytest.mark.django_db(transaction=True)
def test_a_feed_in_the_settings_is_polled_at_once_on_the_first_start_only(
    settings, redis_connection
):
    settings.FEEDS = [NAMED]
    start()
    start()
    assert redis_connection.llen("rq:queue:feeds") == 1
