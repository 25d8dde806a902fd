"""The process that dispatches."""

from tasks.scheduler.process import Scheduler

__all__ = ["Scheduler"]
