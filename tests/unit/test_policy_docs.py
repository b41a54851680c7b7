"""docs/policy.md knows every rule that ships and every attribute of the schema, and its example is valid."""

from __future__ import annotations

import re
from pathlib import Path

from isthmus.governance.policy.policyset import SCHEMA, STARTER, PolicySet

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "policy.md").read_text(encoding="utf8")


def test_every_starter_rule_is_described_in_order() -> None:
    described = re.findall(r"^\| `([a-z-]+)` \| (?:yes|no): ", PAGE, re.MULTILINE)
    assert described == [rule.name for rule in PolicySet.load(STARTER).rules]


def test_every_attribute_is_described() -> None:
    schema = re.sub(r"//.*", "", SCHEMA.read_text(encoding="utf8"))
    attributes = set(re.findall(r"(\w+): (?:Set<String>|String|Long|Bool|\{)", schema)) - {"context"}
    table = PAGE[PAGE.index("## What a rule can read") : PAGE.index("## Cost")]
    assert len(attributes) > 25
    assert attributes <= set(re.findall(r"\w+", table))


def test_the_example_can_be_used_beside_the_starter_set(tmp_path: Path) -> None:
    (example,) = re.findall(r"```cedar\n(.*?)```", PAGE, re.DOTALL)
    for file in STARTER.glob("*.cedar"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf8"), encoding="utf8")
    (tmp_path / "50-own.cedar").write_text(example, encoding="utf8")
    assert len(PolicySet.load(tmp_path).rules) == len(PolicySet.load(STARTER).rules) + 3


def test_the_example_of_kept_content_can_be_used_beside_the_starter_set(tmp_path: Path) -> None:
    (example,) = re.findall(r"```cedar\n(.*?)```", (DOCS / "erasure.md").read_text(encoding="utf8"), re.DOTALL)
    for file in STARTER.glob("*.cedar"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf8"), encoding="utf8")
    (tmp_path / "50-own.cedar").write_text(example, encoding="utf8")
    (kept,) = (rule for rule in PolicySet.load(tmp_path).rules if rule.obligations)
    assert kept.obligations == {"keep"}
