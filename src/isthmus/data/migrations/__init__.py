"""The schema's history, applied when a database is opened: offline, in one transaction, by one process at a time."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from isthmus.errors import StoreUnavailable

#: The revision this program works with: the last file in ``versions``.
HEAD = "0003"


def upgrade(engine: Engine) -> None:
    """Bring the database to ``HEAD``. Costs one query where it is there already (Alembic is not even imported).

    Raises :class:`isthmus.errors.StoreUnavailable` where a newer Isthmus made the database.
    """
    with engine.begin() as connection:
        if revision(connection) == HEAD:
            return
    with engine.connect() as connection, connection.execution_options(immediate=True).begin():
        if revision(connection) != HEAD:  # no other process was quicker
            _apply(connection)


def revision(connection: Connection) -> str | None:
    """The revision of the database; ``None`` for an empty file."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _apply(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, HEAD)
    except CommandError as error:
        raise StoreUnavailable(
            "The database was made by a newer version of Isthmus.", hint="Start that version, or a newer one."
        ) from error
