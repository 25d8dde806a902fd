"""A namespace in Redis belongs to one database; others are refused by name (R16)."""

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from redis import Redis
from redis.exceptions import RedisError

from tasks.broker import ownership
from tasks.broker.keys import LEADER_KEY, OWNER_KEY, SCHEDULES_KEY
from tasks.broker.ownership import (
    Mark,
    Ownership,
    RedisIsCluster,
    RedisOwnedByAnother,
    RedisRefused,
    Standing,
    standing,
    why_not_in_redis,
)
from tasks.models import OwnerMark, ScheduledTask, Task
from tasks.scheduler import Scheduler
from tasks.scheduler.leader import Leadership
from tasks.services import SchedulerService, TaskService
from tests.tasks import functions
from tests.tasks.functions import queued
from tests.tasks.schedules import make_row

pytestmark = pytest.mark.django_db(transaction=True)

ANOTHER = {"id": "f" * 32, "name": "PostgreSQL shop (db.example.org)", "number": 5}


@pytest.fixture
def own(redis_connection: Redis) -> Ownership:
    return Ownership(redis_connection)


@pytest.fixture
def of_another(redis_connection: Redis) -> None:
    """Let the keys in Redis belong to another database."""
    redis_connection.hset(OWNER_KEY, mapping=ANOTHER)


def put_redis_ahead(redis: Redis, by: int) -> None:
    redis.hincrby(OWNER_KEY, "number", by)


@pytest.mark.parametrize(
    ("own_id", "number", "expected"),
    [
        ("same", 7, Standing.OWNER),
        ("same", 8, Standing.OWNER),
        ("same", 3, Standing.OWNER),
        ("same", 9, Standing.BEHIND),
        ("other", 7, Standing.ANOTHER),
    ],
)
def test_a_database_owns_a_namespace_with_its_id_that_is_at_most_one_ahead(
    own_id: str, number: int, expected: Standing
):
    assert standing(Mark("same", "a", 7), Mark(own_id, "b", number)) is expected


def test_a_namespace_without_a_mark_becomes_that_of_the_first_database(
    own: Ownership, redis_connection: Redis
):
    redis_connection.zadd(SCHEDULES_KEY, {"kept by a version without marks": 1})
    own.check()
    fields: Any = redis_connection.hgetall(OWNER_KEY)
    assert Mark.from_fields(fields) == own.mark
    assert own.mark.id == OwnerMark.objects.get().owner.hex


@pytest.mark.usefixtures("of_another")
def test_another_database_is_refused_with_both_names_and_the_ways_out(own: Ownership):
    with pytest.raises(RedisOwnedByAnother) as caught:
        own.check()
    for part in (ANOTHER["name"], own.mark.name, "“rq:…”", "RQ_KEY_PREFIX", "adopt_redis"):
        assert part in str(caught.value)


@pytest.mark.usefixtures("of_another")
def test_a_refused_check_changes_nothing_in_redis(own: Ownership, redis_connection: Redis):
    with pytest.raises(RedisOwnedByAnother):
        own.check()
    own.raise_number()
    fields: Any = redis_connection.hgetall(OWNER_KEY)
    assert Mark.from_fields(fields) == Mark(**ANOTHER)


def test_a_copy_or_a_restored_database_is_refused_whatever_its_address(
    own: Ownership, redis_connection: Redis
):
    own.check()
    put_redis_ahead(redis_connection, 2)
    with pytest.raises(RedisOwnedByAnother, match=r"it is a copy of .* or was restored"):
        own.check()


def test_a_database_that_lost_its_latest_number_in_a_failover_is_not_refused(
    own: Ownership, redis_connection: Redis
):
    own.check()
    put_redis_ahead(redis_connection, 1)
    own.check()


def test_a_database_at_another_address_is_not_refused(
    own: Ownership, monkeypatch: pytest.MonkeyPatch
):
    own.check()
    monkeypatch.setattr(ownership, "name_of_database", lambda: "PostgreSQL shop (pooler)")
    own.check()


def test_a_redis_that_is_behind_the_database_is_brought_up_to_date(
    own: Ownership, redis_connection: Redis
):
    own.check()
    OwnerMark.objects.update(number=1_000)
    own.check()
    own.raise_number()
    assert redis_connection.hget(OWNER_KEY, "number") == b"1001"


def test_the_number_is_raised_in_the_database_before_redis(
    own: Ownership, redis_unavailable: Callable[[bool], None]
):
    own.check()
    redis_unavailable(True)
    with pytest.raises(RedisError):
        own.raise_number()
    redis_unavailable(False)
    assert OwnerMark.objects.get().number == 1
    own.check()


def test_the_number_in_redis_never_goes_back(own: Ownership, redis_connection: Redis):
    own.check()
    for _ in range(3):
        own.raise_number()
    late = Ownership(redis_connection)
    late.mark = Mark(own.mark.id, "late", 1)
    redis_connection.hset(OWNER_KEY, "number", 9)
    late.raise_number()
    assert redis_connection.hget(OWNER_KEY, "number") == b"9"


def test_whoever_adopts_a_namespace_shuts_out_a_copy_of_its_database(
    own: Ownership, redis_connection: Redis
):
    own.check()
    copy = OwnerMark.objects.get()
    put_redis_ahead(redis_connection, 50)
    former = own.adopt()
    own.check()
    assert former == Mark(copy.owner.hex, own.mark.name, 50)
    OwnerMark.objects.update(owner=copy.owner, number=50)
    with pytest.raises(RedisOwnedByAnother):
        Ownership(redis_connection).check()


def test_a_mark_is_not_made_in_redis_by_a_transaction_that_may_be_rolled_back(
    own: Ownership, redis_connection: Redis
):
    with transaction.atomic():
        own.check()
    assert not redis_connection.exists(OWNER_KEY)


