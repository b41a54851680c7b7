"""Which audit log a configuration means: the one in the home folder, or the one that replicas share in a database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from isthmus.config import Home, Settings, secret
from isthmus.errors import ConfigInvalid
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.tree.storage import Folder, Storage
from isthmus.governance.audit.writing.journal import Journal, Place
from isthmus.governance.audit.writing.keys import must_be_new
from isthmus.governance.audit.writing.rotating import Rotated
from isthmus.governance.audit.writing.rotating import rotate as rotate_folder
from isthmus.governance.audit.writing.sequencer import Sequencer

if TYPE_CHECKING:
    from isthmus.governance.audit.postgres.identity import Place as DatabasePlace


class Readable(Storage, Protocol):
    """A storage that may hold a connection."""

    def close(self) -> None:
        """Let go of it; the next call opens it again."""
        ...


def sequencer(settings: Settings, home: Home, now: Callable[[], datetime]) -> Sequencer:
    """What puts entries into the log, not yet open. Raises :class:`ConfigInvalid`."""
    if settings.audit.database is None:
        return Journal(folder_place(settings, home), now, Files())
    place = database_place(settings.audit.database, settings, home)
    from isthmus.governance.audit.postgres.sequencer import DatabaseSequencer

    return DatabaseSequencer(place, now)


def storage(settings: Settings, home: Home) -> Readable:
    """The log as its readers see it. Raises :class:`ConfigInvalid`."""
    if settings.audit.database is None:
        return _Own(folder_place(settings, home))
    place = database_place(settings.audit.database, settings, home)
    from isthmus.governance.audit.postgres.storage import Rows

    return Rows(place.dsn)


class _Own(Folder):
    """This home's own log: one that its key signed for and that is not there is missing, and not yet to come."""

    def __init__(self, place: Place) -> None:
        super().__init__(place.folder)
        self._key = place.key

    def vkey(self) -> str | None:
        """Raises :class:`isthmus.errors.AuditUnavailable` where the log is missing."""
        if (found := super().vkey()) is None:
            must_be_new(self.path, self._key)
        return found


def rotate(settings: Settings, home: Home, now: Callable[[], datetime], *, by: str, why: str) -> Rotated:
    """Give the log a new signing key; servers may run beside it. Raises :class:`isthmus.errors.AuditUnavailable`."""
    if settings.audit.database is None:
        place, files = folder_place(settings, home), Files()
        with closing(Journal(place, now, files)) as journal:
            return rotate_folder(place, journal, files, by=by, why=why)
    shared = database_place(settings.audit.database, settings, home)
    from isthmus.governance.audit.postgres.sequencer import DatabaseSequencer

    with closing(DatabaseSequencer(shared, now)) as sequencer:
        return sequencer.rotate(by=by, why=why)


def beside(settings: Settings, home: Home) -> Path:
    """The folder of what this home keeps of its log, beside the entries: the log's own, or that for a shared one."""
    return home.audit if settings.audit.database is None else home.path / "audit-shared"


def signing_key(settings: Settings, home: Home) -> Path:
    """The file of the key that signs the log."""
    return _key(home, shared=settings.audit.database is not None)


def _key(home: Home, *, shared: bool) -> Path:
    """A shared log has another key than one in a folder: two logs that bear one name can never be taken for one."""
    return home.secrets / ("shared-log-signing-key" if shared else "log-signing-key")


def folder_place(settings: Settings, home: Home) -> Place:
    """Where this home's own log lies, and its key."""
    return Place(home.audit, _key(home, shared=False), settings.audit.origin)


def database_place(reference: str, settings: Settings, home: Home) -> DatabasePlace:
    """Where the shared log lies, and its key. Raises :class:`ConfigInvalid`."""
    dsn = secret(reference, home)
    try:
        from isthmus.governance.audit.postgres.connecting import parameters
        from isthmus.governance.audit.postgres.identity import Place as DatabasePlace
    except ImportError as error:  # psycopg, or the libpq beneath it
        raise ConfigInvalid(
            f"A log in a database needs psycopg, which does not load: {error}.",
            hint="In Isthmus's folder: .venv/bin/pip install -e '.[postgres]'.",
        ) from error
    parameters(dsn)  # a string that is none is told of now
    return DatabasePlace(dsn, _key(home, shared=True), beside(settings, home), settings.audit.origin)
