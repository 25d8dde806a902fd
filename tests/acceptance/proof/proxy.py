"""A way to Redis on which replies get lost: the command was executed, and the client gets none."""

import re
import selectors
import socket
import threading
from collections.abc import Iterable

# A command and, if that is what it executes, the digest of a script.
COMMAND = re.compile(rb"\*\d+\r\n\$\d+\r\n([A-Za-z]+)\r\n(?:\$40\r\n([0-9a-f]{40})\r\n)?")
# What a blocking pop answers when there was nothing to pop.
EMPTY_REPLIES = (b"$-1\r\n", b"*-1\r\n", b"_\r\n")
CHUNK = 1 << 16


class Proxy:
    """Forwards everything, but drops each n-th reply to some commands, with the connection."""

    def __init__(self, port: int, commands: Iterable[str], every: int) -> None:
        self._server_port = port
        self._commands = {command.encode() for command in commands}
        self._every = every
        self._lock = threading.Lock()
        self._seen: dict[tuple[bytes, bytes], int] = {}
        # By command, and script.
        self.dropped: dict[str, int] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def heal(self) -> None:
        """Drop no more replies."""
        with self._lock:
            self._commands = set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Forward between a client and the server, until either is gone or a reply is dropped."""
        watched: set[tuple[bytes, bytes]] = set()
        with (
            client,
            socket.create_connection(("127.0.0.1", self._server_port)) as server,
            selectors.DefaultSelector() as selector,
        ):
            selector.register(client, selectors.EVENT_READ)
            selector.register(server, selectors.EVENT_READ)
            try:
                while True:
                    for key, _ in selector.select():
                        data = key.fileobj.recv(CHUNK)
                        if not data:
                            return
                        if key.fileobj is client:
                            found = COMMAND.findall(data)
                            watched = {(name.upper(), digest) for name, digest in found}
                            server.sendall(data)
                        elif self._drops(watched, data):
                            return
                        else:
                            client.sendall(data)
            except OSError:
                return

    def _drops(self, commands: set[tuple[bytes, bytes]], reply: bytes) -> bool:
        """Return whether to drop this reply, and count it."""
        with self._lock:
            for command in commands:
                if command[0] not in self._commands or reply in EMPTY_REPLIES:
                    continue
                self._seen[command] = self._seen.get(command, 0) + 1
                if self._seen[command] % self._every == 0:
                    name = b" ".join(command).decode().strip()
                    self.dropped[name] = self.dropped.get(name, 0) + 1
                    return True
        return False
