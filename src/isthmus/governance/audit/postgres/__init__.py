"""The same log over PostgreSQL, for replicas: one sequencer, many hosts. Needs the extra ``postgres`` (psycopg)."""
