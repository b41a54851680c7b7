"""The process that parses: bounded in time and memory, alone with its bytes, replaced when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from isthmus.data.parsing.reader import Reader
from isthmus.errors import DocumentRejected


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    reader = Reader(seconds=20)
    yield reader
    await reader.stop()


def pid(reader: Reader) -> int:
    assert reader._child is not None
    return reader._child.pid


def environment_of(process: int) -> bytes:
    file = Path(f"/proc/{process}/environ")
    if not file.exists():
        pytest.skip("NOT RUN: /proc is needed to look into the process")
    return file.read_bytes()


async def test_one_process_reads_many_files(reader: Reader) -> None:
    assert (await reader.read(b"# One\n\ntext", "a.md")).parsed.title == "One"
    first = pid(reader)
    with pytest.raises(DocumentRejected):
        await reader.read(b"", "b.txt")
    reading = await reader.read(b"second", "c.txt")
    assert [chunk.text for chunk in reading.chunks] == ["second"]
    assert pid(reader) == first


async def test_calls_at_the_same_time_get_their_own_answers(reader: Reader) -> None:
    texts = [f"text {number}" for number in range(20)]
    readings = await asyncio.gather(*(reader.read(text.encode(), "a.txt") for text in texts))
    assert [reading.parsed.text for reading in readings] == texts


async def test_a_killed_process_costs_one_file(reader: Reader) -> None:
    await reader.read(b"before", "a.txt")
    os.kill(pid(reader), signal.SIGSTOP)
    reading = asyncio.create_task(reader.read(b"during", "b.txt"))
    await asyncio.sleep(0.05)
    os.kill(pid(reader), signal.SIGKILL)
    with pytest.raises(DocumentRejected, match="died"):
        await reading
    assert (await reader.read(b"after", "c.txt")).parsed.text == "after"


async def test_time_is_bounded_and_the_next_file_is_read() -> None:
    reader = Reader(seconds=2)
    await reader.read(b"warm", "a.txt")
    os.kill(pid(reader), signal.SIGSTOP)
    with pytest.raises(DocumentRejected, match="longer than 2 seconds"):
        await reader.read(b"never", "b.txt")
    assert (await reader.read(b"after", "c.txt")).parsed.text == "after"
    await reader.stop()


async def test_memory_is_bounded_and_the_next_file_is_read() -> None:
    reader = Reader(seconds=30, memory=400_000_000)
    many = b"[" + b"[1,2,3,4,5,6,7,8,9]," * 3_000_000 + b"1]"
    with pytest.raises(DocumentRejected, match=r"memory|died"):
        await reader.read(many, "a.json")
    assert (await reader.read(b"after", "c.txt")).parsed.text == "after"
    await reader.stop()


async def test_a_cancelled_read_leaves_nothing_for_the_next(reader: Reader) -> None:
    await reader.read(b"warm", "a.txt")
    reading = asyncio.create_task(reader.read(b"x" * 5_000_000, "b.txt"))
    await asyncio.sleep(0.02)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (await reader.read(b"after", "c.txt")).parsed.text == "after"


async def test_the_process_sees_no_secret_of_ours(reader: Reader) -> None:
    os.environ["FRONTIER_KEY_OF_TEST"] = "canary"
    try:
        await reader.read(b"text", "a.txt")
        assert b"canary" not in environment_of(pid(reader))
    finally:
        del os.environ["FRONTIER_KEY_OF_TEST"]


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import subprocess; subprocess.run(['/bin/true'])",
        "import os; os.system('true')",
    ],
)
async def test_a_confined_process_reaches_nobody(attempt: str) -> None:
    script = f"from isthmus.data.parsing.child import confine; confine(2 << 30)\n{attempt}"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stderr=asyncio.subprocess.PIPE)
    _, said = await child.communicate()
    assert b"PermissionError: A parser may not do this" in said


async def test_a_confined_process_writes_no_file(tmp_path: Path) -> None:
    write = "import os, sys; os.write(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY), b'x')"
    script = f"from isthmus.data.parsing.child import confine; confine(2 << 30); {write}"
    target = tmp_path / "written"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(target), stderr=asyncio.subprocess.DEVNULL
    )
    assert await child.wait() != 0
    assert target.stat().st_size == 0


async def test_stop_ends_the_process(reader: Reader) -> None:
    await reader.read(b"text", "a.txt")
    child = pid(reader)
    await reader.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
