"""What tests of every folder share: one PostgreSQL server for a whole run, started when a test first asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from postgres_server import Postgres, postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture
def dsn(postgres_server: Postgres) -> str:
    """A new, empty database, as superuser."""
    return postgres_server.dsn(postgres_server.database())
