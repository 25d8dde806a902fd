"""The log of a run: its lines with time and level, and how it differs from another one."""

from datetime import UTC, datetime

import pytest

from tasks.admin_pages.run_log import (
    MOST_COMPARED,
    MOST_DIFFERENCES,
    MOST_SHOWN,
    Difference,
    compare,
    read,
)


def line(text: str, level: str = "INFO", second: int = 0) -> str:
    return f"2026-10-24 22:31:{second:02},250 {level} shop.prices: {text}\n"


def test_a_line_has_its_time_level_and_text():
    [one] = read(line("slow answer", "WARNING", 7), UTC).lines
    assert one.time == datetime(2026, 10, 24, 22, 31, 7, 250_000, tzinfo=UTC)
    assert (one.kind, one.text) == ("warning", "shop.prices: slow answer")


def test_a_line_that_continues_another_has_its_level():
    log = read(line("three", "ERROR") + "lines\n  of text\n" + line("next"), UTC)
    assert [one.kind for one in log.lines] == ["error", "error", "error", "info"]
    assert [one.time is None for one in log.lines] == [False, True, True, False]


def test_a_line_keeps_its_key_when_the_log_has_grown_or_lost_its_beginning():
    texts = [line(text, second=second) for second, text in enumerate("abcd")] + [line("d")] * 2
    keys = [one.key for one in read("".join(texts), UTC).lines]
    assert len(set(keys)) == len(texts)
    assert [one.key for one in read("".join(texts[1:]), UTC).lines] == keys[1:]
    assert [one.key for one in read("".join(texts[:-1]), UTC).lines] == keys[:-1]


def test_why_a_run_failed_is_an_error():
    log = read(line("asking") + "Failed for: ValueError: x\n", UTC)
    assert [one.kind for one in log.lines] == ["info", "error"]


def test_lines_are_counted_by_level():
    log = read(line("a") + line("b", "WARNING") + line("c", "CRITICAL") + line("d"), UTC)
    assert dict(log.counts) == {"info": 2, "warning": 1, "error": 1}


def test_of_a_very_long_log_the_newest_lines_are_shown():
    log = read("".join(line(str(number)) for number in range(MOST_SHOWN + 5)), UTC)
    assert (log.left_out, log.total) == (5, MOST_SHOWN + 5)
    assert log.lines[-1].text.endswith(str(MOST_SHOWN + 4))


def test_logs_are_compared_without_their_times():
    before, after = (read(line("start", second=n) + line("end", second=n), UTC) for n in (1, 9))
    found = compare(before, after)
    assert (found.differences, found.parts_at) == ((), None)


def test_a_comparison_says_where_the_logs_part_and_how():
    before = read(line("start") + line("page 2 done"), UTC)
    after = read(line("start") + line("no answer") + line("end"), UTC)
    found = compare(before, after)
    assert found.parts_at == ("shop.prices: page 2 done", "shop.prices: no answer")
    assert found.differences[1:] == (
        Difference(" ", "shop.prices: start"),
        Difference("-", "shop.prices: page 2 done"),
        Difference("+", "shop.prices: no answer"),
        Difference("+", "shop.prices: end"),
    )


@pytest.mark.parametrize(("one", "other"), [("", line("x")), (line("x"), "")])
def test_a_log_parts_from_an_empty_one_at_its_first_line(one: str, other: str):
    found = compare(read(one, UTC), read(other, UTC)).parts_at
    assert found is not None
    assert sorted(found) == ["", "shop.prices: x"]


def test_a_comparison_is_bounded_and_says_so():
    before, after = (
        read("".join(f"{word} {number}\n" for number in range(MOST_COMPARED * 2)), UTC)
        for word in ("a", "b")
    )
    found = compare(before, after)
    assert len(found.differences) == MOST_DIFFERENCES
    assert found.is_cut


@pytest.mark.parametrize(
    "time",
    [
        "2026-99-99 99:99:99,999",
        "0000-01-01 00:00:00,000",
        "0001-01-01 00:00:00,000",
        "9999-12-31 23:59:59,999",
        "\u0662\u0660\u0662\u0666-01-01 00:00:00,000",
    ],
)
def test_a_line_that_only_looks_like_one_with_a_time_is_shown_all_the_same(time: str):
    [line] = read(f"{time} INFO printed by a function", UTC).lines
    assert line.time is None
    assert "printed by a function" in line.text
