"""How every command of the group finds the log, and the keys that it is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from isthmus.cli.terminal import configuration
from isthmus.errors import InvalidRequest, VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Verifier
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.witness.witnessed import Witnessed
from isthmus.governance.logs import beside, storage

_Key = TypeVar("_Key")


def open_log(config: Path | None, vkey: str | None = None) -> Reader:
    """The log of this configuration, for whoever trusts ``vkey`` (``None``: its own). Raises
    :class:`isthmus.errors.NotFound` where there is none."""
    trusted = None if vkey is None else key(vkey, Verifier.parse)
    return Reader(storage(*configuration(config)), trusted)


def open_witnessed(config: Path | None) -> Witnessed:
    """What witnesses cosigned of that log."""
    return Witnessed(beside(*configuration(config)))


def key(given: str, parse: Callable[[str], _Key]) -> _Key:
    """The public key that was given as text, or in the file of that name. Raises :class:`InvalidRequest`."""
    try:
        file = Path(given)
        return parse(file.read_text(encoding="utf8") if file.is_file() else given)
    except (OSError, ValueError, VerificationFailed) as error:
        raise InvalidRequest(
            f"{given!r} is neither such a key nor a file with one: {error}",
            hint="A public key is one line, NAME+ID+KEY: a log's is in its folder's vkey, a witness prints its own.",
        ) from None
