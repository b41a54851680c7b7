"""Server-sent events in (WHATWG HTML, section 9.2.6): bytes split anywhere become the ``data`` of each event.

Lines end with LF, CR or CRLF; a comment (``: …``) and every field but ``data`` is read past. What a hostile server can
make us hold is bounded by ``most``.
"""

from __future__ import annotations

from isthmus.errors import UpstreamFailed

MOST_BYTES = 1_000_000  # of one event; the largest that vendors send are images of some 100 kB
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventDecoder:
    """``feed`` bytes as they come, then ``close`` once. Both give the data of the events that are now whole.

    Raises :class:`UpstreamFailed` where a line, or the data of one event, exceeds ``most`` bytes.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._tail = bytearray()  # a line that has not ended
        self._data: list[bytes] = []
        self._size = 0
        self._after_return = False  # the last line ended in CR: an LF that follows belongs to it
        self._first = True

    def feed(self, chunk: bytes) -> list[bytes]:
        if self._after_return and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_return = False
        if b"\n" not in chunk and b"\r" not in chunk:
            self._hold(chunk)
            return []
        lines = (bytes(self._tail) + chunk).splitlines(keepends=True)
        self._tail.clear()
        self._after_return = chunk.endswith(b"\r")
        if not lines[-1].endswith((b"\n", b"\r")):
            self._hold(lines.pop())
        return [data for line in lines if (data := self._line(line.rstrip(b"\r\n"))) is not None]

    def close(self) -> list[bytes]:
        """What a server left without its closing blank line: some do, after the last event."""
        last = bytes(self._tail)
        self._tail.clear()
        if last:
            self._line(last)
        data = self._dispatch()
        return [] if data is None else [data]

    def _hold(self, piece: bytes) -> None:
        self._tail += piece
        self._bound(len(self._tail))

    def _bound(self, size: int) -> None:
        if size > self._most:
            raise UpstreamFailed(f"The model's server sent an event of more than {self._most} bytes.")

    def _line(self, line: bytes) -> bytes | None:
        """Take one line; the data of the event that it ends, if it ends one."""
        if self._first:
            self._first = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        if name == b"data":
            self._size += len(value) + 1
            self._bound(self._size)
            self._data.append(value.removeprefix(b" "))
        return None

    def _dispatch(self) -> bytes | None:
        data = b"\n".join(self._data)
        self._data.clear()
        self._size = 0
        return data or None  # an empty event only keeps the connection alive
