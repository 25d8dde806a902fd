"""The shared state of a worker and its child: what a reader sees, at any time."""

import os
from datetime import UTC, datetime

from tasks.worker.shared_state import END_SIZE, Run, SharedState

FIRST = Run("job-1", "execution-1", "default", 60, 1000.5)
SECOND = Run("job-2", "execution-2", "high", -1, 1001.5)


def test_new_shared_state_has_no_run_and_no_end():
    shared = SharedState()
    assert (shared.run, shared.end) == (None, None)
    assert (shared.is_running, shared.is_stop_requested) == (False, False)


def test_the_current_run_is_the_run_that_was_taken_last():
    shared = SharedState()
    for run in (FIRST, SECOND):
        shared.take(run)
        assert shared.run == run


def test_a_taken_run_counts_as_running_once_it_has_started():
    shared = SharedState()
    seen = []
    for step in (lambda: shared.take(FIRST), shared.start, lambda: shared.take(SECOND)):
        step()
        seen.append(shared.is_running)
    assert seen == [False, True, False]


def test_a_run_whose_end_is_written_is_no_longer_running_but_has_started():
    shared = SharedState()
    shared.take(FIRST)
    assert not shared.has_started
    shared.start()
    shared.finish()
    assert (shared.is_running, shared.has_started) == (False, True)


def test_there_is_no_current_run_after_it_was_cleared():
    shared = SharedState()
    shared.take(FIRST)
    shared.clear_run()
    assert shared.run is None


def test_the_end_of_a_run_is_kept_until_it_is_forgotten():
    shared = SharedState()
    ended = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert shared.keep_end("job-1", "finished", {"ended": ended, "result": {"ä": 1}})
    assert shared.end == {
        "job_id": "job-1",
        "status": "finished",
        "values": {"ended": "2026-01-02T03:04:05Z", "result": {"ä": 1}},
    }
    shared.forget_end()
    assert shared.end is None


def test_an_end_of_a_run_that_is_too_large_is_not_kept():
    shared = SharedState()
    assert not shared.keep_end("job-1", "finished", {"result": "x" * END_SIZE})
    assert shared.end is None


def test_a_process_reads_what_its_child_wrote_into_their_shared_state():
    shared = SharedState()
    pid = os.fork()
    if pid == 0:
        shared.take(FIRST)
        shared.start()
        os._exit(0)
    os.waitpid(pid, 0)
    assert (shared.run, shared.is_running) == (FIRST, True)


def test_a_request_to_stop_is_seen_in_the_shared_state():
    shared = SharedState()
    shared.request_stop()
    assert shared.is_stop_requested


def test_an_announced_step_is_kept_until_the_run_that_it_took_is_recorded():
    shared = SharedState()
    seen = [shared.announced_step]
    for step in (
        lambda: shared.announce_step("step-1"),
        shared.clear_run,
        lambda: shared.take(FIRST),
    ):
        step()
        seen.append(shared.announced_step)
    assert seen == ["", "step-1", "step-1", ""]
