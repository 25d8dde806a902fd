"""The rules of asking, without rows and requests."""

from datetime import UTC, datetime, timedelta

import pytest
import yarl
from multidict import CIMultiDict

from feeds.asking import backoff, freshness, gone, headers, moves
from feeds.asking.credentials import keep_credentials
from feeds.asking.freshness import Fresh, Source
from feeds.asking.permission import Decision, Outcome, Situation, Why, decide, end_of_skipped
from feeds.asking.validators import Validators, after_document, after_not_modified
from feeds.exceptions import (
    BrokenOff,
    ConnectionFailed,
    FeedError,
    HttpStatus,
    TooCostly,
    Unreachable,
)

NOW = datetime(2025, 3, 4, 12, 0, 0, tzinfo=UTC)  # A Tuesday.
URL = "https://feeds.example/news.xml"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
QUARTER = 15 * MINUTE


def sent(**values: str) -> CIMultiDict[str]:
    return CIMultiDict({name.replace("_", "-"): value for name, value in values.items()})


# Retry-After


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({"Retry_After": "120"}, 120),
        ({"Retry_After": " 7 "}, 7),
        ({"Retry_After": "Tue, 04 Mar 2025 12:10:00 GMT"}, 600),
        # The server's clock is an hour behind: the date is relative to that.
        (
            {
                "Retry_After": "Tue, 04 Mar 2025 11:10:00 GMT",
                "Date": "Tue, 04 Mar 2025 11:00:00 GMT",
            },
            600,
        ),
        ({"Retry_After": "Tuesday, 04-Mar-25 12:10:00 GMT"}, 600),
        ({"Retry_After": "Tue Mar  4 12:10:00 2025"}, 600),
        ({"Retry_After": "Mon, 03 Mar 2025 12:00:00 GMT"}, 0),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date_by_the_servers_clock(values, seconds):
    assert headers.retry_after(sent(**values), NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "-5", "1.5", "٣", "9" * 30, "Tue, 99 Mar 2025"])
def test_a_retry_after_that_says_nothing_is_none(text):
    assert headers.retry_after(sent(Retry_After=text), NOW) is None


# Freshness


@pytest.mark.parametrize(
    ("values", "fresh"),
    [
        ({"Cache_Control": "public, max-age=3600"}, (HOUR, Source.MAX_AGE)),
        ({"Cache_Control": 'Max-Age="3600"'}, (HOUR, Source.MAX_AGE)),
        ({"Cache_Control": "max-age=3600", "Age": "600"}, (50 * MINUTE, Source.MAX_AGE)),
        ({"Expires": "Tue, 04 Mar 2025 14:00:00 GMT"}, (2 * HOUR, Source.EXPIRES)),
        (
            {"Expires": "Tue, 04 Mar 2025 09:00:00 GMT", "Date": "Tue, 04 Mar 2025 08:00:00 GMT"},
            (HOUR, Source.EXPIRES),
        ),
        # max-age goes before Expires.
        (
            {"Cache_Control": "max-age=3600", "Expires": "Tue, 04 Mar 2025 22:00:00 GMT"},
            (HOUR, Source.MAX_AGE),
        ),
        ({"Cache_Control": "max-age=31536000"}, (DAY, Source.MAX_AGE)),
    ],
)
def test_an_answer_is_fresh_as_long_as_its_headers_say_but_no_longer_than_a_day(values, fresh):
    assert freshness.by_headers(sent(**values), NOW) == Fresh(*fresh)


@pytest.mark.parametrize(
    ("said", "gap", "believed"),
    [
        (HOUR, MINUTE, HOUR),
        (7 * DAY, HOUR, DAY),  # By mistake: it publishes every hour.
        (7 * DAY, 7 * DAY, 3.5 * DAY),
        (7 * DAY, 30 * DAY, 7 * DAY),
        (60 * DAY, 90 * DAY, 7 * DAY),
    ],
)
def test_a_document_is_believed_beyond_a_day_as_far_as_its_entries_are_as_rare(said, gap, believed):
    published = [NOW - gap * number for number in range(5)]
    seconds = freshness.believed(int(said.total_seconds()), published, NOW)
    fresh = freshness.by_document(seconds)
    assert fresh == Fresh(believed, Source.DOCUMENT)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"Cache_Control": "max-age=0"},
        {"Cache_Control": "max-age=many"},
        {"Cache_Control": "no-cache, max-age=3600"},
        {"Cache_Control": "no-store", "Expires": "Tue, 04 Mar 2025 14:00:00 GMT"},
        {"Cache_Control": "s-maxage=3600"},
        {"Cache_Control": "max-age=60", "Age": "600"},
        {"Expires": "0"},
        {"Expires": "Mon, 03 Mar 2025 14:00:00 GMT"},
    ],
)
def test_an_answer_is_not_fresh_unless_its_headers_say_so(values):
    assert freshness.by_headers(sent(**values), NOW) is None


