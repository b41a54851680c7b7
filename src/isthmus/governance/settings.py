"""The configuration as the record shows it: plain data without secrets, its digest, and what differs from before.

The file holds no secrets by its own rules (an ``api_key`` is a reference). What could hold one all the same is not
written as it is: texts below ``options`` stand there as digests, and every URL without user, query and fragment.
The home folder of whoever runs the command is written ``~``, as its name is a person's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from isthmus.config import Settings

#: Bytes of JSON that one entry spends on settings, and paths that it names: an entry holds 65,535 bytes in all.
MOST_BYTES, MOST_PATHS = 40_000, 200


@dataclass(frozen=True, slots=True)
class Form:
    """``digest`` is ``sha256:…`` of all settings, defaults too. ``settings`` are those that are not the default; where
    they would not fit into an entry, the largest sections are ``{"bytes": …, "digest": …}``."""

    digest: str
    settings: Mapping[str, Any]


def form(settings: Settings, person: Path | None = None) -> Form:
    """``person`` is the home folder that is written ``~`` (absent: that of the process's user)."""
    home = str(person or Path.home())
    return Form(digest(_plain(settings, home, whole=True)), _fitting(_plain(settings, home, whole=False)))


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The dotted paths of what differs, 200 at most; models by their ids."""
    paths = list(_differences(before, after))
    return paths if len(paths) <= MOST_PATHS else [*paths[:MOST_PATHS], "…"]


def canonical(plain: object) -> bytes:
    """JSON with sorted keys and no spaces, in UTF-8."""
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf8", "replace")


def digest(plain: object) -> str:
    """``sha256:…`` of the canonical form."""
    return "sha256:" + hashlib.sha256(canonical(plain)).hexdigest()


def _plain(value: object, home: str, *, whole: bool) -> Any:
    match value:
        case msgspec.Struct():
            return {
                field.name: _shown(field.name, one, home, whole)
                for field in msgspec.structs.fields(value)
                if (one := getattr(value, field.name)) != _default(field) or whole
            }
        case Mapping():
            return {str(name): _plain(one, home, whole=whole) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one, home, whole=whole) for one in value]
        case str():
            shown = address(value) if "://" in value else value
            return shown.replace(f"{home}/", "~/") if len(home) > 1 else shown
        case date():
            return value.isoformat()
        case _:
            return value


def _shown(name: str, value: object, home: str, whole: bool) -> Any:
    if name == "options" and isinstance(value, Mapping):
        return {str(option): _option(one) for option, one in value.items()}
    return _plain(value, home, whole=whole)


def address(url: str) -> str:
    """The address without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return digest(url)


def _option(value: object) -> object:
    """Numbers and switches as they are; what could be a secret, or a text of somebody's, as its digest."""
    return value if value is None or isinstance(value, bool | int | float) else digest(msgspec.to_builtins(value))


def _default(field: msgspec.structs.FieldInfo) -> object:
    return field.default_factory() if callable(field.default_factory) else field.default


def _fitting(sections: dict[str, Any]) -> dict[str, Any]:
    sizes = {name: len(canonical(section)) for name, section in sections.items()}
    fitted = dict(sections)
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if len(canonical(fitted)) <= MOST_BYTES:
            break
        fitted[name] = {"bytes": sizes[name], "digest": digest(sections[name])}
    return fitted


def _differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    old, new = _by_id(before), _by_id(after)
    if not (_open(old) and _open(new)) or _came_or_went(old, new):
        if before != after:
            yield path
        return
    if isinstance(before, list) and isinstance(after, list) and old.keys() == new.keys() and list(old) != list(new):
        yield path  # the same models in another order
    old, new = old or {}, new or {}
    for name in sorted({*old, *new}):
        yield from _differences(old.get(name), new.get(name), f"{path}.{name}".lstrip("."))


def _open(value: object) -> bool:
    """Whether one can look into it: settings by name, or none at all; no value, and no section that is a digest."""
    return value is None or (isinstance(value, Mapping) and value.keys() != {"bytes", "digest"})


def _came_or_went(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> bool:
    """A model that is on one side only is named as one."""
    return (old is None or new is None) and "id" in (old or new or {})


def _by_id(value: Any) -> Any:
    if isinstance(value, list) and value and all(isinstance(one, Mapping) and "id" in one for one in value):
        return {one["id"]: one for one in value}
    return value
