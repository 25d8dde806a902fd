"""What is measured, what it shall be, and the table that shows both."""

import operator
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.site import Site

# What a case answers: a value for each figure that it knows.
Values = dict[str, float]
# The answers of one repetition, by who gave them.
Round = dict[str, Values]

COLUMNS = ("figure", "who", "median", "min – max", "goal", "reached")


class Failed(Exception):
    """A case that has no figure, and why."""


@dataclass(frozen=True)
class Goal:
    """What a figure of this project shall be."""

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


@dataclass(frozen=True)
class Case:
    """Who is measured, and how. `measure` raises Failed if there is no figure."""

    who: str
    measure: Callable[["Site"], Values]
    ours: bool = False


@dataclass(frozen=True)
class Question:
    """A set of cases that are measured side by side, and the figures that they have.

    `derive` returns more figures from the answers of one repetition, such as ratios. What takes
    very long isn't `asked_by_default`.
    """

    name: str
    figures: tuple[Figure, ...]
    cases: tuple[Case, ...]
    repetitions: int = 3
    derive: Callable[[Round], Round] = lambda answers: {}
    asked_by_default: bool = True


@dataclass
class Answers:
    """All that was measured for one question."""

    question: Question
    rounds: list[Round] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Return the rows of the table: each figure, for everybody who has it."""
        ours = {case.who for case in self.question.cases if case.ours}
        rounds = [_merged(answers, self.question.derive(answers)) for answers in self.rounds]
        for figure in self.question.figures:
            for case in self.question.cases:
                values = [
                    answers[case.who][figure.key]
                    for answers in rounds
                    if figure.key in answers.get(case.who, {})
                ]
                if values:
                    goal = figure.goal if case.who in ours else None
                    yield (figure.text, case.who, *_cells(values, goal))
        for who, reason in self.failures.items():
            yield (self.question.name, who, f"failed: {reason}", "", "", "")


def _merged(one: Round, other: Round) -> Round:
    return {who: one.get(who, {}) | other.get(who, {}) for who in one | other}


def _cells(values: list[float], goal: Goal | None) -> tuple[str, str, str, str]:
    median = statistics.median(values)
    spread = f"{number(min(values))} – {number(max(values))}" if len(values) > 1 else ""
    if goal is None:
        return number(median), spread, "", ""
    return number(median), spread, str(goal), "yes" if goal.reached(median) else "**no**"


def number(value: float) -> str:
    """Return a number with the digits that mean something."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def table(answers: Iterable[Answers]) -> str:
    """Return the table of everything measured, in Markdown."""
    lines: list[tuple[str, ...]] = [COLUMNS, ("---", "---", "---:", "---:", "---:", "---")]
    lines += [row for answer in answers for row in answer.rows()]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in lines
    )


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the value that so many percent of the values don't exceed."""
    ordered = sorted(values)
    if not ordered:
        raise Failed("nothing arrived")
    return ordered[min(len(ordered) - 1, int(percent / 100 * len(ordered)))]


def ratio(answers: Mapping[str, Values], one: str, other: str, key: str) -> float | None:
    """Return one's value divided by the other's, None if either has none."""
    dividend, divisor = (answers.get(who, {}).get(key) for who in (one, other))
    return dividend / divisor if dividend is not None and divisor else None
