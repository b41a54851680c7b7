"""One rule of a policy set, read from a Cedar policy and its annotations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import cedarpy

from isthmus.errors import PolicyInvalid
from isthmus.governance.policy.source import Statement
from isthmus.seams import Obligation

Effect: TypeAlias = Literal["permit", "forbid"]

#: Names that decisions use where no rule decided.
DEFAULT_DENY, POLICY_ERROR = "default-deny", "policy-error"

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ANNOTATIONS = frozenset({"id", "reason", "obligation"})
_OBLIGATIONS: frozenset[Obligation] = frozenset(get_args(Obligation))


@dataclass(frozen=True, slots=True)
class Rule:
    """``name`` is the policy's ``@id``, ``reason`` its ``@reason`` for people, ``text`` its Cedar as written."""

    name: str
    effect: Effect
    reason: str
    obligations: frozenset[Obligation]
    file: str
    line: int
    text: str

    @property
    def where(self) -> str:
        """``file:line``."""
        return f"{self.file}:{self.line}"

    def as_dict(self) -> dict[str, object]:
        """Plain data, for programs."""
        return {
            "name": self.name,
            "effect": self.effect,
            "reason": self.reason,
            "obligations": sorted(self.obligations),
            "file": self.file,
            "line": self.line,
        }


def parse_rule(statement: Statement, schema: cedarpy.Schema) -> Rule:
    """The rule that a statement is. Raises :class:`PolicyInvalid`, whose message says what is wrong, not where."""
    policy = _parsed(statement)
    checked = cedarpy.validate_policies(statement.text, schema)
    if not checked.validation_passed:
        raise PolicyInvalid("; ".join(error.error.replace("for policy `policy0`, ", "") for error in checked.errors))
    name, obligations = _name(policy.annotations), _obligations(policy.annotations)
    if obligations and policy.effect == "forbid":
        raise PolicyInvalid(f"the rule {name!r} forbids: an obligation belongs to a permit")
    reason = policy.annotations.get("reason", "")
    return Rule(name, policy.effect, reason, obligations, statement.file, statement.line, statement.text)


def _parsed(statement: Statement) -> cedarpy.pst.Template:
    try:
        parsed = cedarpy.policies_to_pst(statement.text)
    except ValueError as error:
        raise PolicyInvalid(str(error)) from error
    if parsed.templates:
        raise PolicyInvalid("a template with ?principal or ?resource decides nothing: name whom you mean")
    (policy,) = parsed.static_policies.values()
    return policy


def _name(annotations: Mapping[str, str]) -> str:
    # A misspelt @obligation would be lost in silence, and with it what it asks for.
    if unknown := sorted(set(annotations) - _ANNOTATIONS):
        raise PolicyInvalid(f"there is no annotation @{unknown[0]}; there are @id, @reason and @obligation")
    name = annotations.get("id", "")
    if not name:
        raise PolicyInvalid('the rule has no name: write @id("what-it-says") above it')
    if not _NAME.fullmatch(name) or len(name) > 64 or name in {DEFAULT_DENY, POLICY_ERROR}:
        raise PolicyInvalid(f"{name!r} cannot be a rule's name: use words of a-z and 0-9 joined by hyphens")
    return name


def _obligations(annotations: Mapping[str, str]) -> frozenset[Obligation]:
    if "obligation" not in annotations:
        return frozenset()
    named = {part.strip() for part in annotations["obligation"].split(",")}
    if unknown := sorted(named - _OBLIGATIONS):
        raise PolicyInvalid(f"there is no obligation {unknown[0]!r}; there are {', '.join(sorted(_OBLIGATIONS))}")
    return frozenset(obligation for obligation in _OBLIGATIONS if obligation in named)
