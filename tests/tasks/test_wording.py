"""Errors of code that doesn't know Django are said in the reader's language."""

import pytest
from django.utils.translation import override

from feeds.addresses import validate_url
from feeds.exceptions import NotAFeed
from tasks.exceptions import SpecError
from tasks.timing.cron import parse_cron
from tests.tasks.schedules import make_row


def test_an_invalid_spec_is_refused_in_the_readers_language():
    with pytest.raises(SpecError) as caught:
        parse_cron("61 * * * *", both_days=False)
    assert str(caught.value).startswith("“61 * * * *” has a bad minute: write * or 0-59, ")
    with override("ko"):
        assert str(caught.value).startswith("“61 * * * *”: 분이 올바르지 않습니다.")


def test_a_text_without_values_may_contain_any_sign():
    assert str(SpecError("cron", "100 % of it")) == "100 % of it"


def test_what_is_wrong_with_a_feed_is_said_in_the_readers_language():
    error = NotAFeed(
        "http://a.example/", "this document can't be read (%(why)s); tell its publisher.", why=7
    )
    assert str(error) == "http://a.example/: this document can't be read (7); tell its publisher."
    with override("ko"):
        assert error.problem == "문서를 읽을 수 없습니다(7). 게시자에게 알리십시오."
        with pytest.raises(Exception, match="주소에 공백이나 제어 문자를 사용할 수 없습니다"):
            validate_url("http://a b")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "korean"),
    [
        ({"cron": "61 * * * *"}, "“61 * * * *”: 분이 올바르지 않습니다."),
        ({"function": "gone"}, "“gone” 이름으로 등록된 작업 함수가 없습니다."),
        ({"problem": "Its queue in Redis can't be used."}, "Redis의 큐를 사용할 수 없습니다."),
        ({"problem": "KeyError: 'x'"}, "KeyError: 'x'"),
    ],
)
def test_why_a_schedule_cannot_be_scheduled_is_said_in_the_readers_language(
    values: dict, korean: str
):
    schedule = make_row(**{"problem": "As the scheduler said it."} | values)
    with override("ko"):
        assert schedule.problem_in_words().startswith(korean)
    assert make_row().problem_in_words() == ""
