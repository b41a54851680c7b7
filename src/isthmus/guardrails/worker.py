"""The process that does the heavy looking: ``python -P -m isthmus.guardrails.worker``.

It reads frames from standard input and writes one for each to standard output, and ends when its input does, so that
it cannot outlive the gateway. spaCy's memory and Go's runtime are here, not there, and a crash here costs one request.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import BinaryIO, TypeAlias

import msgspec

from isthmus.guardrails import analysis, leaks
from isthmus.guardrails.frames import Question, Reply, Row, frame

Job: TypeAlias = Callable[[str], list[Row]]

#: Their heavy imports happen at the first call.
JOBS: Mapping[str, Job] = {"pii": analysis.find, "leaks": leaks.find}


def serve(requests: BinaryIO, replies: BinaryIO, jobs: Mapping[str, Job]) -> None:
    """Answer until the input ends."""
    while len(head := requests.read(4)) == 4:
        body = requests.read(int.from_bytes(head, "big"))
        replies.write(frame(msgspec.json.encode(_answer(body, jobs))))
        replies.flush()


def _answer(body: bytes, jobs: Mapping[str, Job]) -> Reply:
    try:
        question = msgspec.json.decode(body, type=Question)
        return Reply(jobs[question.job](question.text))
    except Exception as error:  # noqa: BLE001 - whatever it is, the gateway must hear that there is no answer
        return Reply(error=type(error).__name__)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the gateway ends this process
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not write into the frames
    serve(sys.stdin.buffer, replies, JOBS)


if __name__ == "__main__":
    main()
