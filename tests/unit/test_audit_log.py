"""The log over a folder: what an entry looks like, receipts, keys, commitments, and reading."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import AuditUnavailable, InvalidRequest, NotFound, VerificationFailed
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.reading.export import export
from isthmus.governance.audit.reading.reader import Reader, Signed
from isthmus.governance.audit.reading.verification import verify, verify_receipt
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.tree.entries import decode, encode
from isthmus.governance.audit.tree.layout import LARGEST, WIDTH, bundle_path, pack, tile_path, unpack
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.journal import Place
from isthmus.governance.audit.writing.keys import load_key, make_key
from isthmus.governance.audit.writing.log import Log

NOON = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)


class Noon:
    """It is always noon."""

    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def open_at(home: Path, origin: str | None = "example.org/log") -> Log:
    return Log.in_folder(Place(home / "audit", home / "secrets" / "log-signing-key", origin), Noon())


async def filled(home: Path, size: int) -> Reader:
    log = open_at(home)
    await asyncio.gather(*(log.append({"type": "t", "request": f"r{i}"}, flush=True) for i in range(size)))
    await log.stop()
    return Reader(Folder(home / "audit"))


# ---------------------------------------------------------------- entries


def test_an_entry_is_canonical_json() -> None:
    entry = encode({"type": "intent", "b": [1, 2.5, None], "a": "Grüße"}, 7, NOON)
    assert entry.decode() == (
        '{"a":"Grüße","b":[1,2.5,null],"seq":7,"time":"2026-03-01T12:00:00.000005Z","type":"intent"}'
    )
    assert decode(entry, 7) == json.loads(entry)
    assert decode(entry, 8) is None


@pytest.mark.parametrize(
    "event",
    [
        {"x": object()},
        {"x": "y" * LARGEST},
        {"seq": 1},
        {"time": "now"},
        {(1, 2): "x"},
    ],
)
def test_what_cannot_be_recorded_stops_the_caller(event: dict[str, object]) -> None:
    with pytest.raises(AuditUnavailable):
        encode(event, 0, NOON)


def test_a_number_that_is_none_is_null() -> None:
    assert json.loads(encode({"nan": float("nan"), "inf": [float("-inf")]}, 0, NOON)) | {"time": ""} == {
        "nan": None,
        "inf": [None],
        "seq": 0,
        "time": "",
    }


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5).filter(lambda key: key not in ("seq", "time")), PLAIN, max_size=5))
def test_any_plain_event_is_recorded_whatever_its_text(event: dict[str, object]) -> None:
    entry = encode(event, 3, NOON)
    told = decode(entry, 3)
    assert told is not None
    assert set(told) >= {"seq", "time"}
    assert encode(event, 3, NOON) == entry
    entry.decode()  # UTF-8, also of lone surrogates


# ---------------------------------------------------------------- appending


async def test_appends_are_numbered_without_gaps(tmp_path: Path) -> None:
    log = open_at(tmp_path)
    got = await asyncio.gather(*(log.append({"type": "t"}, flush=i % 2 == 0) for i in range(2600)))
    await log.stop()
    assert sorted(got) == list(range(2600))
    assert verify(Reader(Folder(tmp_path / "audit"))).checkpoint.size == 2600


async def test_one_bad_event_fails_alone(tmp_path: Path) -> None:
    log = open_at(tmp_path)
    events: list[dict[str, object]] = [{"type": "a"}, {"type": object()}, {"type": "b"}]
    results = await asyncio.gather(*(log.append(event, flush=True) for event in events), return_exceptions=True)
    await log.stop()
    assert (results[0], results[2]) == (0, 1)
    assert isinstance(results[1], AuditUnavailable)
    assert verify(Reader(Folder(tmp_path / "audit"))).checkpoint.size == 2


async def test_a_caller_that_gives_up_does_not_disturb_the_others(tmp_path: Path) -> None:
    log = open_at(tmp_path)
    tasks = [asyncio.create_task(log.append({"type": "t"}, flush=True)) for _ in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, int) for result in results[1::2])
    await log.append({"type": "t"}, flush=True)
    await log.stop()


async def test_a_stopped_log_opens_again_when_it_is_used(tmp_path: Path) -> None:
    log = open_at(tmp_path)
    assert await log.append({"type": "t"}, flush=False) == 0
    await log.stop()
    await log.stop()
    assert await log.append({"type": "t"}, flush=True) == 1
    await log.stop()


async def test_stop_flushes(tmp_path: Path) -> None:
    log = open_at(tmp_path)
    await log.append({"type": "t"}, flush=False)
    await log.stop()
    assert verify(Reader(Folder(tmp_path / "audit"))).pending == 0


def test_one_log_serves_one_event_loop_after_another(tmp_path: Path) -> None:
    log = open_at(tmp_path)
    for i in range(3):
        assert asyncio.run(log.append({"type": "t"}, flush=True)) == i
    asyncio.run(log.stop())


# ---------------------------------------------------------------- receipts


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 700])
async def test_receipts_prove_any_entry(tmp_path: Path, size: int) -> None:
    reader = await filled(tmp_path, size)
    log = open_at(tmp_path)
    await log.start()
    for index in sorted({0, size // 2, size - 1}):
        receipt = await log.receipt(index)
        assert (receipt.log, receipt.index, receipt.size) == ("example.org/log", index, size)
        signed = verify_receipt(reader, receipt)
        assert signed.checkpoint.root.hex() == receipt.root
        for harm in (
            {"index": index + 1},
            {"leaf": "00" * 32},
            {"leaf": "no hex"},
            {"root": "00" * 32},
            {"size": size + 1},
            {"log": "other"},
            {"proof": (*receipt.proof, "00" * 32)},
            {"checkpoint": receipt.checkpoint[:-3]},
        ):
            with pytest.raises(VerificationFailed):
                verify_receipt(reader, replace(receipt, **harm))
    for index in (-1, size, size + 5):
        with pytest.raises(IndexError):
            await log.receipt(index)
    await log.stop()


async def test_a_receipt_for_what_is_only_written_flushes_it(tmp_path: Path) -> None:
    log = open_at(tmp_path)
    with pytest.raises(AuditUnavailable):
        log.checkpoint()
    index = await log.append({"type": "t"}, flush=False)
    receipt = await log.receipt(index)
    assert receipt.checkpoint == log.checkpoint() == Reader(Folder(tmp_path / "audit")).checkpoint().note
    await log.stop()


# ---------------------------------------------------------------- the key and the name


async def test_the_key_is_private_and_the_log_keeps_its_name(tmp_path: Path) -> None:
    log = open_at(tmp_path, origin=None)
    await log.start()
    await log.stop()
    key = tmp_path / "secrets" / "log-signing-key"
    assert key.stat().st_mode & 0o777 == 0o600
    name = Reader(Folder(tmp_path / "audit")).verifier.name
    assert name.startswith("isthmus.local/")
    again = open_at(tmp_path, origin=None)
    await again.start()
    await again.stop()
    assert Reader(Folder(tmp_path / "audit")).verifier.name == name
    with pytest.raises(AuditUnavailable, match="is called"):
        await open_at(tmp_path, origin="other.org/log").start()


@pytest.mark.parametrize("harm", ["readable", "gone", "garbage", "another"])
async def test_a_log_never_changes_hands_silently(tmp_path: Path, harm: str) -> None:
    await filled(tmp_path, 3)
    key = tmp_path / "secrets" / "log-signing-key"
    if harm == "readable":
        key.chmod(0o640)
    else:
        key.unlink()
    if harm == "garbage":
        key.write_bytes(b"garbage")
        key.chmod(0o600)
    if harm == "another":
        make_key(key, Files())
    with pytest.raises(AuditUnavailable) as caught:
        await open_at(tmp_path).start()
    assert caught.value.hint
    assert key.exists() != (harm == "gone"), "no new key is made for an old log"


async def test_a_checkpoint_that_somebody_else_signed_stops_the_log(tmp_path: Path) -> None:
    await filled(tmp_path / "a", 3)
    await filled(tmp_path / "b", 3)
    for slot in ("checkpoint", "checkpoint.alternate"):
        (tmp_path / "a" / "audit" / slot).write_bytes((tmp_path / "b" / "audit" / "checkpoint").read_bytes())
    with pytest.raises(AuditUnavailable, match="not signed by"):
        await open_at(tmp_path / "a").start()


# ---------------------------------------------------------------- reading and verifying


async def test_reading_begins_anywhere(tmp_path: Path) -> None:
    reader = await filled(tmp_path, 300)
    for start in (0, 1, 255, 256, 257, 299, 300, 900):
        assert [index for index, _ in reader.entries(start)] == list(range(start, 300))


def test_no_log_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Reader(Folder(tmp_path))


@pytest.mark.parametrize("tiles", [True, False])
@pytest.mark.parametrize("harm", ["edit", "drop", "insert", "swap"])
async def test_a_harmed_entry_is_named(tmp_path: Path, harm: str, tiles: bool) -> None:
    reader = await filled(tmp_path, 600)
    if not tiles and harm != "edit":  # then the entries' own numbers tell
        shutil.rmtree(tmp_path / "audit" / "tile" / "0")
    bundle = bundle_path(tmp_path / "audit", 1)
    found, _ = unpack(bundle.read_bytes())
    at, copies = 44, list(found)
    if harm == "edit":
        found[at] = found[at].replace(b'"t"', b'"u"')
    elif harm == "drop":
        del found[at]
    elif harm == "insert":
        found.insert(at, copies[at - 1])
    else:
        found[at], found[at + 1] = found[at + 1], found[at]
    bundle.write_bytes(pack(found))
    with pytest.raises(VerificationFailed) as caught:
        verify(reader)
    assert caught.value.details["index"] == WIDTH + at


@pytest.mark.parametrize(("kept", "says"), [(True, "Entry 5 was changed"), (False, "from 5 to 5")])
async def test_an_edit_in_the_last_bundle_is_named(tmp_path: Path, kept: bool, says: str) -> None:
    """By the hash beside it; without that, the checkpoints that somebody kept narrow it."""
    log, older = open_at(tmp_path), list[Signed]()
    for i in range(9):
        await log.append({"type": "t", "i": i}, flush=True)
        older.append(Reader(Folder(tmp_path / "audit")).checkpoint())
    await log.stop()
    bundle = bundle_path(tmp_path / "audit", 0)
    found, _ = unpack(bundle.read_bytes())
    found[5] = found[5].replace(b'"i":5', b'"i":6')
    bundle.write_bytes(pack(found))
    if not kept:
        tile_path(tmp_path / "audit", 0, 0).unlink()
    with pytest.raises(VerificationFailed, match=says):
        verify(Reader(Folder(tmp_path / "audit")), older)


async def test_a_log_cut_back_is_caught_by_what_was_kept(tmp_path: Path) -> None:
    log = open_at(tmp_path)
    await log.append({"type": "t"}, flush=True)
    short = Reader(Folder(tmp_path / "audit")).checkpoint()
    await log.append({"type": "t"}, flush=True)
    long = Reader(Folder(tmp_path / "audit")).checkpoint()
    await log.stop()
    reader = Reader(Folder(tmp_path / "audit"))
    assert verify(reader, [short, long]).older == (1, 2)
    for slot in ("checkpoint", "checkpoint.alternate"):
        (tmp_path / "audit" / slot).write_text(short.note, encoding="utf8")
    assert verify(reader).pending == 1
    with pytest.raises(VerificationFailed, match="covers 2 entries"):
        verify(reader, [long])


async def test_export_refuses_a_folder_in_use_and_a_broken_log(tmp_path: Path) -> None:
    await filled(tmp_path, 3)
    assert export(Reader(Folder(tmp_path / "audit")), tmp_path / "out") == 3
    with pytest.raises(InvalidRequest):
        export(Reader(Folder(tmp_path / "audit")), tmp_path / "out")
    bundle = bundle_path(tmp_path / "audit", 0)
    bundle.write_bytes(bundle.read_bytes().replace(b"r1", b"r9"))
    with pytest.raises(VerificationFailed):
        export(Reader(Folder(tmp_path / "audit")), tmp_path / "broken")
    assert not (tmp_path / "broken" / "checkpoint").exists()


async def test_an_export_is_a_log_to_read(tmp_path: Path) -> None:
    reader = await filled(tmp_path, 300)
    export(Reader(Folder(tmp_path / "audit")), tmp_path / "out")
    copy = Reader(Folder(tmp_path / "out"))
    assert list(copy.entries()) == list(reader.entries())
    assert verify(copy).checkpoint == reader.checkpoint().checkpoint
    (partial,) = (tmp_path / "out" / "tile" / "0" / "001.p").iterdir()
    assert partial.name == "44"
    assert partial.read_bytes()[-32:] == merkle.leaf_hash(list(copy.entries())[-1][1])


def test_a_key_file_is_read_back(tmp_path: Path) -> None:
    made = make_key(tmp_path / "deep" / "key", Files())
    assert load_key(tmp_path / "deep" / "key").private_bytes_raw() == made.private_bytes_raw()


async def test_a_receipt_is_plain_data(tmp_path: Path) -> None:
    log = open_at(tmp_path)
    receipt = await log.receipt(await log.append({"type": "t"}, flush=True))
    await log.stop()
    assert json.loads(json.dumps(asdict(receipt)))["index"] == 0
