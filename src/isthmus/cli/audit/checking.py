"""Commands that check the log, and take it away to be checked elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.audit import verdict
from isthmus.cli.audit.held import read_checkpoint, read_receipt
from isthmus.cli.audit.opening import key, open_log, open_witnessed
from isthmus.cli.audit.scanning import bar
from isthmus.cli.terminal import Config, Json, show
from isthmus.errors import InvalidRequest
from isthmus.governance.audit.notes.cosignature import CosignatureVerifier
from isthmus.governance.audit.notes.note import Note
from isthmus.governance.audit.reading.export import export as write
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.reading.verification import verify as check
from isthmus.governance.audit.reading.verification import verify_receipt
from isthmus.governance.audit.witness.witnessed import Witnessed


def verify(
    checkpoint: Annotated[
        list[Path] | None, typer.Option("--checkpoint", help="An older checkpoint that you kept (repeatable).")
    ] = None,
    receipt: Annotated[
        list[Path] | None, typer.Option("--receipt", help="A receipt, or the answer that it came with (repeatable).")
    ] = None,
    witness: Annotated[
        list[str] | None,
        typer.Option(
            "--witness", help="The vkey, or a file with it, of a witness that must have cosigned (repeatable)."
        ),
    ] = None,
    vkey: Annotated[
        str | None,
        typer.Option("--vkey", help="The log's public key that you kept, or a file with it; rotations lead on."),
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Check every entry against the log's signed checkpoint, and against what you kept."""
    named = [key(given, CosignatureVerifier.parse) for given in witness or ()]
    reader = open_log(config, vkey)
    kept = [read_checkpoint(reader, path) for path in checkpoint or ()]
    receipts = [read_receipt(path) for path in receipt or ()]
    older = [*kept, *(verify_receipt(reader, one) for one in receipts)]
    witnesses = []
    if named:
        cosigned = open_witnessed(config).note()
        witnesses = [_cosigned(cosigned, one) for one in named]
        older.append(reader.open(cosigned))
    with _watched(reader, json) as told:
        verified = check(reader, older, told)
    plain = {
        "log": verified.checkpoint.origin,
        "size": verified.checkpoint.size,
        "root": verified.checkpoint.root.hex(),
        "older": list(verified.older),
        "receipts": [one.index for one in receipts],
        "pending": verified.pending,
        "witnesses": witnesses,
    }
    held = verdict.held([one.checkpoint.size for one in kept], [one.index for one in receipts])
    show(plain, json, lambda console: verdict.render(console, verified, held, witnesses))


def export(
    folder: Annotated[Path, typer.Argument(help="A folder that does not exist yet, or is empty.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Copy the log into a folder that a stranger can check offline with verify.py and openssl."""
    if not folder.absolute().parent.exists():
        raise InvalidRequest(f"There is no folder {folder.parent}.", hint="Make it first, or name another folder.")
    witnessed = open_witnessed(config)
    cosigned = Note.parse(witnessed.note()) if witnessed.kept else None
    reader = open_log(config)
    with _watched(reader, json) as told:
        size = write(reader, folder, told)
    if cosigned is not None:
        Witnessed(folder).keep(cosigned)
    plain = {"folder": str(folder), "size": size}
    show(plain, json, lambda console: verdict.render_export(console, folder, size))


def checkpoint(
    witnessed: Annotated[
        bool, typer.Option("--witnessed", help="The newest one that witnesses cosigned, with their signatures.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Print the newest signed checkpoint: keep it where the log's operator cannot reach it."""
    reader = open_log(config)
    signed = reader.open(open_witnessed(config).note()) if witnessed else reader.checkpoint()
    plain = {"checkpoint": signed.note, "size": signed.checkpoint.size, "vkey": reader.verifier.vkey}
    show(plain, json, lambda console: console.out(signed.note, end=""))


def vkey(config: Config = None, json: Json = False) -> None:
    """Print the log's public key, which checks all that the log signs: give it to whoever shall check the log."""
    verifier = open_log(config).verifier
    show({"log": verifier.name, "vkey": verifier.vkey}, json, lambda console: console.out(verifier.vkey))


@contextmanager
def _watched(reader: Reader, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar over all entries that are signed for."""
    read = 0
    with bar(reader.checkpoint().checkpoint.size, quiet) as advance:

        def told(done: int, _: int) -> None:
            nonlocal read
            advance(done - read)
            read = done

        yield told


def _cosigned(note: str, witness: CosignatureVerifier) -> dict[str, str]:
    """Who cosigned the note, and when. Raises :class:`isthmus.errors.VerificationFailed` where the witness did not."""
    time = datetime.fromtimestamp(witness.time(Note.parse(note)), UTC)
    return {"witness": witness.name, "time": time.isoformat().replace("+00:00", "Z")}
