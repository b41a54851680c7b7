"""API keys: shown once, stored as HMAC-SHA256 under a pepper that lives outside the database.

A copy of the database alone lets nobody test a guess, and a copy of the pepper alone names nobody.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any, TypeAlias

from sqlalchemy import Connection, insert, select, update

from isthmus.config import Home
from isthmus.data.database import Database, advance, version
from isthmus.data.documents import utc_now
from isthmus.data.pepper import pepper
from isthmus.data.tables import keys
from isthmus.errors import ConfigInvalid, InvalidRequest, NotFound, Unauthenticated
from isthmus.labels import INTERNAL, Label
from isthmus.principals import ROLES, Principal
from isthmus.seams import Event

#: A change of the keys by another process is seen within this many seconds.
FRESH = 0.5
#: A key that a person or a script made up must be at least this long.
SHORTEST_BOOTSTRAP = 32
_BOOTSTRAP = "bootstrap"


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """What a new key may do. ``expires`` is aware; ``budget`` in money a month (``None``: no limit of its own)."""

    roles: frozenset[str] = frozenset({"user"})
    groups: frozenset[str] = frozenset()
    default: Label = INTERNAL
    jurisdiction: str = ""
    expires: datetime | None = None
    budget: float | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret. ``id`` is public: it stands for the key in logs."""

    id: str
    name: str
    options: KeyOptions
    created: datetime
    revoked: datetime | None = None

    @property
    def principal(self) -> Principal:
        mine = self.options
        return Principal(self.id, self.name, mine.roles, mine.groups, mine.default, mine.jurisdiction)

    def usable(self, now: datetime) -> bool:
        return self.revoked is None and (self.options.expires is None or now < self.options.expires)

    def as_dict(self) -> dict[str, object]:
        return {"name": self.name, **self.pseudonymous()}

    def pseudonymous(self) -> dict[str, object]:
        """All but the name, which may be a person's."""
        mine = self.options
        return {
            "id": self.id, "roles": sorted(mine.roles), "groups": sorted(mine.groups),
            "label": mine.default.as_dict(), "jurisdiction": mine.jurisdiction, "created": self.created.isoformat(),
            "expires": mine.expires and mine.expires.isoformat(), "budget": mine.budget,
            "revoked": self.revoked and self.revoked.isoformat(),
        }  # fmt: skip


def _unrecorded(event: Event) -> None:
    """Where no log is given (tests, a first look), key events are not recorded."""


#: A commitment to a text about a subject (connection, subject, what it is part of, text), made in a transaction.
Commit: TypeAlias = Callable[[Connection, str, str, str], str]


def _uncommitted(connection: Connection, subject: str, request: str, text: str) -> str:
    """Where no vault is given, a name is not even committed to."""
    return ""


