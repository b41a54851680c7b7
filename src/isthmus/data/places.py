"""Where in the log something was said last: entry numbers by name, in the store's ``meta``.

They spare a search. The log is the truth: whoever reads one looks whether that entry says so.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from isthmus.data.database import Database
from isthmus.data.tables import meta


class Places:
    """Entry numbers by name. Raises :class:`isthmus.errors.StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, name: str) -> int | None:
        with self._database.read() as connection:
            return connection.scalar(select(meta.c.value).where(meta.c.name == f"entry:{name}"))

    def keep(self, name: str, index: int) -> None:
        statement = insert(meta).values(name=f"entry:{name}", value=index)
        with self._database.write() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": index}))
