"""What is measured, and the goals."""

import operator
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

# The answer of a case: a value for each figure that it has.
Values = dict[str, float]
# The answers of one repetition, by case.
Round = dict[str, Values]


class Failed(Exception):
    """A case has no figure, and why."""


@dataclass(frozen=True)
class Goal:
    """What a figure of this project should be: the median, and maybe the least of all."""

    sign: str
    limit: float
    holds: Callable[[float, float], bool]
    none_below: float | None = None

    def __str__(self) -> str:
        least = "" if self.none_below is None else f", none below {number(self.none_below)}"
        return f"{self.sign} {number(self.limit)}{least}"

    def reached(self, *values: float) -> bool:
        """Return whether what was measured, once per repetition, is as it should be."""
        is_low = self.none_below is not None and min(values) < self.none_below
        return self.holds(statistics.median(values), self.limit) and not is_low


def at_least(limit: float, none_below: float | None = None) -> Goal:
    """Return the goal of not being less than this."""
    return Goal("≥", limit, operator.ge, none_below)


def at_most(limit: float) -> Goal:
    """Return the goal of not being more than this."""
    return Goal("≤", limit, operator.le)


def more_than(limit: float) -> Goal:
    """Return the goal of being more than this."""
    return Goal(">", limit, operator.gt)


@dataclass(frozen=True)
class Figure:
    """One figure of a question, as the table names it; the goal is for this project's cases."""

    key: str
    text: str
    goal: Goal | None = None


def number(value: float) -> str:
    """Return a number with three significant digits, or all before the decimal point."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the value that this percentage of the values doesn't exceed."""
    ordered = sorted(values)
    if not ordered:
        raise Failed("nothing arrived")
    return ordered[min(len(ordered) - 1, int(percent / 100 * len(ordered)))]


def ratio(answers: Mapping[str, Values], one: str, other: str, key: str) -> float | None:
    """Return the value of `one` divided by that of `other`, None if either has none."""
    dividend, divisor = (answers.get(who, {}).get(key) for who in (one, other))
    return dividend / divisor if dividend is not None and divisor else None
