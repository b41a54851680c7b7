"""JSON Schemas on their way into the sampler, which lets the model write nothing but what fits them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.errors import InvalidRequest

_DEPTH = (
    48  # the runtime walks schemas by recursion in native code: a bound keeps a hostile one from ending the process
)
_SIZE = 10_000
_LLGUIDANCE = "%llguidance"
MARK = "@@"
#: Text that is not JSON, for a conversation in which calls were JSON.
TEXT_ONLY = "root ::= [^{ \\t\\r\\n] [^\\x00]*"


def inlined(schema: Mapping[str, object]) -> dict[str, Any]:
    """The schema without ``$ref``: it can then stand inside another. A recursive reference allows anything.

    Raises :class:`InvalidRequest` for a reference that leads outside the schema, or a schema too large or deep.
    """
    return {key: value for key, value in _Inliner(schema).walk(schema, ()).items() if key not in {"$defs", "$schema"}}


class _Inliner:
    def __init__(self, root: Mapping[str, object]) -> None:
        self._root = root
        self._left = _SIZE

    def walk(self, node: Any, within: tuple[str, ...], depth: int = 0) -> Any:
        """``within``: the references being followed."""
        self._left -= 1
        if depth > _DEPTH or self._left < 0:
            raise InvalidRequest("A JSON schema of the request is too large or too deep.")
        if isinstance(node, list | tuple):
            return [self.walk(item, within, depth + 1) for item in node]
        if not isinstance(node, Mapping):
            return node
        if isinstance(reference := node.get("$ref"), str):
            target = {} if reference in within else self._target(reference)
            return self.walk(target, (*within, reference), depth + 1)
        return {key: self.walk(value, within, depth + 1) for key, value in node.items() if key != "$defs"}

    def _target(self, reference: str) -> Any:
        """What a JSON pointer of the same document leads to (RFC 6901)."""
        node: Any = self._root
        prefix, *segments = reference.split("/")
        for segment in segments:
            name = segment.replace("~1", "/").replace("~0", "~")
            node = node.get(name) if isinstance(node, Mapping) else None
        if prefix != "#" or not isinstance(node, Mapping):
            raise InvalidRequest(f"The reference {reference[:80]!r} leads to nothing in its JSON schema.")
        return node


def grammar(schema: Mapping[str, Any], *, or_text: bool = False) -> str:
    """What the sampler reads. ``or_text`` also allows plain text that does not begin like JSON or a code fence.

    Raises :class:`InvalidRequest` where the runtime does not understand the schema.
    """
    import xllamacpp

    try:
        made = str(xllamacpp.json_schema_to_grammar(schema))
    except (RuntimeError, ValueError) as error:
        raise InvalidRequest("A JSON schema of the request is not understood by the local runtime.") from error
    return with_text(made) if or_text else made


def with_text(made: str) -> str:
    """A grammar that allows what ``made`` does, or text; in the notation of ``made`` (llguidance's, or GBNF)."""
    if _LLGUIDANCE in made:
        return made.replace("start: ", "start: json | text\njson: ", 1) + "\ntext: /[^{`\\s](.|\\n)*/\n"
    return "root ::= json | text\ntext ::= [^{` \\t\\r\\n] [^\\x00]*\n" + f"\n{made}".replace(
        "\nroot ::=", "\njson ::=", 1
    )


def probe(made: str) -> str | None:
    """A grammar that must begin with ``MARK`` before what ``made`` allows; ``None`` where nothing must be tried.

    The runtime silently drops a grammar of llguidance's that it cannot compile (`not`, `if`, `uniqueItems`… in a
    schema): an answer that does not begin with the mark shows it. One of GBNF's it refuses loudly.
    """
    return made.replace("start: ", f'start: "{MARK}" rest\nrest: ', 1) if _LLGUIDANCE in made else None
