"""What somebody kept of a log and gives back: a checkpoint, a receipt, or the answer that the receipt came with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from isthmus.errors import InvalidRequest
from isthmus.governance.audit.reading.reader import Reader, Signed
from isthmus.seams import Receipt

#: Begins each signature of a signed note (https://c2sp.org/signed-note).
_SIGNATURE = "— "
#: Begins each event of a stream that was saved as it came.
_EVENT = "data:"


class _Facts(msgspec.Struct):
    receipt: Receipt


class _Answer(msgspec.Struct):
    isthmus: _Facts


def read_checkpoint(reader: Reader, path: Path) -> Signed:
    """The checkpoint in a file. Raises :class:`InvalidRequest` where there is none, and
    :class:`isthmus.errors.VerificationFailed` where the log did not sign it."""
    note = _text(path)
    if not any(line.startswith(_SIGNATURE) for line in note.splitlines()):
        raise InvalidRequest(f"{path} is not a checkpoint.", hint="Keep what `isthmus audit checkpoint` prints.")
    return reader.open(note)


def read_receipt(path: Path) -> Receipt:
    """The receipt in a file: alone, in a whole answer, or in the last of a stream. Raises :class:`InvalidRequest`."""
    text = _text(path)
    for one in (text, *_events(text)):
        with suppress(msgspec.MsgspecError, RecursionError):
            return msgspec.json.decode(one, type=_Answer).isthmus.receipt
    try:
        return msgspec.json.decode(text, type=Receipt)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(
            f"{path} is not a receipt, nor an answer with one: {error}.",
            hint="Save the answer as it came, as JSON, or its isthmus.receipt.",
        ) from None


def _events(text: str) -> Iterator[str]:
    """The newest first."""
    lines = reversed(text.splitlines())
    return (line.removeprefix(_EVENT) for line in lines if line.startswith(_EVENT))


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.", hint="Check the path.") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not UTF-8 text.", hint="Check the path.") from error
