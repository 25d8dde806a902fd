from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feeds.reading.date_words import MONTHS
from feeds.reading.dates import read_date


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc]


NOON = utc(2024, 2, 3, 12)

# By form. Those among the documents from the wild are in test_cases.
KNOWN = [
    ("Sat, 03 Feb 2024 12:00:00 GMT", NOON),
    ("Sat, 3 Feb 2024 12:00 +0000", NOON),
    ("Sat,03 Feb 2024 12:00:00 UT", NOON),
    ("Saturday, 03-Feb-24 12:00:00 GMT", NOON),
    ("Sat Feb  3 12:00:00 2024", NOON),
    ("Sat Feb  3 12:00:00 +0000 2024", NOON),
    ("Sat Feb 3 13:00:00 CET 2024", NOON),
    ("Sat Feb 03 2024 13:00:00 GMT+0100 (Central European Standard Time)", NOON),
    ("Sat, 03 Feb 2024 12:00:00 +0000 (UTC)", NOON),
    ("Sat, 03 Feb 2024 04:00:00 (PST)", NOON),
    ("Sat, 03 Feb 2024 12:00:00 -0000", NOON),
    ("Sat, 03 Feb 2024 17:30:00 +05:30", NOON),
    ("Sat, 03 Feb 2024 17:30:00 GMT+5:30", NOON),
    ("Sat, 03 Feb 2024 14:00:00 UTC+2", NOON),
    ("Sat, 03 Feb 2024 07:00:00 ET", NOON),
    ("Wed, 03 Jul 2024 08:00:00 ET", utc(2024, 7, 3, 12)),
    ("Sat, 03 Feb 2024 21:00:00 Asia/Tokyo", NOON),
    ("Sat, 03 Feb 2024 12:00:00 Etc/GMT", NOON),
    ("3 February 2024 12:00", NOON),
    ("February 3, 2024 at 12:00 PM", NOON),
    ("Feb 3rd, 2024 12:00:00", NOON),
    ("03/Feb/2024 12:00:00", NOON),
    ("2024 Feb 03 12:00", NOON),
    ("2024-02-03T12:00:00Z", NOON),
    ("2024-02-03T12:00Z", NOON),
    ("2024-02-03t12:00:00z", NOON),
    ("2024-02-03 12:00:00", NOON),
    ("2024-02-03 12:00:00 UTC", NOON),
    ("2024-02-03T12:00:00.5+00:00", NOON),
    ("2024-02-03T12:00:00,123Z", NOON),
    ("2024-02-03T13:00:00+01", NOON),
    ("2024-02-03T12:00:00−00:00", NOON),
    ("2024-02-03T12:00:00 +0000", NOON),
    ("2024.02.03 12:00", NOON),
    ("20240203T120000Z", NOON),
    ("20240203120000", NOON),
    ("2024-034T12:00:00Z", NOON),
    ("1706961600", NOON),
    ("1706961600000", NOON),
    ("1706961600.25", NOON),
    ("2024-02-03", utc(2024, 2, 3)),
    ("20240203", utc(2024, 2, 3)),
    ("2024-02", utc(2024, 2, 1)),
    ("2024", utc(2024, 1, 1)),
    ("2024-02-02T24:00:00Z", utc(2024, 2, 3)),
    ("03.02.2024 12:00", NOON),
    ("03.02.2024, 12.00 Uhr", NOON),
    ("25/12/2023 10:00", utc(2023, 12, 25, 10)),
    ("12/25/2023 10:00 PM", utc(2023, 12, 25, 22)),
    ("12/25/2023 12:30 AM", utc(2023, 12, 25, 0, 30)),
    ("2/2/2024", utc(2024, 2, 2)),
    ("samedi 3 février 2024 12h00", NOON),
    ("3. Februar 2024 12:00 Uhr", NOON),
    ("Sa., 03 Feb. 2024 13:00:00 MEZ", NOON),
    ("Mi, 03 Jul 2024 14:00:00 MESZ", utc(2024, 7, 3, 12)),
    ("sábado, 3 de febrero de 2024 12:00", NOON),
    ("sáb, 03 fev 2024 12:00:00 +0000", NOON),
    ("mar, 05 mar 2024 12:00:00 +0000", utc(2024, 3, 5, 12)),
    ("za, 03 feb 2024 12:00:00 +0000", NOON),
    ("Сб, 03 фев 2024 12:00:00 +0000", NOON),
    ("3 февраля 2024 г. 12:00", NOON),
    ("sob., 03 lut 2024 12:00:00 +0000", NOON),
    ("pt, 05 lip 2024 12:00:00 +0200", None),  # July in Polish, June in Croatian
    ("Σάβ, 03 Φεβ 2024 12:00:00 +0000", NOON),
    ("Cmt, 03 Şub 2024 12:00:00 +0000", NOON),
    ("2024年2月3日 12:00", NOON),
    ("2024年2月3日 午後0時00分", None),  # no hour of the afternoon
    ("2024年2月3日 13時05分", utc(2024, 2, 3, 13, 5)),
    ("2024년 2월 3일 21:00", NOON),
    ("2024-02-03 오후 9:00", NOON),
]

