"""What was measured, and the table that shows it."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.figures import Goal, Round, number
from benchmarks.questions import Question

COLUMNS = ("figure", "who", "median", "min – max", "goal", "reached")


@dataclass
class Answers:
    """Everything that was measured for one question."""

    question: Question
    rounds: list[Round] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Return the rows of the table: each figure, for each case that has it."""
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
    return number(median), spread, str(goal), "yes" if goal.reached(*values) else "**no**"


def table(answers: Iterable[Answers]) -> str:
    """Return the table of everything measured, in Markdown."""
    lines: list[tuple[str, ...]] = [COLUMNS, ("---", "---", "---:", "---:", "---:", "---")]
    lines += [row for answer in answers for row in answer.rows()]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in lines
    )
