"""The example task functions, called directly."""

from collections.abc import Callable, Iterator

import pytest

from examples.tasks import count_words, long_task
from feeds.exceptions import RefusedAddress
from tasks import registry
from tasks.exceptions import InvalidArguments
from tasks.runs.progress import listening
from tests.feeds.site import answer, running_site

Serve = Callable[[bytes, str], str]


@pytest.fixture
def serve(settings) -> Iterator[Serve]:
    """Return a function that serves a body on a loopback port and returns its URL."""
    with running_site() as site:
        settings.FEEDS_ALLOWED_HOSTS = [site.host_port]

        def serve(body: bytes, content_type: str = "text/html; charset=utf-8") -> str:
            site.pages["/"] = answer(body=body, Content_Type=content_type)
            return site.url("/")

        yield serve


@pytest.mark.parametrize("name", ["examples.count_words", "examples.long_task"])
def test_each_example_task_can_be_scheduled_and_called_in_the_background(name):
    assert registry.get(name).kinds == {registry.Kind.SCHEDULED, registry.Kind.BACKGROUND}


def test_count_words_counts_the_words_of_a_page_that_a_reader_sees(serve):
    url = serve(
        b"<head><title>no</title></head><script>no no</script>"
        b"<p>One&nbsp;two</p><p>three <b>f</b>our"
    )
    assert count_words(url) == {"url": url, "words": 5}


def test_count_words_counts_plain_text_as_it_is(serve):
    assert count_words(serve(b"a <b> c", "text/plain"))["words"] == 3


def test_count_words_reads_an_unknown_charset_as_utf_8(serve):
    assert count_words(serve("naïve Ärzte".encode(), "text/html; charset=klingon"))["words"] == 2


def test_count_words_refuses_private_addresses(serve, settings):
    url = serve(b"secret")
    settings.FEEDS_ALLOWED_HOSTS = []
    with pytest.raises(RefusedAddress):
        count_words(url)


def test_a_long_task_reports_progress_up_to_100_percent():
    class Listener:
        percents: list[int] = []

        def on_progress(self, percent, message):
            self.percents.append(percent)

    with listening(Listener()):
        assert long_task(0.3) == {"seconds": 0.3}
    assert Listener.percents[0] < 50
    assert Listener.percents[-1] == 100


def test_a_long_task_of_more_than_an_hour_is_refused():
    with pytest.raises(InvalidArguments, match="3600"):
        long_task(1e9)