UNKNOWN = [
    "tomorrow",
    "03/04/2024",
    "03/04/05",
    "Sat, 03 Feb 2024 12:00:00 IST",
    "Sat, 03 Feb 2024 12:00:00 XYZ",
    "Sat, 03 Feb 2024 12:00:00 Europe/Atlantis",
    "Sat, 03 Feb 2024 12:00:00 +9999",
    "Sat, 03 Feb 2024 25:00:00 GMT",
    "Sat, 03 Feb 2024 12:61:00 GMT",
    "Sat, 03 Feb 2024 1:2:3:4 GMT",
    "Sat, 03 Foo 2024 12:00:00 GMT",
    "Sat, 31 Apr 2024 12:00:00 GMT",
    "Sat, 03 Feb 2024 13:00 AM",
    "February 2024",
    "03 Feb",
    "12:00",
    "2024-13-01",
    "2024-02-30T10:00:00Z",
    "2013-01-27-01",
    "2023-366",
    "2024-02-03T12:00:00-06:00Textra",
    "Thu, 01 Jan 0100 00:00:01 +0100",
    "9999-12-31T23:59:59Z",
    "5 minutes ago",
    "99999999999999999999",
    "x" * 1_000,
    "\0",
    "",
]


@pytest.mark.parametrize(("text", "expected"), KNOWN)
def test_a_date_is_the_instant_that_it_means(text, expected):
    assert read_date(text) == expected


@pytest.mark.parametrize("text", UNKNOWN)
def test_a_date_that_could_be_another_instant_is_none(text):
    assert read_date(text) is None


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("03/04/2024", "en-us", utc(2024, 3, 4)),
        ("03/04/2024", "en_US", utc(2024, 3, 4)),
        ("03/04/2024", "en-GB", utc(2024, 4, 3)),
        ("03/04/2024", "de", utc(2024, 4, 3)),
        ("03/04/2024", "pt-br", utc(2024, 4, 3)),
        ("03/04/2024", "ja", None),
        ("03/04/2024", "zh-CN", None),
        ("03/04/2024 12:00 PST", "", utc(2024, 3, 4, 20)),
        ("03.04.2024", "en-us", utc(2024, 4, 3)),
        ("Sat, 03 Feb 2024 12:00:00 IST", "he", utc(2024, 2, 3, 10)),
        ("Sat, 03 Feb 2024 17:30:00 IST", "en-in", NOON),
        ("Sat, 03 Feb 2024 20:00:00 CST", "zh-cn", NOON),
        ("Sat, 03 Feb 2024 18:00:00 BST", "bn", NOON),
        ("pt, 05 lip 2024 12:00:00 +0200", "pl", utc(2024, 7, 5, 10)),
        ("sri, 05 lip 2024 12:00:00 +0200", "hr", utc(2024, 6, 5, 10)),
    ],
)
def test_the_language_of_a_feed_decides_what_could_be_two_dates(text, language, expected):
    assert read_date(text, language) == expected


INSTANTS = st.datetimes(
    min_value=datetime(1970, 1, 2),
    max_value=datetime(2099, 12, 30),
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))),
).map(lambda instant: instant.replace(microsecond=0))
FORMS = [
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%d %H:%M:%S %z",
    "%Y/%m/%d %H:%M:%S %z",
    "%Y%m%dT%H%M%S%z",
    "%d.%m.%Y %H:%M:%S %z",
    "%d %B %Y %H:%M:%S %z",
    "%a, %d %b %Y %I:%M:%S %p %z",
    "%a %b %d %H:%M:%S %z %Y",
    "%A, %B %d, %Y %H:%M:%S GMT%z",
    "%d-%b-%Y %H:%M:%S %z",
]


@given(INSTANTS, st.sampled_from(FORMS))
def test_a_date_in_a_known_form_is_never_another_instant(instant, form):
    assert read_date(instant.strftime(form)) == instant


@given(INSTANTS)
def test_a_date_of_rfc_822_is_never_another_instant(instant):
    assert read_date(format_datetime(instant)) == instant


@given(INSTANTS, st.sampled_from(sorted(MONTHS)))
def test_the_name_of_a_month_is_never_another_month(instant, word):
    read = read_date(f"{instant.day} {word} {instant.year} 12:00:00 +0000")
    assert read is None or read.month in MONTHS[word]


@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(["", "en", "en-gb", "de", "ja", "sv", "xx"]),
)
def test_a_day_that_could_be_two_is_one_of_them_or_none(first, second, language):
    possible = {None, (second, first), (first, second)}
    read = read_date(f"{first:02}/{second:02}/2024", language)
    assert (read and (read.month, read.day)) in possible


@given(st.text(max_size=60), st.text(max_size=8))
@example("2024-02-03T12:00:00+", "en")
def test_no_text_breaks_the_reading_of_dates(text, language):
    read = read_date(text, language)
    assert read is None or (read.tzinfo is UTC and 1899 <= read.year <= 2101)
