"""When: the instant that a date of a feed means, or None where it can't be known.

A date is taken apart into what each piece can only be. What remains unread, or could be two things
and isn't decided by the language of the feed, makes the whole unread: no date is better than
another instant. Without a zone a date is in UTC, as in all feed readers.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from feeds.reading.date_words import MONTHS, WEEKDAYS

MAX_DATE = 100  # characters
YEARS = range(1900, 2101)
_TWO_DIGIT_PIVOT = 70  # 69 is 2069, and 70 is 1970
_LARGEST_OFFSET = timedelta(hours=15, minutes=59)

_Day = tuple[int, int, int]
# Stands where the time stood: zones come after it, and what looks like one before it is a day.
_AFTER_TIME = "\0"

_UNIX = re.compile(r"(\d{9,10})(?:\.\d+)?")
_UNIX_MILLISECONDS = re.compile(r"\d{13}")
_YEAR_AND_MONTH = re.compile(r"(\d{4})(?:-(\d\d))?")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:t?(\d\d)(\d\d)(\d\d)?(?:[.,]\d+)?)?(?!\d)")
_DAY_OF_YEAR = re.compile(r"(\d{4})-(\d{3})(?![\d-])(?:t(?=\d))?")
_EAST_ASIAN_DAY = re.compile(r"(\d{2,4})\s*[年년]\s*(\d{1,2})\s*[月월]\s*(\d{1,2})\s*[日일]")
_NUMBERS = re.compile(
    r"(?<![\d:+])(\d{1,4})\s?([-/.])\s?(\d{1,3})\s?\2\s?(\d{1,4})(?![\d:])\.?(?:t(?=\d))?"
)
_TIMES = (
    re.compile(
        r"(?:(?<=\d)t)?(?<![\d:])(\d{1,2}):(\d{1,2})(?:[:.](\d{1,2})(?:[.,]\d+)?)?(?![\d:])"
    ),
    re.compile(r"(?<!\d)(\d{1,2})\s*[時时시]\s*(?:(\d{1,2})\s*[分분])?\s*(?:(\d{1,2})\s*[秒초])?"),
    re.compile(r"(?<!\d)(\d{1,2})\s?[h.]\s?(\d\d)(?:\s?m(?:in)?)?()(?!\d)"),
    re.compile(r"(?<!\d)(\d{1,2})(?=\s?[ap]\.?\s?m\b)()()"),
)
_HALF = re.compile(r"\s?(?:a\.?\s?m|(p\.?\s?m)|π\.?\s?μ|(μ\.?\s?μ))(?!\w)\.?")
_EAST_ASIAN_HALF = re.compile(r"오전|午前|上午|(오후|午後|下午)")
_OFFSET = re.compile(r"(?:\b(?:gmt|utc|ut)\s?)?([+-])\s?(\d{1,2}):?(\d\d)?(?::00)?\s?z?(?=$|[\s,])")
_ZONE_NAME = re.compile(r"\b[a-z]+(?:/[a-z0-9_+-]+)+")
_COMMENT = re.compile(r"\(([^()]*)\)")
_JOINED = re.compile(r"(?<=[^\W\d_])[-/](?=\d)|(?<=\d)[-/](?=[^\W\d_])")
_NUMBER = re.compile(r"(\d{1,2}|\d{4})(?:st|nd|rd|th|ter|er|e|o|a)?|'(\d\d)")

# Words beside a date that say nothing: “on 3 February 2024 at 10:00”, “10:00 Uhr”, “2024 г.”
_NOISE = frozenset(
    "at on of the o um uhr den der am le il el del de les a as alle à kl klo klokken ob v о в г "
    "года год роκυ s h hrs clock o'clock - – — | at: date".split()
)

_HOURS = {
    **dict.fromkeys("z ut utc gmt wet zulu".split(), 0.0),
    **{"west": 1, "cet": 1, "met": 1, "mez": 1, "cest": 2, "mest": 2, "mesz": 2, "eet": 2},
    **{"eest": 3, "bst": 1, "msk": 3, "msd": 4, "trt": 3, "wat": 1, "cat": 2, "sast": 2, "eat": 3},
    **{"pkt": 5, "npt": 5.75, "ict": 7, "wib": 7, "wita": 8, "wit": 9, "hkt": 8, "sgt": 8},
    **{"myt": 8, "pht": 8, "awst": 8, "kst": 9, "jst": 9, "acst": 9.5, "acdt": 10.5, "aest": 10},
    **{"aedt": 11, "nzst": 12, "nzdt": 13, "nst": -3.5, "ndt": -2.5, "ast": -4, "adt": -3},
    **{"est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7},
    **{"akst": -9, "akdt": -8, "hst": -10, "brt": -3, "brst": -2, "art": -3, "clt": -4},
    **{"clst": -3, "uyt": -3, "pet": -5},
}
# Names of a zone all year round.
_PLACES = {
    "et": "America/New_York",
    "ct": "America/Chicago",
    "mt": "America/Denver",
    "pt": "America/Los_Angeles",
    "at": "America/Halifax",
}
# What it means in the languages (or languages of a country) where it means another thing.
_LOCAL_HOURS: dict[str, dict[str, float]] = {
    "ist": {"he": 2, "en-il": 2, "ga": 1, "en-ie": 1, "en-in": 5.5}
    | dict.fromkeys("hi bn ta te mr gu kn ml pa".split(), 5.5),
    "idt": {"he": 3, "en-il": 3},
    "cst": {"zh": 8},
    "bst": {"bn": 6},
    "ast": {"ar": 3},
    "est": {"en-au": 10},
    "edt": {"en-au": 11},
    "pst": {"en-ph": 8, "fil": 8, "tl": 8},
}
_AMERICAN_ZONES = frozenset("est edt cst cdt mst mdt pst pdt et ct mt pt akst akdt hst".split())

_MONTH_FIRST = frozenset({"en", "en-us", "en-ph", "es-us", "fil", "tl"})
# Where people write the year first: of day and month either could come first.
_NO_ORDER = frozenset("zh ja ko hu lt mn ne eu en-ca en-za".split())
_KOREA = ZoneInfo("Asia/Seoul")  # what is written in Korean has no other


@dataclass(frozen=True, slots=True)
class _Time:
    hour: int
    minute: int
    second: int


def read_date(text: str, language: str = "") -> datetime | None:
    """Return the instant, in UTC and in whole seconds, or None if it can't be known.

    `language` is that of the feed, such as `en-us`: it decides what 03/04/2024 is.
    """
    if len(text) > MAX_DATE:
        return None
    text = _plain(text)
    try:
        local = _stamp(text) or _Reading(text, _plain(language).replace("_", "-")).result()
        return local.astimezone(UTC) if local and local.year in YEARS else None
    except (ValueError, OverflowError):  # no such day, hour or offset
        return None


def _plain(text: str) -> str:
    """Return a text in small letters, without accents, on one line."""
    if not text.isascii():
        apart = unicodedata.normalize("NFKD", text.replace("\N{MINUS SIGN}", "-"))
        kept = (char for char in apart if unicodedata.category(char) not in ("Mn", "Cf"))
        text = unicodedata.normalize("NFC", "".join(kept))  # puts Korean syllables together again
    return " ".join(text.lower().split())


def _stamp(text: str) -> datetime | None:
    if _UNIX_MILLISECONDS.fullmatch(text):
        return datetime.fromtimestamp(int(text) // 1000, UTC)
    match = _UNIX.fullmatch(text)
    return datetime.fromtimestamp(int(match[1]), UTC) if match else None


class _Reading:
    """One date that is being taken apart: `left` is what isn't read yet."""

    def __init__(self, text: str, language: str) -> None:
        self.left = text
        self.language = language
        self.time: _Time | None = None
        self.zone: tzinfo | None = None
        self.zone_word = ""

    def result(self) -> datetime | None:
        comments = self._take_comments()
        numbers: tuple[str, ...] = ()
        day = self._take_iso_day() or self._take_east_asian_day()
        if day is None and (match := self._take(_NUMBERS)):
            numbers = match.groups()
        self._take_time()
        self._take_zone()
        words = self._words()
        self._read_comments(comments)
        if day is None:
            day = self._day_of_numbers(*numbers) if numbers else self._day_of_words(words)
            words = words if numbers else []
        is_all_read = all(word in WEEKDAYS for word in words)
        return self._instant(*day) if day and is_all_read else None

    def _take(self, pattern: re.Pattern[str], start: int = 0) -> re.Match[str] | None:
        match = pattern.search(self.left, start)
        if match:
            self.left = f"{self.left[: match.start()]} {self.left[match.end() :]}"
        return match

    def _take_comments(self) -> list[str]:
        comments = []
        while match := self._take(_COMMENT):
            comments.append(match[1].strip(" ."))
        return comments

    def _take_iso_day(self) -> _Day | None:
        self.left = self.left.strip()
        if match := _YEAR_AND_MONTH.fullmatch(self.left):
            self.left = ""
            return int(match[1]), int(match[2] or 1), 1
        match = _COMPACT.match(self.left) or _DAY_OF_YEAR.match(self.left)
        if match is None:
            return None
        self.left = self.left[match.end() :]
        if match.re is _DAY_OF_YEAR:
            first = date(int(match[1]), 1, 1)
            found = first + timedelta(days=int(match[2]) - 1)
            return (found.year, found.month, found.day) if found.year == first.year else None
        if match[4]:
            self.time = _Time(int(match[4]), int(match[5]), int(match[6] or 0))
            self.left = _AFTER_TIME + self.left
        return int(match[1]), int(match[2]), int(match[3])

    def _take_east_asian_day(self) -> _Day | None:
        match = self._take(_EAST_ASIAN_DAY)
        if match is None:
            return None
        if "년" in match[0]:
            self.zone = _KOREA
        return _full_year(match[1]), int(match[2]), int(match[3])

    def _take_time(self) -> None:
        half = self._take(_EAST_ASIAN_HALF)
        if half and half[0] in ("오전", "오후"):
            self.zone = _KOREA
        match = next((found for pattern in _TIMES if (found := pattern.search(self.left))), None)
        if match is None or self.time:
            return
        before, after = self.left[: match.start()], self.left[match.end() :]
        if western := _HALF.match(after):
            after = after[western.end() :]
        self.left = f"{before} {_AFTER_TIME}{after}"
        hour, minute, second = (int(part or 0) for part in match.groups())
        if half or western:
            is_afternoon = bool(western and western[1]) or bool(half and half[1])
            hour = _hour_of_half(hour, is_afternoon)
        # A leap second has no instant of its own.
        self.time = _Time(hour, minute, min(second, 59) if second == 60 else second)

    def _take_zone(self) -> None:
        after = self.left.find(_AFTER_TIME)
        if after < 0:
            return
        if match := self._take(_OFFSET, after):
            sign = -1 if match[1] == "-" else 1
            offset = sign * timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
            if abs(offset) > _LARGEST_OFFSET:
                raise ValueError(match[0])
            self.zone = timezone(offset)
            self.zone_word = "+"
        elif (match := _ZONE_NAME.search(self.left, after)) and match[0] in _zone_names():
            self._take(_ZONE_NAME, after)
            self.zone = ZoneInfo(_zone_names()[match[0]])

    def _words(self) -> list[str]:
        """Return the words left that say something, without those of the zone."""
        text = _JOINED.sub(" ", self.left)
        before, marker, after = text.partition(_AFTER_TIME)
        words = _split(before)
        for word in _split(after if marker else ""):
            if not self._read_zone_word(word):
                words.append(word)
        return [
            word
            for word in words
            if word not in _NOISE and (word not in WEEKDAYS or word in MONTHS)
        ]

    def _read_zone_word(self, word: str) -> bool:
        zone = _zone_of(word, self.language)
        if zone is None:
            return False
        self.zone_word = self.zone_word or word
        self.zone = self.zone or zone
        return True

    def _read_comments(self, comments: list[str]) -> None:
        """Take the zone from a comment, unless it is known; then comments say the same again."""
        for comment in comments:
            is_known = self.zone is not None or comment in WEEKDAYS
            if not is_known and not self._read_zone_word(comment):
                raise ValueError(comment)

    def _day_of_numbers(self, first: str, sign: str, second: str, third: str) -> _Day | None:
        possible = _possible_days(first, sign, second, third)
        if len(set(possible.values())) == 1:
            return next(iter(possible.values()))
        if self.zone_word in _AMERICAN_ZONES or self.language in _MONTH_FIRST:
            order = "mdy"
        elif not self.language or {self.language, self.language.split("-")[0]} & _NO_ORDER:
            return None
        else:
            order = "dmy"
        return possible.get(order)

    def _day_of_words(self, words: list[str]) -> _Day | None:
        """Return the day of a name of a month and two numbers: the day, and then the year."""
        months = [word for word in words if word in MONTHS]
        while len(months) > 1 and months[0] in WEEKDAYS:  # “mar, 05 mar 2024”
            words.remove(months.pop(0))
        numbers = [_NUMBER.fullmatch(word) for word in words if word not in months]
        if len(months) != 1 or len(numbers) != 2 or not all(numbers):
            return None
        month = _month(months[0], self.language)
        first, second = (match[1] or match[2] for match in numbers if match)
        if len(first) == 4:
            first, second = second, first
        return (_full_year(second), month, int(first)) if month and len(first) <= 2 else None

    def _instant(self, year: int, month: int, day: int) -> datetime:
        time = self.time or _Time(0, 0, 0)
        midnight = datetime(year, month, day)
        if time == _Time(24, 0, 0):
            midnight, time = midnight + timedelta(days=1), _Time(0, 0, 0)
        return midnight.replace(
            hour=time.hour, minute=time.minute, second=time.second, tzinfo=self.zone or UTC
        )


