"""Workers that die, hang, lie or are missing: the check fails closed, and the next one finds a fresh worker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isthmus.errors import GuardUnavailable
from isthmus.guardrails.pii import Pii
from isthmus.guardrails.pool import Pool
from isthmus.guardrails.secrets import Secrets

# A worker that does what the text says: the same frames, none of the models.
WORKER = """
import os, sys, time
from isthmus.guardrails.worker import serve
def obey(text):
    if text == "die": os._exit(3)
    if text == "hang": time.sleep(600)
    if text == "slow": time.sleep(0.3)
    if text == "raise": raise ValueError(text)
    if text == "print": print("noise")
    if text == "lie": os.write(replies.fileno(), b"\\0\\0\\0\\4oops"); time.sleep(600)
    return [("pid", os.getpid(), 0, 1.0)]
replies = os.fdopen(os.dup(1), "wb"); os.dup2(2, 1)
serve(sys.stdin.buffer, replies, {"obey": obey})
"""


def pool(workers: int = 1, timeout: float = 20.0) -> Pool:
    return Pool(workers, timeout, command=(sys.executable, "-c", WORKER))


async def pid(workers: Pool, text: str = "") -> int:
    return (await workers.ask("obey", text))[0][1]


def _running(process: int) -> bool:
    """Whether it is there and not only waiting to be collected."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _environment(process: int) -> bytes:
    return Path(f"/proc/{process}/environ").read_bytes()


@pytest.mark.parametrize("fault", ["die", "lie", "raise"])
async def test_a_fault_fails_the_check_and_the_next_one_works(fault: str) -> None:
    workers = pool()
    await pid(workers)
    with pytest.raises(GuardUnavailable):
        await workers.ask("obey", fault)
    assert await pid(workers) > 0
    await workers.stop()


async def test_a_text_that_raises_keeps_the_worker() -> None:
    workers = pool()
    before = await pid(workers)
    with pytest.raises(GuardUnavailable, match="ValueError"):
        await workers.ask("obey", "raise")
    assert await pid(workers) == before
    await workers.stop()


async def test_a_worker_that_hangs_is_killed_and_replaced() -> None:
    workers = pool(timeout=1.5)
    before = await pid(workers)
    with pytest.raises(GuardUnavailable, match=r"1\.5 seconds"):
        await workers.ask("obey", "hang")
    assert not _running(before)
    assert await pid(workers) != before
    await workers.stop()


async def test_waiting_for_a_busy_worker_is_bounded_too() -> None:
    workers = pool(timeout=5.0)
    await pid(workers)
    outcomes = await asyncio.gather(workers.ask("obey", "hang"), workers.ask("obey", "b"), return_exceptions=True)
    assert isinstance(outcomes[0], GuardUnavailable)
    await workers.stop()


async def test_a_worker_killed_while_idle_is_replaced() -> None:
    workers = pool()
    before = await pid(workers)
    os.kill(before, signal.SIGKILL)
    for _ in range(200):
        if before not in workers.pids:
            break
        await asyncio.sleep(0.01)
    assert await pid(workers) != before
    await workers.stop()


async def test_a_caller_that_goes_away_does_not_mix_up_answers() -> None:
    workers = pool()
    before = await pid(workers)
    gone = asyncio.create_task(workers.ask("obey", "slow"))
    await asyncio.sleep(0.05)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await pid(workers) == before
    await workers.stop()


async def test_what_a_library_prints_does_not_reach_the_answers() -> None:
    workers = pool()
    assert await pid(workers, "print") == await pid(workers)
    await workers.stop()


async def test_more_workers_work_at_once() -> None:
    workers = pool(2)
    assert len(set(await asyncio.gather(pid(workers, "slow"), pid(workers, "slow")))) == 2
    await workers.stop()
    assert workers.pids == []


@pytest.mark.parametrize("command", [("/nonexistent/python",), (sys.executable, "-c", "import no_such_module")])
async def test_a_worker_that_cannot_start_fails_closed(command: tuple[str, ...]) -> None:
    workers = Pool(command=command, warm=("pii",))
    await workers.start()
    for guard in (Pii(workers), Secrets(workers)):
        with pytest.raises(GuardUnavailable):
            await guard.check("Jane Roe", "input")
    await workers.stop()


async def test_a_missing_model_fails_closed_and_fetches_nothing(tmp_path: Path) -> None:
    """The real worker, with a spaCy that finds no model."""
    code = "from isthmus.guardrails import analysis, worker\nanalysis.MODEL = 'no_such_model'\nworker.main()\n"
    workers = Pool(timeout=60, command=(sys.executable, "-c", code))
    with pytest.raises(GuardUnavailable, match="OSError"):
        await Pii(workers).check("Jane Roe", "input")
    await workers.stop()


async def test_secrets_in_the_environment_do_not_reach_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTIER_KEY", "hush")
    workers = pool()
    assert b"hush" not in _environment(await pid(workers))
    await workers.stop()


def test_a_worker_ends_when_the_gateway_is_killed() -> None:
    code = (
        "import asyncio, sys, os\n"
        "from isthmus.guardrails.pool import Pool\n"
        "async def main():\n"
        f"    pool = Pool(command=(sys.executable, '-c', {WORKER!r}))\n"
        "    print((await pool.ask('obey', ''))[0][1], flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    until = time.monotonic() + 10
    while _running(int(ended.stdout)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _running(int(ended.stdout))


async def test_the_real_worker_needs_no_network_and_keeps_the_gateway_small() -> None:
    """Every socket call of the worker raises; e-mail addresses are found by the bundled suffix list."""
    code = (
        "import socket\n"
        "def refuse(*_, **__): raise RuntimeError('network')\n"
        "socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse\n"
        "from isthmus.guardrails import worker\n"
        "worker.main()\n"
    )
    workers = Pool(timeout=60, command=(sys.executable, "-c", code))
    found = await Pii(workers).find("Write to jane.roe@example.co.uk today.")
    assert "EMAIL_ADDRESS" in {one.kind for one in found}
    assert not {"spacy", "presidio_analyzer", "betterleaks"} & set(sys.modules)
    await workers.stop()
