"""What is measured, and the goals."""

import operator
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
    """What a figure of this project should be."""

    sign: str
    limit: float
    holds: Callable[[float, float], bool]

    def __str__(self) -> str:
        return f"{self.sign} {number(self.limit)}"

    def reached(self, value: float) -> bool:
        return self.holds(value, self.limit)


def at_least(limit: float) -> Goal:
    """Return the goal of not being less than this."""
    return Goal("≥", limit, operator.ge)


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
