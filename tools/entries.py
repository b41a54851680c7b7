"""docs/audit-entries.md and its JSON Schema, made from the catalogue; the examples are entries of real logs.

``python -m tools.entries HOME…`` takes an example of each type from the logs of these home folders, where there is
none yet or the one that there is is no longer as declared.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from isthmus.governance import catalogue
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.storage import Folder

DOCS = Path(__file__).resolve().parents[1] / "docs"
EXAMPLES = DOCS / "audit-entries.jsonl"
_COMMON = ("type", "seq", "time")
_INTRODUCTION = """
Every entry of the [audit log](audit.md) is one JSON object. All have a `type`, a `seq` (the entry's number) and a
`time` (RFC 3339, UTC; the order is that of `seq`, a clock may jump). The rest depends on the type.

- **Promise.** Fields may be added to a type, and types to this page. What a field means does not change, and none is
  taken away without a new type. A reader ignores what it does not know.
- **No content, no names.** Text stands as a salted commitment, documents too, people as pseudonyms: a
  key's id, or `uid:N` for the user of the system who ran a command. `why`, and the names that you give to models,
  rules, collections, groups, purposes and policy files, are written as they are: put no person's name into them.
- **Findings** are kinds and counts. Where in a text something stood is not told, as a place tells of the content.
- A request leaves one `intent` for each attempt, and then `outcome`; or `stopped` or `abstained`, where no answer
  began. A query that is embedded by a model outside has entries of its own, which name the request in `of`.
- What can change by hand on a disk (a policy file, the configuration) is compared with the log whenever a command puts
  it in force: `serve`, `ingest`, `ask`, `retrieve`. `isthmus init` changes files only: what it changes is in
  `config.changed` and `policy.changed` once it is in force.

For programs: [JSON Schema](audit-entries.schema.json), and the examples, one a line, in
[audit-entries.jsonl](audit-entries.jsonl).
"""


def schema() -> dict[str, Any]:
    """The JSON Schema of an entry. Unknown fields are allowed in it: a later version may add some."""
    told: dict[str, Any] = _open(catalogue.json_schema())
    return told


def _open(value: Any) -> Any:
    if isinstance(value, list):
        return [_open(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {name: one for name, one in value.items() if name != "additionalProperties" or one is not False}
    return {
        name: " ".join(one.split()) if name == "description" and isinstance(one, str) else _open(one)
        for name, one in kept.items()
    }


def page(note: str) -> str:
    """Every type with its meaning, its fields and an example, then the shapes that fields have."""
    shapes, examples = schema()["$defs"], dict(_examples())
    types = {kind.__name__: catalogue.name(kind) for kind in catalogue.ENTRIES}
    lines = ["# What stands in the audit log", "", note, _INTRODUCTION]
    lines += ["| type | meaning |", "|---|---|"]
    lines += [f"| [`{type}`](#{_anchor(type)}) | {_first(shapes[kind])} |" for kind, type in types.items()]
    lines.append("")
    for kind, type in types.items():
        lines += [f"## `{type}`", "", shapes[kind]["description"], "", *_fields(shapes[kind])]
        lines += ["```json", json.dumps(examples[type], indent=2, ensure_ascii=False), "```", ""]
    for kind, shape in shapes.items():
        if kind not in types:
            lines += [f"## {kind}", "", shape.get("description", ""), "", *_fields(shape)]
    return "\n".join(lines)


def _anchor(type: str) -> str:
    return type.replace(".", "")


def _first(shape: Mapping[str, Any]) -> str:
    return str(shape["description"]).split(". ")[0].rstrip(".") + "."


def _fields(shape: Mapping[str, Any]) -> Iterator[str]:
    required = set(shape.get("required", ()))
    fields = {name: field for name, field in shape["properties"].items() if name not in _COMMON}
    yield from ("| field | shape | meaning |", "|---|---|---|")
    for name, field in fields.items():
        optional = "" if name in required else "*optional* "
        yield f"| `{name}` | {optional}{_shape(field)} | {field.get('description', '')} |"
    yield ""


def _shape(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        name = str(field["$ref"]).rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(_shape(one) for one in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {_shape(field['items'])}"
    if field.get("type") == "object":
        values = field.get("additionalProperties")
        return f"object of {_shape(values)}" if isinstance(values, dict) and values else "object"
    pattern = str(field.get("pattern", ""))
    if "[0-9a-f]{64}" in pattern:
        return "`sha256:…`" if "sha256" in pattern else "64 hex digits"
    return str(field.get("type", "any"))


def _examples() -> Iterator[tuple[str, dict[str, Any]]]:
    for line in EXAMPLES.read_text(encoding="utf8").splitlines():
        entry = json.loads(line)
        yield entry["type"], entry


def collect(homes: list[Path]) -> int:
    """Keep the examples that are as declared; take those that miss from the logs."""
    found = {type: _canonical(entry) for type, entry in _examples()} if EXAMPLES.exists() else {}
    kept = {type: line for type, line in found.items() if _declared(line.encode())}
    offered: dict[str, list[bytes]] = {}
    for home in homes:
        for _, entry in Reader(Folder(home / "audit")).entries():
            type = str(json.loads(entry).get("type"))
            if type not in kept and _declared(entry):
                offered.setdefault(type, []).append(entry)
    for type, entries in offered.items():
        # the one that shows most, in as few bytes as may be
        kept[type] = max(entries, key=lambda entry: (_telling(entry), -len(entry))).decode()
    names = [catalogue.name(kind) for kind in catalogue.ENTRIES]
    EXAMPLES.write_text("".join(f"{kept[type]}\n" for type in names if type in kept), encoding="utf8")
    missing = [type for type in names if type not in kept]
    sys.stderr.writelines(f"no example of {type}\n" for type in missing)
    return 1 if missing else 0


def _canonical(entry: Mapping[str, Any]) -> str:
    """As it stands in the log."""
    return json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _telling(entry: bytes) -> int:
    """How many of its fields are not empty."""
    return sum(value not in ("", None, [], {}) for value in json.loads(entry).values())


def _declared(entry: bytes) -> bool:
    try:
        catalogue.parse(entry)
    except msgspec.ValidationError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(collect([Path(argument) for argument in sys.argv[1:]]))
