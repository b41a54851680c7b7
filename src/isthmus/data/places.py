"""Where in the log something was said last: entry numbers by name, in the store's ``meta``.

They spare a search. The log is the truth: whoever reads a place looks whether that entry says so, and at what came
after it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from isthmus.data.database import Database
from isthmus.data.tables import meta


@dataclass(frozen=True, slots=True)
class Kept:
    """Of the first ``read`` entries, number ``index`` is the last that said it."""

    index: int
    read: int


class Places:
    """Entry numbers by name. Raises :class:`isthmus.errors.StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, name: str) -> Kept | None:
        with self._database.read() as connection:
            values = [connection.scalar(select(meta.c.value).where(meta.c.name == row)) for row in _rows(name)]
        index, read = values
        return None if index is None else Kept(index, read if read is not None else index + 1)

    def keep(self, name: str, kept: Kept) -> None:
        with self._database.write() as connection:
            for row, value in zip(_rows(name), (kept.index, kept.read), strict=True):
                statement = insert(meta).values(name=row, value=value)
                connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


def _rows(name: str) -> tuple[str, str]:
    return f"entry:{name}", f"read:{name}"
