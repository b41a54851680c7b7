"""Commands that check the log, and take it away to be checked elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from isthmus.cli.audit.opening import key, open_log, open_witnessed
from isthmus.cli.terminal import Config, Json, progress, show
from isthmus.errors import InvalidRequest
from isthmus.governance.audit.notes.cosignature import CosignatureVerifier
from isthmus.governance.audit.notes.note import Note
from isthmus.governance.audit.reading.export import export as write
from isthmus.governance.audit.reading.reader import Reader, Signed
from isthmus.governance.audit.reading.verification import Verified, verify_receipt
from isthmus.governance.audit.reading.verification import verify as check
from isthmus.governance.audit.witness.witnessed import Witnessed
from isthmus.seams import Receipt

#: Begins each signature of a signed note (https://c2sp.org/signed-note).
_SIGNATURE = "— "


def verify(
    checkpoint: Annotated[
        list[Path] | None, typer.Option("--checkpoint", help="An older checkpoint that you kept (repeatable).")
    ] = None,
    receipt: Annotated[
        list[Path] | None, typer.Option("--receipt", help="A receipt that came with an answer (repeatable).")
    ] = None,
    witness: Annotated[
        list[str] | None, typer.Option("--witness", help="The vkey of a witness that must have cosigned (repeatable).")
    ] = None,
    vkey: Annotated[
        str | None, typer.Option("--vkey", help="The log's public key that you kept; rotations lead on from it.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Check every entry against the log's signed checkpoint, and against what you kept."""
    named = [key(given, CosignatureVerifier.parse) for given in witness or ()]
    reader = open_log(config, vkey)
    older = [_opened(reader, path) for path in checkpoint or ()]
    older += [verify_receipt(reader, _receipt(path)) for path in receipt or ()]
    witnesses = []
    if named:
        cosigned = open_witnessed(config).note()
        witnesses = [_cosigned(cosigned, one) for one in named]
        older.append(reader.open(cosigned))
    with _watched("checking", json) as told:
        verified = check(reader, older, told)
    plain = {
        "log": verified.checkpoint.origin,
        "size": verified.checkpoint.size,
        "root": verified.checkpoint.root.hex(),
        "older": list(verified.older),
        "pending": verified.pending,
        "witnesses": witnesses,
    }
    show(plain, json, lambda console: _render_verified(console, verified, witnesses))


def export(
    folder: Annotated[Path, typer.Argument(help="A folder that does not exist yet, or is empty.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Copy the log into a folder that a stranger can check offline with verify.py and openssl."""
    witnessed = open_witnessed(config)
    cosigned = Note.parse(witnessed.note()) if witnessed.kept else None
    reader = open_log(config)
    with _watched("copying", json) as told:
        size = write(reader, folder, told)
    if cosigned is not None:
        Witnessed(folder).keep(cosigned)
    plain = {"folder": str(folder), "size": size}
    command = f"python3 {folder}/verify.py {folder} {folder}/vkey"
    show(plain, json, lambda console: console.print(f"{size} entries in {folder}. Check them with:\n{command}"))


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


@contextmanager
def _watched(what: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar over entries."""
    with progress(quiet) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _opened(reader: Reader, path: Path) -> Signed:
    note = _text(path)
    if not any(line.startswith(_SIGNATURE) for line in note.splitlines()):
        raise InvalidRequest(f"{path} is not a checkpoint.", hint="Keep what `isthmus audit checkpoint` prints.")
    return reader.open(note)


def _cosigned(note: str, witness: CosignatureVerifier) -> dict[str, str]:
    """Who cosigned the note, and when. Raises :class:`isthmus.errors.VerificationFailed` where the witness did not."""
    time = datetime.fromtimestamp(witness.time(Note.parse(note)), UTC)
    return {"witness": witness.name, "time": time.isoformat().replace("+00:00", "Z")}


def _receipt(path: Path) -> Receipt:
    try:
        return msgspec.json.decode(_text(path), type=Receipt)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(
            f"{path} is not a receipt: {error}.", hint="Save the JSON that came with the answer."
        ) from None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.", hint="Check the path.") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not UTF-8 text.", hint="Check the path.") from error


def _render_verified(console: Console, verified: Verified, witnesses: list[dict[str, str]]) -> None:
    size, older = verified.checkpoint.size, ", ".join(map(str, verified.older))
    console.print(f"[green]The record holds[/]: {size} entries of {escape(verified.checkpoint.origin)}.")
    if verified.pending:
        console.print(f"{verified.pending} newer entries are not signed for yet.", style="dim")
    console.print(f"It begins as the checkpoints of {older} entries say." if older else _NOTHING_KEPT)
    for one in witnesses:
        console.print(f"{escape(one['witness'])} cosigned {verified.older[-1]} entries at {one['time']}.")


_NOTHING_KEPT = (
    "This says that the log fits its own signature. Keep `isthmus audit checkpoint` elsewhere, and give it with\n"
    "--checkpoint next time: then it also says that nothing before it was changed."
)
