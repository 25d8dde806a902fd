"""When a spec is due: once, interval, limits, exclusion, jitter."""

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tasks.exceptions import SpecError
from tasks.timing.spec import (
    MAX_JITTER,
    Grid,
    Spec,
    check_jitter,
    dues,
    grid,
    jitter_offset,
    latest_due,
    next_due,
)
from tasks.timing.text import MAX_EXCLUDED, MAX_INTERVAL, format_dates, parse_dates
from tests import oracle
from tests.tasks.timing.drawn_specs import (
    DAY,
    HOUR,
    MICROSECOND,
    NOON,
    SECOND,
    ZONES,
    crons,
    crons_with_seconds,
    date_ranges,
    drawn_spec,
    instants,
    zones_and_instants,
)

TOO_MANY_DATES = "\n".join(f"{date(2026, 1, 1) + number * DAY}" for number in range(2_001))

exclusions = st.lists(date_ranges, max_size=8).map(format_dates)
offsets = st.sampled_from([0, 0, 1, 59_999, 3_600_000]) | st.integers(0, MAX_JITTER * 1000 - 1)


def exclusions_near(instant: datetime) -> st.SearchStrategy[str]:
    """Draw dates of which some fall on the days after an instant."""
    start = instant.date() - 2 * DAY
    date_range = st.tuples(st.integers(0, 9), st.sampled_from([0, 0, 0, 1, 3])).map(
        lambda drawn: (start + drawn[0] * DAY, start + (drawn[0] + drawn[1]) * DAY)
    )
    return st.lists(date_range, max_size=4).map(format_dates)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the values of a spec that is due now and then in the years 2023 to 2029."""
    kind = draw(st.sampled_from(["once", "interval", "cron"]))
    values: dict[str, Any] = {}
    if kind == "cron":
        values["cron"] = draw(crons | crons_with_seconds)
        values["timezone"] = draw(st.sampled_from(ZONES))
    else:
        values["first"] = draw(instants)
    if kind == "interval":
        values["interval"] = draw(st.integers(1, 90 * 86_400))
    if draw(st.booleans()):
        values["start"] = draw(instants)
        values["end"] = draw(st.none() | st.just(values["start"] + 400 * DAY))
        if kind != "once":
            values["repeat"] = draw(st.none() | st.integers(1, 50))
    if draw(st.booleans()):
        values["timezone"] = draw(st.sampled_from(ZONES))
        values["exclude"] = draw(exclusions)
    return values | {"offset": draw(offsets)}


# What is due next, and what is due until then.


@given(specs(), instants)
def test_the_next_due_is_strictly_later(values: dict[str, Any], after: datetime):
    due = next_due(drawn_spec(values), after)
    assert due is None or (due > after and due.tzinfo is UTC)


@given(specs(), instants, st.floats(0, 1, exclude_max=True))
def test_nothing_is_due_before_the_next_due(values: dict[str, Any], after: datetime, share: float):
    spec = drawn_spec(values)
    due = next_due(spec, after)
    assume(due is not None)
    assert due is not None
    between = after.astimezone(UTC) + (due - after) * share
    assert next_due(spec, min(between, due - MICROSECOND)) == due


@given(specs(), instants, instants)
def test_a_later_instant_has_a_later_next_due(
    values: dict[str, Any], one: datetime, other: datetime
):
    spec = drawn_spec(values)
    early, late = sorted([one.astimezone(UTC), other.astimezone(UTC)])
    due_late = next_due(spec, late)
    assume(due_late is not None)
    due_early = next_due(spec, early)
    assert due_early is not None
    assert due_late is not None
    assert due_early <= due_late


@given(specs(), instants, st.timedeltas(timedelta(0), 3 * DAY))
def test_dues_are_the_successive_next_dues(
    values: dict[str, Any], after: datetime, length: timedelta
):
    spec = drawn_spec(values)
    until = after.astimezone(UTC) + length
    stepped: list[datetime] = []
    due = next_due(spec, after)
    while due is not None and due <= until and len(stepped) < 100:
        stepped.append(due)
        due = next_due(spec, due)
    assert list(islice(dues(spec, after, until), 100)) == stepped


@given(specs(), zones_and_instants, st.timedeltas(timedelta(0), 2 * DAY))
def test_the_latest_due_is_the_last_of_the_dues(
    values: dict[str, Any], place: tuple[str, datetime], length: timedelta
):
    zone, until = place
    spec = drawn_spec(values | ({"timezone": zone} if "cron" in values else {}))
    begin = until.astimezone(UTC) - length
    latest = latest_due(spec, until)
    in_the_window = latest if latest is not None and latest > begin else None
    assert max(dues(spec, begin, until), default=None) == in_the_window


@given(specs(), instants)
def test_no_due_lies_between_the_latest_and_the_next(values: dict[str, Any], until: datetime):
    spec = drawn_spec(values)
    latest = latest_due(spec, until)
    assume(latest is not None)
    assert latest is not None
    assert latest <= until
    assert next_due(spec, latest) == next_due(spec, until)
    assert next_due(spec, latest - MICROSECOND) == latest


def test_the_next_due_is_later_to_the_microsecond():
    spec = Spec(cron="* * * * *")
    assert next_due(spec, NOON - MICROSECOND) == NOON
    assert next_due(spec, NOON) == NOON + 60 * SECOND
    assert next_due(spec, NOON + MICROSECOND) == NOON + 60 * SECOND


def test_the_next_due_after_a_naive_datetime_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        next_due(Spec(cron="* * * * *"), datetime(2026, 5, 5))


# Once and intervals.


def test_a_single_time_is_due_once():
    spec = Spec(first=NOON)
    assert next_due(spec, NOON - DAY) == NOON
    assert next_due(spec, NOON) is None
    assert latest_due(spec, NOON - MICROSECOND) is None
    assert latest_due(spec, NOON + DAY) == NOON


@given(instants, st.integers(1, MAX_INTERVAL), st.integers(0, 600), st.data())
def test_an_interval_is_anchored_at_its_first_time(
    first: datetime, interval: int, number: int, data: st.DataObject
):
    spec = Spec(first=first, interval=interval)
    due = first.astimezone(UTC) + number * timedelta(seconds=interval)
    less_than_a_step = data.draw(st.integers(0, interval * 10**6 - 1)) * MICROSECOND
    assert next_due(spec, due - less_than_a_step - MICROSECOND) == due
    assert latest_due(spec, due + less_than_a_step) == due


def test_an_interval_keeps_its_fraction_of_a_second():
    first = NOON + timedelta(milliseconds=250)
    assert next_due(Spec(first=first, interval=10), NOON + HOUR) == first + HOUR


def test_the_same_first_time_in_another_zone_is_the_same_spec():
    berlin = NOON.astimezone(ZoneInfo("Europe/Berlin"))
    assert Spec(first=berlin, interval=60) == Spec(first=NOON, interval=60)


# Limits.


def test_the_start_and_the_end_of_a_spec_are_inclusive():
    spec = Spec(cron="0 * * * *", start=NOON, end=NOON + 2 * HOUR)
    assert list(dues(spec, NOON - DAY, NOON + DAY)) == [NOON, NOON + HOUR, NOON + 2 * HOUR]


def test_the_repeats_of_an_interval_count_from_its_first_time():
    spec = Spec(first=NOON, interval=60, repeat=3)
    assert latest_due(spec, NOON + DAY) == NOON + 120 * SECOND
    assert next_due(spec, NOON + 120 * SECOND) is None


def test_the_repeats_of_an_interval_count_from_its_start():
    spec = Spec(first=NOON, interval=3600, start=NOON + 5 * HOUR - SECOND, repeat=2)
    assert list(dues(spec, NOON - DAY, NOON + DAY)) == [NOON + 5 * HOUR, NOON + 6 * HOUR]


def test_the_repeats_of_a_cron_expression_count_from_its_start():
    spec = Spec(cron="0 0 29 2 *", start=NOON, repeat=2)
    assert [due.year for due in dues(spec, NOON - DAY, NOON + 9999 * DAY)] == [2028, 2032]


def test_the_end_comes_before_the_last_repeat():
    spec = Spec(cron="0 * * * *", start=NOON, repeat=5, end=NOON + HOUR)
    assert latest_due(spec, NOON + DAY) == NOON + HOUR


def test_a_hundred_thousand_repeats_of_every_minute_are_counted():
    spec = Spec(cron="* * * * *", start=NOON, repeat=100_000)
    assert latest_due(spec, NOON + 1000 * DAY) == NOON + timedelta(minutes=99_999)


@pytest.mark.parametrize("cron", ["0 0 1 * *", "30 2 * * *"])
def test_more_repeats_than_there_are_years_do_not_limit_a_spec(cron: str):
    limited = Spec(cron=cron, start=NOON + 7900 * 365 * DAY, repeat=100_000)
    after = NOON + 7950 * 365 * DAY
    assert next_due(limited, after) == next_due(Spec(cron=cron), after)


@pytest.mark.parametrize(
    "values",
    [
        {"first": NOON},
        {"first": NOON, "interval": MAX_INTERVAL},
        {"cron": "* * * * *", "timezone": "Pacific/Apia"},
        {"cron": "0 0 29 2 *", "timezone": "America/New_York"},
    ],
)
def test_the_first_and_last_possible_datetimes_are_accepted(values: dict[str, Any]):
    spec = Spec(**values)
    for hours in (-12, 0, 12):
        zone = timezone(timedelta(hours=hours))
        assert next_due(spec, datetime.max.replace(tzinfo=zone)) is None
        assert latest_due(spec, datetime.min.replace(tzinfo=zone)) is None
        assert next_due(spec, datetime.min.replace(tzinfo=zone)) is not None
        assert latest_due(spec, datetime.max.replace(tzinfo=zone)) is not None


def test_the_end_of_a_spec_may_be_the_last_possible_datetime():
    end = datetime.max.replace(tzinfo=timezone(-HOUR))
    assert next_due(Spec(first=NOON, end=end), NOON - DAY) == NOON


# Excluded dates.


def test_nothing_is_due_on_an_excluded_date_in_the_zone_of_the_spec():
    values = {"first": NOON, "interval": 6 * 3600, "exclude": "2026-05-06"}
    assert [due.hour for due in dues(Spec(**values), NOON, NOON + DAY)] == [18]
    tokyo = Spec(**values, timezone="Asia/Tokyo")
    assert [f"{due:%d %H}" for due in dues(tokyo, NOON, NOON + 2 * DAY)] == [
        "06 18",
        "07 00",
        "07 06",
        "07 12",
    ]


def test_a_single_time_on_an_excluded_date_is_never_due():
    spec = Spec(first=NOON, exclude="2026-05-01..2026-05-31")
    assert next_due(spec, NOON - DAY) is None
    assert latest_due(spec, NOON + DAY) is None


def test_excluded_occurrences_do_not_count_as_repeats():
    spec = Spec(first=NOON, interval=86_400, repeat=3, exclude="2026-05-06..2026-05-08")
    assert [due.day for due in dues(spec, NOON - DAY, NOON + 99 * DAY)] == [5, 9, 10]
    assert next_due(spec, NOON + 5 * DAY) is None


def test_millennia_of_excluded_seconds_are_skipped_at_once():
    spec = Spec(first=NOON, interval=1, exclude="2026-05-06..9979-12-30")
    last_day = datetime(9979, 12, 31, tzinfo=UTC)
    assert next_due(spec, NOON + DAY) == last_day
    assert latest_due(spec, last_day - SECOND) == NOON + DAY / 2 - SECOND


def test_a_spec_with_all_dates_excluded_is_never_due():
    spec = Spec(cron="* * * * *", exclude="1970-01-01..9979-12-31")
    assert list(dues(spec, NOON, datetime(9979, 12, 31, tzinfo=UTC))) == []
    assert latest_due(spec, NOON) is None


def test_excluded_dates_may_be_as_many_as_a_schedules_own_and_a_calendars():
    days = [date(2026, 1, 1) + number * 2 * DAY for number in range(2 * MAX_EXCLUDED)]
    own, calendars = days[:MAX_EXCLUDED], days[MAX_EXCLUDED:]
    texts = [format_dates((day, day) for day in part) for part in (own, calendars)]
    assert [len(parse_dates(text)) for text in texts] == [MAX_EXCLUDED] * 2
    assert Spec(first=NOON, exclude="\n".join(texts)).exclude


# Jitter.


def test_an_offset_shifts_dues_after_start_and_end_are_applied():
    spec = Spec(cron="0 * * * *", start=NOON, end=NOON + 2 * HOUR, offset=90_500)
    shift = timedelta(seconds=90.5)
    found = list(dues(spec, NOON - DAY, NOON + DAY))
    assert found == [NOON + shift, NOON + HOUR + shift, NOON + 2 * HOUR + shift]
    assert latest_due(spec, NOON + HOUR + shift - MICROSECOND) == NOON + shift


def test_a_due_that_an_offset_shifts_onto_an_excluded_date_stays():
    spec = Spec(cron="30 23 * * *", exclude="2026-05-06", offset=3_600_000)
    found = [f"{due:%d %H:%M}" for due in dues(spec, NOON, NOON + 3 * DAY)]
    assert found == ["06 00:30", "08 00:30"]


@given(st.text(), st.integers(1, MAX_JITTER))
def test_an_identity_always_has_the_same_jitter_offset(identity: str, jitter: int):
    identity = identity.encode(errors="replace").decode()
    offset = jitter_offset(identity, jitter)
    assert 0 <= offset < jitter * 1000
    assert offset == jitter_offset(identity, jitter)


def test_a_thousand_hourly_schedules_are_spread_over_the_hour():
    offsets = [jitter_offset(f"schedule-{number}", 3600) for number in range(1000)]
    in_each_quarter = [sum(offset // 900_000 == n for offset in offsets) for n in range(4)]
    assert min(in_each_quarter) > 200


def test_without_jitter_there_is_no_offset():
    assert jitter_offset("schedule-1", None) == 0


@pytest.mark.parametrize("jitter", [0, -1, True, 1.0, float("nan"), 1e30, 10**30, "60", 86_401])
def test_an_invalid_jitter_is_refused(jitter: Any):
    with pytest.raises(SpecError) as caught:
        check_jitter(jitter, None)
    assert caught.value.field == "jitter"


def test_a_jitter_is_at_most_the_interval():
    check_jitter(60, 60)
    with pytest.raises(SpecError, match="longer than the interval"):
        check_jitter(61, 60)


@settings(max_examples=150)
@given(specs(), st.timedeltas(timedelta(0), DAY), st.timedeltas(timedelta(0), 3 * DAY), st.data())
def test_the_dues_of_a_limited_spec_agree_with_the_oracle(
    values: dict[str, Any], before: timedelta, length: timedelta, data: st.DataObject
):
    values |= {"start": values.get("start") or values.get("first", NOON)}
    values["exclude"] = data.draw(exclusions_near(values["start"]))
    values |= {"interval": 3600 * values["interval"]} if "interval" in values else {}
    assume(values["interval"] <= MAX_INTERVAL if "interval" in values else True)
    spec = drawn_spec(values)
    after = values["start"].astimezone(UTC) - before
    until = after + length
    assert list(dues(spec, after, until)) == oracle.due_times(after, until, **values)


@settings(max_examples=75)
@given(crons | crons_with_seconds, zones_and_instants, offsets, st.data())
def test_exclusion_and_jitter_agree_with_the_oracle(
    cron: str, place: tuple[str, datetime], offset: int, data: st.DataObject
):
    zone, after = place
    exclude = data.draw(exclusions_near(after))
    spec = drawn_spec({"cron": cron, "timezone": zone, "exclude": exclude, "offset": offset})
    until = after.astimezone(UTC) + 3 * DAY
    expected = oracle.due_times(
        after, until, cron=cron, timezone=zone, exclude=exclude, offset=offset
    )
    assert list(dues(spec, after, until)) == expected


# Invalid specs.


@pytest.mark.parametrize(
    ("field", "says", "values"),
    [
        ("first", "first time, or a cron", {}),
        ("first", "first time, or a cron", {"interval": 60}),
        ("first", "datetime", {"first": "2026-05-05"}),
        ("first", "datetime", {"first": date(2026, 5, 5)}),
        ("first", "with a time zone", {"first": datetime(2026, 5, 5)}),
        ("first", "1970 to 9979", {"first": datetime.max.replace(tzinfo=timezone(-HOUR))}),
        ("first", "1970 to 9979", {"first": datetime.min.replace(tzinfo=timezone(HOUR))}),
        ("start", "with a time zone", {"first": NOON, "start": datetime(2026, 5, 5)}),
        ("end", "with a time zone", {"first": NOON, "end": 10**5000}),
        ("end", "later end", {"first": NOON, "start": NOON, "end": NOON - SECOND}),
        ("interval", "at least 1 second", {"first": NOON, "interval": 0}),
        ("interval", "at least 1 second", {"first": NOON, "interval": -60}),
        ("interval", "at most 10 years", {"first": NOON, "interval": MAX_INTERVAL + 1}),
        ("interval", "at most 10 years", {"first": NOON, "interval": 10**5000}),
        ("interval", "whole number", {"first": NOON, "interval": float("nan")}),
        ("interval", "whole number", {"first": NOON, "interval": 1e30}),
        ("interval", "whole number", {"first": NOON, "interval": 60.0}),
        ("interval", "whole number", {"first": NOON, "interval": True}),
        ("interval", "whole number", {"first": NOON, "interval": "60"}),
        ("repeat", "add an interval", {"first": NOON, "repeat": 2}),
        ("repeat", "between 1 and 100000", {"first": NOON, "interval": 1, "repeat": 0}),
        ("repeat", "between 1 and 100000", {"first": NOON, "interval": 1, "repeat": 100_001}),
        ("repeat", "whole number", {"first": NOON, "interval": 1, "repeat": 1.0}),
        ("repeat", "whole number", {"first": NOON, "interval": 1, "repeat": True}),
        ("start", "counts from a start", {"cron": "* * * * *", "repeat": 2}),
        ("cron", "not both", {"cron": "* * * * *", "first": NOON}),
        ("cron", "not both", {"cron": "* * * * *", "interval": 60}),
        ("cron", "as a text", {"cron": ["* * * * *"]}),
        ("cron", "up to 200 characters", {"cron": "1," * 5000 + "1 * * * *"}),
        ("cron", "write minute, hour", {"cron": ""}),
        ("cron", "write minute, hour", {"cron": "* * * *"}),
        ("cron", "write minute, hour", {"cron": "* * * * * * *"}),
        ("cron", "write minute, hour", {"cron": "* * * * *\n"}),
        ("cron", "write minute, hour", {"cron": "٣ * * * *"}),
        ("cron", "bad minute: write .* 0-59", {"cron": "60 * * * *"}),
        ("cron", "bad second: write .* 0-59", {"cron": "60 * * * * *"}),
        ("cron", "bad hour: write .* 0-23", {"cron": "* 5-1 * * *"}),
        ("cron", "bad day-of-month: write .* 1-31", {"cron": "* * 0 * *"}),
        ("cron", "a day that one of its months has", {"cron": "0 0 30 2 *"}),
        ("cron", "a day that one of its months has", {"cron": "0 0 31 4,6 *"}),
        ("cron", "bad month: write .* JAN-DEC", {"cron": "* * * XYZ *"}),
        ("cron", "bad day-of-week: write .* SUN-SAT", {"cron": "* * * * MON#6"}),
        ("cron", "never due", {"cron": "0 0 */40 * MON#5"}),
        ("cron", "@hourly", {"cron": "@reboot"}),
        ("timezone", "such as Europe/Rome", {"cron": "* * * * *", "timezone": "Mars/Base"}),
        ("timezone", "such as Europe/Rome", {"cron": "* * * * *", "timezone": "../x"}),
        ("timezone", "such as Europe/Rome", {"cron": "* * * * *", "timezone": "/etc/localtime"}),
        ("timezone", "such as Europe/Rome", {"cron": "* * * * *", "timezone": ""}),
        ("timezone", "such as Europe/Rome", {"cron": "* * * * *", "timezone": "localtime"}),
        ("timezone", "such as Europe/Rome", {"cron": "* * * * *", "timezone": "right/UTC"}),
        ("timezone", "such as Europe/Rome", {"cron": "* * * * *", "timezone": "Europe"}),
        ("timezone", "such as Europe/Rome", {"cron": "* * * * *", "timezone": "x" * 10_000}),
        ("timezone", "such as Europe/Rome", {"cron": "* * * * *", "timezone": "UTC\0"}),
        ("timezone", "such as Europe/Rome", {"first": NOON, "timezone": None}),
        ("exclude", "not text", {"first": NOON, "exclude": None}),
        ("exclude", "not text", {"first": NOON, "exclude": [date(2026, 5, 5)]}),
        ("exclude", "write 2026-12-24", {"first": NOON, "exclude": "25.12.2026"}),
        ("exclude", "write 2026-12-24", {"first": NOON, "exclude": "2026-12-24 2026-12-25"}),
        ("exclude", "write 2026-12-24", {"first": NOON, "exclude": "2026-W52-4"}),
        ("exclude", "write 2026-12-24", {"first": NOON, "exclude": "2026-02-30"}),
        ("exclude", "write 2026-12-24", {"first": NOON, "exclude": "٢٠٢٦-12-24"}),
        ("exclude", "write 2026-12-24", {"first": NOON, "exclude": "9999-12-31"}),
        ("exclude", "write 2026-12-24", {"first": NOON, "exclude": "2026-12-24.."}),
        ("exclude", "write 2026-12-24", {"first": NOON, "exclude": "x" * 10_000}),
        ("exclude", "swap its dates", {"first": NOON, "exclude": "2026-12-26..2026-12-24"}),
        ("exclude", "too long", {"first": NOON, "exclude": "2026-12-24," * 10_000}),
        ("exclude", "at most 2,000", {"first": NOON, "exclude": TOO_MANY_DATES}),
        ("jitter", "milliseconds", {"first": NOON, "offset": -1}),
        ("jitter", "milliseconds", {"first": NOON, "offset": 86_400_000}),
        ("jitter", "milliseconds", {"first": NOON, "offset": 1.5}),
        ("jitter", "milliseconds", {"first": NOON, "offset": float("nan")}),
        ("jitter", "milliseconds", {"first": NOON, "offset": 1e30}),
    ],
)
def test_the_error_of_an_invalid_spec_names_the_field_and_says_what_to_do(
    field: str, says: str, values: dict[str, Any]
):
    with pytest.raises(SpecError, match=says) as caught:
        Spec(**values)
    assert caught.value.field == field
    assert len(str(caught.value)) < 500


def test_a_start_and_an_end_in_a_repeated_hour_are_compared_as_instants():
    start = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    end = start.replace(minute=10, fold=1)
    spec = Spec(cron="*/10 * * * *", start=start, end=end)
    assert len(list(dues(spec, NOON, end))) == 5


# The grid of a plain interval


@given(
    first=st.integers(0, 10**13),
    interval=st.one_of(st.integers(1, 100), st.integers(1, MAX_INTERVAL)),
    after=st.integers(-(10**10), 253 * 10**12),
)
def test_the_grid_agrees_with_the_spec(first: int, interval: int, after: int):
    epoch, millisecond = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
    values = {"first": epoch + first * millisecond, "interval": interval}
    computed = grid(values)
    assert computed is not None
    assert computed.spec() == Spec(**values)
    instant = epoch + after * millisecond
    due = next_due(Spec(**values), instant)
    expected = None if due is None else (due - epoch) // millisecond
    assert computed.next_due((instant - epoch) // millisecond) == expected


@pytest.mark.parametrize(
    "values",
    [
        {"first": datetime(2026, 1, 1, tzinfo=UTC)},
        {"cron": "@daily"},
        {
            "first": datetime(2026, 1, 1, tzinfo=UTC),
            "interval": 1,
            "end": datetime(2026, 1, 1, tzinfo=UTC),
        },
    ],
)
def test_a_spec_that_is_not_a_plain_interval_has_no_grid(values: dict[str, Any]):
    assert grid(values) is None


@pytest.mark.parametrize("bad", [(-1, 1000), (0, 0), (0, 10**15), (10**15, 1000)])
def test_a_grid_out_of_bounds_is_refused(bad: tuple[int, int]):
    with pytest.raises(SpecError):
        Grid(*bad).check()
