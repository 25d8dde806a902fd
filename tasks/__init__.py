"""Schedules, runs and background calls: the scheduling app."""

from tasks.current import progress

__all__ = ["progress"]
