"""The example task functions, called directly."""

import http.server
import threading
from collections.abc import Callable, Iterator

import pytest

from examples.tasks import count_words, long_task
from feeds.exceptions import RefusedAddress
from tasks import registry
from tasks.exceptions import InvalidArguments
from tasks.runs.progress import listening

Serve = Callable[[bytes, str], str]


@pytest.fixture
def serve(settings) -> Iterator[Serve]:
    """Return a function that serves a body on a loopback port and returns its URL."""
    servers = []

    def serve(body: bytes, content_type: str = "text/html; charset=utf-8") -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        servers.append(server)
        host = f"127.0.0.1:{server.server_port}"
        settings.FEEDS_ALLOWED_HOSTS = [*settings.FEEDS_ALLOWED_HOSTS, host]
        return f"http://{host}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("name", ["examples.count_words", "examples.long_task"])
def test_an_example_can_be_scheduled_and_called_in_the_background(name):
    assert registry.get(name).kinds == {registry.Kind.SCHEDULED, registry.Kind.BACKGROUND}


def test_the_words_that_a_reader_sees_are_counted(serve):
    url = serve(
        b"<head><title>no</title></head><script>no no</script>"
        b"<p>One&nbsp;two</p><p>three <b>f</b>our"
    )
    assert count_words(url) == {"url": url, "words": 5}


def test_plain_text_is_taken_as_it_is(serve):
    assert count_words(serve(b"a <b> c", "text/plain"))["words"] == 3


def test_an_unknown_charset_is_read_as_utf_8(serve):
    assert count_words(serve("naïve Ärzte".encode(), "text/html; charset=klingon"))["words"] == 2


def test_private_addresses_are_refused(serve, settings):
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


def test_a_long_task_is_not_endless():
    with pytest.raises(InvalidArguments, match="3600"):
        long_task(1e9)
