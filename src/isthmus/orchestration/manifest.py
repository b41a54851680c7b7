"""A manifest says what each file of a folder is: its collection, label and readers, in a YAML file beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import yaml

from isthmus.config import LevelName
from isthmus.errors import InvalidRequest
from isthmus.labels import Label
from isthmus.orchestration.ingest import Spec
from isthmus.principals import Principal


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``path`` is a file or folder, relative to the manifest, and within its folder."""

    path: str
    collection: str
    level: LevelName
    categories: list[str] = []
    residency: list[str] | None = None
    groups: list[str] = []
    licence: str = ""
    attribution: str = ""

    def spec(self, principal: Principal) -> Spec:
        plain = {"level": self.level, "categories": self.categories, "residency": self.residency}
        label, groups = Label.parse(plain), frozenset(self.groups)
        return Spec(self.collection, principal, label, groups, self.licence, self.attribution)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    documents: list[Entry]


def load(file: Path, principal: Principal) -> list[tuple[list[Path], Spec]]:
    """What to ingest and as what, entries of one kind together, in the manifest's order.

    Raises :class:`InvalidRequest` where the manifest is not readable, or names a path outside its own folder.
    """
    try:
        manifest = msgspec.convert(yaml.safe_load(file.read_text(encoding="utf8")), Manifest)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise InvalidRequest(f"The manifest {file} cannot be read: {error}.") from error
    groups: dict[Spec, list[Path]] = {}
    for spec, path in _resolved(manifest, file.resolve().parent, principal):
        groups.setdefault(spec, []).append(path)
    return [(paths, spec) for spec, paths in groups.items()]


def _resolved(manifest: Manifest, folder: Path, principal: Principal) -> Iterator[tuple[Spec, Path]]:
    for entry in manifest.documents:
        path = folder / entry.path
        if not path.resolve().is_relative_to(folder):
            raise InvalidRequest(f"The manifest names {entry.path!r}, which lies outside its folder.")
        yield entry.spec(principal), path
