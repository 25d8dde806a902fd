"""Tick: what it costs to dispatch a few due schedules among very many."""

from benchmarks.figures import Figure, Round, at_most, ratio
from benchmarks.questions import Case, Question, called
from benchmarks.scale import Scale

DUE = 10
TICKS = 50


def question(scale: Scale) -> Question:
    """Return the question for both numbers of schedules."""
    few, many = (_case(number) for number in scale.schedules)

    def grown(answers: Round) -> Round:
        times = ratio(answers, many.who, few.who, "ms")
        return {} if times is None else {many.who: {"grown": times}}

    return Question(
        "tick",
        (
            Figure("ms", f"tick with {DUE} due, ms", at_most(3)),
            Figure("grown", f"tick, times that with {scale.schedules[0]:,}", at_most(1.25)),
        ),
        (few, many),
        derive=grown,
    )


def _case(number: int) -> Case:
    return called(
        f"**this project**, {number:,} schedules",
        "benchmarks.ours.tick:tick",
        ours=True,
        number=number,
        due=DUE,
        repetitions=TICKS,
    )
