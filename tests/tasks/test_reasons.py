"""Reasons are stored as codes with values, and worded in the reader's language."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.utils import timezone as timezones
from django.utils import translation

from tasks.models import ScheduledTaskInstance
from tasks.reasons import TEXTS, VALUE_LENGTH, Code, in_words, reason

DUE = datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1)))


def test_each_code_of_a_reason_has_its_words():
    assert set(TEXTS) == set(Code)


def test_a_reason_is_stored_as_json_and_worded_with_its_values():
    fields = reason(Code.PREVIOUS_RUN, due=DUE).fields
    assert fields == {
        "reason_code": "previous_run",
        "reason_values": {"due": "2026-03-01T13:00:00+01:00"},
    }
    run = ScheduledTaskInstance(**fields)
    assert run.reason_in_words() == "The run due 2026-03-01 12:00:00 UTC was still going."


def test_a_reason_is_worded_in_the_language_of_the_reader(monkeypatch: pytest.MonkeyPatch):
    def translate(text: str) -> str:
        return f"{translation.get_language()}: {text}"

    monkeypatch.setattr("tasks.reasons.gettext", translate)
    with translation.override("ko"):
        assert in_words("replaced", None) == "ko: Replaced by the next run."


def test_the_text_of_an_older_version_is_shown_as_it_is():
    assert ScheduledTaskInstance(reason="Lost: gone.").reason_in_words() == "Lost: gone."


@pytest.mark.parametrize(
    ("code", "values"),
    [("invented", {"a": 1}), ("lost_signal", None), ("previous_run", {"due": "never"})],
)
def test_a_reason_that_cannot_be_worded_is_shown_as_it_is_stored(code: str, values: dict | None):
    assert in_words(code, values) == f"{code} {values or {}}"


def test_a_value_of_a_reason_is_bounded_and_can_be_stored():
    why = reason(Code.NOT_ENQUEUED, error="nul \0" + "x" * 10_000)
    assert len(why.values["error"]) == VALUE_LENGTH
    assert str(why).startswith("It could not be enqueued: nul \ufffdxxx")


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("UTC", "12:00:00 UTC"),
        ("Asia/Seoul", "21:00:00 KST"),
        ("America/Sao_Paulo", "09:00:00 America/Sao_Paulo"),
    ],
)
def test_a_due_in_a_reason_is_shown_in_the_readers_zone_which_is_named(zone: str, shown: str):
    with timezones.override(zone):
        assert str(reason(Code.PREVIOUS_RUN, due=DUE.astimezone(UTC))).count(shown) == 1


def test_a_reason_is_shown_in_korean_with_all_its_words():
    missed = reason(Code.NOT_IN_TIME, catch_up="latest")
    raised = ScheduledTaskInstance(reason="Failed for: KeyError: 'price'")
    with translation.override("ko"):
        assert str(missed) == (
            "제시간에 디스패치되지 않았습니다. 스케줄러가 없었거나 Redis를 사용할 수 없었습니다"
            "(보충 실행: 최근 것만)."
        )
        assert raised.reason_in_words() == "실패: KeyError: 'price'"
    assert str(missed) == (
        "No scheduler dispatched it in time: none ran, or Redis was away (catch-up: latest)."
    )
    assert raised.reason_in_words() == "Failed for: KeyError: 'price'"
