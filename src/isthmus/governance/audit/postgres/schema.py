"""The tables, and what the database itself refuses, so that no replica can fork the log, whatever its version does.

An entry goes in only right after the one before it; entries and tiles never change and never go; the signed checkpoint
only grows, and covers no more than there is; the log's name and key stay. Only who owns the tables could undo this, so
a replica's role should not own them: ``script`` is for the owner.
"""

from __future__ import annotations

import re

from isthmus.errors import InvalidRequest

SCHEMA = "isthmus_audit"
#: Of the tables. A replica leaves a newer one alone.
VERSION = 1
#: The advisory lock of a log's turn. A database holds one log, and these locks belong to their database.
LOCK = int.from_bytes(b"isthmus\0", "big")

DDL = f"""
CREATE SCHEMA {SCHEMA};
CREATE TABLE {SCHEMA}.log (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL,
    vkey text NOT NULL,
    size bigint NOT NULL DEFAULT 0 CHECK (size >= 0),
    note text NOT NULL DEFAULT ''
);
CREATE TABLE {SCHEMA}.entries (
    seq bigint PRIMARY KEY CHECK (seq >= 0),
    entry bytea NOT NULL CHECK (octet_length(entry) BETWEEN 1 AND 65535)
);
CREATE TABLE {SCHEMA}.tiles (
    level smallint CHECK (level >= 0),
    n bigint CHECK (n >= 0),
    hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
    PRIMARY KEY (level, n)
);
CREATE TABLE {SCHEMA}.rotations (
    n integer PRIMARY KEY CHECK (n > 0),
    note text NOT NULL
);

CREATE FUNCTION {SCHEMA}.follow() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    due bigint := coalesce((SELECT max(seq) FROM {SCHEMA}.entries), -1) + 1;
BEGIN
    IF NEW.seq <> due THEN
        RAISE EXCEPTION 'entry % is due, not %', due, NEW.seq USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION {SCHEMA}.grow() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NEW.size < OLD.size OR NEW.size > coalesce((SELECT max(seq) FROM {SCHEMA}.entries), -1) + 1 THEN
        RAISE EXCEPTION 'a checkpoint of % entries covers no more than there are, and no less than the one before',
            NEW.size USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.vkey <> OLD.vkey AND coalesce(
        (SELECT position(NEW.vkey IN note) = 0 FROM {SCHEMA}.rotations ORDER BY n DESC LIMIT 1), true)
    THEN
        RAISE EXCEPTION 'a log keeps its key, unless a rotation names the next'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION {SCHEMA}.refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER follow BEFORE INSERT ON {SCHEMA}.entries FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.follow();
CREATE TRIGGER grow BEFORE UPDATE ON {SCHEMA}.log FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.grow();
CREATE TRIGGER refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON {SCHEMA}.entries EXECUTE FUNCTION {SCHEMA}.refuse();
CREATE TRIGGER refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON {SCHEMA}.tiles EXECUTE FUNCTION {SCHEMA}.refuse();
CREATE TRIGGER refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON {SCHEMA}.rotations EXECUTE FUNCTION {SCHEMA}.refuse();
CREATE TRIGGER refuse BEFORE DELETE OR TRUNCATE ON {SCHEMA}.log EXECUTE FUNCTION {SCHEMA}.refuse();
ALTER TABLE {SCHEMA}.entries ENABLE ALWAYS TRIGGER follow;
ALTER TABLE {SCHEMA}.entries ENABLE ALWAYS TRIGGER refuse;
ALTER TABLE {SCHEMA}.tiles ENABLE ALWAYS TRIGGER refuse;
ALTER TABLE {SCHEMA}.rotations ENABLE ALWAYS TRIGGER refuse;
ALTER TABLE {SCHEMA}.log ENABLE ALWAYS TRIGGER grow;
ALTER TABLE {SCHEMA}.log ENABLE ALWAYS TRIGGER refuse;
"""  # noqa: S608  our own constant


def script(writer: str | None = None, reader: str | None = None) -> str:
    """What the tables' owner runs once in an empty database, for roles that exist: one transaction for ``psql``.

    Raises :class:`InvalidRequest` for a name that must be quoted in SQL.
    """
    grants = [line for line in (_writes(writer), _reads(reader)) if line]
    return "\n".join(["BEGIN;", DDL.strip(), *grants, "COMMIT;", ""])


def _writes(role: str | None) -> str:
    if role is None:
        return ""
    return (
        f"{_reads(role)}\nGRANT INSERT ON ALL TABLES IN SCHEMA {SCHEMA} TO {role};\n"
        f"GRANT UPDATE (vkey, size, note) ON {SCHEMA}.log TO {role};"
    )


def _reads(role: str | None) -> str:
    if role is None:
        return ""
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", role):
        raise InvalidRequest(f"{role!r} is no plain name of a role.", hint="Use lower-case letters, digits and _.")
    return f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role};\nGRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO {role};"
