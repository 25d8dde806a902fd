"""The page of foreign jobs: seen and changed by those who may, and never by looking."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from redis import Redis

from tasks.broker.keys import SCHEDULES_KEY
from tasks.job import Job
from tasks.scheduler import Scheduler, external_jobs
from tests.tasks import functions
from tests.tasks.functions import ECHO
from tests.tasks.schedules import MakeSchedule

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = reverse("admin:tasks_scheduledtask_external_jobs")
BAD = b"bad <b>\xff"


@pytest.fixture
def job(scheduler: Scheduler, redis_connection: Redis) -> Job:
    """Return a foreign job; another one, that can't be dispatched, is set aside."""
    redis_connection.zadd(SCHEDULES_KEY, {BAD: 1})
    scheduler.enqueue_jobs()
    return scheduler.schedule(datetime(2100, 1, 1, tzinfo=UTC), functions.echo, interval=60)


def act(client: Client, action: str, member: bytes = BAD) -> int:
    return client.post(PAGE, {"action": action, "job": member.hex()}).status_code


def set_aside(redis: Redis) -> list[bytes]:
    return [one.member for one in external_jobs.quarantined(redis)]


def test_it_shows_foreign_jobs_and_why_some_were_set_aside(
    admin_client: Client, job: Job, put: MakeSchedule
):
    schedule = put()
    page = admin_client.get(PAGE).content.decode()
    assert job.id in page
    assert ECHO in page
    assert "UnicodeDecodeError" in page
    assert "<b>" not in page
    assert schedule.job_id not in page


def test_it_is_a_click_away_from_the_schedules(admin_client: Client):
    schedules = admin_client.get(reverse("admin:tasks_scheduledtask_changelist"))
    assert f'href="{PAGE}"' in schedules.content.decode()


def test_looking_changes_nothing(admin_client: Client, job: Job, redis_connection: Redis):
    def image() -> dict[Any, Any]:
        return {key: redis_connection.dump(key) for key in redis_connection.keys("*")}

    before = image()
    admin_client.get(PAGE, {"action": "discard", "job": BAD.hex()})
    assert image() == before


def test_what_is_put_back_is_tried_again(admin_client: Client, job: Job, redis_connection: Redis):
    act(admin_client, "put_back")
    assert redis_connection.zscore(SCHEDULES_KEY, BAD) is not None
    assert set_aside(redis_connection) == []


def test_what_is_discarded_is_gone(admin_client: Client, job: Job, redis_connection: Redis):
    act(admin_client, "discard")
    assert redis_connection.zscore(SCHEDULES_KEY, BAD) is None
    assert set_aside(redis_connection) == []


@pytest.mark.parametrize("member", [b"x", b""])
def test_what_is_not_there_cannot_be_put_back(
    admin_client: Client, job: Job, redis_connection: Redis, member: bytes
):
    assert act(admin_client, "put_back", member) == 302
    assert redis_connection.zcard(SCHEDULES_KEY) == 1


@pytest.mark.parametrize(
    ("permissions", "seen", "done"),
    [
        ([], 403, 403),
        (["view_scheduledtask"], 200, 403),
        (["view_scheduledtask", "change_scheduledtask"], 200, 302),
    ],
)
def test_it_is_for_those_who_may_see_or_change_schedules(
    client: Client, job: Job, redis_connection: Redis, permissions: list[str], seen: int, done: int
):
    user = User.objects.create_user("somebody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    response = client.get(PAGE)
    assert response.status_code == seen
    assert ("Put back" in response.content.decode()) == (done == 302)
    assert act(client, "discard") == done
    assert set_aside(redis_connection) == ([] if done == 302 else [BAD])


def test_while_redis_is_unavailable_it_says_so(admin_client: Client, redis_unavailable: Any):
    redis_unavailable(True)
    assert admin_client.get(PAGE).status_code == 503
