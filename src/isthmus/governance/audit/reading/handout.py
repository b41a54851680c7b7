"""A new folder that is made to be handed out. It is for its owner alone at first, as entries say who asked for what."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.errors import InvalidRequest
from isthmus.governance.audit.files import Files, make_folders

#: For the folder's README.
OPENING = """This folder is for its owner alone, because entries say who asked for what. This opens it to others,
such as a web server: chmod -R a+rX ."""


@contextmanager
def new_folder(target: Path) -> Iterator[None]:
    """The folder, to be filled in the block. Raises :class:`InvalidRequest` where it holds something already, or
    cannot be written."""
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InvalidRequest(f"{target} is there already.", hint="Name a folder that does not exist, or is empty.")
        make_folders(Files(), target.absolute())
        yield
    except OSError as error:
        raise InvalidRequest(
            f"{target} cannot be written: {error.strerror or error}.", hint="Make room, or name another folder."
        ) from error


def put(path: Path, data: bytes | str) -> None:
    """A file that was not there. Raises :class:`OSError`."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
