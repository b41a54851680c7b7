"""The collections that a command names: a name that is misspelt must not read as "nothing found"."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.config import Home, Settings
from isthmus.data.database import Database
from isthmus.data.documents import Documents
from isthmus.errors import InvalidRequest
from isthmus.principals import Principal


def require_collections(names: Sequence[str], asker: Principal, settings: Settings, home: Home) -> None:
    """Raises :class:`InvalidRequest` for a name that is neither configured nor that of a document which ``asker`` may
    read (``*`` is every collection). The endpoint never says this: there, what one may not read does not exist."""
    wanted = [name for name in names if name != "*"]
    if not wanted:
        return
    known = set(settings.knowledge.collections) | _held(asker, home)
    if unknown := [name for name in wanted if name not in known]:
        there = f"there are: {', '.join(sorted(known))}" if known else "there are none yet"
        raise InvalidRequest(
            f"There is no collection {unknown[0]!r}; {there}.",
            hint="Make one with `isthmus ingest PATH --collection NAME`.",
        )


def _held(asker: Principal, home: Home) -> set[str]:
    if not home.database.is_file():
        return set()
    database = Database(home.database)
    try:
        return {document.collection for document in Documents(database).list(asker)}
    finally:
        database.close()
