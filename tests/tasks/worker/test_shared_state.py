"""The shared state of a worker and its child: what a reader sees, at any time."""

import os
from datetime import UTC, datetime

import pytest

from tasks.worker.queues import Finished, Taken
from tasks.worker.shared_state import END_SIZE, FINISHED_SIZE, Run, SharedState

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


def test_an_announced_step_is_kept_until_the_jobs_that_it_took_are_recorded():
    shared = SharedState()
    seen = [shared.announced_step]
    for step in (
        lambda: shared.announce_step("step-1"),
        shared.clear_run,
        lambda: shared.record_step([]),
    ):
        step()
        seen.append(shared.announced_step)
    assert seen == ["", "step-1", "step-1", ""]


def of(*job_ids: str) -> list[Taken]:
    return [Taken(job_id, "default", f"run-of-{job_id}", {}, 5.5) for job_id in job_ids]


def finished(job_id: str, payload: str = "") -> Finished:
    return Finished(job_id, f"run-of-{job_id}", "default", 60, payload, 1.5, 2.5)


def test_what_a_step_took_is_ahead_until_it_is_begun():
    shared = SharedState()
    assert (shared.begun, shared.ahead) == (None, [])
    a, b = of("a", "b")
    shared.record_step([a, b])
    seen = [(shared.begun, shared.ahead)]
    for _ in range(2):
        assert shared.begin()
        seen.append((shared.begun, shared.ahead))
    assert seen == [(None, [a, b]), (a, [b]), (b, [])]


def test_what_was_given_back_is_neither_ahead_nor_begun():
    shared = SharedState()
    shared.record_step(of("a", "b", "c"))
    shared.begin()
    assert shared.take_over() == (of("b", "c"), [])
    assert (shared.begun, shared.ahead) == (of("a")[0], [])
    assert [shared.begin(), shared.begin()] == [False, False]
    assert shared.begun is None


def test_what_the_next_step_took_is_begun_though_jobs_of_the_last_one_were_given_back():
    shared = SharedState()
    shared.record_step(of("a", "b"))
    shared.give_back()
    shared.record_step(of("c"))
    assert shared.ahead == of("c")
    assert shared.begin()


def test_what_finished_is_kept_until_the_next_step_or_until_the_worker_reports_it():
    shared = SharedState()
    shared.record_step(of("a", "b"))
    both = [finished("a", "x" * 100), finished("b")]
    assert all(map(shared.keep_finished, both))
    assert shared.unreported == both
    assert shared.take_over()[1] == both
    assert (shared.unreported, shared.reported) == ([], 2)
    shared.keep_finished(finished("c"))
    assert shared.unreported == [finished("c")]
    shared.record_step([])
    assert (shared.unreported, shared.reported) == ([], 0)


def test_what_finished_with_a_result_that_is_too_large_is_not_kept():
    shared = SharedState()
    assert not shared.keep_finished(finished("a", "x" * FINISHED_SIZE))
    assert shared.unreported == []


def test_others_wait_for_a_run_only_while_no_step_is_about_to_see_to_them():
    shared = SharedState()
    seen = [shared.are_others_waiting]
    shared.record_step(of("a", "b"))
    shared.begin()
    seen.append(shared.are_others_waiting)
    shared.announce_step("step-2")
    seen.append(shared.are_others_waiting)
    shared.record_step(of("c"))
    shared.begin()
    seen.append(shared.are_others_waiting)
    shared.keep_finished(finished("c"))
    seen.append(shared.are_others_waiting)
    assert seen == [False, True, False, False, True]


def test_a_run_is_read_whole_though_others_begin_meanwhile(monkeypatch: pytest.MonkeyPatch):
    shared, third = SharedState(), Run("job-3", "execution-3", "a longer name", 60, 1002.25)
    shared.take(FIRST)
    begun = iter([SECOND, third])
    get = SharedState._get

    def get_slowly(self: SharedState, offset: int) -> bytes:
        text = get(self, offset)
        for run in begun:
            shared.take(run)
        return text[:-1] if get(self, offset) != text else text

    monkeypatch.setattr(SharedState, "_get", get_slowly)
    assert shared.run == third
