"""What becomes of pending occurrences: nothing is left out, nothing is decided twice."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tasks.timing.catch_up import CATCH_UP_CAP, ON_TIME, CatchUp, Plan, plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def at(*seconds_ago: float) -> tuple[datetime, ...]:
    return tuple(NOW - timedelta(seconds=seconds) for seconds in seconds_ago)


pendings = st.lists(st.integers(0, 5_000), unique=True).map(
    lambda seconds: at(*sorted(seconds, reverse=True))
)
policies = st.sampled_from(["latest", "all", "none"])
deadlines = st.none() | st.integers(1, 5_000)


@given(pendings, policies, deadlines)
def test_every_pending_due_runs_or_is_missed_or_is_late(
    dues: tuple[datetime, ...], policy: CatchUp, deadline: int | None
):
    result = plan(dues, NOW, policy, deadline)
    assert sorted([*result.run, *result.missed, *result.late]) == list(dues)


@given(pendings, policies, deadlines)
def test_an_occurrence_past_its_start_deadline_is_late_and_never_runs(
    dues: tuple[datetime, ...], policy: CatchUp, deadline: int | None
):
    result = plan(dues, NOW, policy, deadline)
    horizon = timedelta(seconds=deadline) if deadline else timedelta.max
    assert all(NOW - due <= horizon for due in result.run)
    assert all(NOW - due > horizon for due in result.late)


@given(pendings, policies)
def test_an_occurrence_on_time_runs_under_every_catch_up_policy(
    dues: tuple[datetime, ...], policy: CatchUp
):
    result = plan(dues, NOW, policy, None)
    assert {due for due in dues if NOW - due <= ON_TIME} <= set(result.run)


@given(pendings)
def test_catch_up_latest_runs_one_misfire_and_only_if_nothing_newer_is_on_time(
    dues: tuple[datetime, ...],
):
    result = plan(dues, NOW, "latest", None)
    on_time = [due for due in dues if NOW - due <= ON_TIME]
    assert list(result.run) == (on_time or list(dues[-1:]))


@given(pendings)
def test_catch_up_none_runs_no_misfire(dues: tuple[datetime, ...]):
    assert all(NOW - due <= ON_TIME for due in plan(dues, NOW, "none", None).run)


def test_catch_up_all_runs_the_newest_hundred_misfires():
    dues = at(*range(1_000, 100, -1))
    result = plan(dues, NOW, "all", None)
    assert result == Plan(run=dues[-CATCH_UP_CAP:], missed=dues[:-CATCH_UP_CAP], late=())


def test_the_start_deadline_comes_before_the_catch_up_policy():
    assert plan(at(100, 50, 20), NOW, "all", 60) == Plan(run=at(50, 20), missed=(), late=at(100))
