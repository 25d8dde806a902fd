"""Schedules, runs and background calls: the scheduling app."""

from tasks.runs.progress import progress

__all__ = ["progress"]