def test_an_old_number_read_in_a_transaction_refuses_nobody(
    own: Ownership, redis_connection: Redis
):
    own.check()
    put_redis_ahead(redis_connection, 50)
    with transaction.atomic():
        own.check()


def test_no_name_of_a_database_has_its_password(monkeypatch: pytest.MonkeyPatch):
    values = {"NAME": "shop", "HOST": "db", "PORT": 5433, "USER": "me", "PASSWORD": "secret"}
    database = SimpleNamespace(vendor="postgresql", settings_dict=values)
    monkeypatch.setattr(ownership, "connections", {"default": database})
    assert ownership.name_of_database() == "PostgreSQL shop (db:5433)"


def test_a_redis_cluster_is_refused_with_what_to_use(
    own: Ownership, redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(own._redis, "info", lambda section: {"cluster_enabled": 1})
    with pytest.raises(RedisIsCluster, match="single server, or Sentinel"):
        own.check()


# Who is refused


@pytest.mark.usefixtures("of_another")
def test_no_scheduler_leads_where_the_keys_are_another_databases(
    own: Ownership, redis_connection: Redis
):
    mark = Mark("e" * 32, "own", 0)
    assert not Leadership(redis_connection, "one").hold(mark=mark)
    assert not redis_connection.exists(LEADER_KEY)


def test_a_leader_gives_up_its_lease_when_another_database_has_adopted_the_keys(
    redis_connection: Redis,
):
    mark, leadership = Mark("e" * 32, "own", 0), Leadership(redis_connection, "one")
    assert leadership.hold(mark=mark)
    redis_connection.hset(OWNER_KEY, mapping=ANOTHER)
    assert not leadership.hold(mark=mark)
    assert not redis_connection.exists(LEADER_KEY)


def test_a_leader_sets_again_the_mark_that_redis_has_lost(redis_connection: Redis):
    mark, leadership = Mark("e" * 32, "own", 3), Leadership(redis_connection, "one")
    leadership.hold(mark=mark)
    redis_connection.flushall()
    leadership.hold(mark=mark)
    fields: Any = redis_connection.hgetall(OWNER_KEY)
    assert Mark.from_fields(fields) == mark


@pytest.mark.usefixtures("of_another")
def test_a_schedule_is_saved_but_not_written_to_a_redis_of_another_database(
    redis_connection: Redis, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, "tasks"):
        schedule = SchedulerService.cron("0 7 * * *", functions.echo)
    assert schedule.projected is False
    assert ScheduledTask.objects.filter(pk=schedule.pk).exists()
    assert redis_connection.keys() == [OWNER_KEY.encode()]
    assert ANOTHER["name"] in caplog.text


@pytest.mark.usefixtures("of_another")
def test_what_is_saved_there_is_not_said_to_take_effect_when_redis_is_back():
    assert "Redis is back" not in why_not_in_redis()
    assert "doesn't take effect: The keys" in why_not_in_redis()


def test_what_is_saved_without_redis_takes_effect_when_it_is_back(
    redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    def unavailable(*args: Any) -> None:
        raise RedisError("unavailable")

    monkeypatch.setattr(redis_connection, "hgetall", unavailable)
    assert why_not_in_redis().endswith("this is saved and takes effect once Redis is back.")


@pytest.mark.usefixtures("of_another")
def test_a_background_call_fails_with_the_sentence_where_redis_is_another_databases(
    redis_connection: Redis,
):
    task = TaskService.enqueue_task(functions.echo)
    assert task.status == Task.Status.FAILED
    assert ANOTHER["name"] in task.reason_in_words()
    assert queued(redis_connection) == []


@pytest.mark.usefixtures("of_another")
def test_run_now_is_refused_where_redis_is_another_databases():
    schedule = make_row()
    with pytest.raises(RedisOwnedByAnother):
        SchedulerService.run_now(schedule)
    assert not schedule.requests.exists()


@pytest.mark.usefixtures("of_another")
def test_rq_schedulers_interface_is_refused_where_redis_is_another_databases(
    scheduler: Scheduler, redis_connection: Redis
):
    for refused in (
        lambda: scheduler.cron("0 7 * * *", functions.echo),
        scheduler.enqueue_jobs,
        lambda: scheduler.run(burst=True),
    ):
        with pytest.raises(RedisRefused):
            refused()
    assert redis_connection.keys() == [OWNER_KEY.encode()]


@pytest.mark.usefixtures("of_another")
def test_the_pages_of_the_admin_say_whose_the_keys_in_redis_are(admin_client: Any):
    text = admin_client.get("/admin/tasks/scheduledtask/").content.decode()
    assert ANOTHER["name"] in text


def test_a_page_of_the_admin_makes_no_owner_mark(admin_client: Any, redis_connection: Redis):
    assert admin_client.get("/admin/tasks/scheduledtask/").status_code == 200
    assert not OwnerMark.objects.exists()
    assert not redis_connection.exists(OWNER_KEY)


@pytest.mark.usefixtures("of_another")
def test_django_rqs_pages_change_nothing_where_redis_is_another_databases(
    admin_client: Any, redis_connection: Redis
):
    redis_connection.rpush("rq:queue:default", "anothers")
    url = "/admin/django_rq/dashboard/queues/0/empty/"
    text = admin_client.post(url, follow=True).content.decode()
    assert redis_connection.llen("rq:queue:default") == 1
    assert ANOTHER["name"] in text


def test_the_check_of_a_process_is_only_made_now_and_then(
    own: Ownership, redis_connection: Redis, settings: LazySettings, django_assert_num_queries: Any
):
    own.check()
    with django_assert_num_queries(0, connection=connection):
        own.check_now_and_then()
