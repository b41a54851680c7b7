"""A socket between a client and a server that cuts the connection after so many bytes, or lets it hang."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType


class Cutter:
    """Listens in ``folder`` under the server's own name for its socket, and passes on to it."""

    def __init__(self, server: Path, folder: Path) -> None:
        self._server = str(server)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / server.name))
        self._listener.listen()
        self._left: dict[bool, int | None] = {True: None, False: None}
        self._threads = [threading.Thread(target=self._accept)]
        #: Of each connection only the first message reaches the server, by which it is opened; nothing says so.
        self.hangs = False

    def cut_after(self, count: int | None, *, answers: bool = False) -> None:
        """Cut once so many more bytes have passed to the server, or with ``answers`` to the client."""
        self._left = {answers: count, not answers: None}

    def __enter__(self) -> Cutter:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                for source, sink, answers in ((client, server, False), (server, client, True)):
                    thread = threading.Thread(target=self._pass, args=(source, sink, answers))
                    self._threads.append(thread)
                    thread.start()

    def _pass(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            opened = answers
            while data := source.recv(65536):
                if self.hangs and not answers and opened:
                    continue
                opened = True
                left = self._left[answers]
                if left is not None and len(data) >= left:
                    self._left[answers] = None
                    sink.sendall(data[:left])
                    break
                if left is not None:
                    self._left[answers] = left - len(data)
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                one.close()
