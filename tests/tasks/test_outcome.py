"""How a run ends: one fenced write, JSON that every database stores, patience with outages."""

from typing import Any

import pytest
from django.db import DataError, OperationalError
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from tasks import outcome
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tests.tasks.conftest import ago, make_row
from tests.tasks.functions import queued

NOW = timezone.now()

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.just("key"), inner),
    max_leaves=5,
)  # fmt: skip


@given(json_values)
def test_json_stays_as_it_is(value: Any):
    assert outcome.as_json(value) == (value, None)


@given(st.text(st.sampled_from("a\\u0\0\ud800\udfff한")))
def test_what_no_database_stores_is_replaced_and_nothing_else(text: str):
    value, not_json = outcome.as_json(text)
    assert (value, not_json) == (outcome.clean_text(text), None)


def test_a_result_whose_own_class_raises_is_not_json():
    class Broken(dict):
        def items(self) -> Any:
            raise RuntimeError

    assert outcome.as_json(Broken(a=1))[1].endswith("Broken")


@given(st.text(st.characters()))
def test_clean_text_can_be_stored(text: str):
    cleaned = outcome.clean_text(text)
    assert "\0" not in cleaned
    cleaned.encode()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("two\nlines"), "Failed for: ValueError: two lines"),
        (ValueError(), "Failed for: ValueError"),
        (KeyError("a"), "Failed for: KeyError: 'a'"),
        (ValueError("\ud800"), "Failed for: ValueError: ?"),
    ],
    ids=["lines", "empty", "quoted", "surrogate"],
)
def test_a_failure_has_a_reason_of_one_line(error: Exception, reason: str):
    assert outcome.failure_reason(error) == reason


def test_a_reason_fits_its_field():
    assert len(outcome.failure_reason(ValueError("x" * 10_000))) == 500


@pytest.fixture
def run(db: None) -> ScheduledTaskInstance:
    row = make_row(retries=1)
    return row.runs.create(name="x", due=ago(5), started=ago(4))


def test_a_run_is_closed_once(run: ScheduledTaskInstance, redis_connection: Redis):
    assert outcome.close(run, "finished", redis_connection, result=1)
    assert not outcome.close(run, "failed", redis_connection, reason="late")
    run.refresh_from_db()
    assert (run.status, run.result, run.reason) == ("finished", 1, "")


def test_a_closed_attempt_is_not_closed_by_an_earlier_one(
    run: ScheduledTaskInstance, redis_connection: Redis
):
    ScheduledTaskInstance.objects.update(attempt=2)
    assert not outcome.close(run, "failed", redis_connection)
    assert queued(redis_connection) == []


@pytest.mark.parametrize(
    ("before", "end", "after"),
    [
        ("running", "failed", "failed"),
        ("failed", "finished", "running"),
        ("failed", "canceled", "failed"),
        ("death", "finished", "death"),
    ],
)
def test_the_schedule_follows(
    run: ScheduledTaskInstance, redis_connection: Redis, before: str, end: str, after: str
):
    ScheduledTask.objects.update(status=before)
    outcome.close(run, end, redis_connection)
    assert ScheduledTask.objects.get().status == after


@pytest.mark.parametrize(("status", "retried"), [("failed", 1), ("death", 0)])
def test_only_a_live_schedule_has_its_runs_tried_again(
    run: ScheduledTaskInstance, redis_connection: Redis, status: str, retried: int
):
    run.parent.status = status
    outcome.close(run, "failed", redis_connection)
    assert len(queued(redis_connection)) == retried


def test_a_retry_that_cannot_be_enqueued_does_not_undo_the_end(
    run: ScheduledTaskInstance, redis_connection: Redis, redis_away: Any
):
    redis_away(True)
    assert outcome.close(run, "failed", redis_connection)


@pytest.mark.django_db(transaction=True)
def test_a_write_is_tried_again_while_the_database_is_away():
    answers: list[Any] = [OperationalError(), OperationalError(), "written"]

    def write() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert outcome.patiently(write) == "written"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("error", "patience"), [(OperationalError, 0.0), (DataError, 60.0)])
def test_patience_ends(error: type[Exception], patience: float):
    def write() -> None:
        raise error

    with pytest.raises(error):
        outcome.patiently(write, patience)


def test_a_result_that_is_nested_too_deeply_is_not_kept():
    deep: list[Any] = []
    for _ in range(60):
        deep = [deep]
    value, what = outcome.as_json(deep)
    assert value is None
    assert what == "builtins.list, nested more than 50 levels deep"
