"""Every type of entry that Isthmus writes, declared: what it means, its fields, and their shapes.

The page docs/audit-entries.md and its JSON Schema are made from these classes; tests check that what the code writes
is declared here, to the last field. Fields may be added to a type, and types to the catalogue; what a field means
does not change.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

import msgspec

from isthmus.governance.catalogue import administration, content, documents, log, requests
from isthmus.governance.catalogue.common import Entry

#: In the order of the page.
ENTRIES: tuple[type[Entry], ...] = (
    *requests.TYPES,
    *documents.TYPES,
    *administration.TYPES,
    *content.TYPES,
    *log.TYPES,
)


def name(entry: type[Entry]) -> str:
    """The ``type`` that entries of this class bear."""
    tag = entry.__struct_config__.tag
    return tag if isinstance(tag, str) else ""


def parse(entry: bytes) -> Entry:
    """An entry as its declared value. Raises :class:`msgspec.ValidationError` where it is not as declared."""
    value: Entry = msgspec.json.decode(entry, type=reduce(or_, ENTRIES))
    return value


def json_schema() -> dict[str, Any]:
    """The JSON Schema of an entry, whatever its type."""
    schema = msgspec.json.schema(reduce(or_, ENTRIES))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
