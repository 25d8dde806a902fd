"""A hub for the tests: a real server, which asks back and pushes as hubs do."""

import asyncio
import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

TOPIC = "https://feeds.example/news.xml"
LEASE = 864_000


class Hub:
    """A hub at `url`; `forms` are what it was asked, `answers` what its own requests came to.

    It answers with `status` and `headers`, and asks back before that if `asks_back`.
    """

    def __init__(self) -> None:
        self.url = ""
        self.forms: list[dict[str, str]] = []
        self.answers: list[tuple[int, str]] = []
        self.status = 202
        self.headers: dict[str, str] = {}
        self.asks_back = True
        self.lease = LEASE
        self.loop = asyncio.new_event_loop()

    @property
    def host_port(self) -> str:
        return self.url.removeprefix("http://").rstrip("/")

    def push(
        self, body: bytes, *, method: str = "sha256", secret: str | None = None
    ) -> tuple[int, str]:
        """Push to who was subscribed last, signed with their secret or another one."""
        form = next(form for form in reversed(self.forms) if "hub.secret" in form)
        digest = hmac.new((secret or form["hub.secret"]).encode(), body, method).hexdigest()
        headers = {"X-Hub-Signature": f"{method}={digest}", "Content-Type": "application/rss+xml"}
        asked = self._request("POST", form["hub.callback"], data=body, headers=headers)
        return asyncio.run_coroutine_threadsafe(asked, self.loop).result(30)

    async def handle(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        if self.status == 202 and self.asks_back:
            self.answers.append(await self._ask_back(form))
        return web.Response(status=self.status, headers=self.headers)

    async def _ask_back(self, form: dict[str, str]) -> tuple[int, str]:
        said = {f"hub.{name}": form[f"hub.{name}"] for name in ("mode", "topic")}
        said |= {"hub.challenge": "echo-me", "hub.lease_seconds": str(self.lease)}
        return await self._request("GET", f"{form['hub.callback']}?{urlencode(said)}")

    async def _request(self, method: str, url: str, **options: Any) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, **options) as answer,
        ):
            return answer.status, await answer.text()


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Serve until the block ends."""
    hub = Hub()
    app = web.Application()
    app.router.add_post("/{path:.*}", hub.handle)
    runner = web.AppRunner(app)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        hub.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"

    thread = threading.Thread(target=hub.loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(start(), hub.loop).result(30)
        yield hub
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), hub.loop).result(30)
        hub.loop.call_soon_threadsafe(hub.loop.stop)
        thread.join()
        hub.loop.close()
