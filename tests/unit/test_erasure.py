"""Erasure: recorded before and after, finished by whoever finds it half done, done again after a restore."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from isthmus.config import Home
from isthmus.data.database import Database
from isthmus.data.keys import Keys
from isthmus.errors import AuditUnavailable, InvalidRequest, NotFound, StoreUnavailable, VerificationFailed
from isthmus.governance.audit import verify as verifier
from isthmus.governance.audit.reading.export import export
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.reading.verification import verify
from isthmus.governance.audit.tree.layout import bundle_path
from isthmus.governance.audit.tree.storage import Folder
from isthmus.orchestration.disclosure import disclosed, trail
from isthmus.orchestration.erasure import Erasures
from isthmus.orchestration.retention import Custodian, Retention
from isthmus.seams import Event, Receipt
from unit.vault_fixtures import Hands, World, found_below, secrets_of

ANN, BEN = "key_ann", "key_ben"
BY = {"by": "uid:1", "why": "she asked us to"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    opened = World(Home(tmp_path / "home"))
    await opened.log.start()
    yield opened
    await opened.close()


async def asked(world: World, subject: str, request: str, text: str) -> str:
    """As the pipeline does: seal, commit, record. The commitment."""
    sealed = await world.vault.keep(subject, request, "m", {"prompt": text})
    committed = await world.vault.commit(subject, request, text)
    event = {"type": "intent", "request": request, "principal": subject, "prompt": committed}
    await world.log.append({**event, "kept": True, "sealed": sealed}, flush=True)
    return committed


def types(world: World) -> list[str]:
    return [str(entry["type"]) for entry in world.entries()]


# ---------------------------------------------------------------- what it does


async def test_an_erasure_is_recorded_before_and_after(world: World) -> None:
    await asked(world, ANN, "req_1", "the text")
    needles = list(secrets_of(world))
    erased = await world.erasures.erase(ANN, **BY)
    assert (erased.records, erased.entry, erased.valid_key) == (1, 2, False)
    assert types(world) == ["intent", "erasure.requested", "subject.erased"]
    told = world.entries()[-1]
    assert {name: told[name] for name in ("subject", "by", "why", "records")} == {"subject": ANN, **BY, "records": 1}
    assert found_below(world.home.path, needles) == []
    assert [one.state for one in world.vault.opened("req_1")] == ["erased"]


async def test_who_is_unknown_cannot_be_erased_and_why_must_be_said(world: World) -> None:
    with pytest.raises(NotFound):
        await world.erasures.erase("key_nobody", **BY)
    await asked(world, ANN, "req_1", "the text")
    for why in ("", "  ", "x" * 1001):
        with pytest.raises(InvalidRequest):
            await world.erasures.erase(ANN, by="uid:1", why=why)
    assert types(world) == ["intent"]


async def test_proofs_and_older_checkpoints_hold_after_an_erasure(world: World, tmp_path: Path) -> None:
    await asked(world, ANN, "req_1", "the text")
    older = world.reader().checkpoint()
    (tmp_path / "older").write_text(older.note, "utf8")
    receipt = await world.log.receipt(0)
    await world.erasures.erase(ANN, **BY)
    assert verify(world.reader(), [older]).older == (1,)
    assert receipt.leaf == (await world.log.receipt(0)).leaf  # the entry is the same
    export(world.reader(), tmp_path / "out")
    command = [sys.executable, str(verifier.__file__), str(tmp_path / "out"), str(tmp_path / "out" / "vkey")]
    ran = await asyncio.create_subprocess_exec(*command, str(tmp_path / "older"), stdout=asyncio.subprocess.PIPE)
    output, _ = await ran.communicate()
    assert (ran.returncode, output[:22]) == (0, b"OK: 3 entries, 1 kept ")


async def test_a_subject_that_goes_on_asking_starts_anew(world: World) -> None:
    before = await asked(world, ANN, "req_1", "the text")
    await world.erasures.erase(ANN, **BY)
    assert await world.vault.commit(ANN, "req_1", "the text") != before
    await asked(world, ANN, "req_2", "the text")
    assert [world.vault.opened(f"req_{n}")[0].state for n in (1, 2)] == ["erased", "kept"]
    assert (await world.erasures.erase(ANN, **BY)).records == 1
    assert await world.erasures.follow() == 0


async def test_a_revoked_key_loses_its_name_and_a_valid_one_keeps_it(world: World) -> None:
    keys = Keys(world.database, b"p" * 32, commit=world.vault.commit_in)
    _, ann = keys.create("Ann Brontë")
    token, ben = keys.create("Ben")
    keys.revoke(ann.id)
    assert (await world.erasures.erase(ann.id, **BY)).valid_key is False
    assert (await world.erasures.erase(ben.id, **BY)).valid_key is True
    fresh = Keys(world.database, b"p" * 32)
    assert (fresh.find(ann.id).name, fresh.find(ben.id).name) == ("", "Ben")
    assert fresh.authenticate(token).name == "Ben"
    assert found_below(world.home.path, ["Ann Brontë".encode()]) == []


async def test_an_erasure_while_much_is_asked_leaves_nothing_in_between(world: World) -> None:
    await asked(world, ANN, "req_before", "the text")
    needles = list(secrets_of(world))
    kept = [world.vault.keep(ANN, f"req_{n}", "m", {"prompt": f"text {n}"}) for n in range(30)]
    await asyncio.gather(*kept[:15], world.erasures.erase(ANN, **BY), *kept[15:])
    assert found_below(world.home.path, needles) == []
    for n in range(30):
        (one,) = world.vault.opened(f"req_{n}")
        assert (one.state, one.text) in (("erased", None), ("kept", f"text {n}"))
    with world.database.read() as connection:
        orphans = "SELECT count(*) FROM ciphertexts JOIN contents USING (number) WHERE wrapped = zeroblob(60)"
        assert connection.exec_driver_sql(orphans).scalar() == 0


# ---------------------------------------------------------------- crashes and restores


class Failing:
    """A log that fails when it is told of one type of event."""

    def __init__(self, world: World, type: str) -> None:
        self._log, self._type = world.log, type

    async def append(self, event: Event, *, flush: bool) -> int:
        if event["type"] == self._type:
            raise AuditUnavailable("The disk is full.")
        return await self._log.append(event, flush=flush)

    async def receipt(self, index: int) -> Receipt:
        return await self._log.receipt(index)


async def test_what_cannot_be_recorded_is_not_erased(world: World) -> None:
    await asked(world, ANN, "req_1", "the text")
    deaf = Erasures(world.vault, Failing(world, "erasure.requested"), world.reader, world.clock)
    with pytest.raises(AuditUnavailable):
        await deaf.erase(ANN, **BY)
    assert [one.text for one in world.vault.opened("req_1")] == ["the text"]


async def test_an_erasure_that_was_cut_short_is_finished_by_the_next_start(world: World) -> None:
    await asked(world, ANN, "req_1", "the text")
    cut = Erasures(world.vault, Failing(world, "subject.erased"), world.reader, world.clock)
    with pytest.raises(AuditUnavailable):
        await cut.erase(ANN, **BY)
    assert types(world)[-1] == "erasure.requested"
    custodian = Custodian(world.erasures, world.retention(None), world.clock)
    await custodian.start()
    await custodian.stop()
    told = world.entries()[-1]
    assert (told["type"], told["subject"], told["records"]) == ("subject.erased", ANN, 1)
    assert await world.erasures.follow() == 0


async def test_an_erasure_that_was_only_requested_is_finished_by_the_next_one(world: World) -> None:
    await asked(world, ANN, "req_1", "the text")
    await asked(world, BEN, "req_2", "another")
    standing = world.vault.standing(ANN)
    assert standing is not None
    told = {"subject": ANN, "generation": standing.generation, **BY, "records": 1}
    await world.log.append({"type": "erasure.requested", **told}, flush=True)
    await world.erasures.erase(BEN, **BY)
    erased = [entry["subject"] for entry in world.entries() if entry["type"] == "subject.erased"]
    assert erased == [ANN, BEN]
    assert [one.state for one in world.vault.opened("req_1")] == ["erased"]


async def test_a_database_that_is_restored_is_erased_again(world: World, tmp_path: Path) -> None:
    await asked(world, ANN, "req_1", "the text")
    await asked(world, BEN, "req_2", "another")
    needles = list(secrets_of(world))[:2]  # Ann's
    world.database.checkpoint()
    shutil.copy(world.home.database, tmp_path / "backup.db")
    await world.erasures.erase(ANN, **BY)
    await asked(world, ANN, "req_3", "later")
    await world.close()
    for path in world.home.path.glob("isthmus.db*"):
        path.unlink()
    shutil.copy(tmp_path / "backup.db", world.home.database)
    restored = World(world.home)
    await restored.log.start()
    assert [one.text for one in restored.vault.opened("req_1")] == ["the text"]
    assert await restored.erasures.follow() == 1
    assert [one.state for one in restored.vault.opened("req_1")] == ["erased"]
    assert [one.text for one in restored.vault.opened("req_2")] == ["another"]
    assert restored.entries()[-1]["again"] is True
    assert found_below(restored.home.path, needles) == []
    assert await restored.erasures.follow() == 0
    await restored.close()


async def test_following_reads_each_entry_once(world: World) -> None:
    await asked(world, ANN, "req_1", "the text")
    await world.erasures.follow()
    assert world.vault.seen() == 1

    def unread() -> Reader:
        reader = Reader(Folder(world.home.audit))
        reader.entries = None  # type: ignore[method-assign,assignment]
        return reader

    assert await Erasures(world.vault, world.log, unread, world.clock).follow() == 0


async def test_what_another_host_began_is_left_to_it(world: World, tmp_path: Path) -> None:
    """Two hosts, a store each, one log: what only the other can destroy, only the other may say is destroyed."""
    other = World(Home(tmp_path / "other"))
    await other.vault.keep(ANN, "req_there", "m", {"prompt": "hers too, over there"})
    there = Erasures(other.vault, world.log, world.reader, other.clock)
    await asked(world, ANN, "req_1", "the text")
    cut = Erasures(world.vault, Failing(world, "subject.erased"), world.reader, world.clock)
    with pytest.raises(AuditUnavailable):
        await cut.erase(ANN, **BY)
    assert await there.follow() == 0
    assert types(world)[-1] == "erasure.requested"
    assert other.vault.opened("req_there")[0].state == "kept"
    assert await world.erasures.follow() == 1
    assert await there.follow() == 0
    assert types(world)[-1] == "subject.erased"
    assert (await there.erase(ANN, **BY)).records == 1
    assert other.vault.opened("req_there")[0].state == "erased"
    await other.close()


async def test_a_name_that_was_to_be_blanked_is_blanked_by_the_next_start(world: World) -> None:
    """A key whose secret is gone already: there is no generation to tell by."""
    keys = Keys(world.database, b"p" * 32)
    _, ann = keys.create("Ann Brontë")
    keys.revoke(ann.id)
    told = {"subject": ann.id, "generation": "", **BY, "records": 0}
    await world.log.append({"type": "erasure.requested", **told}, flush=True)
    assert await world.erasures.follow() == 1
    assert Keys(world.database, b"p" * 32).find(ann.id).name == ""


async def test_a_store_that_never_knew_anybody_follows_without_reading(world: World, tmp_path: Path) -> None:
    await asked(world, ANN, "req_1", "the text")
    await world.erasures.erase(ANN, **BY)
    fresh = World(Home(tmp_path / "fresh"))
    for path in (world.home.audit / "tile" / "entries").glob("*"):
        path.unlink()
    assert await Erasures(fresh.vault, world.log, world.reader, fresh.clock).follow() == 0
    assert fresh.vault.seen() == 3
    await fresh.close()


async def with_an_erasure_to_follow(world: World) -> None:
    """At entry 301, in the second bundle."""
    await asked(world, ANN, "req_1", "the text")
    standing = world.vault.standing(ANN)
    assert standing is not None
    for _ in range(300):
        await world.log.append({"type": "x"}, flush=False)
    told = {"subject": ANN, "generation": standing.generation, **BY, "records": 1}
    await world.log.append({"type": "erasure.requested", **told}, flush=True)
    for _ in range(300):
        await world.log.append({"type": "x"}, flush=False)
    await world.log.flush()


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_a_log_with_a_hole_is_not_followed(world: World, tmp_path: Path, lost: int) -> None:
    await with_an_erasure_to_follow(world)
    bundle = bundle_path(world.home.audit, lost)
    bundle.rename(tmp_path / "aside")
    with pytest.raises(VerificationFailed):
        await world.erasures.follow()
    assert world.vault.seen() == 0
    with pytest.raises(VerificationFailed):
        trail(world.reader(), "req_1")
    (tmp_path / "aside").rename(bundle)
    assert await world.erasures.follow() == 1


async def test_a_broken_erasure_is_not_passed_over(world: World) -> None:
    await with_an_erasure_to_follow(world)
    bundle = bundle_path(world.home.audit, 1)
    whole = bundle.read_bytes()
    bundle.write_bytes(whole.replace(b'"seq":301', b'"seq":999'))
    with pytest.raises(VerificationFailed) as broken:
        await world.erasures.follow()
    assert (broken.value.details["index"], world.vault.seen()) == (301, 0)
    bundle.write_bytes(whole)
    assert await world.erasures.follow() == 1


async def test_a_broken_entry_of_a_request_is_not_passed_over(world: World) -> None:
    await asked(world, ANN, "req_1", "the text")
    await asked(world, ANN, "req_1", "again")
    bundle = bundle_path(world.home.audit, 0)
    bundle.write_bytes(bundle.read_bytes().replace(b'"seq":1', b'"seq":9'))
    with pytest.raises(VerificationFailed):
        trail(world.reader(), "req_1")


async def test_an_entry_of_another_shape_does_not_stop_a_disclosure(world: World) -> None:
    committed = await asked(world, ANN, "req_1", "the text")
    for odd in ({"key": None}, {"key": {"id": "req_1", "name": 7}}, {"key": ["req_1"]}):
        await world.log.append({"type": "key.created", "request": "req_1", **odd}, flush=True)
    odd = {"type": "x", "request": "req_1", "principal": 7, "sealed": {"prompt": ["x"]}, "answer": {}}
    await world.log.append(odd, flush=True)
    await world.log.append({**odd, "sealed": "x"}, flush=True)
    assert [one.committed for one in trail(world.reader(), "req_1").commitments] == [committed]


async def test_entries_that_ask_for_nothing_are_passed_over(world: World) -> None:
    """Words of an erasure inside another entry, and an erasure without its fields."""
    await asked(world, ANN, "req_1", "the text")
    standing = world.vault.standing(ANN)
    assert standing is not None
    told = {"subject": ANN, "generation": standing.generation, "records": 1}
    await world.log.append({"type": "x", "note": '"type":"subject.erased"', **told}, flush=True)
    await world.log.append({"type": "x", "inner": {"type": "erasure.requested"}, **told}, flush=True)
    await world.log.append({"type": "subject.erased", "subject": ANN, "records": "many"}, flush=True)
    assert await world.erasures.follow() == 0
    assert [one.text for one in world.vault.opened("req_1")] == ["the text"]


# ---------------------------------------------------------------- retention


async def test_content_expires_after_its_days_and_the_log_says_so_first(world: World) -> None:
    await asked(world, ANN, "req_1", "old")
    world.clock.time += timedelta(days=10)
    await asked(world, ANN, "req_2", "new")
    world.clock.time += timedelta(days=1)
    assert await world.retention(None).expire() == 0
    assert await world.retention(11).expire() == 0  # to the moment: not before
    assert await world.retention(10).expire() == 1
    told = world.entries()[-1]
    assert (told["type"], told["records"], told["days"]) == ("content.expired", 1, 10)
    assert [world.vault.opened(f"req_{n}")[0].state for n in (1, 2)] == ["expired", "kept"]
    assert await world.retention(10).expire() == 0
    assert len(world.entries()) == 3


async def test_a_server_that_runs_lets_content_expire(world: World) -> None:
    await asked(world, ANN, "req_1", "old")
    world.clock.time += timedelta(days=9)
    custodian = Custodian(world.erasures, world.retention(10), world.clock)
    await custodian.start()
    await until_expired(world)  # the clock's sleep is a day, and takes no time
    await custodian.stop()
    assert world.vault.opened("req_1")[0].state == "expired"
    assert "content.expired" in types(world)


async def until_expired(world: World) -> None:
    async with asyncio.timeout(20):
        while world.vault.opened("req_1")[0].state == "kept":
            await world.log.flush()


async def test_a_copy_that_could_not_be_removed_is_removed_the_next_time(world: World) -> None:
    await asked(world, ANN, "req_1", "old")
    needles = list(secrets_of(world))[2:]  # the secret stays
    world.clock.time += timedelta(days=11)
    with world.database.read() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 50")
    backup = Database(world.home.database)
    with backup.read() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM contents")
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await world.retention(10).expire()
    assert found_below(world.home.path, needles) != []
    assert await world.retention(10).expire() == 0
    assert found_below(world.home.path, needles) == []
    assert types(world).count("content.expired") == 1
    backup.close()


class Recovering:
    """A log that fails so many times, each time in another way."""

    def __init__(self, world: World, *errors: Exception) -> None:
        self._log, self._errors = world.log, list(errors)

    async def append(self, event: Event, *, flush: bool) -> int:
        if self._errors:
            raise self._errors.pop(0)
        return await self._log.append(event, flush=flush)


async def test_nothing_ends_the_daily_task_and_it_is_tried_again_soon(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await asked(world, ANN, "req_1", "old")
    world.clock.time += timedelta(days=11)
    log = Recovering(world, AuditUnavailable("full"), VerificationFailed("changed"), OSError(5, "I/O"), TypeError("t"))
    custodian = Custodian(world.erasures, Retention(world.vault, log, world.clock, 10), world.clock)
    await custodian.start()
    started = world.clock.now()
    await until_expired(world)
    await custodian.stop()
    (expired,) = (entry for entry in world.entries() if entry["type"] == "content.expired")
    assert datetime.fromisoformat(expired["time"]) - started < timedelta(days=1)
    assert len(caplog.records) == 4
    assert all(record.exc_info is None for record in caplog.records)


class Leaping(Hands):
    """A clock that is a year ahead from one second to another of those that it slept."""

    def __init__(self, start: float, end: float) -> None:
        super().__init__()
        self.start, self.end = start, end

    def now(self) -> datetime:
        return self.time + timedelta(days=365 * (self.start <= self.slept < self.end))


#: From before the start until it is put right; over the first reading; over the second, a day after it.
_LEAPS = [(10, 1200), (1800, 5400), (50_000, 93_000)]


@pytest.mark.parametrize(("start", "end"), _LEAPS)
async def test_a_clock_that_leaps_ahead_for_a_while_destroys_nothing(tmp_path: Path, start: float, end: float) -> None:
    clock = Leaping(start, end)
    world = World(Home(tmp_path / "home"), clock)
    await world.log.start()
    await asked(world, ANN, "req_1", "the text")
    clock.slept = 10
    custodian = Custodian(world.erasures, world.retention(30), clock)
    await custodian.start()
    await until_expired(world)
    assert clock.slept > 30 * 24 * 3600
    await custodian.stop()
    await world.close()


# ---------------------------------------------------------------- disclosure


async def test_a_disclosure_opens_its_commitment_and_says_what_does_not_match(world: World) -> None:
    committed = await asked(world, ANN, "req_1", "the text")
    found = trail(world.reader(), "req_1")
    told = disclosed(world.vault, found, None)
    (entry,) = told["commitments"]  # type: ignore[misc]
    assert (entry["entry"], entry["commitment"], entry["text"], entry["matches"]) == (0, committed, "the text", True)
    for claimed, matches in (("the text", True), ("the text\n", True), ("The text", False), ("", False)):
        (entry,) = disclosed(world.vault, found, claimed)["commitments"]  # type: ignore[misc]
        assert entry["matches"] is matches
    assert all(found.genuine(one) for one in world.vault.opened("req_1"))
    with pytest.raises(NotFound):
        trail(world.reader(), "req_none")


async def test_after_an_erasure_a_disclosure_has_no_salt_and_names_the_entry(world: World) -> None:
    await asked(world, ANN, "req_1", "the text")
    await world.erasures.erase(ANN, **BY)
    await asked(world, ANN, "req_2", "later")  # a new secret: its salt opens nothing from before
    told = disclosed(world.vault, trail(world.reader(), "req_1"), "the text")
    (entry,) = told["commitments"]  # type: ignore[misc]
    assert (told["salt"], entry["erased"]) == (None, 2)
    assert "matches" not in entry
    assert disclosed(world.vault, trail(world.reader(), "req_2"), None)["salt"] is not None


async def test_what_was_asked_while_an_erasure_went_on_can_be_opened(world: World) -> None:
    """A server takes the new secret before the log says that the old one is gone."""
    await asked(world, ANN, "req_1", "the text")
    standing = world.vault.standing(ANN)
    assert standing is not None
    world.vault.destroy(ANN, standing.generation)
    await asked(world, ANN, "req_2", "meanwhile")
    told = {"subject": ANN, "generation": standing.generation, **BY, "records": 1}
    await world.log.append({"type": "subject.erased", **told}, flush=True)
    (entry,) = disclosed(world.vault, trail(world.reader(), "req_2"), None)["commitments"]  # type: ignore[misc]
    assert (entry["erased"], entry["matches"]) == (None, True)
    (entry,) = disclosed(world.vault, trail(world.reader(), "req_1"), "the text")["commitments"]  # type: ignore[misc]
    assert entry["erased"] == 2


async def test_the_entry_that_erased_is_the_first_after(world: World) -> None:
    await asked(world, ANN, "req_1", "the text")
    first = await world.erasures.erase(ANN, **BY)
    await asked(world, ANN, "req_2", "later")
    await world.erasures.erase(ANN, **BY)
    assert trail(world.reader(), "req_1").erased == first.entry


async def test_a_ciphertext_that_was_swapped_is_noticed(world: World) -> None:
    """By somebody who holds the master key: it opens, but the log does not know it."""
    await asked(world, ANN, "req_1", "the text")
    await world.vault.keep(ANN, "req_1", "m", {"prompt": "another text"})
    found = trail(world.reader(), "req_1")
    assert [found.genuine(one) for one in world.vault.opened("req_1")] == [True, False]


async def test_a_key_s_name_is_not_in_the_log_and_can_be_proved_until_it_is_erased(world: World) -> None:
    events: list[Event] = []
    keys = Keys(world.database, b"p" * 32, record=events.append, commit=world.vault.commit_in)
    _, ann = keys.create("Ann Brontë")
    await world.log.append(events[0], flush=True)
    assert "Brontë" not in str(events)
    found = trail(world.reader(), ann.id)
    assert [one["matches"] for one in disclosed(world.vault, found, "Ann Brontë")["commitments"]] == [True]  # type: ignore[attr-defined]
    assert [one["matches"] for one in disclosed(world.vault, found, "Ben")["commitments"]] == [False]  # type: ignore[attr-defined]
    await world.erasures.erase(ann.id, **BY)
    assert disclosed(world.vault, trail(world.reader(), ann.id), "Ann Brontë")["salt"] is None


async def test_a_store_that_fails_leaves_the_erasure_to_be_finished(world: World) -> None:
    await asked(world, ANN, "req_1", "the text")
    await world.erasures.follow()
    with world.database.read() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(StoreUnavailable):
        await world.erasures.erase(ANN, **BY)
    with world.database.read() as connection:
        connection.exec_driver_sql("PRAGMA query_only = OFF")
    assert await world.erasures.follow() == 1
    assert types(world)[-1] == "subject.erased"
