"""The pages of docs/ that are made from the code, so that they cannot lie: ``python -m tools.docs [--check]``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from isthmus import config, errors
from isthmus.cli.main import application
from tools import entries

DOCS = Path(__file__).resolve().parents[1] / "docs"
_NOTE = "<!-- Made by `make docs`: change the code, not this page. -->"


def schema() -> str:
    """The JSON Schema of isthmus.yaml."""
    return json.dumps(config.json_schema(), indent=2, ensure_ascii=False) + "\n"


def error_page() -> str:
    """Every error: its code, HTTP status, and what to do."""
    rows = [
        f"| `{kind.code}` | {kind.status} | `{kind.__name__}` | {kind.hint} |" for kind in _tree(errors.IsthmusError)
    ]
    return "\n".join(
        ["# Errors", "", _NOTE, "", "| code | HTTP | class | what to do |", "|---|---|---|---|", *rows, ""]
    )


def _tree(kind: type[errors.IsthmusError]) -> Iterator[type[errors.IsthmusError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child)


def command_page() -> str:
    """Every command with its arguments and options."""
    return "\n".join(
        ["# Commands", "", _NOTE, "", _EXIT_CODES, "", *_command(typer.main.get_command(application()), "isthmus")]
    )


_EXIT_CODES = (
    "Exit codes: **0** done. **1** failed, also where what was named is not there (a key, a request, a model, a "
    "folder), and where something did not succeed: `ingest` gives 1 when a file was rejected, `doctor` when a check "
    "failed. **2** wrong use: an option, a question, a configuration or policy file that must be corrected. "
    "**3** refused by policy. **130** interrupted. With `--json`, an error is one object with its [code](errors.md)."
)


def _command(command: Any, name: str) -> Iterator[str]:
    yield from (f"## `{name}`", "", (command.help or "").strip(), "")
    shown = [parameter for parameter in command.params if not parameter.hidden and parameter.name != "help"]
    yield from (f"- `{_usage(parameter)}`: {parameter.help or parameter.name}" for parameter in shown)
    if shown:
        yield ""
    for child, below in sorted(getattr(command, "commands", {}).items()):
        if not below.hidden:
            yield from _command(below, f"{name} {child}")


def _usage(parameter: Any) -> str:
    names = " / ".join([*parameter.opts, *parameter.secondary_opts])
    return names.upper() if parameter.param_type_name == "argument" else names


def configuration_page() -> str:
    """Every section of isthmus.yaml with its fields, their types and defaults."""
    schema = config.json_schema()
    sections = {"isthmus.yaml": schema["$defs"]["Settings"]}
    sections |= {name: plain for name, plain in schema["$defs"].items() if name != "Settings"}
    lines = ["# isthmus.yaml", "", _NOTE, "", _CONFIGURATION, ""]
    for name, plain in sections.items():
        lines += [f"## {name.removesuffix('Settings')}", "", " ".join(plain.get("description", "").split()), ""]
        lines += ["| field | type | default |", "|---|---|---|"]
        lines += [f"| `{field}` | {_type(kind)} | {_default(kind)} |" for field, kind in plain["properties"].items()]
        lines.append("")
    return "\n".join(lines).replace("``", "`")


_CONFIGURATION = (
    "Read from `--config FILE`, else `isthmus.yaml` here, else in the home folder (`--home`, `ISTHMUS_HOME`, "
    "`~/.isthmus`). Secrets are `${NAME}` (an environment variable) or `file:PATH`, never text in the file. "
    "An unknown field is an error. Editors read [isthmus.schema.json](isthmus.schema.json)."
)


def _type(kind: Mapping[str, Any]) -> str:
    if "$ref" in kind:
        name = kind["$ref"].rsplit("/", 1)[-1].removesuffix("Settings")
        return f"[{name}](#{name.lower()})"
    if "enum" in kind:
        return ", ".join(f"`{value}`" if value != "" else '`""`' for value in kind["enum"])
    if "anyOf" in kind:
        return " or ".join(_type(one) for one in kind["anyOf"] if one.get("type") != "null")
    if kind.get("type") == "array":
        return f"list of {_type(kind['items'])}"
    if kind.get("type") == "object" and isinstance(kind.get("additionalProperties"), dict):
        return f"name: {_type(kind['additionalProperties'])}"
    return str(kind.get("format") or kind.get("type") or "any")


def _default(kind: Mapping[str, Any]) -> str:
    if "default" not in kind:
        return "as its own section says" if "$ref" in kind else "*required*"
    return "" if kind["default"] in (None, "", [], {}) else f"`{json.dumps(kind['default'])}`"


PAGES: Mapping[str, Callable[[], str]] = {
    "isthmus.schema.json": schema,
    "errors.md": error_page,
    "cli.md": command_page,
    "configuration.md": configuration_page,
    "audit-entries.md": lambda: entries.page(_NOTE),
    "audit-entries.schema.json": lambda: json.dumps(entries.schema(), indent=2, ensure_ascii=False) + "\n",
}


def main(arguments: list[str]) -> int:
    """Write the pages; with ``--check``, only name those that differ and give 1."""
    pages = {DOCS / name: render() for name, render in PAGES.items()}
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf8") != text]
    if arguments == ["--check"]:
        sys.stderr.writelines(f"{path.relative_to(DOCS.parent)} is out of date: run `make docs`.\n" for path in stale)
        return 1 if stale else 0
    for path in stale:
        path.write_text(pages[path], encoding="utf8")
        sys.stdout.write(f"wrote {path.relative_to(DOCS.parent)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