def _split(text: str) -> list[str]:
    return [word for part in re.split(r"[\s,;|]+", text) if (word := part.strip("."))]


def _hour_of_half(hour: int, is_afternoon: bool) -> int:
    """Return the hour of the day; 13 and later may be called p.m., too."""
    if hour == 0 or (hour > 12 and not is_afternoon):
        raise ValueError(hour)
    return hour % 12 + 12 * is_afternoon if hour <= 12 else hour


def _full_year(text: str) -> int:
    year = int(text)
    return year if len(text) > 2 else year + (2000 if year < _TWO_DIGIT_PIVOT else 1900)


def _month(word: str, language: str) -> int | None:
    months = MONTHS[word]
    if len(months) == 1:
        return next(iter(months))
    base = language.split("-")[0]
    return next((month for month, languages in months.items() if base in languages), None)


def _possible_days(first: str, sign: str, second: str, third: str) -> dict[str, _Day]:
    """Return the days that three numbers can be, by their order."""
    if len(first) == 4:
        orders = {"ymd": (first, second, third)}
    else:
        orders = {"dmy": (third, second, first)}
        if sign != ".":
            orders["mdy"] = (third, first, second)
        if len(third) <= 2:
            orders["ymd"] = (first, second, third)
    return {
        order: (_full_year(year), int(month), int(day))
        for order, (year, month, day) in orders.items()
        if _is_day(year, month, day)
    }


def _is_day(year: str, month: str, day: str) -> bool:
    if len(year) not in (2, 4) or len(day) > 2:
        return False
    try:
        date(_full_year(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _zone_of(word: str, language: str) -> tzinfo | None:
    """Return the zone that an abbreviation means, or None if it means none or several."""
    if word in _PLACES:
        return ZoneInfo(_PLACES[word])
    local = _LOCAL_HOURS.get(word, {})
    hours = local.get(language, local.get(language.split("-")[0], _HOURS.get(word)))
    return None if hours is None else timezone(timedelta(hours=hours))


@cache
def _zone_names() -> dict[str, str]:
    return {name.lower(): name for name in available_timezones()}
