"""Making many schedules at once."""

from typing import Any

import pytest
from redis import Redis

from tasks.broker.keys import SCHEDULES_KEY
from tasks.exceptions import InvalidSchedule
from tasks.models import ScheduleChange, ScheduledTask
from tasks.services import SchedulerService
from tests.tasks.functions import ECHO

pytestmark = pytest.mark.django_db(transaction=True)


def entry(number: int, **values: Any) -> dict[str, Any]:
    return {"task_func": ECHO, "args": [number], "cron_string": "0 6 * * *", **values}


def test_many_schedules_are_made_with_tags_history_and_their_place_in_redis(
    redis_connection: Redis,
):
    made = SchedulerService.schedule_many([entry(1, tags=["a", "b"]), entry(2)])
    assert [one.args for one in made] == [[1], [2]]
    assert all(one.projected for one in made)
    assert redis_connection.zcard(SCHEDULES_KEY) == 2
    assert [[tag.name for tag in one.tags.all()] for one in made] == [["a", "b"], []]
    lines = ScheduleChange.objects.order_by("id").values_list("action", "changes")
    assert list(lines) == [("created", {"tags": [[], ["a", "b"]]}), ("created", {})]


def test_what_is_stored_already_is_brought_up_to_date():
    known = SchedulerService.cron("0 5 * * *", ECHO, [1])
    SchedulerService.cancel(known)
    made = SchedulerService.schedule_many([entry(1, tags=["a"]), entry(2, tags=["a"])])
    assert made[0].pk == known.pk
    known.refresh_from_db()
    assert (known.cron, known.status) == ("0 6 * * *", "running")
    assert ScheduledTask.objects.filter(tags__name="a").count() == 2


def test_of_many_schedules_none_is_made_if_one_is_invalid():
    with pytest.raises(InvalidSchedule) as caught:
        SchedulerService.schedule_many(
            [entry(1), entry(2, queue="nowhere"), entry(3, cron_string="x")]
        )
    assert [*caught.value.errors] == ["entry 2", "entry 3"]
    assert not ScheduledTask.objects.exists()


def test_what_breaks_a_constraint_of_the_database_is_refused_by_its_name():
    with pytest.raises(InvalidSchedule, match="keep_runs"):
        SchedulerService.schedule_many([entry(1, keep_runs=0)])
    assert not ScheduledTask.objects.exists()
