"""The catalogue of entries cannot lie: what the source writes is declared, what is declared is written, and shown."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import isthmus
from isthmus.governance import catalogue

SOURCE = Path(isthmus.__file__).parent
DOCS = SOURCE.parents[1] / "docs"
#: Layers that write entries; the others have other things with a "type" (JSON Schema, wire formats, Cedar).
WRITERS = ("wiring.py", "cli", "data", "orchestration", "governance/audit", "governance/review")
DECLARED = {catalogue.name(kind) for kind in catalogue.ENTRIES}


def _trees() -> Iterator[tuple[Path, ast.Module]]:
    for writer in WRITERS:
        place = SOURCE / writer
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf8"))


def _written() -> dict[str, str]:
    """Every type that the source can give an entry, and where."""
    found: dict[str, str] = {}
    for path, tree in _trees():
        constants = dict(_constants(tree))
        for node in ast.walk(tree):
            for value in _types(node):
                for type in _spelt(value, constants, path):
                    found[type] = f"{path.relative_to(SOURCE)}:{value.lineno}"
    return found


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            for name, value in zip(names, values, strict=False):
                if isinstance(name, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield name.id, value.value


def _types(node: ast.AST) -> Iterator[ast.expr]:
    """The values of ``"type"`` in dictionaries, and of the recorder's ``_who(request, TYPE)``."""
    match node:
        case ast.Dict():
            yield from (
                value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and key.value == "type"
            )
        case ast.Call(func=ast.Name(id="_who"), args=[_, type]):
            yield type


def _spelt(value: ast.expr, constants: dict[str, str], path: Path) -> Iterator[str]:
    match value:
        case _ if path.parts[-2] == "answers":
            return  # a reader's tables of what can be searched for
        case ast.Constant(value=str(type)):
            yield type
        case ast.Name(id=name) if name in constants:
            yield constants[name]
        case ast.Name(id="type") if path.name == "record.py":
            return  # the parameter of ``_who``
        case ast.JoinedStr(values=[ast.Constant(value=str(family)), _]):
            yield from (type for type in DECLARED if type.startswith(family))
        case _:
            pytest.fail(f"{path}:{value.lineno}: a type that cannot be read from the source")


def test_what_the_source_writes_is_declared() -> None:
    undeclared = {type: place for type, place in _written().items() if type not in DECLARED}
    assert not undeclared, "declare it in governance/catalogue, and give an example with `python -m tools.entries`"


def test_what_is_declared_is_written() -> None:
    assert DECLARED - set(_written()) == set()


def test_every_type_has_a_meaning_and_every_field_too() -> None:
    shapes = catalogue.json_schema()["$defs"]
    for kind in catalogue.ENTRIES:
        shape = shapes[kind.__name__]
        assert shape["description"].strip().endswith((".", "…")), kind
        plain = {"chunks", "change", "cost", "finish", "usage", "key", "label", "highest", "type"}
        counted = {"added", "updated", "unchanged", "deleted", "rejected", "skipped"}
        for name, field in shape["properties"].items():
            told = field.get("description") or name in plain | counted or "$ref" in field
            assert told, f"{kind.__name__}.{name}"


def test_every_type_has_an_example_that_the_code_made() -> None:
    lines = (DOCS / "audit-entries.jsonl").read_bytes().splitlines()
    shown = [catalogue.name(type(catalogue.parse(line))) for line in lines]
    assert shown == [catalogue.name(kind) for kind in catalogue.ENTRIES]
    for line in lines:
        again = json.dumps(json.loads(line), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert line.decode() == again, "an entry is canonical JSON"


@pytest.mark.parametrize(
    "entry",
    [b"", b"{}", b"[]", b'{"type":"nothing","seq":0,"time":""}', b'{"type":"server.stopped","seq":0,"time":""}',
     b'{"type":"server.stopped","seq":-1,"time":"","server":"s"}',
     b'{"type":"server.stopped","seq":0,"time":"","server":1}',
     b'{"type":"server.stopped","seq":0,"time":"","server":"s","more":1}'],
)  # fmt: skip
def test_what_is_not_as_declared_is_refused(entry: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        catalogue.parse(entry)
