"""From findings to a label: the table of docs/guardrails.md, row by row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isthmus.guardrails.weigh import HALF_A_NAME, weigh
from isthmus.labels import PUBLIC, Label
from isthmus.seams import Finding

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guardrails.md"
ROWS = re.findall(r"^\| (`.+`) \| (\w+) \| ?([\w, ]*)\|$", PAGE.read_text(encoding="utf8"), re.MULTILINE)


def test_the_table_is_there() -> None:
    assert len(ROWS) >= 20


@pytest.mark.parametrize(("found", "level", "categories"), ROWS)
def test_the_documentation_says_what_the_code_does(found: str, level: str, categories: str) -> None:
    kinds = re.findall(r"`(\w+)`", found)
    label = weigh([Finding(kind, at, at + 1, 0.9) for at, kind in enumerate(kinds)])
    assert label == Label.parse({"level": level, "categories": re.findall(r"\w+", categories)})


def test_half_a_name_is_none() -> None:
    letter = [Finding("HEALTH_RECORD", 0, 1), Finding("HEALTH", 2, 3)]
    assert weigh([Finding("PERSON", 4, 5, HALF_A_NAME), *letter]) == PUBLIC
