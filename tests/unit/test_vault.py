"""The vault: commitments hang on a subject's secret, content on keys under it; destroyed is destroyed."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import stat
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from isthmus.config import Home
from isthmus.data.database import Database
from isthmus.data.subjects import FRESH, Subjects
from isthmus.data.vault import Vault, open_vault
from isthmus.errors import ConfigInvalid, StoreUnavailable, VerificationFailed
from isthmus.governance.audit.commitments import commitment, opens
from unit.vault_fixtures import Hands, World, found_below, secrets_of

ANN, BEN = "key_ann", "key_ben"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    opened = World(Home(tmp_path / "home"))
    yield opened
    await opened.close()


def generation(vault: Vault, subject: str) -> str:
    standing = vault.standing(subject)
    assert standing is not None
    return standing.generation


# ---------------------------------------------------------------- commitments


async def test_a_commitment_opens_with_its_request_s_salt_and_nothing_else(world: World) -> None:
    committed = await world.vault.commit(ANN, "req_1", "the text")
    salt = world.vault.salt(ANN, "req_1")
    assert salt is not None
    assert hashlib.sha256(salt + b"the text").hexdigest() == committed  # what a stranger computes
    assert opens(committed, salt, "the text")
    assert not opens(committed, salt, "another text")
    assert committed == await world.vault.commit(ANN, "req_1", "the text")
    others = [await world.vault.commit(*who, "the text") for who in ((ANN, "req_2"), (BEN, "req_1"))]
    assert committed not in others
    assert world.vault.salt("key_never", "req_1") is None  # asking for a salt makes no subject
    assert world.vault.standing("key_never") is None


async def test_commitments_survive_the_process(world: World) -> None:
    committed = await world.vault.commit(ANN, "req_1", "the text")
    again = World(world.home)
    assert await again.vault.commit(ANN, "req_1", "the text") == committed
    await again.close()


async def test_what_is_no_character_can_be_committed_to(world: World) -> None:
    salt = world.vault.salt(ANN, "req_1") or b""
    assert await world.vault.commit(ANN, "req_1", "\ud800") != commitment(salt, "?")


def test_two_that_meet_a_new_subject_at_once_agree(tmp_path: Path) -> None:
    databases = [Database(tmp_path / "isthmus.db") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda database: Subjects(database, bytes(32)).of(ANN), databases))
    assert len({subject.generation for subject in made}) == 1
    for database in databases:
        database.close()


async def test_a_secret_that_another_process_destroyed_is_out_of_use_within_a_second(tmp_path: Path) -> None:
    home, clock = Home(tmp_path / "home"), Hands()
    mine, other = World(home), World(home)
    subjects = Subjects(mine.database, b"m" * 32, monotonic=clock.monotonic)
    vault = Vault(mine.database, subjects, commitment, clock.now)
    before = await vault.commit(ANN, "req_1", "the text")
    subject = subjects.of(ANN)
    other.vault.destroy(ANN, subject.generation)
    assert FRESH < 1
    clock.slept += FRESH
    assert await vault.commit(ANN, "req_1", "the text") != before
    assert subjects.of(ANN).generation != subject.generation
    await mine.close()
    await other.close()


async def test_nothing_is_sealed_under_a_secret_that_was_destroyed_a_moment_ago(tmp_path: Path) -> None:
    mine, other = World(Home(tmp_path / "home")), World(Home(tmp_path / "home"))
    before = await mine.vault.commit(ANN, "req_1", "the text")
    other.vault.destroy(ANN, generation(other.vault, ANN))
    await mine.vault.keep(ANN, "req_1", "m", {"prompt": "the text"})  # memory is fresh still, and not believed
    after = await mine.vault.commit(ANN, "req_1", "the text")
    assert after != before
    salt = mine.vault.salt(ANN, "req_1")
    assert salt is not None
    assert opens(after, salt, "the text")
    assert [kept.text for kept in other.vault.opened("req_1")] == ["the text"]
    await mine.close()
    await other.close()


async def test_a_store_that_cannot_be_read_is_no_commitment(world: World) -> None:
    await world.vault.commit(ANN, "req_1", "the text")
    world.database.close()
    for path in world.home.path.glob("isthmus.db*"):
        path.unlink()
    world.home.database.write_bytes(b"no database at all, no database at all" * 200)
    with pytest.raises(StoreUnavailable):
        await world.vault.commit(BEN, "req_2", "the text")


# ---------------------------------------------------------------- content


async def test_content_is_opened_as_it_was_kept(world: World) -> None:
    texts = {"prompt": "what was asked \ud83d", "empty": "", "long": "ä" * 1_000_000}
    digests = await world.vault.keep(ANN, "req_1", "closed/frontier", texts)
    kept = world.vault.opened("req_1")
    assert {one.kind: one.text for one in kept} == texts
    assert {one.kind: one.digest for one in kept} == digests
    assert {(one.state, one.subject, one.model, one.stored) for one in kept} == {
        ("kept", ANN, "closed/frontier", world.clock.time)
    }
    assert world.vault.opened("req_2") == []


async def test_content_does_not_stand_in_the_files(world: World) -> None:
    await world.vault.keep(ANN, "req_1", "m", {"prompt": "the violet heron of Karlsborg"})
    assert found_below(world.home.path, [b"the violet heron of Karlsborg"]) == []


async def test_the_same_text_is_another_ciphertext_each_time(world: World) -> None:
    digests = [await world.vault.keep(ANN, "req_1", "m", {"prompt": "the text"}) for _ in range(3)]
    assert len({digest["prompt"] for digest in digests}) == 3


@pytest.mark.parametrize("column", ["nonce", "wrapped", "request", "kind", "model", "owner"])
async def test_a_row_that_was_changed_is_refused(world: World, column: str) -> None:
    await world.vault.keep(BEN, "req_0", "m", {"answer": "of another"})
    await world.vault.keep(ANN, "req_1", "m", {"prompt": "the text"})
    other = "'x'" if column in ("request", "kind", "model") else f"(SELECT {column} FROM contents WHERE owner = 1)"
    with sqlite3.connect(world.home.database) as raw:
        raw.execute(f"UPDATE contents SET {column} = {other} WHERE request = 'req_1'")
    raw.close()
    with pytest.raises(VerificationFailed):
        world.vault.opened("x" if column == "request" else "req_1")


async def test_a_secret_in_another_subject_s_place_is_refused(world: World) -> None:
    for subject in (ANN, BEN):
        await world.vault.keep(subject, f"req_{subject}", "m", {"prompt": "the text"})
    with sqlite3.connect(world.home.database) as raw:
        raw.execute("UPDATE subjects SET secret = (SELECT secret FROM subjects WHERE number = 1) WHERE number = 2")
    raw.close()
    with pytest.raises(VerificationFailed):
        world.vault.opened("req_key_ben")


# ---------------------------------------------------------------- destruction


async def test_after_an_erasure_nothing_of_it_is_in_any_file(world: World) -> None:
    """Many subjects, much content, small and large, so that pages of the database split and merge."""
    chance = random.Random(4)
    for number in range(120):
        body = "".join(chance.choices("abcdefgh", k=chance.choice((10, 300, 9000))))
        await world.vault.keep(f"key_{number % 40}", f"req_{number}", "m", {"prompt": body, "answer": body[:50]})
    needles = list(secrets_of(world))
    erased = chance.sample(range(40), 40)
    for number in erased:
        subject = f"key_{number}"
        assert world.vault.destroy(subject, generation(world.vault, subject)) == 6
    assert found_below(world.home.path, needles) == []
    assert {one.state for number in range(120) for one in world.vault.opened(f"req_{number}")} == {"erased"}


async def test_an_answer_to_what_was_erased_meanwhile_is_not_kept(world: World) -> None:
    """Also where the subject goes on asking: what else it asks is kept, under a new secret."""
    await world.vault.keep(ANN, "req_1", "m", {"prompt": "a question"})
    world.vault.destroy(ANN, generation(world.vault, ANN))
    with pytest.raises(StoreUnavailable, match="erased while"):
        await world.vault.keep(ANN, "req_1", "m", {"answer": "an answer"})
    assert [one.state for one in world.vault.opened("req_1")] == ["erased"]
    await world.vault.keep(ANN, "req_2", "m", {"prompt": "another"})
    assert [one.text for one in world.vault.opened("req_2")] == ["another"]


async def test_an_erasure_reaches_one_subject_and_one_generation(world: World) -> None:
    await world.vault.keep(BEN, "req_0", "m", {"prompt": "of another"})
    await world.vault.keep(ANN, "req_1", "m", {"prompt": "before"})
    first = generation(world.vault, ANN)
    before = await world.vault.commit(ANN, "req_1", "before")
    assert world.vault.destroy(ANN, first) == 1
    assert world.vault.salt(ANN, "req_1") is None
    await world.vault.keep(ANN, "req_2", "m", {"prompt": "after"})
    assert world.vault.destroy(ANN, first) == 0  # as a replay does
    assert await world.vault.commit(ANN, "req_1", "before") != before
    states = [[(one.state, one.text) for one in world.vault.opened(f"req_{n}")] for n in range(3)]
    assert states == [[("kept", "of another")], [("erased", None)], [("kept", "after")]]


async def test_keys_that_expire_are_gone_and_the_rest_stays(world: World) -> None:
    for number in range(60):
        await world.vault.keep(ANN, f"req_{number}", "m", {"prompt": f"text {number} " * (number % 7) * 40})
        world.clock.time += timedelta(days=1)
        if number == 29:
            needles = list(secrets_of(world))[2:]  # all but the subject's secret
    before = world.clock.time - timedelta(days=30)
    assert world.vault.expiring(before) == 30
    world.vault.expire(before)
    assert world.vault.expiring(before) == 0
    assert found_below(world.home.path, needles) == []
    states = [world.vault.opened(f"req_{number}")[0].state for number in range(60)]
    assert states == ["expired"] * 30 + ["kept"] * 30


async def test_a_reader_that_stands_in_the_way_is_an_error_and_the_next_try_finishes(world: World) -> None:
    await world.vault.keep(ANN, "req_1", "m", {"prompt": "the text"})
    needles, gone = list(secrets_of(world)), generation(world.vault, ANN)
    with world.database.read() as connection:  # as a backup does
        connection.execute(text("PRAGMA busy_timeout = 100"))
        connection.execute(text("SELECT count(*) FROM contents"))
        hasty = open_vault(_hasty(world.home), world.home, commitment, world.clock.now)
        with pytest.raises(StoreUnavailable) as unfinished:
            hasty.destroy(ANN, gone)
        assert "run the same command again" in unfinished.value.hint
    assert hasty.destroy(ANN, gone) == 0
    assert found_below(world.home.path, needles) == []


def _hasty(home: Home) -> Database:
    """A database that waits for nobody."""
    database = Database(home.database)
    with database.read() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 50")
    return database


# ---------------------------------------------------------------- the master key


async def test_the_master_key_is_private_and_made_once(world: World) -> None:
    path = world.home.secrets / "content-master"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    await world.vault.commit(ANN, "req_1", "the text")
    open_vault(world.database, world.home, commitment, world.clock.now)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("harm", "hint"), [("gone", "Restore"), ("readable", "chmod 600"), ("short", "backup")])
async def test_a_master_key_that_is_gone_open_or_damaged_stops_everything(world: World, harm: str, hint: str) -> None:
    await world.vault.commit(ANN, "req_1", "the text")
    path = world.home.secrets / "content-master"
    match harm:
        case "gone":
            path.unlink()
        case "readable":
            path.chmod(0o644)
        case "short":
            path.write_text("abcd")
    with pytest.raises(ConfigInvalid) as refused:
        open_vault(world.database, world.home, commitment, world.clock.now)
    assert hint in refused.value.hint
    assert path.exists() == (harm != "gone")  # a new one would open nothing, without a word


async def test_another_master_key_opens_nothing(world: World) -> None:
    await world.vault.keep(ANN, "req_1", "m", {"prompt": "the text"})
    (world.home.secrets / "content-master").write_text("00" * 32 + "\n")
    other = open_vault(world.database, world.home, commitment, world.clock.now)
    with pytest.raises(VerificationFailed):
        other.opened("req_1")
    with pytest.raises(VerificationFailed):
        await other.commit(ANN, "req_1", "the text")
