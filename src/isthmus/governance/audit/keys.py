"""The log's signing key: a file of mode 600 outside the log's folder, and the public ``vkey`` inside it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from isthmus.errors import AuditUnavailable
from isthmus.governance.audit.checkpoint import Signer, Verifier
from isthmus.governance.audit.files import Files, make_folders, replace, sync_folder
from isthmus.governance.audit.storage import VKEY


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
    never changes hands silently.
    """
    vkey = folder / VKEY
    if not vkey.exists():
        key = load_key(path) if path.exists() else make_key(path, files)
        signer = Signer(origin or f"isthmus.local/{secrets.token_hex(4)}", key)
        replace(files, vkey, f"{signer.verifier.vkey}\n".encode())
        os.chmod(vkey, 0o644)  # public
        sync_folder(files, folder)
        return signer
    known = Verifier.parse(vkey.read_text(encoding="utf8"))
    if origin not in (None, known.name):
        raise AuditUnavailable(f"This log is called {known.name!r}, not {origin!r}.", hint="Correct audit.origin.")
    signer = Signer(known.name, load_key(path))
    if signer.verifier.id != known.id:
        raise AuditUnavailable(f"The signing key {path} is not the one of this log ({known.id.hex()}).", hint=_RESTORE)
    return signer


_RESTORE = "Restore the log's signing key from its backup; nothing is recorded without it."