def test_a_document_is_fresh_for_the_longest_time_that_anybody_says():
    said = freshness.by_headers(sent(Cache_Control="max-age=60"), NOW)
    assert freshness.longest(said, freshness.by_document(3600)) == Fresh(HOUR, Source.DOCUMENT)
    assert freshness.longest(None, freshness.by_document(None), freshness.by_document(0)) is None


def test_what_is_fresh_for_one_interval_is_asked_at_each():
    """The next occurrence is an interval after this one was due, not after its answer came."""
    answered = NOW + timedelta(seconds=5)
    assert Fresh(QUARTER, Source.MAX_AGE).until(answered) <= NOW + QUARTER


# Validators


KNOWN = Validators(URL, 'W/"1"', "yesterday")


def test_conditions_are_sent_only_to_the_address_that_gave_the_validators():
    assert KNOWN.conditions(URL) == {"If-None-Match": 'W/"1"', "If-Modified-Since": "yesterday"}
    assert KNOWN.conditions("https://other.example/news.xml") == {}


def test_a_document_replaces_both_validators_even_by_none():
    assert after_document(URL, sent(Last_Modified="today")) == Validators(URL, "", "today")


def test_a_304_replaces_the_validators_that_it_carries():
    assert after_not_modified(KNOWN, sent(ETag='"2"')) == Validators(URL, '"2"', "yesterday")
    assert after_not_modified(KNOWN, sent()) == KNOWN


# Backoff


def wait(failures: int, interval: timedelta, error: type[FeedError] = FeedError) -> timedelta:
    return backoff.until(failures, interval, error(URL, "no"), NOW) - NOW


def test_failures_double_the_wait_from_the_interval_up_to_three_days():
    waits = [wait(number, QUARTER) + MINUTE for number in (1, 2, 3, 4)]
    assert waits == [QUARTER, 2 * QUARTER, 4 * QUARTER, 8 * QUARTER]
    assert wait(10_000, QUARTER) + MINUTE == 3 * DAY


def test_hostile_documents_are_left_alone_soonest():
    assert wait(1, QUARTER, TooCostly) + MINUTE == HOUR
    assert wait(4, QUARTER, TooCostly) + MINUTE > wait(8, QUARTER)


def test_an_interval_longer_than_the_longest_wait_is_no_reason_to_skip_an_occurrence():
    assert wait(5, 7 * DAY) < 7 * DAY


@pytest.mark.parametrize(
    ("status", "said", "counts"),
    [
        (429, 60 * MINUTE, 60 * MINUTE),
        (503, 60 * MINUTE, 60 * MINUTE),
        (500, 60 * MINUTE, None),
        (429, None, None),
        (429, 365 * DAY, 31 * DAY),
    ],
)
def test_retry_after_counts_with_429_and_503_for_up_to_31_days(status, said, counts):
    assert backoff.retry_after(HttpStatus(URL, "no", status, said)) == counts


# 410


def test_a_feed_is_gone_for_good_when_its_server_has_said_so_three_times_over_two_days():
    first = gone.said_again(None, NOW)
    second = gone.said_again(first, NOW + DAY)
    third = gone.said_again(second, NOW + 2 * DAY)
    assert [one.is_for_good(NOW + 2 * DAY) for one in (first, second, third)] == [
        False,
        False,
        True,
    ]
    assert not third.is_for_good(NOW + 2 * DAY - MINUTE)


# Moves


def sightings(*seen: tuple[timedelta, str | None]) -> list[bool]:
    """Return after which of these fetches the feed has moved."""
    sighting, settled = None, []
    for after, to in seen:
        sighting = moves.seen(sighting, URL, to, NOW + after)
        settled.append(sighting is not None and sighting.is_settled(NOW + after))
    return settled


NEW = "https://new.example/feed"


def test_a_feed_has_moved_after_three_fetches_over_two_days():
    assert sightings((0 * DAY, NEW), (DAY, NEW), (2 * DAY, NEW)) == [False, False, True]
    assert not any(sightings((0 * DAY, NEW), (HOUR, NEW), (2 * DAY - MINUTE, NEW)))
    assert not any(sightings((0 * DAY, NEW), (2 * DAY, NEW)))


@pytest.mark.parametrize("between", [None, "https://third.example/feed"])
def test_a_feed_that_goes_elsewhere_in_between_begins_anew(between):
    assert not any(sightings((0 * DAY, NEW), (DAY, NEW), (2 * DAY, between), (3 * DAY, NEW)))


def test_a_feed_never_moves_from_https_to_http():
    assert moves.seen(None, URL, "http://feeds.example/news.xml", NOW) is None


# Credentials


@pytest.mark.parametrize(
    ("here", "target", "kept"),
    [
        ("https://me:p%40ss@a.example/", "https://a.example/x", "https://me:p%40ss@a.example/x"),
        ("https://me@a.example/", "https://A.example:443/x", "https://me@a.example/x"),
        ("https://:key@a.example/", "https://a.example/x", "https://:key@a.example/x"),
        ("http://me:key@a.example/", "https://a.example/", "https://me:key@a.example/"),
        ("https://me:key@a.example/", "https://you@a.example/", "https://you@a.example/"),
        ("https://a.example/", "https://a.example/x", "https://a.example/x"),
    ],
)
def test_credentials_are_kept_at_the_same_site(here, target, kept):
    assert str(keep_credentials(yarl.URL(here), yarl.URL(target))) == str(yarl.URL(kept))


