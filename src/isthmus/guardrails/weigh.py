"""From what was found to a label. docs/guardrails.md has the table; a test keeps the two alike.

People ask about public figures, cities and dates all day: a name or a date by itself weighs nothing. What weighs is
what singles a person out (an identifier, a birth date in a record), more of it together, and health beside it.
"""

from __future__ import annotations

from collections.abc import Collection

from isthmus.labels import INTERNAL, PUBLIC, Label, Level
from isthmus.seams import Finding

PERSONAL = Label(Level.CONFIDENTIAL, frozenset({"personal"}))
HEALTH = Label(Level.RESTRICTED, frozenset({"personal", "health"}))

#: Each singles out a person, or opens an account, by itself.
IDENTIFIERS = frozenset({
    "CREDIT_CARD", "IBAN", "US_SSN", "DE_HEALTH_INSURANCE", "DE_PENSION", "FR_NIR", "ES_DNI", "CH_AHV", "UK_NINO",
    "IT_FISCAL_CODE", "INSURANCE_ID", "MEDICAL_RECORD", "NATIONAL_ID", "ACCOUNT", "BIRTH_DATE",
})  # fmt: skip
#: Numbers that only a health system gives: one medical word beside them is enough.
MEDICAL = frozenset({"DE_HEALTH_INSURANCE", "INSURANCE_ID", "MEDICAL_RECORD"})
CONTACTS = frozenset({"EMAIL_ADDRESS", "PHONE_NUMBER"})
#: The score of one word that may be a name: outside English, the model takes any capitalised word for one.
HALF_A_NAME = 0.5


def weigh(findings: Collection[Finding]) -> Label:
    """The label that a text with these findings must have at least."""
    kinds = {finding.kind for finding in findings if finding.kind != "PERSON" or finding.score > HALF_A_NAME}
    health = _health(findings)
    identified = bool(kinds & IDENTIFIERS) or kinds >= CONTACTS or ("BORN" in kinds and bool(kinds & CONTACTS))
    if _about_health(kinds, health, identified):
        return HEALTH
    if identified:
        return PERSONAL
    return INTERNAL if kinds & (CONTACTS | {"BORN"}) else PUBLIC


def _about_health(kinds: set[str], health: int, identified: bool) -> bool:
    """Whether the text speaks of the health of someone who can be told from others."""
    if identified:
        return health >= (1 if kinds & MEDICAL else 2)
    named = "PERSON" in kinds and ("HEALTH_RECORD" in kinds or bool(kinds & CONTACTS))
    return (named or ("BORN" in kinds and "HEALTH_RECORD" in kinds)) and health >= 4


def _health(findings: Collection[Finding]) -> int:
    """Medical words: two points for a clear one and for a mark of a record, one for a vague one."""
    return sum(_POINTS.get(finding.kind, 0) for finding in findings)


_POINTS = {"HEALTH_RECORD": 2, "HEALTH": 2, "HEALTH_VAGUE": 1}
