"""A web server for the tests, with pages that behave well or badly."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Page = Callable[["Handler"], None]


class Site(ThreadingHTTPServer):
    """A server on a free port of loopback: `pages` by path, and the `requests` it got."""

    daemon_threads = True

    def __init__(self, handler: "type[Handler] | None" = None) -> None:
        super().__init__(("127.0.0.1", 0), handler or Handler)
        self.pages: dict[str, Page] = {}
        self.requests: list[Message] = []
        self.closing = threading.Event()

    @property
    def host_port(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def url(self, path: str = "/feed.xml") -> str:
        return f"http://{self.host_port}{path}"

    def handle_error(self, *args: object) -> None:
        """Stay quiet: most clients here hang up early."""


class Handler(BaseHTTPRequestHandler):
    """Answers with the page of the path."""

    server: Site

    def do_GET(self) -> None:
        self.server.requests.append(self.headers)
        self.server.pages.get(self.path.partition("?")[0], answer(404))(self)

    def log_message(self, *args: object) -> None:
        pass


class KeepingHandler(Handler):
    """Keeps its connections open."""

    protocol_version = "HTTP/1.1"


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Page:
    """Return a page; underscores in the names of headers stand for hyphens."""

    def page(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return page


def raw(data: bytes) -> Page:
    """Return a page that sends these bytes and hangs up."""
    return lambda handler: _send(handler, data)


def drip(first: bytes, drop: bytes) -> Page:
    """Return a page that sends `first`, and then `drop` again and again, slowly, for ever."""

    def page(handler: Handler) -> None:
        _send(handler, first)
        while not handler.server.closing.wait(0.05):
            _send(handler, drop)

    return page


def flood(first: bytes, chunk: bytes) -> Page:
    """Return a page that sends `first`, and then `chunk` as often as the client takes it."""

    def page(handler: Handler) -> None:
        _send(handler, first)
        while not handler.server.closing.is_set():
            _send(handler, chunk)

    return page


@contextmanager
def running_site(handler: type[Handler] = Handler) -> Iterator[Site]:
    """Serve until the block ends."""
    with Site(handler) as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            site.closing.set()
            site.shutdown()
            thread.join()


def _send(handler: Handler, data: bytes) -> None:
    handler.wfile.write(data)
    handler.wfile.flush()
