"""A stored traceback: whose frames are which, and which line of the site's own code failed."""

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.admin_pages.tracebacks import read
from tasks.reports.failures import place_of
from tasks.reports.origins import Origin, origin_of

APP = "/srv/app/tasks"
FRAMES = {
    "library": '  File "/srv/lib/python3.11/site-packages/x/y.py", line 7, in run\n    run()\n',
    "standard": '  File "/usr/lib/python3.11/socket.py", line 962, in getaddrinfo\n    return x\n',
    "frozen": '  File "<frozen importlib._bootstrap>", line 1, in _load\n',
    "app": f'  File "{APP}/runs/recorder.py", line 421, in _call\n    func()\n    ~~~~^^\n',
    "outer": '  File "/srv/shop/jobs.py", line 41, in sync\n    self.fetch()\n',
    "own": '  File "/srv/shop/prices.py", line 88, in fetch\n    get(url)\n    ^^^^^^^^\n',
}
HEADER = "Traceback (most recent call last):\n"


def text_of(*names: str, end: str = "shop.Error: no answer\n") -> str:
    return HEADER + "".join(FRAMES[name] for name in names) + end


def test_the_innermost_frame_of_ones_own_code_is_the_failing_one():
    reading = read(text_of("app", "outer", "own", "library", "standard"), APP)
    assert reading.failing is not None
    shown = (reading.failing.path, reading.failing.line, reading.failing.function)
    assert shown == ("/srv/shop/prices.py", 88, "fetch")
    assert reading.failing.code == "get(url)"
    assert (reading.own, reading.others) == (2, 3)


def test_frames_of_others_are_folded_and_what_is_ones_own_is_shown():
    reading = read(text_of("app", "outer", "library", "standard", "frozen"), APP)
    assert [segment.folded for segment in reading.segments] == [0, 1, 0, 3, 0]
    assert FRAMES["outer"] in reading.segments[2].text


def test_of_chained_exceptions_the_last_that_passed_through_own_code_counts():
    chained = "\nDuring handling of the above exception, another exception occurred:\n\n"
    both = text_of("outer") + chained + text_of("own", "library")
    failing = read(both, APP).failing
    assert failing is not None
    assert failing.line == 88
    others = text_of("own") + chained + text_of("library")
    failing = read(others, APP).failing
    assert failing is not None
    assert failing.line == 88


def test_a_traceback_without_own_code_has_no_failing_line():
    reading = read(text_of("app", "library"), APP)
    assert (reading.failing, reading.own, reading.others) == (None, 0, 2)


def test_the_frames_of_an_isolated_runs_own_process_are_read_from_its_note():
    note = f"\nIn its own process:\n{text_of('app', 'own')}"
    failing = read(text_of("app", "library", end="shop.Error: no answer") + note, APP).failing
    assert failing is not None
    assert failing.line == 88


def test_the_frames_of_an_exception_group_are_read():
    def fail() -> None:
        raise ExceptionGroup("both", [ValueError("a")])

    try:
        fail()
    except ExceptionGroup as error:
        text = "".join(traceback.format_exception(error))
    failing = read(text, APP).failing
    assert failing is not None
    assert failing.function == "fail"


@pytest.mark.parametrize(
    ("path", "origin"),
    [
        ("/srv/.venv/lib/python3.11/site-packages/django/x.py", Origin.LIBRARY),
        ("/usr/lib/python3/dist-packages/requests/api.py", Origin.LIBRARY),
        ("/usr/lib/python3.12/json/decoder.py", Origin.STANDARD),
        ("/opt/uv/cpython-3.11/lib/python3.11/socket.py", Origin.STANDARD),
        (f"{APP}/decorators.py", Origin.APP),
        (f"{APP}_of_ours/jobs.py", Origin.OWN),
        ("/srv/shop/jobs.py", Origin.OWN),
        ("<string>", Origin.OWN),
    ],
)
def test_a_path_says_whose_code_it_is(path: str, origin: Origin):
    assert origin_of(path, APP) is origin


@given(st.lists(st.sampled_from([*FRAMES.values(), HEADER, "x\n", "  | y\n", "", "^^^\n", "\r"])))
def test_no_line_of_a_traceback_is_lost(parts: list[str]):
    text = "".join(parts)
    assert "".join(segment.text for segment in read(text, APP).segments) == text


def test_a_number_of_a_line_that_nobody_could_have_written_is_no_frame():
    text = f'Traceback:\n  File "/x/a.py", line {"1" * 5000}, in f\nValueError: x\n'
    assert place_of(text) is None
