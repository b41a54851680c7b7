"""Budgets: reserved at admission, settled after, a month at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from isthmus.cards import Card, Price
from isthmus.data.budgets import MonthlyBudgets
from isthmus.data.database import Database
from isthmus.errors import BudgetExceeded
from isthmus.principals import Principal

CARD = Card("closed", "openai", price=Price(1.0, 1.0))
ADA, BOB = Principal("key_ada", "Ada"), Principal("key_bob", "Bob")
_KEY = text(
    "INSERT INTO keys (id, digest, name, roles, groups, label, jurisdiction, created, budget) "
    "VALUES (:id, :id, :id, '[]', '[]', '{}', '', '2026-01-01T00:00:00+00:00', :budget)"
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "isthmus.db")
    with database.write() as connection:
        connection.execute(_KEY, [{"id": ADA.id, "budget": 1.0}, {"id": BOB.id, "budget": None}])
    yield database
    database.close()


def budgets(database: Database, month: int = 1) -> MonthlyBudgets:
    return MonthlyBudgets(database, lambda: datetime(2026, month, 15, tzinfo=UTC))


def test_what_is_held_counts_until_it_is_settled(database):
    limits = budgets(database)
    held = limits.reserve(ADA, CARD, 0.7)
    with pytest.raises(BudgetExceeded) as exceeded:
        limits.reserve(ADA, CARD, 0.4)
    assert exceeded.value.details["left"] == pytest.approx(0.3)
    limits.settle(held, 0.2)
    limits.settle(held, 0.2)  # twice does nothing
    assert limits.reserve(ADA, CARD, 0.8)


def test_what_was_spent_is_kept_for_the_month_and_over_a_restart(database):
    limits = budgets(database)
    limits.settle(limits.reserve(ADA, CARD, 0.9), 0.9)
    with pytest.raises(BudgetExceeded):
        budgets(database).reserve(ADA, CARD, 0.2)
    assert budgets(database, month=2).reserve(ADA, CARD, 0.2)


def test_no_budget_is_no_limit_and_a_free_call_needs_none(database):
    limits = budgets(database)
    assert limits.reserve(BOB, CARD, 1e9)
    limits.reserve(ADA, CARD, 1.0)
    assert limits.reserve(ADA, CARD, 0.0)
