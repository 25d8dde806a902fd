"""A spec that is due earlier or later than another: how a schedule is moved in time."""

import dataclasses
import re
from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

from tasks.exceptions import TasksError
from tasks.timing.cron import CRON_NAMES, parse_cron
from tasks.timing.instants import DAY, MINUTE
from tasks.timing.spec import Spec

MINUTES_OF_DAY = DAY // MINUTE
MINUTES, HOURS = 60, 24
# A list of this many neighbours or more is written as a range.
RANGE_FROM = 3


class Refusal(StrEnum):
    """Why a spec can't be moved so."""

    STAYS = "it would be due at the same times"
    WHOLE_INTERVALS = "by whole intervals it would be due at the same times"
    PASSED = "its only time has passed"
    TO_THE_PAST = "its only time would be in the past"
    OUT_OF_RANGE = "the time is out of range"
    NOT_WHOLE_MINUTES = "a cron expression can be moved by whole minutes only"
    OTHER_DAYS = "it would be due on other days"
    NO_EXPRESSION = "no single cron expression says the new times"


class CannotMove(TasksError):
    """The spec can't be moved so; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def moved(spec: Spec, by: timedelta, now: datetime) -> Spec:
    """Return a spec that is due `by` later than another, or earlier where that is negative.

    A single time must still be to come, before and after. An interval that has begun goes on
    without a gap: its rhythm moves, by what is left over of whole intervals. One that is to begin
    later begins by that much later or earlier, but not in the past. Of a cron expression the
    minutes and hours move, which must be whole minutes, and not into another day if it is bound to
    certain days. Raises CannotMove, or SpecError if the result is out of range.
    """
    if not by:
        raise CannotMove(Refusal.STAYS)
    if spec.cron is not None:
        return dataclasses.replace(spec, cron=_moved_cron(spec.cron, by, spec.both_days))
    assert spec.first is not None
    try:
        first = spec.first + by
    except OverflowError as error:
        raise CannotMove(Refusal.OUT_OF_RANGE) from error
    if spec.interval is None:
        return dataclasses.replace(spec, first=_still_to_come(spec.first, first, now))
    step = timedelta(seconds=spec.interval)
    if spec.first <= now:
        if not by % step:
            raise CannotMove(Refusal.WHOLE_INTERVALS)
        first = spec.first + by % step
        # Its first time isn't one that has just passed, or is to come: it has begun long ago.
        while spec.repeat is None and first + 2 * step > now:
            first -= step
    elif first <= now:
        first += step * ((now - first) // step + 1)
    return dataclasses.replace(spec, first=first)


def _still_to_come(first: datetime, target: datetime, now: datetime) -> datetime:
    if first <= now:
        raise CannotMove(Refusal.PASSED)
    if target <= now:
        raise CannotMove(Refusal.TO_THE_PAST)
    return target


def _moved_cron(expression: str, by: timedelta, both_days: bool) -> str:
    if by % MINUTE:
        raise CannotMove(Refusal.NOT_WHOLE_MINUTES)
    fields = CRON_NAMES.get(expression.lower(), expression).split()
    before = list(parse_cron(" ".join(fields), both_days).minutes)
    shifted = [minute + by // MINUTE for minute in before]
    after = sorted(minute % MINUTES_OF_DAY for minute in shifted)
    if after == before and _any_day(fields):
        raise CannotMove(Refusal.STAYS)
    other_day = {minute // MINUTES_OF_DAY for minute in shifted} != {0}
    if other_day and not _any_day(fields):
        raise CannotMove(Refusal.OTHER_DAYS)
    return " ".join([*fields[:-5], *_written(after, before, fields[-5:-3]), *fields[-3:]])


def _any_day(fields: list[str]) -> bool:
    """Return whether an expression applies to every day."""
    return all(re.fullmatch(r"\*(/0*1)?", field) for field in fields[-3:])


def _written(after: list[int], before: list[int], fields: list[str]) -> list[str]:
    """Return the minute and hour fields that match exactly these minutes of the day."""
    minutes, hours = {minute % MINUTES for minute in after}, {minute // MINUTES for minute in after}
    if len(minutes) * len(hours) != len(after):
        raise CannotMove(Refusal.NO_EXPRESSION)
    old_minutes, old_hours = {m % MINUTES for m in before}, {m // MINUTES for m in before}
    return [
        fields[0] if minutes == old_minutes else _list(minutes, MINUTES),
        fields[1] if hours == old_hours else _list(hours, HOURS),
    ]


def _list(numbers: Collection[int], size: int) -> str:
    """Write numbers as a cron field: all of them as *, neighbours as ranges, steps as steps."""
    ordered = sorted(numbers)
    if len(ordered) == size:
        return "*"
    step = ordered[1] - ordered[0] if len(ordered) >= RANGE_FROM else 0
    if step > 1 and ordered == list(range(ordered[0], size, step)):
        return f"{ordered[0]}-{size - 1}/{step}"
    parts: list[list[int]] = []
    for number in ordered:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(
        f"{part[0]}-{part[-1]}" if len(part) >= RANGE_FROM else ",".join(map(str, part))
        for part in parts
    )
