"""The ways of a system's processes to its servers, each of which can be cut by itself."""

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from urllib.parse import parse_qs, urlsplit

CHUNK = 1 << 16
# How often a way looks whether it has been cut, in seconds.
LOOK_SECONDS = 0.05


class Cut(StrEnum):
    """How a way is cut."""

    FROZEN = "frozen"  # Nothing arrives; it arrives late if the way is mended in time.
    REFUSED = "refused"  # Connections are closed, and no new one is accepted.
    NO_REQUESTS = "no requests"  # What the process sends is lost.
    NO_REPLIES = "no replies"  # What the server answers is lost.


class Way:
    """A way from one process to one server, at a port of its own.

    Connections on which something was lost are closed when the way is mended: a network would have
    sent it again, or given up.
    """

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._cut: Cut | None = None
        self._mended = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, how: Cut) -> None:
        self._cut = how

    def mend(self) -> None:
        self._cut = None
        self._mended += 1

    def close(self) -> None:
        self._cut = Cut.REFUSED
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._cut is Cut.REFUSED:
                client.close()
            else:
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Forward between a process and the server, until either closes its connection."""
        with (
            client,
            contextlib.suppress(OSError),
            self._connect() as server,
            selectors.DefaultSelector() as selector,
        ):
            selector.register(client, selectors.EVENT_READ)
            selector.register(server, selectors.EVENT_READ)
            self._forward(client, server, selector)

    def _forward(
        self, client: socket.socket, server: socket.socket, selector: selectors.BaseSelector
    ) -> None:
        lost_at: int | None = None
        while self._cut is not Cut.REFUSED and lost_at in (None, self._mended):
            if self._cut is Cut.FROZEN:
                time.sleep(LOOK_SECONDS)
                continue
            for key, _ in selector.select(LOOK_SECONDS):
                from_client = key.fileobj is client
                data = (client if from_client else server).recv(CHUNK)
                if not data:
                    return
                if self._cut is (Cut.NO_REQUESTS if from_client else Cut.NO_REPLIES):
                    lost_at = self._mended
                else:
                    (server if from_client else client).sendall(data)


def to_redis(port: int) -> Way:
    """Return a way to the Redis at a port of this machine."""
    return Way(lambda: socket.create_connection(("127.0.0.1", port)))


def to_postgres(url: str) -> Way:
    """Return a way to a PostgreSQL server that is reached by a socket file."""
    [directory] = parse_qs(urlsplit(url).query)["host"]

    def connect() -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{directory}/.s.PGSQL.5432")
        return server

    return Way(connect)


class Ways:
    """The ways of one process, to Redis and to the database."""

    def __init__(self, redis_port: int, database: str) -> None:
        self.redis = to_redis(redis_port)
        self.database = to_postgres(database)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process of the fork server take these ways."""
        return {
            "PROOF_REDIS_URL": f"redis://127.0.0.1:{self.redis.port}/0",
            "PROOF_DATABASE_PORT": str(self.database.port),
        }

    @property
    def all(self) -> list[Way]:
        return [self.redis, self.database]
