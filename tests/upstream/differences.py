"""What our class does differently from what rq-scheduler's tests expect, and why."""

from tests.upstream.verdict import Difference

# What `runner.OurSite` gives upstream's tests besides our class.
SITE = (
    'On ours, jobs are read by the class in RQ["JOB_CLASS"], since payloads are JSON, never '
    "pickle; and upstream's functions are registered, since no other ones run."
)

A_SIGNAL = Difference(
    "SystemExit not raised",
    "A signal ends the loop between two steps and `run` returns: a SystemExit in the middle of "
    "dispatch loses schedules.",
)

DIFFERENCES = {
    "tests/test_scheduler.py::TestScheduler::test_run": A_SIGNAL,
    "tests/test_scheduler.py::TestScheduler::test_small_float_interval": A_SIGNAL,
    "tests/test_scheduler.py::TestScheduler::test_missing_jobs_removed_from_scheduler": Difference(
        "unexpectedly found in",
        "Reading never unschedules: the dispatch quarantines a member without a job, with the "
        "reason.",
    ),
    "tests/test_scheduler.py::TestScheduler::test_crontab_schedules_correctly": Difference(
        "enqueue_job.call_count",
        "It counts calls of `enqueue_job`, which our dispatch doesn't call: it enqueues a job and "
        "moves it forward in one step, if its due is still the one that was read.",
    ),
}