@pytest.mark.parametrize(
    ("here", "target"),
    [
        ("https://me:key@a.example/", "https://b.example/"),
        ("https://me:key@a.example/", "https://www.a.example/"),
        ("https://me:key@a.example/", "https://a.example:8443/"),
        ("https://me:key@a.example/", "http://a.example/"),
        ("http://me:key@a.example:8080/", "https://a.example/"),
        ("http://me:key@a.example/", "https://a.example:8443/"),
    ],
)
def test_credentials_go_nowhere_else(here, target):
    assert keep_credentials(yarl.URL(here), yarl.URL(target)) == yarl.URL(target)


@pytest.mark.parametrize(
    ("error", "others_answer", "counts"),
    [
        (Unreachable(URL, "why", "feeds.example"), False, False),
        (Unreachable(URL, "why", "feeds.example"), True, True),
        (BrokenOff(URL, "by ourselves"), True, False),
        (ConnectionFailed(URL, "refused"), False, True),
        (HttpStatus(URL, "no", 500), False, True),
    ],
)
def test_a_failure_that_may_be_our_own_counts_only_if_others_answer(error, others_answer, counts):
    assert backoff.counts(error, others_answer=others_answer) is counts


# Permission


def permission(**values: object) -> Decision:
    defaults: dict[str, object] = {
        "is_wanted": False,
        "ignores_hints": False,
        "is_adaptive": False,
        "not_before": None,
        "why": "",
    }
    defaults |= {"host_not_before": None, "skip_hours": (), "skip_days": ()}
    return decide(Situation(**{"now": NOW, "is_gone_for_good": False, **defaults, **values}))


LATER = NOW + HOUR


@pytest.mark.parametrize("why", list(Why))
def test_a_feed_is_asked_again_when_its_time_has_come(why):
    assert permission(not_before=LATER, why=why, is_adaptive=True) == Decision(
        Outcome[why.name], LATER
    )
    assert permission(not_before=NOW, why=why).outcome is Outcome.ASK


@pytest.mark.parametrize(
    ("why", "outcome"),
    [
        (Why.RETRY_AFTER, Outcome.RETRY_AFTER),
        (Why.FAILURES, Outcome.ASK),
        (Why.FRESH, Outcome.ASK),
        (Why.GONE, Outcome.ASK),
    ],
)
def test_a_person_can_have_a_feed_asked_unless_its_server_wants_to_be_left_alone(why, outcome):
    assert permission(is_wanted=True, not_before=LATER, why=why).outcome is outcome


def test_a_host_that_wants_to_be_left_alone_is_asked_by_nobody():
    for is_wanted in (True, False):
        decision = permission(host_not_before=LATER, is_wanted=is_wanted)
        assert decision == Decision(Outcome.HOST_RETRY_AFTER, LATER)
    assert permission(host_not_before=NOW).outcome is Outcome.ASK


def test_hints_are_ignored_where_the_feed_is_to_be_asked_as_often_as_its_schedule_says():
    fresh = {"not_before": LATER, "why": Why.FRESH, "skip_hours": (12,)}
    assert permission(**fresh, ignores_hints=True).outcome is Outcome.ASK
    assert permission(not_before=LATER, why=Why.FAILURES, ignores_hints=True).outcome is (
        Outcome.FAILURES
    )


def test_a_feed_that_is_no_longer_adaptive_does_not_wait_for_that_any_more():
    rare = {"not_before": LATER, "why": Why.ADAPTIVE}
    assert permission(**rare, is_adaptive=True, ignores_hints=True).outcome is Outcome.ADAPTIVE
    assert permission(**rare, is_adaptive=False).outcome is Outcome.ASK


def test_a_feed_that_is_gone_for_good_is_only_asked_for_a_person():
    assert permission(is_gone_for_good=True).outcome is Outcome.GONE_FOR_GOOD
    assert permission(is_gone_for_good=True, is_wanted=True).outcome is Outcome.ASK


@pytest.mark.parametrize(
    ("hours", "days", "end"),
    [
        ((), (), None),
        ((11, 13), (0, 2), None),
        ((12, 13), (), NOW + 2 * HOUR),
        ((12, 23), (1,), NOW + 12 * HOUR),
        ((), (1, 2), NOW + 36 * HOUR),
        (tuple(range(24)), (), None),
        ((), tuple(range(7)), None),
        ((99, -1), (8,), None),
    ],
)
def test_skipped_hours_and_days_end_with_the_first_hour_that_is_none(hours, days, end):
    assert end_of_skipped(hours, days, NOW) == end
    decision = permission(skip_hours=hours, skip_days=days)
    assert decision == (
        Decision(Outcome.ASK) if end is None else Decision(Outcome.SKIPPED_TIME, end)
    )