class Keys:
    """The seam ``Keys`` over SQLite, and what an administrator does with keys.

    ``authenticate`` costs one HMAC and one look into a table in memory, for good and bad tokens alike. ``record`` is
    called with each change before it is committed: if it raises, nothing was changed. A key's name is not in it: in its
    place stands what ``commit`` makes of it.
    """

    def __init__(
        self,
        database: Database,
        pepper: bytes,
        *,
        record: Callable[[Event], object] = _unrecorded,
        commit: Commit = _uncommitted,
        now: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._pepper = database, pepper
        self._record, self._commit, self._now, self._monotonic = record, commit, now, monotonic
        self._lock = Lock()
        self._known: Mapping[bytes, Key] = {}
        self._version, self._checked = -1, float("-inf")

    def authenticate(self, token: str) -> Principal:
        """Who holds this token. Raises :class:`Unauthenticated`: the same for a token that is unknown, malformed,
        expired or revoked, after the same work."""
        key = self._current().get(self._digest(token), _NOBODY)
        if not key.usable(self._now()):
            raise Unauthenticated("The API key is not valid.")
        return key.principal

    def create(self, name: str, options: KeyOptions | None = None, *, by: str = "") -> tuple[str, Principal]:
        """A new key: its token, which is not stored and cannot be shown again, and its principal.

        ``by`` is the id of whoever makes it. Raises :class:`InvalidRequest`.
        """
        options = options or KeyOptions()
        self._check(name, options)
        token = f"isk_{secrets.token_urlsafe(32)}"
        key = Key(f"key_{secrets.token_hex(6)}", name, options, self._now())
        with self._changing() as connection:
            self._insert(connection, key, token, by)
        return token, key.principal

    def revoke(self, key: str, *, by: str = "") -> Key:
        """The key is refused from now on. Raises :class:`NotFound`; a revoked key stays as it is."""
        with self._changing() as connection:
            found = connection.execute(select(keys).where(keys.c.id == key)).first()
            if found is None:
                raise NotFound(f"There is no key {key!r}.", hint="List them with `isthmus keys list`.")
            if found.revoked is None:
                self._revoke(connection, key, by)
        return self.find(key)

    def find(self, key: str) -> Key:
        """The key with that id, in whatever state. Raises :class:`NotFound`."""
        for known in self._current().values():
            if known.id == key:
                return known
        raise NotFound(f"There is no key {key!r}.", hint="List them with `isthmus keys list`.")

    def list(self) -> list[Key]:
        """Every key, revoked ones too, oldest first."""
        return sorted(self._current().values(), key=lambda key: (key.created, key.id))

    def bootstrap(self, token: str) -> Principal:
        """The administrator's key whose token is given from outside (``ISTHMUS_BOOTSTRAP_KEY``), made if need be.

        There is one: a new token takes the place of the one before. Raises :class:`ConfigInvalid` where it is too
        short to be a secret, or was revoked: a revoked key does not come back by a restart.
        """
        if len(token) < SHORTEST_BOOTSTRAP:
            raise ConfigInvalid(
                f"ISTHMUS_BOOTSTRAP_KEY is shorter than {SHORTEST_BOOTSTRAP} characters.",
                hint="Make one with: openssl rand -hex 32",
            )
        with self._changing() as connection:
            found = connection.execute(select(keys).where(keys.c.digest == self._digest(token))).first()
            if found is not None and found.revoked is not None:
                raise ConfigInvalid(
                    "The key in ISTHMUS_BOOTSTRAP_KEY was revoked.", hint="Set another one, or unset it."
                )
            if found is not None:
                return _key(found._asdict()).principal
            return self._replace_bootstrap(connection, token)

    def _replace_bootstrap(self, connection: Connection, token: str) -> Principal:
        before = select(keys.c.id).where(keys.c.name == _BOOTSTRAP, keys.c.revoked.is_(None))
        for identity in connection.scalars(before).all():
            self._revoke(connection, identity, _BOOTSTRAP)
        options = KeyOptions(roles=frozenset({"admin", "user"}))
        key = Key(f"key_{secrets.token_hex(6)}", _BOOTSTRAP, options, self._now())
        self._insert(connection, key, token, _BOOTSTRAP)
        return key.principal

    def _insert(self, connection: Connection, key: Key, token: str, by: str) -> None:
        mine = key.options
        connection.execute(
            insert(keys).values(
                id=key.id, digest=self._digest(token), name=key.name, roles=tuple(sorted(mine.roles)),
                groups=tuple(sorted(mine.groups)), label=mine.default, jurisdiction=mine.jurisdiction,
                created=key.created, expires=mine.expires, budget=mine.budget,
            )
        )  # fmt: skip
        advance(connection, "keys")
        name = self._commit(connection, key.id, key.id, key.name)
        self._record({"type": "key.created", "by": by, "key": {**key.pseudonymous(), "name": name}})

    def _revoke(self, connection: Connection, key: str, by: str) -> None:
        connection.execute(update(keys).where(keys.c.id == key).values(revoked=self._now()))
        advance(connection, "keys")
        self._record({"type": "key.revoked", "by": by, "key": {"id": key}})

    def _current(self) -> Mapping[bytes, Key]:
        """All keys by digest; read again where the counter moved. Fails closed: no database, no answer."""
        if self._monotonic() - self._checked < FRESH:
            return self._known
        with self._lock, self._database.read() as connection:
            checked, now = self._monotonic(), version(connection, "keys")
            if now != self._version:
                rows = [row._asdict() for row in connection.execute(select(keys))]
                self._known, self._version = {row["digest"]: _key(row) for row in rows}, now
            self._checked = checked
        return self._known

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        with self._database.write() as connection:
            yield connection
        self._checked = float("-inf")  # this process sees its own change at once

    def _digest(self, token: str) -> bytes:
        return hmac.digest(self._pepper, token.encode("utf8", "replace"), hashlib.sha256)

    def _check(self, name: str, options: KeyOptions) -> None:
        if not name.strip() or len(name) > 128 or name == _BOOTSTRAP:
            raise InvalidRequest(f"A key's name has 1 to 128 characters, and is not {_BOOTSTRAP!r}.")
        if unknown := options.roles - ROLES:
            raise InvalidRequest(
                f"There is no role {min(unknown)!r}.", hint=f"The roles are: {', '.join(sorted(ROLES))}."
            )
        if options.expires is not None and options.expires <= self._now():
            raise InvalidRequest("The key would have expired already.")
        if options.budget is not None and not 0 <= options.budget < float("inf"):
            raise InvalidRequest("A budget is a number from 0.")


#: Stands for every token that is not known, so that it goes the same way as one that is.
_NOBODY = Key("", "", KeyOptions(), datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC))


def _key(row: Mapping[str, Any]) -> Key:
    options = KeyOptions(
        frozenset(row["roles"]),
        frozenset(row["groups"]),
        row["label"],
        row["jurisdiction"],
        row["expires"],
        row["budget"],
    )
    return Key(row["id"], row["name"], options, row["created"], row["revoked"])


def open_keys(
    database: Database, home: Home, record: Callable[[Event], object] = _unrecorded, commit: Commit = _uncommitted
) -> Keys:
    """The keys of a home folder; makes the pepper at first use.

    Raises :class:`ConfigInvalid` where others can read the pepper, or where it is gone although there are keys: a
    new one would refuse them all without a word.
    """
    with database.read() as connection:
        used = connection.execute(select(keys.c.id).limit(1)).first() is not None
    return Keys(database, pepper(home.secrets, make=not used), record=record, commit=commit)
