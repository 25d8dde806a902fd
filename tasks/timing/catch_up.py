"""Which of the pending occurrences still run, and which are missed. Pure: `now` is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

CatchUp = Literal["latest", "all", "none"]
# An occurrence dispatched within this time is on time; a later one is a misfire.
ON_TIME = timedelta(seconds=10)
# How many misfires the policy `all` runs at most.
CATCH_UP_CAP = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of pending occurrences: each due is in exactly one of the three.

    `late` are past their start deadline; `missed` are dropped by the policy.
    """

    run: tuple[datetime, ...]
    missed: tuple[datetime, ...]
    late: tuple[datetime, ...]


def plan(
    dues: Sequence[datetime], now: datetime, policy: CatchUp, start_deadline: int | None
) -> Plan:
    """Decide what becomes of pending occurrences, given in ascending order.

    Those on time run. Of the misfires the policy runs none, the newest (unless a newer
    occurrence is on time) or the newest 100. `start_deadline` (seconds) comes before all of this.
    """
    horizon = now - timedelta(seconds=start_deadline) if start_deadline is not None else None
    late = tuple(due for due in dues if horizon is not None and due < horizon)
    pending = dues[len(late) :]
    on_time = tuple(due for due in pending if due >= now - ON_TIME)
    misfires = tuple(pending[: len(pending) - len(on_time)])
    keep = _misfires_to_run(policy, bool(on_time))
    caught_up = misfires[len(misfires) - min(keep, len(misfires)) :]
    return Plan(
        run=caught_up + on_time,
        missed=misfires[: len(misfires) - len(caught_up)],
        late=late,
    )


def _misfires_to_run(policy: CatchUp, newer_is_on_time: bool) -> int:
    if policy == "all":
        return CATCH_UP_CAP
    if policy == "latest" and not newer_is_on_time:
        return 1
    return 0
