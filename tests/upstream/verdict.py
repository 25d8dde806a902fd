"""PURE: ours has to pass what rq-scheduler's own class passes, except for what should differ."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# How tests ended: by name, what each failed with, None if it passed. Skipped ones are left out.
Ends = Mapping[str, str | None]


@dataclass(frozen=True)
class Difference:
    """Why a test should fail on ours, and a part of the failure that it should have."""

    failure: str
    why: str


@dataclass
class Verdict:
    """How each test ended on ours, compared with stock."""

    passed: list[str] = field(default_factory=list)
    fail_on_stock_too: list[str] = field(default_factory=list)
    deliberate: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The summary for people."""
        lines = [f"{len(self.passed)} passed"]
        lines += [f"{len(self.fail_on_stock_too)} fail on stock too"]
        lines += [f"    {name}" for name in self.fail_on_stock_too]
        lines += [f"{len(self.deliberate)} deliberate"]
        lines += [f"    {name} — {why}" for name, why in self.deliberate.items()]
        lines += [f"{len(self.problems)} problem(s)"]
        lines += [f"    {name} — {what}" for name, what in self.problems.items()]
        return "\n".join(lines)


def judge(stock: Ends, ours: Ends, differences: Mapping[str, Difference]) -> Verdict:
    """Compare how the tests ended on both classes, and with the listed differences.

    The test of a difference must exist, pass on stock, and fail on ours in the listed way.
    """
    verdict = Verdict()
    for name in sorted(stock.keys() | ours.keys() | differences.keys()):
        if problem := _problem(name, stock, ours, differences.get(name)):
            verdict.problems[name] = problem
        elif ours[name] is None:
            verdict.passed.append(name)
        elif name in differences:
            verdict.deliberate[name] = differences[name].why
        else:
            verdict.fail_on_stock_too.append(name)
    return verdict


def _problem(name: str, stock: Ends, ours: Ends, difference: Difference | None) -> str | None:
    if name not in stock and name not in ours:
        return "is listed as a difference, but upstream has no such test"
    for ends, subject in ((stock, "stock"), (ours, "ours")):
        if name not in ends:
            return f"did not run on {subject}"
    on_stock, on_ours = stock[name], ours[name]
    if difference is None:
        only_ours = on_stock is None and on_ours is not None
        return f"passes on stock, but not on ours:\n{on_ours}" if only_ours else None
    if on_ours is None:
        return "is listed as a difference, but passes"
    if on_stock is not None:
        return "is listed as a difference, but fails on stock too"
    if difference.failure not in on_ours:
        return f"should fail with “{difference.failure}”, but fails with:\n{on_ours}"
    return None
