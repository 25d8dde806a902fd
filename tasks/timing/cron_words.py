"""A cron expression in words, in the reader's language, by cron-descriptor.

Only what its words say exactly: of other expressions nobody can see the words' mistakes, so they
are shown as they are. (It calls a step that doesn't divide the hour “every 7 minutes”, and leaves
out which of its lists a step belongs to.)
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from cron_descriptor import ExpressionDescriptor, Options
from cron_descriptor.Exception import FormatError
from django.utils.dates import MONTHS, WEEKDAYS
from django.utils.translation import get_language, pgettext, pgettext_lazy

from tasks.timing.cron import CRON_NAMES

# What cron-descriptor says of the expressions below, to be translated as Django's texts are.
TEXTS: Mapping[str, object] = {
    "At ": pgettext_lazy("cron", "At "),
    "At": pgettext_lazy("cron", "At"),
    " and": pgettext_lazy("cron", " and"),
    " and ": pgettext_lazy("cron", " and "),
    "every second": pgettext_lazy("cron", "every second"),
    "every {0} seconds": pgettext_lazy("cron", "every {0} seconds"),
    "at {0} seconds past the minute": pgettext_lazy("cron", "at {0} seconds past the minute"),
    "every minute": pgettext_lazy("cron", "every minute"),
    ", every minute": pgettext_lazy("cron", ", every minute"),
    "every {0} minutes": pgettext_lazy("cron", "every {0} minutes"),
    "at {0} minutes past the hour": pgettext_lazy("cron", "at {0} minutes past the hour"),
    "every hour": pgettext_lazy("cron", "every hour"),
    ", every hour": pgettext_lazy("cron", ", every hour"),
    "every {0} hours": pgettext_lazy("cron", "every {0} hours"),
    "between {0} and {1}": pgettext_lazy("cron", "between {0} and {1}"),
    "at {0}": pgettext_lazy("cron", "at {0}"),
    ", every day": pgettext_lazy("cron", ", every day"),
    ", on day {0} of the month": pgettext_lazy("cron", ", on day {0} of the month"),
    ", between day {0} and {1} of the month": pgettext_lazy(
        "cron", ", between day {0} and {1} of the month"
    ),
    ", on the last day of the month": pgettext_lazy("cron", ", on the last day of the month"),
    ", on the last weekday of the month": pgettext_lazy(
        "cron", ", on the last weekday of the month"
    ),
    ", only on {0}": pgettext_lazy("cron", ", only on {0}"),
    ", or on {0}": pgettext_lazy("cron", ", or on {0}"),
    ", {0} through {1}": pgettext_lazy("cron", ", {0} through {1}"),
    ", on the ": pgettext_lazy("cron", ", on the "),
    "first": pgettext_lazy("cron", "first"),
    "second": pgettext_lazy("cron", "second"),
    "third": pgettext_lazy("cron", "third"),
    "fourth": pgettext_lazy("cron", "fourth"),
    "fifth": pgettext_lazy("cron", "fifth"),
    " {0} of the month": pgettext_lazy("cron", " {0} of the month"),
    ", on the last {0} of the month": pgettext_lazy("cron", ", on the last {0} of the month"),
    ", only in {0}": pgettext_lazy("cron", ", only in {0}"),
    ", every {0} months": pgettext_lazy("cron", ", every {0} months"),
}
# What some languages say in another way than the rest.
SAID_AS = {
    "at {0} seconds past the minute [grThen20]": "at {0} seconds past the minute",
    "at {0} minutes past the hour [grThen20]": "at {0} minutes past the hour",
    ", month {0} through month {1}": ", {0} through {1}",
}
LIST = "[0-9]+(?:,[0-9]+)*"
RANGE = "[0-9]+-[0-9]+"
DAY = "(?:[0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)"
MONTH = "(?:[0-9]+|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)"
# Second, minute, hour, day of month, month, day of week.
SAID_EXACTLY = [
    re.compile(field)
    for field in (
        r"\*|\*/(?:2|3|4|5|6|10|12|15|20|30)|[0-9]+",
        rf"\*|\*/(?:2|3|4|5|6|10|12|15|20|30)|{LIST}",
        rf"\*|\*/(?:2|3|4|6|8|12)|{LIST}|{RANGE}",
        rf"\*|L|LW|{LIST}|{RANGE}",
        rf"\*|\*/(?:2|3|4|6)|{MONTH}(?:,{MONTH})*|{MONTH}-{MONTH}",
        rf"\*|{DAY}(?:,{DAY})*|{DAY}-{DAY}(?<![0-6]-7)|{DAY}#[1-5]|[0-7]L",
    )
]
NUMBERS = re.compile(LIST)
DAY_NAMES = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTH_NAMES = (
    "January February March April May June July August September October November December"
).split()


class _Descriptor(ExpressionDescriptor):
    """Says each text in the active language, and “every day” wherever times are named."""

    def translate(self, message: str) -> str:
        text = SAID_AS.get(message, message)
        return pgettext("cron", text) if text in TEXTS else super().translate(message)

    def transform_verbosity(self, description: str, *, use_verbose_format: bool = False) -> str:
        unsaid = [", every minute", ", every hour"]
        if not NUMBERS.fullmatch(self._expression_parts[2]):
            unsaid.append(", every day")
        for text in unsaid:
            description = description.replace(self.translate(text), "")
        return description.replace(",,", ",").strip()


def cron_in_words(expression: str, both_days: bool = False) -> str:
    """Return when an expression is due, in words; the expression itself where words could mislead.

    `both_days` as in `Spec`.
    """
    return _in_words(expression, both_days, get_language())


@lru_cache(maxsize=5_000)
def _in_words(expression: str, both_days: bool, language: str | None) -> str:
    fields = CRON_NAMES.get(expression.lower(), expression).upper().split()
    if both_days or not _is_said_exactly(fields):
        return expression
    try:
        words = _Descriptor(
            _described(fields), Options(locale_code="en_US", use_24hour_time_format=True)
        ).get_description()
    except FormatError:
        return expression
    return _with_names(words)


def _is_said_exactly(fields: Sequence[str]) -> bool:
    if len(fields) not in (5, 6):
        return False
    matches = zip(SAID_EXACTLY[-len(fields) :], fields, strict=True)
    minute, hour = fields[-5:-3]
    # It names several hours as if they were times: that is right of the whole time of day only.
    is_ambiguous = hour.startswith("*/") and not NUMBERS.fullmatch(minute)
    is_ambiguous |= "," in hour and not (minute.isdecimal() and fields[:-5] in ([], ["0"]))
    return all(pattern.fullmatch(field) for pattern, field in matches) and not is_ambiguous


def _described(fields: Sequence[str]) -> str:
    """Return the expression as cron-descriptor says it best: without leading zeros, for example."""
    plain = [re.sub(r"\b0+([0-9])", r"\1", field) for field in fields]
    minute, hour = plain[-5:-3]
    if "," in minute and hour.isdecimal():
        plain[-4] = f"{hour}-{hour}"
    return " ".join(plain)


def _with_names(words: str) -> str:
    """Translate the names of days and months, which cron-descriptor leaves in English."""
    if pgettext("cron", ", every day") == ", every day":
        return words
    for number, name in enumerate(DAY_NAMES):
        words = words.replace(name, str(WEEKDAYS[number]))
    for number, name in enumerate(MONTH_NAMES, start=1):
        words = words.replace(name, str(MONTHS[number]))
    return words
