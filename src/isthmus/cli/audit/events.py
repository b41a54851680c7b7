"""``isthmus audit events``: the log as JSON Lines for whatever collects logs, each line an entry as it was hashed."""

from __future__ import annotations

import select
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Protocol

import typer

from isthmus.cli.audit import lines
from isthmus.cli.audit.appending import Appending
from isthmus.cli.audit.opening import open_log
from isthmus.cli.terminal import Config
from isthmus.errors import NotFound, VerificationFailed
from isthmus.governance.audit.answers.search import Query, Scan, oldest_first
from isthmus.governance.audit.reading.proven import not_signed, proven
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.storage import Storage

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def events(
    from_entry: Annotated[
        int,
        typer.Option("--from-entry", min=0, max=10**18, help="Begin with this entry: one after the last line's seq."),
    ] = 0,
    type: Annotated[
        list[str] | None, typer.Option("--type", help="Only this type, or family of types (repeatable).")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what is written, until interrupted.")] = False,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Also entries that no signed checkpoint covers yet.")
    ] = False,
    append: Annotated[
        Path | None,
        typer.Option("--append", help="Append to this file, after its last line; a line that a crash tore is cut off."),
    ] = None,
    every: Annotated[float, typer.Option("--every", min=0.05, max=60, help="Seconds between looks, to follow.")] = 1.0,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Also tell an error as JSON; entries are JSON anyway.")] = False,
) -> None:
    """Print entries as JSON Lines, oldest first. Each line is exactly what was hashed: SHA-256(0x00 || line)."""
    with _out(append) as out, lines.pipe():
        feed = _Feed(config, Query(type=frozenset(type or ())), unsigned, out)
        feed.begin(from_entry)
        if not follow:
            feed.tell(open_log(config))
            return
        with _Stop() as stop:
            while not stop.asked:
                feed.look()
                stop.wait(every, sys.stdout.fileno() if append is None else None)


class _Out(Protocol):
    """Where lines go: standard output (:mod:`isthmus.cli.audit.lines`), or a file."""

    def write_line(self, entry: bytes, index: int) -> None: ...

    def flush(self) -> None: ...


@contextmanager
def _out(append: Path | None) -> Iterator[_Out]:
    if append is None:
        yield lines
        return
    with closing(Appending(append)) as file:
        yield file


class _Feed:
    """What was told so far, and what comes next."""

    def __init__(self, config: Path | None, query: Query, unsigned: bool, out: _Out) -> None:
        self._config, self._query, self._unsigned, self._out = config, query, unsigned, out
        self._next, self._signed = 0, 0
        self._told: bytes | None = None
        self._storage: Storage | None = None

    def begin(self, start: int) -> None:
        """With the entry ``start``; where a file holds lines, with the entry after its last one."""
        self._next = start
        if isinstance(self._out, Appending) and self._out.next is not None:
            self._next, self._told = self._out.next, self._out.last

    def look(self) -> None:
        """Tell what is new. A log that is not there yet has nothing new."""
        try:
            # anew each time, as the log's key may be another by now; over the same storage, which may be a connection
            reader = open_log(self._config) if self._storage is None else Reader(self._storage)
        except NotFound:
            if self._next:
                raise
            return
        self._storage = reader.storage
        self.tell(reader)

    def tell(self, reader: Reader) -> None:
        """Print what follows, and remember how far it went.

        Raises :class:`VerificationFailed` where the log is shorter than it was: what was told is not in it any more.
        """
        genuine = proven(reader)
        signed = genuine.size
        if signed < self._signed or (self._next and next(reader.entries(self._next - 1), None) is None):
            raise VerificationFailed(
                f"The log does not reach entry {max(self._next - 1, 0)}: it is another log, or was cut.",
                hint=f"It has {signed} signed entries: the number after --from-entry is one that was told before.",
                details={"index": self._next},
            )
        self._expect(reader)
        self._signed = signed
        scan = Scan(self._counted(reader), genuine=genuine)
        for found in scan.find(self._query):
            if scan.broken:
                break
            self._out.write_line(found.entry, found.index)
        self._out.flush()
        if scan.broken:  # nothing is left out silently
            raise not_signed(scan.broken[0], signed)

    def _expect(self, reader: Reader) -> None:
        """The last line of the file is the entry of its number: else it is of another log, or the log was changed."""
        told, self._told = self._told, None
        if told is not None and next(reader.entries(self._next - 1)) != (self._next - 1, told):
            raise VerificationFailed(
                f"The file's last line is not entry {self._next - 1} of this log.",
                hint="If this log wrote the file, the log was changed: keep both. Else name another file.",
                details={"index": self._next - 1},
            )

    def _counted(self, reader: Reader) -> Iterator[tuple[int, bytes]]:
        for index, entry in oldest_first(reader, self._next):
            if index >= self._signed and not self._unsigned:
                return
            yield index, entry
            self._next = index + 1


class _Stop:
    """SIGINT and SIGTERM end the following between two lines; a second one ends it at once."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> _Stop:
        self._before = {number: signal.signal(number, self._ask) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        for other in _SIGNALS:
            signal.signal(other, signal.SIG_DFL)

    def wait(self, seconds: float, out: int | None) -> None:
        """So long, or until nobody reads ``out`` any more (then :class:`BrokenPipeError`)."""
        poller = select.poll()
        if out is not None:
            poller.register(out, 0)  # errors are told unasked
        if not self.asked and poller.poll(seconds * 1000):
            raise BrokenPipeError
