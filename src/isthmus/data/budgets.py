"""What each key may spend in a month, and has: the seam ``Limits`` over the store.

Money is reserved when a call is admitted and settled when it ends, so that calls under way count. A key without a
budget is not limited. One process holds its reservations in memory; several share one budget when the gateway
comes to run in several (settled amounts are shared already).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import text

from isthmus.cards import Card
from isthmus.data.database import Database
from isthmus.errors import BudgetExceeded
from isthmus.principals import Principal

_STANDING = text(
    "SELECT k.budget, coalesce(s.amount, 0) FROM keys k "
    'LEFT JOIN spending s ON s."key" = k.id AND s.month = :month WHERE k.id = :key'
)
_SPEND = text(
    'INSERT INTO spending ("key", month, amount) VALUES (:key, :month, :amount) '
    'ON CONFLICT ("key", month) DO UPDATE SET amount = amount + excluded.amount'
)


class MonthlyBudgets:
    """Budgets in the currency of the models' prices."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._open: dict[str, tuple[str, float]] = {}

    def reserve(self, principal: Principal, card: Card, estimate: float) -> str:
        """Hold ``estimate`` of the principal's budget. Raises :class:`BudgetExceeded` where not so much is left.

        A call that costs nothing is always let through, and asks nothing of the store.
        """
        if estimate > 0:
            self._check(principal, card, estimate)
        reservation = secrets.token_hex(8)
        self._open[reservation] = (principal.id, estimate)
        return reservation

    def settle(self, reservation: str, cost: float) -> None:
        """Replace what was held by what it cost. Settling twice does nothing."""
        key, _ = self._open.pop(reservation, ("", 0.0))
        if key and cost > 0:
            with self._database.write() as connection:
                connection.execute(_SPEND, {"key": key, "month": self._month(), "amount": cost})

    def _check(self, principal: Principal, card: Card, estimate: float) -> None:
        with self._database.read() as connection:
            row = connection.execute(_STANDING, {"key": principal.id, "month": self._month()}).first()
        if row is None or row[0] is None:
            return
        budget, spent = row
        held = sum(amount for key, amount in self._open.values() if key == principal.id)
        left = budget - spent - held
        if estimate > left:
            raise BudgetExceeded(
                f"The budget of this key has {max(left, 0):.4f} {card.price.currency} left this month, and a call of "
                f"{card.id} may cost {estimate:.4f}.",
                details={"left": round(max(left, 0.0), 6), "estimate": round(estimate, 6)},
            )

    def _month(self) -> str:
        return self._now().strftime("%Y-%m")
