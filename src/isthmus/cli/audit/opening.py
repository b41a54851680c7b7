"""How every command of the group finds the log."""

from __future__ import annotations

from pathlib import Path

from isthmus.cli.terminal import configuration
from isthmus.governance.audit.reader import Reader
from isthmus.governance.audit.storage import Folder


def open_log(config: Path | None) -> Reader:
    """The log of this home folder. Raises :class:`isthmus.errors.NotFound` where there is none."""
    return Reader(Folder(configuration(config)[1].audit))
