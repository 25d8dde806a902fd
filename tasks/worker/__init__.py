"""The process that runs the jobs."""

from tasks.worker.process import Worker

__all__ = ["Worker"]
