"""The board: what a reader sees, whenever it looks."""

import os
from datetime import UTC, datetime

from tasks.worker.shared_state import END_SIZE, Board, Run

FIRST = Run("job-1", "execution-1", "default", 60, 1000.5)
SECOND = Run("job-2", "execution-2", "high", -1, 1001.5)


def test_an_empty_board_says_nothing():
    board = Board()
    said = (board.run, board.end, board.is_running, board.is_asked_to_stop)
    assert said == (None, None, False, False)


def test_it_says_which_run_was_taken_last():
    board = Board()
    for run in (FIRST, SECOND):
        board.take(run)
        assert board.run == run


def test_a_run_is_going_on_from_when_its_row_says_so():
    board = Board()
    seen = []
    for step in (lambda: board.take(FIRST), board.start, lambda: board.take(SECOND)):
        step()
        seen.append(board.is_running)
    assert seen == [False, True, False]


def test_after_the_last_run_there_is_none():
    board = Board()
    board.take(FIRST)
    board.leave()
    assert board.run is None


def test_an_end_is_kept_until_it_is_forgotten():
    board = Board()
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert board.keep_end("job-1", "finished", {"ended": moment, "result": {"ä": 1}})
    assert board.end == {
        "job_id": "job-1",
        "status": "finished",
        "values": {"ended": "2026-01-02T03:04:05Z", "result": {"ä": 1}},
    }
    board.forget_end()
    assert board.end is None


def test_an_end_too_large_is_not_kept():
    board = Board()
    assert not board.keep_end("job-1", "finished", {"result": "x" * END_SIZE})
    assert board.end is None


def test_another_process_reads_it():
    board = Board()
    pid = os.fork()
    if pid == 0:
        board.take(FIRST)
        board.start()
        os._exit(0)
    os.waitpid(pid, 0)
    assert (board.run, board.is_running) == (FIRST, True)


def test_the_child_is_asked_to_stop():
    board = Board()
    board.ask_to_stop()
    assert board.is_asked_to_stop


def test_it_says_by_which_step_a_job_is_taken_until_the_run_is_on_it():
    board = Board()
    seen = [board.asked]
    for step in (lambda: board.ask("step-1"), board.leave, lambda: board.take(FIRST)):
        step()
        seen.append(board.asked)
    assert seen == ["", "step-1", "step-1", ""]
