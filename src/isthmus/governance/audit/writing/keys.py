"""The log's signing key: a file of mode 600 outside the log's folder, and the public ``vkey`` inside it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from isthmus.errors import AuditUnavailable
from isthmus.governance.audit.files import Files, make_folders, replace, sync_folder, write_all
from isthmus.governance.audit.notes.checkpoint import Signer, Verifier
from isthmus.governance.audit.notes.rotation import trusted
from isthmus.governance.audit.tree.storage import VKEY, Folder


def load_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file (PKCS #8). Raises :class:`AuditUnavailable`, also where others may read it."""
    try:
        if path.stat().st_mode & 0o077:
            raise AuditUnavailable(f"Others may read the signing key {path}.", hint=f"Run: chmod 600 {path}")
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise AuditUnavailable(f"The signing key {path} cannot be read: {error}.", hint=_RESTORE) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise AuditUnavailable(f"The signing key {path} is not an Ed25519 key.", hint=_RESTORE)
    return key


def make_key(path: Path, files: Files) -> Ed25519PrivateKey:
    """A new key in that file, readable by its owner alone from its first byte on."""
    key = Ed25519PrivateKey.generate()
    make_folders(files, path.parent)
    replace(files, path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    sync_folder(files, path.parent)
    return key


def open_signer(folder: Path, path: Path, origin: str | None, files: Files) -> Signer:
    """The signer of the log in ``folder``; at first use it makes the key, the name and the ``vkey`` file.

    Raises :class:`AuditUnavailable` where a log exists whose key is gone, or is another, or has another name: a log
    never changes hands or begins again silently. A rotation whose process died once it counted is finished here.
    """
    if not (folder / VKEY).exists():
        must_be_new(folder, path)
        # The key gets its name last: where it has it, there is a log.
        key = load_key(coming(path)) if coming(path).exists() else make_key(coming(path), files)
        signer = Signer(origin or f"isthmus.local/{secrets.token_hex(4)}", key)
        publish(folder, signer.verifier, files)
        finish_rotation(path, signer.verifier, files)
        return signer
    own = Verifier.parse((folder / VKEY).read_text(encoding="utf8"))
    known = known_key(own, Folder(folder).rotations(), origin)
    finish_rotation(path, known, files)
    return signer_of(known, path)


def known_key(own: Verifier, rotations: Iterable[bytes], origin: str | None) -> Verifier:
    """The key of a log that states ``own``, and had the ``rotations``. Raises :class:`AuditUnavailable` where its name
    is not ``origin``."""
    known = trusted(own, rotations, own)
    if origin not in (None, known.name):
        raise AuditUnavailable(f"The log is called {known.name!r}, not {origin!r}.", hint="Correct audit.origin.")
    return known


def signer_of(known: Verifier, path: Path, hint: str | None = None) -> Signer:
    """The signer of a log whose key is known. Raises :class:`AuditUnavailable` where the one in the file is another:
    one is never made for a log that exists. ``hint``: where to take it from."""
    signer = Signer(known.name, load_key(path), known.retired)
    if signer.verifier != known:
        raise AuditUnavailable(
            f"The signing key {path} is not the one of the log ({known.id.hex()}).", hint=hint or _RESTORE
        )
    return signer


def must_be_new(folder: Path, path: Path) -> None:
    """Raises :class:`AuditUnavailable` where there is a key, and so was a log: a second one would be signed by it."""
    if path.exists():
        raise AuditUnavailable(
            f"The log that {path} signs for is not in {folder} any more.",
            hint="Put the folder back as it was. To begin another log, move the key away first.",
        )


def publish(folder: Path, verifier: Verifier, files: Files) -> None:
    """Say in the log's folder which key is its own."""
    replace(files, folder / VKEY, f"{verifier.vkey}\n".encode())
    os.chmod(folder / VKEY, 0o644)  # public
    sync_folder(files, folder)


def coming(path: Path) -> Path:
    """Where the key waits that will take over from the one in ``path``."""
    return path.with_name(f"{path.name}.next")


def finish_rotation(path: Path, known: Verifier, files: Files) -> None:
    """Put the new private key in the place of the old one, which is overwritten, if it is the log's by now.

    A disk may keep what is overwritten elsewhere (copies on write, spare blocks of an SSD, backups).
    """
    if not coming(path).exists() or load_key(coming(path)).public_key() != known.key:
        return
    if path.exists():
        fd = files.open(path, os.O_WRONLY)
        try:
            write_all(files, fd, bytes(path.stat().st_size))
            files.sync(fd)
        finally:
            files.close(fd)
    files.rename(coming(path), path)
    sync_folder(files, path.parent)


_RESTORE = "Restore the log's signing key from its backup; nothing is recorded without it."
