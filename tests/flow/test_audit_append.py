"""``isthmus audit events --append``: a file that any agent tails, whatever happens to whoever writes it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.cli import main
from unit.audit_reading_fixtures import write


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "home"))
    write(tmp_path / "home", [{"type": "t"}] * 5)
    return tmp_path / "home"


def seqs(file: Path) -> list[int]:
    return [json.loads(line)["seq"] for line in file.read_bytes().splitlines()]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_goes_on_after_the_last_line(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    for more in range(3):
        assert main(["audit", "events", "--append", str(file)]) == 0
        assert seqs(file) == list(range(5 + more))
        write(home, [{"type": "later"}])


def test_a_number_is_for_the_first_time_only(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    for _ in range(2):
        assert main(["audit", "events", "--append", str(file), "--from-entry", "3"]) == 0
        assert seqs(file) == [3, 4]


def test_a_line_that_was_torn_anywhere_is_written_whole(home: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    assert main(["audit", "events", "--append", str(whole)]) == 0
    held, file = whole.read_bytes(), tmp_path / "torn.jsonl"
    for size in range(0, len(held), 7):
        file.write_bytes(held[:size])
        assert main(["audit", "events", "--append", str(file)]) == 0
        assert file.read_bytes() == held


def test_the_file_of_another_log_is_not_gone_on_with(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log.jsonl"
    assert main(["audit", "events", "--append", str(file)]) == 0
    held = file.read_bytes().replace(b'"type":"t"', b'"type":"u"')
    file.write_bytes(held)
    assert main(["audit", "events", "--append", str(file)]) == 1
    assert "last line is not entry 4 of this log" in capsys.readouterr().err
    assert file.read_bytes() == held


def follow(file: Path, limit: int = -1) -> subprocess.Popen[bytes]:
    def small() -> None:
        if limit > 0:  # as a full disk: a write comes back short, and the next one fails
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    command = [sys.executable, "-m", "isthmus", "audit", "events", "--follow", "--every", "0.05", "--append", str(file)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=small)


def test_a_follower_that_is_killed_again_and_again(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    for count in (5, 6, 7):
        process = follow(file)
        until(lambda count=count: file.exists() and len(file.read_bytes().splitlines()) == count)
        process.kill()
        process.communicate()
        write(home, [{"type": "later"}])
    process = follow(file)
    until(lambda: len(file.read_bytes().splitlines()) == 8)
    process.send_signal(signal.SIGTERM)
    assert (process.communicate(timeout=30)[1], process.returncode) == (b"", 0)
    assert seqs(file) == list(range(8))


def test_a_disk_that_is_full_and_has_room_again(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    process = follow(file, limit=200)
    assert b"File too large" in process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert file.stat().st_size == 200, "no line was torn, and this shows nothing"
    assert main(["audit", "events", "--append", str(file)]) == 0
    assert seqs(file) == list(range(5))
    assert os.environ["ISTHMUS_HOME"] == str(home)
