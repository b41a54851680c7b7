"""API keys: shown once, the same refusal for every bad one, a pepper that is kept or refused."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from isthmus.config import Home
from isthmus.data.database import Database
from isthmus.data.keys import FRESH, KeyOptions, Keys, open_keys
from isthmus.data.pepper import pepper
from isthmus.errors import ConfigInvalid, InvalidRequest, NotFound, StoreUnavailable, Unauthenticated
from isthmus.labels import Label, Level

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
OPTIONS = KeyOptions(
    frozenset({"user", "curator"}), frozenset({"board"}), Label(Level.CONFIDENTIAL), "DE", NOON + timedelta(days=1), 5.0
)


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = NOON
        self.seconds = 0.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def database(home: Home) -> Iterator[Database]:
    opened = Database(home.database)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def events() -> list[dict[str, object]]:
    return []


@pytest.fixture
def keys(database: Database, clock: Hands, events: list[dict[str, object]]) -> Keys:
    return Keys(
        database, b"p" * 32, record=events.append, now=lambda: clock.time, monotonic=lambda: clock.seconds
    )  # fmt: skip


def test_a_key_opens_what_it_was_made_for(keys: Keys):
    token, made = keys.create("Ann", OPTIONS)
    assert token.startswith("isk_")
    assert len(token) == 4 + 43  # 256 bits
    principal = keys.authenticate(token)
    assert principal == made
    assert (principal.name, principal.roles, principal.groups) == ("Ann", OPTIONS.roles, OPTIONS.groups)
    assert (principal.default, principal.jurisdiction) == (OPTIONS.default, "DE")
    assert keys.find(principal.id).options == OPTIONS


def test_neither_the_token_nor_a_plain_hash_of_it_is_stored(keys: Keys, database: Database):
    import hashlib

    token, principal = keys.create("Ann")
    database.checkpoint()
    content = b"".join(path.read_bytes() for path in database.path.parent.iterdir() if path.is_file())
    assert principal.id.encode() in content
    assert token.encode() not in content
    assert hashlib.sha256(token.encode()).digest() not in content
    assert token not in repr(keys.list())


def test_every_bad_token_is_refused_in_the_same_words(keys: Keys, clock: Hands):
    good, kept = keys.create("kept")
    revoked, gone = keys.create("gone")
    expired, _ = keys.create("expired", OPTIONS)
    keys.revoke(gone.id)
    clock.time += timedelta(days=1)
    bad = [
        revoked,
        expired,
        "",
        "isk_",
        "isk_" + "A" * 43,
        good[:-1],
        good + "=",
        good.upper(),
        "\ud800",
        "ü" * 50,
        "\0",
    ]
    refusals = []
    for token in bad:
        with pytest.raises(Unauthenticated) as refusal:
            keys.authenticate(token)
        refusals.append(refusal.value.as_dict())
    assert all(refusal == refusals[0] for refusal in refusals)
    assert keys.authenticate(good) == kept


def test_a_key_expires_at_its_moment_and_not_before(keys: Keys, clock: Hands):
    token, _ = keys.create("Ann", OPTIONS)
    clock.time += timedelta(days=1) - timedelta(microseconds=1)
    keys.authenticate(token)
    clock.time += timedelta(microseconds=1)
    with pytest.raises(Unauthenticated):
        keys.authenticate(token)


def test_another_process_s_changes_are_seen_within_a_second(keys: Keys, home: Home, clock: Hands):
    elsewhere = Database(home.database)
    other = Keys(elsewhere, b"p" * 32)
    token, principal = other.create("Ann")
    clock.seconds += FRESH
    assert keys.authenticate(token) == principal
    other.revoke(principal.id)
    elsewhere.close()
    assert FRESH < 1
    clock.seconds += FRESH
    with pytest.raises(Unauthenticated):
        keys.authenticate(token)


def test_nothing_is_let_in_once_the_store_cannot_be_read(keys: Keys, database: Database, clock: Hands):
    token, _ = keys.create("Ann")
    keys.authenticate(token)
    database.close()
    for path in database.path.parent.iterdir():
        path.unlink()
    database.path.write_bytes(b"no database at all, no database at all" * 200)
    clock.seconds += FRESH
    with pytest.raises(StoreUnavailable):
        keys.authenticate(token)


def test_changes_are_recorded_and_a_change_that_cannot_be_recorded_is_not_made(keys: Keys, database: Database, events):
    _, principal = keys.create("Ann", OPTIONS, by="key_admin")
    keys.revoke(principal.id, by="key_admin")
    keys.revoke(principal.id, by="key_admin")
    assert [event["type"] for event in events] == ["key.created", "key.revoked"]
    assert all(event["by"] == "key_admin" for event in events)

    def broken(event: object) -> None:
        raise OSError("no space left")

    deaf = Keys(database, b"p" * 32, record=broken)
    with pytest.raises(OSError):
        deaf.create("Ben")
    assert [key.name for key in deaf.list()] == ["Ann"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("", KeyOptions()),
        ("x" * 129, KeyOptions()),
        ("bootstrap", KeyOptions()),
        ("x", KeyOptions(roles=frozenset({"root"}))),
        ("x", KeyOptions(expires=NOON)),
        ("x", KeyOptions(budget=-1.0)),
        ("x", KeyOptions(budget=float("nan"))),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(keys: Keys, name: str, options: KeyOptions):
    with pytest.raises(InvalidRequest):
        keys.create(name, options)
    assert keys.list() == []


def test_a_key_that_does_not_exist_cannot_be_revoked(keys: Keys):
    with pytest.raises(NotFound):
        keys.revoke("key_none")


def test_the_bootstrap_key_is_made_once(keys: Keys, events: list[dict[str, object]]):
    first = keys.bootstrap("b" * 32)
    assert keys.bootstrap("b" * 32) == first
    assert keys.authenticate("b" * 32) == first
    assert "admin" in first.roles
    assert len(events) == 1


def test_a_new_bootstrap_key_takes_the_place_of_the_old_and_a_revoked_one_stays_out(keys: Keys):
    old = keys.bootstrap("b" * 32)
    new = keys.bootstrap("c" * 40)
    assert new.id != old.id
    with pytest.raises(Unauthenticated):
        keys.authenticate("b" * 32)
    keys.revoke(new.id)
    with pytest.raises(ConfigInvalid, match="revoked"):
        keys.bootstrap("c" * 40)


def test_a_short_bootstrap_key_is_refused(keys: Keys):
    with pytest.raises(ConfigInvalid, match="32"):
        keys.bootstrap("b" * 31)


def test_the_pepper_is_made_once_even_by_many_at_the_same_time(tmp_path: Path):
    folder = tmp_path / "secrets"
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: pepper(folder), range(16)))
    assert len(made) == 1
    assert len(made.pop()) == 32
    assert [path.name for path in folder.iterdir()] == ["pepper"]
    assert stat.S_IMODE((folder / "pepper").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_pepper_that_others_can_reach_is_refused(tmp_path: Path, mode: int):
    pepper(tmp_path)
    (tmp_path / "pepper").chmod(mode)
    with pytest.raises(ConfigInvalid) as refused:
        pepper(tmp_path)
    assert "chmod 600" in refused.value.hint


@pytest.mark.parametrize("content", ["", "ab" * 31, "not hex" * 9])
def test_a_damaged_pepper_is_refused(tmp_path: Path, content: str):
    path = tmp_path / "pepper"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigInvalid, match="damaged"):
        pepper(tmp_path)


def test_a_pepper_that_is_gone_is_not_made_anew_while_there_are_keys(home: Home, database: Database):
    token, principal = open_keys(database, home).create("Ann")
    assert open_keys(database, home).authenticate(token) == principal
    (home.secrets / "pepper").unlink()
    with pytest.raises(ConfigInvalid, match="gone"):
        open_keys(database, home)


def test_keys_survive_in_the_table_as_they_were(keys: Keys, database: Database):
    keys.create("Ann", OPTIONS)
    with sqlite3.connect(database.path) as raw:
        row = raw.execute("SELECT roles, groups, label, budget, expires FROM keys").fetchone()
    raw.close()
    assert row == (
        '["curator","user"]', '["board"]', '{"level":"confidential","categories":[]}', 5.0, "2026-05-02T12:00:00+00:00"
    )  # fmt: skip
