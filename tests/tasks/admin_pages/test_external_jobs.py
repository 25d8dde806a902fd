"""The page of external jobs: what it shows, what it changes, and for whom."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from redis import Redis

from tasks.broker.keys import SCHEDULES_KEY
from tasks.job import Job
from tasks.scheduler import Scheduler, external_jobs
from tests.tasks import functions
from tests.tasks.functions import ECHO
from tests.tasks.pages import staff
from tests.tasks.schedules import MakeSchedule

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = reverse("admin:tasks_scheduledtask_external_jobs")
BAD = b"bad <b>\xff"


@pytest.fixture
def job(scheduler: Scheduler, redis_connection: Redis) -> Job:
    """Return an external job; another one, which can't be dispatched, is in quarantine."""
    redis_connection.zadd(SCHEDULES_KEY, {BAD: 1})
    scheduler.enqueue_jobs()
    return scheduler.schedule(datetime(2100, 1, 1, tzinfo=UTC), functions.echo, interval=60)


def act(client: Client, action: str, member: bytes = BAD) -> int:
    return client.post(PAGE, {"action": action, "job": member.hex()}).status_code


def quarantined(redis: Redis) -> list[bytes]:
    return [one.member for one in external_jobs.quarantined(redis)]


def test_external_jobs_are_shown_with_the_reason_why_some_are_in_quarantine(
    admin_client: Client, job: Job, put: MakeSchedule
):
    schedule = put()
    page = admin_client.get(PAGE).content.decode()
    assert job.id in page
    assert ECHO in page
    assert "UnicodeDecodeError" in page
    assert "<b>" not in page
    assert schedule.job_id not in page


def test_the_list_of_schedules_links_to_the_external_jobs(admin_client: Client):
    schedules = admin_client.get(reverse("admin:tasks_scheduledtask_changelist"))
    assert f'href="{PAGE}"' in schedules.content.decode()


def test_a_get_request_changes_no_external_job(
    admin_client: Client, job: Job, redis_connection: Redis
):
    def image() -> dict[Any, Any]:
        return {key: redis_connection.dump(key) for key in redis_connection.keys("*")}

    before = image()
    admin_client.get(PAGE, {"action": "discard", "job": BAD.hex()})
    assert image() == before


def test_a_quarantined_job_that_is_put_back_is_scheduled_again(
    admin_client: Client, job: Job, redis_connection: Redis
):
    act(admin_client, "put_back")
    assert redis_connection.zscore(SCHEDULES_KEY, BAD) is not None
    assert quarantined(redis_connection) == []


def test_a_discarded_job_leaves_the_quarantine(
    admin_client: Client, job: Job, redis_connection: Redis
):
    act(admin_client, "discard")
    assert redis_connection.zscore(SCHEDULES_KEY, BAD) is None
    assert quarantined(redis_connection) == []


@pytest.mark.parametrize("member", [b"x", b""])
def test_a_job_that_is_not_in_quarantine_cannot_be_put_back(
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
def test_external_jobs_need_the_permissions_for_schedules(
    client: Client, job: Job, redis_connection: Redis, permissions: list[str], seen: int, done: int
):
    client.force_login(staff(*permissions))
    response = client.get(PAGE)
    assert response.status_code == seen
    assert ("Put back" in response.content.decode()) == (done == 302)
    assert act(client, "discard") == done
    assert quarantined(redis_connection) == ([] if done == 302 else [BAD])


def test_the_page_of_external_jobs_answers_503_while_redis_is_unavailable(
    admin_client: Client, redis_unavailable: Any
):
    redis_unavailable(True)
    assert admin_client.get(PAGE).status_code == 503
