"""Files under the paths that were named: in a fixed order, never through a link that leads out, never a device."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from isthmus.errors import DocumentRejected

#: Files that programs leave beside documents.
_LITTER = ("~$", ".")


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read, or with a ``problem`` one that is not read (a ``link`` on purpose). ``source`` is its absolute
    path as text: it names the document, so that folders with the same inner names never replace each other's."""

    path: Path
    source: str
    problem: str = ""
    link: bool = False


@dataclass(frozen=True, slots=True)
class Root:
    """A path that was named, resolved, and what was found under it."""

    source: str
    folder: bool
    found: tuple[Found, ...]


def explore(path: Path) -> Root:
    """All files under a path. Hidden files and what programs leave behind are passed over; links to folders are
    not followed, links to files only where they stay inside. A path that does not exist is a problem, not an error."""
    try:
        root = path.resolve(strict=True)
    except (OSError, RuntimeError):
        absent = Path(os.path.abspath(path))
        return Root(_name(absent), False, (Found(absent, _name(absent), "There is no such file or folder."),))
    if not root.is_dir():
        return Root(_name(root), False, (Found(root, _name(root)),))
    return Root(_name(root), True, tuple(_walk(root)))


def _walk(root: Path) -> Iterator[Found]:
    unreadable: list[Found] = []

    def denied(error: OSError) -> None:
        folder = Path(error.filename)
        unreadable.append(Found(folder, _name(folder), f"The folder cannot be read: {error.strerror}."))

    for folder, folders, files in os.walk(root, onerror=denied):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name)) and _wanted(name)]
        folders[:] = sorted(name for name in folders if _wanted(name) and name not in links)
        for name in sorted((*links, *filter(_wanted, files))):
            yield _look(Path(folder, name), root)
    yield from unreadable


def _look(path: Path, root: Path) -> Found:
    if not path.is_symlink():
        return Found(path, _name(path))
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(root):
        return Found(path, _name(path), "It is a link out of the folder, which is not followed.", link=True)
    if target.is_dir():
        return Found(path, _name(path), "It is a link to a folder, which is not followed.", link=True)
    return Found(target, _name(path))


def read(path: Path, limit: int) -> bytes:
    """The content of a regular file. Raises :class:`DocumentRejected` beyond ``limit`` bytes, or where it cannot be
    read. ``O_NOFOLLOW`` and ``O_NONBLOCK``: what was a file a moment ago may be a link or a pipe now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise DocumentRejected("It is not a regular file.", hint="Name files and folders only.")
            data = file.read(limit + 1)
    except OSError as error:
        raise DocumentRejected(f"It cannot be read: {error.strerror}.", hint="Check its permissions.") from error
    if len(data) > limit:
        raise DocumentRejected(
            f"It is larger than {limit:,} bytes.", hint="Split it, or raise knowledge.max_file_bytes in isthmus.yaml."
        )
    return data


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def gone(root: Root, stored: Iterable[str]) -> list[str]:
    """Sources stored from under the folder that are there no more. What lies in a folder that could not be read may
    still be there."""
    if not root.folder:
        return []
    present = {found.source for found in root.found if not found.problem}
    unseen = tuple(f"{found.source}/" for found in root.found if found.problem)
    below = f"{root.source.rstrip('/')}/"
    return [
        source
        for source in stored
        if source.startswith(below) and source not in present and not (unseen and source.startswith(unseen))
    ]


def _wanted(name: str) -> bool:
    return not name.startswith(_LITTER)


def _name(path: Path) -> str:
    """A name that is not UTF-8 keeps its bytes visible; the store holds valid Unicode only."""
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")
