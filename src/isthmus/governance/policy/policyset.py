"""A folder of Cedar policies, read, checked against the schema and parsed once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cedarpy

from isthmus.config import Home, Settings
from isthmus.errors import PolicyInvalid, PolicyUnavailable
from isthmus.governance.policy.rules import Rule, parse_rule
from isthmus.governance.policy.source import Statement, statements

#: The policies that ship, and the schema that says what a policy can read.
STARTER = Path(__file__).with_name("starter")
SCHEMA = STARTER / "isthmus.cedarschema"


def policy_folder(settings: Settings, home: Home) -> Path:
    """Where the policies in force are read from: the folder configured, else the starter set."""
    return STARTER if settings.policy.folder is None else home.resolve(settings.policy.folder)


@dataclass(frozen=True, slots=True)
class PolicySet:
    """``rules`` in reading order. ``hash`` is ``sha256:…`` over the schema's text and, in order of their names, each
    file's name and text, each of them ended by a zero byte, with lines ended by ``\\n``. ``files`` has the
    ``sha256:…`` of each file's text by its name."""

    rules: tuple[Rule, ...]
    hash: str
    handle: cedarpy.PolicySet
    schema: cedarpy.Schema
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> PolicySet:
        """Every ``*.cedar`` file below ``folder``, by name; hidden files and folders are left out.

        Raises :class:`PolicyUnavailable` where something cannot be read, and :class:`PolicyInvalid` where a rule is
        wrong or there is none; its message names each file and line, ``details["problems"]`` lists them.
        """
        schema = _read(SCHEMA)
        texts = {name: _read(folder / name) for name in _names(folder)}
        return cls._parse(folder, texts, schema)

    @classmethod
    def _parse(cls, folder: Path, texts: dict[str, str], schema_text: str) -> PolicySet:
        schema = cedarpy.Schema.from_str(schema_text)
        written = [statement for name, text in texts.items() for statement in statements(text, name)]
        rules = _rules(folder, written, schema)
        handle = cedarpy.PolicySet.from_str("\n".join(rule.text for rule in rules))
        if len(handle) != len(rules):
            raise PolicyInvalid(f"{folder}: {len(rules)} rules were read, but Cedar sees {len(handle)}.")
        return cls(
            rules, _hash(schema_text, texts), handle, schema, {name: _sha256(text) for name, text in texts.items()}
        )

    def named(self, names: Iterable[str]) -> tuple[Rule, ...]:
        """The rules of those names, in reading order."""
        wanted = set(names)
        return tuple(rule for rule in self.rules if rule.name in wanted)


def _rules(folder: Path, written: list[Statement], schema: cedarpy.Schema) -> tuple[Rule, ...]:
    rules: dict[str, Rule] = {}
    problems = []
    for statement in written:
        try:
            rule = parse_rule(statement, schema)
            if rule.name in rules:
                raise PolicyInvalid(f"{rule.name!r} is the name of the rule in {rules[rule.name].where} too")
            rules[rule.name] = rule
        except PolicyInvalid as error:
            problems.append(f"{folder / statement.file}:{statement.line}: {error.message}")
    if not written:
        problems.append(f"{folder}: there is no rule in it, so nothing could be allowed")
    if problems:
        raise PolicyInvalid("\n".join(problems), details={"problems": problems})
    return tuple(rules.values())


def _names(folder: Path) -> list[str]:
    """Nothing is passed over in silence: a forbid that is not read is a door left open."""
    found = []
    try:
        for place, below, files in os.walk(folder, onerror=_raise, followlinks=True):
            below[:] = [name for name in below if not name.startswith(".")]
            found += [Path(place, name) for name in files if name.endswith(".cedar") and not name.startswith(".")]
    except OSError as error:
        raise _unreadable(folder, error) from error
    return [path.relative_to(folder).as_posix() for path in sorted(found)]


def _raise(error: OSError) -> None:
    raise error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf8")
    except UnicodeDecodeError as error:
        problem = f"{path}: not UTF-8 text"
        raise PolicyInvalid(problem, details={"problems": [problem]}) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> PolicyUnavailable:
    return PolicyUnavailable(
        f"The policies in {path} cannot be read: {error.strerror}.",
        hint="Name a folder that holds *.cedar files: policy.folder in isthmus.yaml, or `isthmus policy check FOLDER`.",
    )


def _hash(schema: str, texts: dict[str, str]) -> str:
    parts = (schema, *(part for name, text in texts.items() for part in (name, text)))
    return _sha256("".join(part + "\0" for part in parts))


def _sha256(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
