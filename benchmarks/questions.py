"""What is measured, and for whom."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import Figure, Round, Values
from benchmarks.site import OURS, SQLITE, Environment, Site


@dataclass(frozen=True)
class Case:
    """Who is measured, and how. `measure` raises Failed if there is no figure."""

    who: str
    measure: Callable[[Site], Values]
    ours: bool = False


@dataclass(frozen=True)
class Question:
    """A set of cases that are measured side by side, and the figures that they have.

    `derive` returns more figures from the answers of one repetition, such as ratios. A question
    that takes very long isn't `asked_by_default`. `details` makes a table of its own.
    """

    name: str
    figures: tuple[Figure, ...]
    cases: tuple[Case, ...]
    repetitions: int = 3
    derive: Callable[[Round], Round] = lambda answers: {}
    asked_by_default: bool = True
    details: Callable[[list[Round]], str] | None = None


def called(
    who: str,
    target: str,
    environment: Environment = OURS,
    kind: str = SQLITE,
    *,
    ours: bool = False,
    **arguments: Any,
) -> Case:
    """Return the case that is one call in an environment, with a fresh database."""

    def measure(site: Site) -> Values:
        with site.database(environment, kind) as database:
            return site.call(environment, database, target, **arguments)

    return Case(who, measure, ours)
