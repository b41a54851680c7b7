"""The process that meets hostile bytes: it reads files from its standard input and answers with text and chunks.

It is given bytes, never a path. It may not open a connection, start a program or write a file, and the system ends it
where it takes too much memory or time. ``reader.Reader`` starts it and replaces it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import struct
import sys
from typing import BinaryIO

import msgspec

from isthmus.data.chunking import Chunk, Chunker
from isthmus.data.parsing.parsed import Parsed
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import Parsers
from isthmus.errors import DocumentRejected

LENGTH = struct.Struct(">I")
#: Audit events (PEP 578) that parsing a document never needs.
_FORBIDDEN = (
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
)
_PARENT_PATIENCE = 5


class Task(msgspec.Struct, frozen=True):
    name: str
    data: bytes


class Answer(msgspec.Struct, frozen=True):
    """``parsed`` and its ``chunks``, or the ``message`` and ``hint`` of a rejection."""

    parsed: Parsed | None = None
    chunks: tuple[Chunk, ...] = ()
    message: str = ""
    hint: str = ""


def main() -> None:
    """``child.py SECONDS BYTES``: serve until standard input ends."""
    seconds, memory = int(sys.argv[1]), int(sys.argv[2])
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not garble the answers
    confine(memory)
    parsers, chunker = Parsers.installed(), Chunker()
    while (task := _receive(source)) is not None:
        signal.alarm(seconds + _PARENT_PATIENCE)  # ends this process also where nobody is left to do it
        _send(sink, _answer(task, parsers, chunker))
        signal.alarm(0)


def confine(memory: int) -> None:
    """From here on this process takes at most ``memory`` bytes, writes no file, reaches no network and starts no other
    program."""
    for limit, value in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        with contextlib.suppress(ValueError, OSError):  # macOS knows no limit on address space
            resource.setrlimit(limit, (value, value))
    sys.addaudithook(_forbid)


def _forbid(event: str, arguments: object) -> None:
    if event.startswith(_FORBIDDEN):
        raise PermissionError(f"A parser may not do this: {event}.")


def _answer(task: Task, parsers: Parsers, chunker: Chunker) -> Answer:
    try:
        parsed = parsers.parse(Raw(task.data, task.name))
        return Answer(parsed, tuple(chunker.chunk(parsed)))
    except DocumentRejected as error:
        return Answer(message=error.message, hint=error.hint)


def _receive(source: BinaryIO) -> Task | None:
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    return msgspec.msgpack.decode(source.read(LENGTH.unpack(head)[0]), type=Task)


def _send(sink: BinaryIO, answer: Answer) -> None:
    body = msgspec.msgpack.encode(answer)
    sink.write(LENGTH.pack(len(body)) + body)
    sink.flush()


if __name__ == "__main__":
    main()
