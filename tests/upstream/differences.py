"""What our class does otherwise than rq-scheduler's tests want: how each test fails, and why."""

from tests.upstream.verdict import Difference

# What upstream's tests get on ours beside the class, in `inside.OurSite`.
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
        "Looking never unschedules: a member without a job is set aside by the dispatch, with the "
        "reason.",
    ),
    "tests/test_scheduler.py::TestScheduler::test_crontab_schedules_correctly": Difference(
        "enqueue_job.call_count",
        "It counts calls of `enqueue_job`, which our dispatch doesn't call: it puts a job on its "
        "queue only if it is still due when it was seen to be, in one step with moving it forward.",
    ),
}
